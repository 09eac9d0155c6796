//! Rotation by schedule: Secrets Manager's own events around the four steps of the rotation function.

use rand::Rng;

use crate::{
    cast::{Fate, Secret},
    clock::{DAY, HOUR, MINUTE},
    identity::{Caller, function},
    json::Object,
    plan::{Ask, Call, Plan, Version},
};

/// Fixes when every rotating secret gets its values. The first rotation is in the first week, so that the rotation function is
/// a known reader afterwards; later ones follow every thirty days.
pub(super) fn schedule(plan: &mut Plan<'_>) {
    schedule_steady(plan);
    for secret in 0..plan.cast.secrets.len() {
        let Fate::Rotated(thirds) = plan.cast.secrets[secret].fate else { continue };
        let hours = if plan.days() >= 9 { thirds * 8 } else { 29 + thirds * (plan.days() * 24 - 62) / 20 };
        let mut at = plan.start + hours * HOUR + plan.random.random_range(0..30 * MINUTE);
        while at < plan.end - 36 * HOUR {
            plan.schedule(secret, at, "rotation");
            at += 30 * DAY + plan.random.random_range(0..20 * MINUTE);
        }
    }
}

/// Days between the rotations of what is rotated steadily.
pub(crate) const STEADY_DAYS: i64 = 7;

/// Secrets that are rotated every week, the first half of the window long, after a call that says so.
fn schedule_steady(plan: &mut Plan<'_>) {
    if plan.days() < 30 {
        return;
    }
    for secret in 0..plan.cast.secrets.len() {
        if !matches!(plan.cast.secrets[secret].fate, Fate::Stalled | Fate::Cancelled) {
            continue;
        }
        let mut at = plan.start + 40 * HOUR + plan.random.random_range(0..30 * MINUTE);
        while at < plan.start + plan.days() * DAY / 2 {
            plan.schedule(secret, at, "rotation");
            at += STEADY_DAYS * DAY + plan.random.random_range(0..20 * MINUTE);
        }
    }
}

/// The calls that put the weekly schedules in force.
fn put_in_force(plan: &mut Plan<'_>) {
    for secret in 0..plan.cast.secrets.len() {
        let owner = &plan.cast.secrets[secret];
        if !matches!(owner.fate, Fate::Stalled | Fate::Cancelled) || plan.rotations_of(secret).is_empty() {
            continue;
        }
        let at = plan.start + 10 * HOUR;
        let role = plan.cast.role(owner.place.account, "/", "terraform-apply");
        let caller = crate::identity::terraform(&mut plan.random, role, at);
        let lambda = format!(
            "arn:aws:lambda:{}:{}:function:rotation-db-{}",
            owner.place.region, owner.place.account, owner.place.region
        );
        let request = Object::new()
            .string("secretId", &owner.id)
            .string("rotationLambdaARN", &lambda)
            .raw("rotationRules", &format!(r#"{{"automaticallyAfterDays":{STEADY_DAYS}}}"#))
            .flag("rotateImmediately", false)
            .end();
        let response = Object::new().string("arn", &owner.id).string("name", &owner.name).end();
        plan.call(owner.place, at, &caller, Call::write("secretsmanager", "RotateSecret", request, Some(response)));
    }
}

/// A run of the rotation function of a secret.
pub(crate) fn rotator(plan: &mut Plan<'_>, secret: usize, at: i64) -> Caller {
    let place = plan.cast.secrets[secret].place;
    let name = format!("rotation-db-{}", place.region);
    let role = plan.cast.role(place.account, "/", &name);
    function(&mut plan.random, plan.cast, role, place, &name, at)
}

pub(crate) fn request_id(secret: &Secret, version: &str) -> String {
    format!("Rotation-{}-{version}", secret.id)
}

pub(super) fn run(plan: &mut Plan<'_>) {
    put_in_force(plan);
    let rotations: Vec<_> = plan.rotations.iter().filter(|rotation| rotation.how == "rotation").cloned().collect();
    for rotation in rotations {
        let Some(version) = rotation.version else { continue };
        let (secret, at) = (rotation.secret, rotation.at);
        let caller = rotator(plan, secret, at);
        let id = request_id(&plan.cast.secrets[secret], &version);
        plan.service_event(at - 25, secret, "RotationStarted", &id, None);
        let reads = steps_until_pending(plan, &caller, secret, at, &version);
        let read = |plan: &mut Plan<'_>, at, stage, version: &str| {
            plan.get_secret(Ask { version: Version::Stage(stage, version.to_owned()), ..Ask::new(at, &caller, secret) })
        };
        let old = plan.current(secret, at - 1);
        read(plan, at - 11, "AWSCURRENT", &old);
        read(plan, at - 6, "AWSPENDING", &version);
        let owner = &plan.cast.secrets[secret];
        let request = Object::new()
            .string("secretId", &owner.id)
            .string("versionStage", "AWSCURRENT")
            .string("moveToVersionId", &version)
            .string("removeFromVersionId", &old)
            .end();
        let response = Object::new().string("arn", &owner.id).string("name", &owner.name).end();
        plan.call(
            owner.place,
            at,
            &caller,
            Call::write("secretsmanager", "UpdateSecretVersionStage", request, Some(response)),
        );
        plan.service_event(at + 2, secret, "RotationSucceeded", &id, None);
        for rule in ["post_rotation_access", "stale_version_read"] {
            let why = "the rotation function's own reads";
            plan.label(rule, false, Some(&caller), &[secret], at - 20, reads.clone(), why);
        }
    }
}

/// Describe, read the current value, store the pending one. Returns the reads.
pub(crate) fn steps_until_pending(
    plan: &mut Plan<'_>,
    caller: &Caller,
    secret: usize,
    at: i64,
    version: &str,
) -> Vec<String> {
    plan.describe(at - 22, caller, secret, "DescribeSecret");
    let old = plan.current(secret, at - 20);
    let first =
        plan.get_secret(Ask { version: Version::Stage("AWSCURRENT", old), ..Ask::new(at - 20, caller, secret) });
    plan.put_value(at - 16, caller, secret, version, Some(r#"["AWSPENDING"]"#));
    let pending = Version::Stage("AWSPENDING", version.to_owned());
    let second = plan.get_secret(Ask { version: pending, ..Ask::new(at - 12, caller, secret) });
    vec![first, second]
}
