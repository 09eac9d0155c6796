//! A plain reading of the four rules over the ledger: whatever it finds must be labelled, and whatever is labelled it finds.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Label, Labels, Options,
    cast::{Cast, Fate, NETWORKS, STREAMS, endpoint, glob, in_cidr},
    clock::{DAY, HOUR},
    plan::{Access, Plan},
    run::{labels, planned},
};

fn with_plan(days: u32, seed: u64, incidents: bool, check: impl Fn(&Plan<'_>, &Labels)) {
    let options = Options { days, seed, incidents, ..Options::new("unused") };
    let cast = Cast::new(seed, options.secrets as usize);
    let plan = planned(&options, &cast);
    let labels = labels(&options, &plan);
    check(&plan, &labels);
}

fn ordered<'p>(plan: &'p Plan<'_>) -> Vec<&'p Access> {
    let mut ledger: Vec<_> = plan.ledger.iter().collect();
    ledger.sort_by_key(|access| access.at);
    ledger
}

type Found = BTreeSet<(String, String)>;

fn found(rule: &str, access: &Access) -> (String, String) {
    (rule.to_owned(), access.event_id.clone())
}

/// What all services share: a few of them begin to read it later on, as in life, and an alert about that counts as false.
fn is_common(plan: &Plan<'_>, secret: usize) -> bool {
    plan.cast.secrets[secret].name.starts_with("common/")
}

fn first_reads(plan: &Plan<'_>) -> Found {
    let mut seen = BTreeSet::new();
    let mut all = Found::new();
    for access in ordered(plan).into_iter().filter(|access| access.ok && !is_common(plan, access.secret)) {
        let made = plan.created.iter().find(|(secret, _)| *secret == access.secret).map_or(plan.start, |&(_, at)| at);
        if seen.insert((access.principal.clone(), access.unique_id.clone(), access.secret))
            && access.at > made + 7 * DAY
        {
            all.insert(found("new_principal", access));
        }
    }
    all
}

fn outside(plan: &Plan<'_>) -> Found {
    let endpoints: Vec<_> = STREAMS.iter().map(|stream| endpoint(plan.cast.seed, stream.place)).collect();
    let mut all = Found::new();
    for access in &plan.ledger {
        let Some((address, through)) = &access.origin else { continue };
        let secret = &plan.cast.secrets[access.secret];
        let entry = NETWORKS
            .iter()
            .find(|entry| {
                entry.secrets.iter().any(|pattern| glob(pattern, &secret.id) || glob(pattern, &secret.name))
                    && entry.principals.iter().any(|pattern| glob(pattern, &access.principal))
            })
            .expect("the last entry matches everything");
        let by_endpoint = entry.with_endpoints && through.as_ref().is_some_and(|through| endpoints.contains(through));
        if !by_endpoint && !entry.cidrs.iter().any(|cidr| in_cidr(cidr, address)) {
            all.insert(found("off_cidr_use", access));
        }
    }
    all
}

fn after_rotation(plan: &Plan<'_>) -> Found {
    let mut all = Found::new();
    for index in 0..plan.cast.secrets.len() {
        let rotations = plan.rotations_of(index);
        let reads: Vec<_> =
            ordered(plan).into_iter().filter(|access| access.secret == index && access.ok && !access.upkeep).collect();
        for rotation in &rotations {
            let before: BTreeSet<_> =
                reads.iter().filter(|access| access.at < rotation.at).map(|access| &access.principal).collect();
            for access in reads.iter().filter(|access| (rotation.at..rotation.at + 7 * DAY).contains(&access.at)) {
                if !before.contains(&access.principal) {
                    all.insert(found("post_rotation_access", access));
                }
            }
        }
        for access in &reads {
            let Some(version) = &access.version else { continue };
            let last = rotations.iter().rev().find(|rotation| rotation.at <= access.at);
            if let Some(last) = last
                && *version != plan.current(index, access.at)
                && access.at > last.at + 24 * HOUR
            {
                all.insert(found("post_rotation_access", access));
            }
        }
    }
    all
}

fn events_of(labels: &[Label]) -> Found {
    labels.iter().flat_map(|label| label.event_ids.iter().map(|id| (label.rule_id.clone(), id.clone()))).collect()
}

fn judge(plan: &Plan<'_>, labels: &Labels) {
    let mut all = first_reads(plan);
    all.extend(outside(plan));
    all.extend(after_rotation(plan));
    let expected = events_of(&labels.expected);
    let name: BTreeMap<_, _> = plan.ledger.iter().map(|access| (access.event_id.clone(), access)).collect();
    let tolerated: Found = labels
        .quiet
        .iter()
        .flat_map(|label| {
            label.also.iter().flat_map(|rule| label.event_ids.iter().map(|id| (rule.clone(), id.clone())))
        })
        .collect();
    // A path read names no secret: what the ledger knows of it, the records do not say.
    let by_path: BTreeSet<_> = labels
        .expected
        .iter()
        .filter(|label| label.rule_id == "path_sweep")
        .flat_map(|label| &label.event_ids)
        .collect();
    for one in all.iter().filter(|one| !tolerated.contains(one) && !by_path.contains(&one.1)) {
        assert!(expected.contains(one), "{} days: not labelled: {one:?} {:?}", plan.days(), name.get(&one.1));
    }
    let judged = ["new_principal", "off_cidr_use", "post_rotation_access"];
    let of_ours = |label: &&Label| label.principal_id.is_some() && judged.contains(&&*label.rule_id);
    for label in labels.expected.iter().filter(of_ours) {
        let mine = events_of(std::slice::from_ref(label));
        assert!(mine.iter().all(|one| all.contains(one)), "{} days: labelled without reason: {label:?}", plan.days());
    }
    let quiet = events_of(&labels.quiet);
    assert!(quiet.is_disjoint(&all), "{} days: a quiet label alerts", plan.days());
    for label in labels.expected.iter().chain(&labels.quiet) {
        assert!(!label.event_ids.is_empty() || label.account_id.is_some());
    }
}

#[test]
fn every_natural_alert_is_labelled_and_every_label_is_natural() {
    for days in [3, 5, 7, 9, 12, 21, 30, 60, 92, 200] {
        for seed in [7, 42] {
            with_plan(days, seed, true, judge);
        }
    }
}

/// The rules of the catalogue that events are planted for; `unused_secret` is in the verdicts.
const RULES: &[&str] = &[
    "new_principal",
    "post_rotation_access",
    "off_cidr_use",
    "cross_service_read",
    "bulk_read",
    "path_sweep",
    "root_use",
    "long_term_key_read",
    "credential_used_elsewhere",
    "off_hours_read",
    "new_network",
    "new_user_agent",
    "human_read",
    "denied_burst",
    "denied_then_read",
    "dormant_secret_read",
    "read_pending_deletion",
    "direct_decrypt",
    "proxy_bypass",
    "new_api_caller",
    "cross_account_read",
    "secret_policy_opened",
    "secret_destroyed",
    "rotation_failed",
    "rotation_overdue",
    "stale_version_read",
    "trail_tampered",
    "coverage_lost",
    "decoy_read",
];

#[test]
fn every_seed_plants_every_rule_even_in_the_small_fleet() {
    for seed in 50..62 {
        with_plan(90, seed, true, |_, labels| {
            for rule in RULES {
                let count = |labels: &[Label]| labels.iter().filter(|label| label.rule_id == *rule).count();
                let (planted, quiet) = (count(&labels.expected), count(&labels.quiet));
                assert!(planted > 0 && quiet > 1, "seed {seed}: {rule}: {planted} planted, {quiet} look-alikes");
            }
        });
    }
}

#[test]
fn the_full_fleet_has_three_hundred_principals_and_a_thousand_secrets() {
    let options = Options { days: 90, seed: 11, secrets: crate::FULL_FLEET, ..Options::new("unused") };
    let cast = Cast::new(options.seed, options.secrets as usize);
    let plan = planned(&options, &cast);
    let principals: BTreeSet<_> = plan.ledger.iter().map(|access| &access.principal).collect();
    let read: BTreeSet<_> = plan.ledger.iter().map(|access| access.secret).collect();
    assert!(principals.len() >= 300, "{} principals", principals.len());
    assert!(cast.secrets.len() >= 1_000 && read.len() >= 900, "{} of {} secrets", read.len(), cast.secrets.len());
    let labels = labels(&options, &plan);
    for rule in RULES {
        assert!(labels.expected.iter().any(|label| label.rule_id == *rule), "{rule}");
    }
}

#[test]
fn without_incidents_nothing_is_expected() {
    for days in [3, 30, 100] {
        with_plan(days, 7, false, |plan, labels| {
            assert!(labels.expected.is_empty());
            judge(plan, labels);
        });
    }
}

#[test]
fn a_hundred_days_plant_everything() {
    with_plan(100, 7, true, |_, labels| {
        let count = |rule| labels.expected.iter().filter(|label| label.rule_id == rule).count();
        assert!(count("new_principal") >= 15 && count("off_cidr_use") >= 6);
        assert_eq!(count("post_rotation_access"), 7);
        for rule in RULES {
            let quiet = labels.quiet.iter().filter(|label| label.rule_id == *rule).count();
            assert!(count(rule) > 0 && quiet > 1, "{rule}: {} planted, {quiet} look-alikes", count(rule));
        }
        assert!(labels.quiet.len() >= 10);
        assert!(labels.expected.iter().any(|label| label.secret_ids.len() == 12));
        assert_eq!(
            labels.stale_consumers.iter().filter(|stale| stale.secret_id.contains("etl/warehouse-db")).count(),
            1
        );
    });
}

#[test]
fn the_unused_report_is_as_designed() {
    with_plan(100, 7, true, |plan, labels| {
        let names = |ids: &[String]| -> Vec<&str> {
            let named = &plan.cast.secrets[..Cast::new(7, 0).secrets.len()];
            named.iter().filter(|secret| ids.contains(&secret.id)).map(|secret| &*secret.name).collect()
        };
        let unused = &labels.unused;
        assert_eq!(
            names(&unused.unused),
            [
                "archive/warehouse-db",
                "infra/bootstrap-token",
                "legacy/ftp-password",
                "legacy/partner-sftp",
                "/legacy-app/api-token",
                "/legacy-app/smtp-password"
            ]
        );
        assert_eq!(
            names(&unused.sync_only),
            ["k8s/registry-cred", "k8s/datadog-key", "k8s/slack-hook", "k8s/tls-bundle"]
        );
        assert_eq!(
            names(&unused.cannot_tell),
            [
                "berlin-pos/old-terminal-key",
                "/berlin-pos/old-pin-pad-key",
                "/legacy/config/endpoint-key",
                "/legacy/config/tenant-key"
            ]
        );
        assert_eq!(names(&unused.start_time_reader), ["licensing/license-key"]);
        let judged = unused.unused.len()
            + unused.sync_only.len()
            + unused.cannot_tell.len()
            + unused.start_time_reader.len()
            + unused.used.len();
        let deleted: BTreeSet<_> = plan.deleted.iter().map(|(secret, _)| secret).collect();
        let deleted = deleted.len();
        assert_eq!(judged + deleted, plan.cast.secrets.len());
    });
    with_plan(30, 7, true, |_, labels| assert!(labels.unused.note.is_some() && labels.unused.unused.is_empty()));
}

#[test]
fn ordinary_pairs_are_known_within_twenty_hours() {
    with_plan(100, 3, false, |plan, _| {
        let mut seen = BTreeSet::new();
        for access in ordered(plan).into_iter().filter(|access| access.ok && !access.upkeep) {
            let fate = plan.cast.secrets[access.secret].fate;
            if seen.insert((&access.principal, access.secret)) && fate != Fate::New && !is_common(plan, access.secret) {
                assert!(access.at < plan.start + 20 * HOUR, "{access:?}");
            }
        }
    });
}
