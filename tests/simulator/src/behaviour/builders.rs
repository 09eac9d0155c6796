//! Build pipelines, cluster operators and people beyond the table.
//!
//! Pipelines run on hosted machines whose network is another one nearly every time; the policy of the configuration names the
//! provider's range. Operators copy their namespace's secrets into a cluster, one after another all day. People work
//! in their own time zone, from the office or the VPN; the on-call ones read at night now and then.

use rand::Rng;

use super::services::read_secrets;
use crate::{
    cast::{PLATFORM, PROD, People, STAGING, endpoint, hosted_runner_address, private_address},
    clock::{DAY, HOUR, MINUTE, weekday},
    identity::{build_job, person},
    plan::{Ask, Form, Plan},
    random::chance,
};

pub(super) fn run(plan: &mut Plan<'_>) {
    let cast = plan.cast;
    for people in &cast.people {
        team(plan, people);
    }
    pipelines(plan);
    for (account, region, name) in [
        (PROD, "eu-west-1", "external-secrets-eu"),
        (STAGING, "us-east-1", "external-secrets"),
        (PLATFORM, "us-east-1", "external-secrets"),
    ] {
        operator(plan, crate::cast::Place { account, region }, name);
    }
}

/// When somebody of a team reads on a day, if anybody does.
fn team(plan: &mut Plan<'_>, people: &People) {
    let role = plan.cast.sso_role(people.account, &people.permission_set);
    for (index, name) in people.names.iter().enumerate() {
        for day in 0..plan.days() {
            let midnight = plan.start + day * DAY;
            if day > 0 && (weekday(midnight) >= 5 || !chance(&mut plan.random, 0.2)) {
                continue;
            }
            // On the first day everybody looks at everything of the team, before its end.
            let length = if day == 0 { 4 } else { 9 };
            let at = midnight + people.morning * HOUR + plan.random.random_range(0..length * HOUR);
            let caller = person(&mut plan.random, role.clone(), name, at);
            let wanted: Vec<_> = if day == 0 {
                people.secrets.clone()
            } else {
                vec![people.secrets[plan.random.random_range(0..people.secrets.len())]]
            };
            read_secrets(plan, &caller, &caller, &wanted, Form::Name, at);
        }
        if people.on_call && index == 0 {
            for week in 0..plan.days() / 7 {
                for _ in 0..2 {
                    let at = plan.start
                        + week * 7 * DAY
                        + plan.random.random_range(0..7) * DAY
                        + (people.morning + 13) % 24 * HOUR
                        + plan.random.random_range(0..8 * HOUR);
                    let caller = person(&mut plan.random, role.clone(), name, at);
                    read_secrets(plan, &caller, &caller, &people.secrets[..1], Form::Name, at);
                }
            }
        }
    }
}

/// Each pipeline reads the registry's credential of its account and its own unit's first secret.
fn pipelines(plan: &mut Plan<'_>) {
    let cast = plan.cast;
    for unit in cast.units.iter().filter(|unit| unit.is_running()).step_by(16) {
        let role = cast.role(unit.place.account, "/", &format!("github-actions-{}", unit.name));
        let secrets: Vec<_> = unit.own.iter().take(2).copied().collect();
        for day in 0..plan.days() {
            let midnight = plan.start + day * DAY;
            let runs = match weekday(midnight) {
                _ if day == 0 => 1,
                0..=4 => plan.random.random_range(0..3),
                _ => 0,
            };
            for run in 0..runs {
                let at = midnight + plan.random.random_range(7 * HOUR..18 * HOUR);
                let mut caller = build_job(&mut plan.random, role.clone(), &format!("release-{day}-{run}"), at);
                caller.address = hosted_runner_address(&mut plan.random);
                read_secrets(plan, &caller, &caller, &secrets, Form::Name, at);
            }
        }
    }
}

/// Copies a handful of secrets of its place, one of them every second hour.
fn operator(plan: &mut Plan<'_>, place: crate::cast::Place, name: &str) {
    let cast = plan.cast;
    let copied: Vec<_> = cast
        .units
        .iter()
        .filter(|unit| unit.place == place && unit.is_running())
        .flat_map(|unit| unit.own.iter().copied())
        .filter(|&secret| cast.secrets[secret].kind == crate::cast::Kind::Manager)
        .step_by(3)
        .take(10)
        .collect();
    if copied.is_empty() {
        return;
    }
    let role = cast.role(place.account, "/", name);
    for hour in (0..plan.days() * 24).step_by(2) {
        let at = plan.start + hour * HOUR + plan.random.random_range(0..3 * MINUTE);
        let mut pod = build_job(&mut plan.random, role.clone(), "external-secrets-provider-aws", at);
        pod.address = private_address(&mut plan.random, place);
        pod.endpoint = Some(endpoint(cast.seed, place));
        "external-secrets/v0.20.4 aws-sdk-go-v2/1.39.4 ua/2.1 os/linux lang/go#1.25.1".clone_into(&mut pod.user_agent);
        plan.get_secret(Ask::new(at, &pod, copied[hour as usize / 2 % copied.len()]));
    }
}
