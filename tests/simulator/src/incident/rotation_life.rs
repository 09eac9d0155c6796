//! `rotation_overdue`, and the quiet side of `rotation_failed`: a schedule that stops, one that is cancelled, a rotation that takes long,
//! and a test of a rotation. What fails is planted in `post_rotation.rs`.

use crate::{
    behaviour::rotation::{STEADY_DAYS, request_id},
    cast::{Fate, PROD},
    clock::{DAY, HOUR},
    identity::person,
    json::Object,
    plan::{Call, Case, Plan},
    random::uuid,
};

pub(super) fn run(plan: &mut Plan<'_>) {
    stalled(plan);
    cancelled(plan);
    slow(plan);
    tested(plan);
}

fn with_fate(plan: &Plan<'_>, fate: Fate) -> Option<usize> {
    plan.cast.secrets.iter().position(|secret| secret.fate == fate)
}

/// The function that rotates it every week has been switched off; nobody notices.
fn stalled(plan: &mut Plan<'_>) {
    let Some(secret) = with_fate(plan, Fate::Stalled) else { return };
    let rotations = plan.rotations_of(secret);
    let Some(last) = rotations.last().filter(|_| rotations.len() > 2).map(|rotation| rotation.at) else { return };
    let due = last + STEADY_DAYS * DAY;
    if due + 12 * DAY > plan.end {
        return;
    }
    let id = request_id(&plan.cast.secrets[secret], &plan.current(secret, last));
    // The last that was seen of it, told once more by a late message of the service.
    let event = plan.service_event(last + 4, secret, "RotationSucceeded", &id, None);
    let why = "a secret that is rotated every week is not rotated any more";
    let labelled = plan.labels.len();
    plan.expect(&["rotation_overdue"], &Case { caller: None, secrets: &[secret], at: last, events: vec![event], why });
    if plan.labels.len() > labelled {
        plan.until(plan.end);
    }
}

fn cancelled(plan: &mut Plan<'_>) {
    let Some(secret) = with_fate(plan, Fate::Cancelled) else { return };
    let Some(last) = plan.rotations_of(secret).last().map(|rotation| rotation.at) else { return };
    let at = last + DAY;
    if at >= plan.end {
        return;
    }
    let role = plan.cast.sso_role(PROD, "PowerUser");
    let caller = person(&mut plan.random, role, "bob.stone", at);
    let owner = &plan.cast.secrets[secret];
    let request = Object::new().string("secretId", &owner.id).end();
    let response = Object::new().string("arn", &owner.id).string("name", &owner.name).end();
    let event = plan.call(
        owner.place,
        at,
        &caller,
        Call::write("secretsmanager", "CancelRotateSecret", request, Some(response)),
    );
    let why = "a schedule of rotation is cancelled on purpose";
    plan.quiet(
        &["rotation_overdue", "rotation_failed"],
        &[],
        &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
    );
}

/// Nearly three hours from start to end, of a secret that nobody reads at that time.
fn slow(plan: &mut Plan<'_>) {
    let Some(secret) = with_fate(plan, Fate::Cancelled) else { return };
    let Some(last) = plan.rotations_of(secret).last().map(|rotation| rotation.at) else { return };
    let at = last - 3 * DAY;
    if at < plan.start {
        return;
    }
    let version = uuid(&mut plan.random);
    let id = request_id(&plan.cast.secrets[secret], &version);
    let started = plan.service_event(at, secret, "RotationStarted", &id, None);
    let ended = plan.service_event(at + 2 * HOUR + 50 * 60, secret, "RotationSucceeded", &id, None);
    let why = "a rotation that takes nearly three hours and succeeds";
    let case = Case { caller: None, secrets: &[secret], at, events: vec![started, ended], why };
    plan.quiet(&["rotation_failed", "post_rotation_access", "rotation_overdue"], &[], &case);
}

fn tested(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(7.0, 1.0) else { return };
    let secret = plan.cast.secret("payments/db");
    let version = uuid(&mut plan.random);
    let id = request_id(&plan.cast.secrets[secret], &version);
    let started = plan.service_event(at, secret, "TestRotationStarted", &id, None);
    let ended = plan.service_event(at + 40, secret, "TestRotationSucceeded", &id, None);
    let why = "a test of a rotation, which changes nothing";
    let case = Case { caller: None, secrets: &[secret], at, events: vec![started, ended], why };
    plan.quiet(&["rotation_failed", "post_rotation_access"], &[], &case);
}
