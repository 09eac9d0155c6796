//! `secret_destroyed`: deletion without a way back. Quiet: a deletion that can be undone (`dormant.rs`), and what a test run of the
//! pipeline made and removes an hour later.

use crate::{
    behaviour::units::create,
    cast::{PROD, Place, STAGING, Style},
    clock::{HOUR, MINUTE, locale_time},
    identity::{Caller, build_job, person},
    json::Object,
    plan::{Call, Case, Plan},
};

const RULE: &str = "secret_destroyed";

pub(super) fn run(plan: &mut Plan<'_>) {
    by_a_person(plan);
    after_a_test_run(plan);
}

fn destroy(plan: &mut Plan<'_>, at: i64, caller: &Caller, secret: usize) -> String {
    let owner = &plan.cast.secrets[secret];
    let request = Object::new().string("secretId", &owner.id).flag("forceDeleteWithoutRecovery", true).end();
    let response = Object::new()
        .string("arn", &owner.id)
        .string("name", &owner.name)
        .string("deletionDate", &locale_time(at))
        .end();
    let event =
        plan.call(owner.place, at, caller, Call::write("secretsmanager", "DeleteSecret", request, Some(response)));
    plan.deleted.push((secret, at));
    event
}

/// What is left of services that were switched off not long ago.
fn by_a_person(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(10.0, 1.0) else { return };
    let cast = plan.cast;
    let mut secrets: Vec<_> = cast
        .units
        .iter()
        .filter(|unit| unit.style == Style::Retired)
        .flat_map(|unit| unit.own.iter().copied())
        .filter(|&own| cast.secrets[own].kind == crate::cast::Kind::Manager)
        .collect();
    secrets.truncate(3);
    let Some(&first) = secrets.first() else { return };
    let account = cast.secrets[first].place.account;
    secrets.retain(|&secret| cast.secrets[secret].place.account == account);
    let role = cast.sso_role(account, "PowerUser");
    let caller = person(&mut plan.random, role, "carol.ortiz", at);
    let events = secrets
        .iter()
        .enumerate()
        .map(|(step, &secret)| destroy(plan, at + step as i64 * 30, &caller, secret))
        .collect();
    let why = "a person deletes secrets at once and without recovery";
    plan.expect(&[RULE], &Case { caller: Some(&caller), secrets: &secrets, at, events, why });
}

fn after_a_test_run(plan: &mut Plan<'_>) {
    let cast = plan.cast;
    let place = Place { account: STAGING, region: "us-east-1" };
    for run in 1..=3 {
        let Some(at) = plan.some_working_day(7.0, 1.0) else { return };
        let name = format!("e2e-run-{run}/db");
        let Some(secret) = cast.secrets.iter().position(|secret| secret.name == name) else { return };
        let role = cast.role(STAGING, "/", "github-actions-e2e");
        let caller = build_job(&mut plan.random, role, &format!("e2e-{run}"), at);
        create(plan, &caller, place, &[secret], "end to end", at);
        let read = plan.get_secret(crate::plan::Ask::new(at + 5 * MINUTE, &caller, secret));
        let at = at + HOUR;
        let event = destroy(plan, at, &caller, secret);
        let why = "a test run removes the secret that it made an hour before";
        let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![read, event], why };
        plan.quiet(&[RULE, "new_principal"], &[], &case);
    }
    debug_assert!(
        cast.secrets.iter().all(|secret| secret.place.account != PROD || !secret.name.starts_with("e2e")),
        "staging only"
    );
}
