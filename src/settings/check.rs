//! What no key can tell by itself: values that do not go together.
//!
//! In: settled values and their origins. Out: mistakes, each at the place of the value that is easier to change.

use super::{config_file::ConfigFile, origin::Origins, problem::Problem};

pub(crate) fn check(config: &ConfigFile, origins: &Origins) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |path: &str, text: String, hint: &str| {
        problems.push(Problem::new(origins.of(path), format!("{path}: {text}")).hint(Some(hint.to_owned())));
    };
    let set_at = |path: &str| format!("{path} ({})", origins.of(path));

    if config.queue.url.is_some() && config.queue.folder.is_some() {
        refuse(
            "queue.folder",
            format!("{} is set as well", set_at("queue.url")),
            "a worker has one source: remove one of them",
        );
    }
    let worker = &config.worker;
    if worker.shutdown_within >= worker.lease {
        refuse(
            if origins.is_set("worker.shutdown_within") { "worker.shutdown_within" } else { "worker.lease" },
            format!("shutdown_within ({}) is not shorter than lease ({})", worker.shutdown_within, worker.lease),
            "what is being finished must still be ours: choose a longer lease or a shorter end",
        );
    }
    if worker.commit_after.0 * 2 > worker.lease.0 {
        refuse(
            if origins.is_set("worker.commit_after") { "worker.commit_after" } else { "worker.lease" },
            format!("commit_after ({}) is more than half of lease ({})", worker.commit_after, worker.lease),
            "a message must still be ours when its batch is durable",
        );
    }
    if config.reconcile.grace >= config.reconcile.look_back {
        refuse(
            "reconcile.grace",
            format!("{} leaves nothing of look_back ({})", config.reconcile.grace, config.reconcile.look_back),
            "choose a shorter grace or look further back",
        );
    }
    let role = &config.aws.assume_role;
    if role.role_arn.is_none() && role.external_id.is_some() {
        refuse(
            "aws.assume_role.external_id",
            "there is no role_arn that it belongs to".to_owned(),
            "set aws.assume_role.role_arn",
        );
    }
    for (position, entry) in config.aws.accounts.iter().enumerate() {
        let path = format!("aws.accounts[{position}]");
        if entry.role_arn.account() != entry.id.as_str() {
            refuse(
                &format!("{path}.role_arn"),
                format!("the role is in account {}, not in {}", entry.role_arn.account(), entry.id.as_str()),
                "each entry names an account and a role in it",
            );
        }
        if config.aws.accounts.iter().take(position).any(|other| other.id == entry.id) {
            refuse(
                &format!("{path}.id"),
                format!("{} has an entry already", entry.id.as_str()),
                "one entry for each account",
            );
        }
    }
    let http = &config.http;
    if !http.listen.ip().is_loopback() && !http.allow_remote {
        refuse(
            "http.listen",
            format!("{} can be reached by other machines, and there is no login yet", http.listen),
            "use 127.0.0.1 or [::1], or set http.allow_remote = true if the network keeps strangers out",
        );
    }
    problems.extend(super::sinks::check(config, origins));
    problems
}
