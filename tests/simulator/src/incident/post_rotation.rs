//! Accesses that a change of value makes odd: an old version read after the grace of a day, a first read just after, a consumer
//! that never fetched the new value, a rotation that failed, and one that never ended.

use rand::Rng;

use crate::{
    behaviour::rotation::{request_id, rotator, steps_until_pending},
    cast::{DATA, Host, PROD, Place},
    clock::{DAY, HOUR},
    identity::{host, person},
    json::Object,
    plan::{Ask, Call, Case, Plan, Rotation, Version},
    random::uuid,
};

const RULE: &str = "post_rotation_access";
const NEW_PRINCIPAL: &str = "new_principal";

pub(super) fn run(plan: &mut Plan<'_>) {
    old_versions(plan);
    within_grace(plan);
    newcomer(plan);
    stale_consumer(plan);
    stuck(plan);
    failed(plan);
    mended(plan);
    never_ended(plan);
}

/// The last rotation after which so many days are left.
fn rotation_before(plan: &Plan<'_>, name: &str, days: f64) -> Option<(usize, Rotation)> {
    let secret = plan.cast.secret(name);
    let tail = (days * DAY as f64) as i64;
    plan.rotations_of(secret)
        .into_iter()
        .rev()
        .find(|rotation| rotation.at + tail < plan.end)
        .map(|rotation| (secret, rotation))
}

/// Three days after a rotation where the window allows, else as soon as the grace is over.
fn after_grace(plan: &Plan<'_>, rotation: &Rotation) -> i64 {
    (rotation.at + 3 * DAY).min(plan.end - HOUR).max(rotation.at + 25 * HOUR)
}

fn old_versions(plan: &mut Plan<'_>) {
    for (name, role, how) in
        [("catalog/db", "svc-catalog", 0), ("orders/db", "svc-orders", 1), ("users/db", "svc-users", 2)]
    {
        let Some((secret, rotation)) = rotation_before(plan, name, 1.15) else { continue };
        let at = after_grace(plan, &rotation) + plan.random.random_range(0..20 * 60);
        let Some(caller) = plan.session_of(role, at) else { continue };
        let old = plan.current(secret, rotation.at - 1);
        let (version, why) = match how {
            0 => (Version::Id(old), "a superseded version is read by its id, days after the rotation"),
            1 => (Version::Stage("AWSPREVIOUS", old), "the previous version is read by its stage, after the grace"),
            _ => {
                keep_label(plan, secret, rotation.at - HOUR, &old);
                (
                    Version::Stage("RELEASE", old),
                    "only the KMS evidence tells that the version behind a custom stage is superseded",
                )
            }
        };
        let event = plan.get_secret(Ask { version, ..Ask::new(at, &caller, secret) });
        let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
        plan.expect(&[RULE], &case);
    }
}

/// Somebody pins a custom stage to the version that is current.
fn keep_label(plan: &mut Plan<'_>, secret: usize, at: i64, version: &str) {
    let role = plan.cast.sso_role(PROD, "PowerUser");
    let caller = person(&mut plan.random, role, "carol.ortiz", at);
    let owner = &plan.cast.secrets[secret];
    let request = Object::new()
        .string("secretId", &owner.id)
        .string("versionStage", "RELEASE")
        .string("moveToVersionId", version)
        .end();
    let response = Object::new().string("arn", &owner.id).string("name", &owner.name).end();
    plan.call(
        owner.place,
        at,
        &caller,
        Call::write("secretsmanager", "UpdateSecretVersionStage", request, Some(response)),
    );
}

fn within_grace(plan: &mut Plan<'_>) {
    let Some((secret, rotation)) = rotation_before(plan, "payments/db", 0.3) else { return };
    let at = rotation.at + 5 * HOUR;
    let Some(caller) = plan.session_of("svc-payments", at) else { return };
    let old = plan.current(secret, rotation.at - 1);
    let event = plan.get_secret(Ask { version: Version::Stage("AWSPREVIOUS", old), ..Ask::new(at, &caller, secret) });
    let why = "the previous version is read five hours after the rotation, inside the grace";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.quiet(&[RULE, "stale_version_read"], &[], &case);
}

/// Somebody who never read the secret reads the new value two days after a rotation.
fn newcomer(plan: &mut Plan<'_>) {
    let Some((secret, rotation)) = rotation_before(plan, "eu-orders/db", 2.2) else { return };
    let at = rotation.at + 2 * DAY + 11 * 60;
    if at < plan.start + 8 * DAY {
        return;
    }
    let place = Place { account: PROD, region: "eu-west-1" };
    let role = plan.cast.role(PROD, "/", "adhoc-analytics");
    let caller = host(&mut plan.random, plan.cast, role, place, Host::Ec2, true, at);
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    for (rule, why) in [
        (RULE, "a principal that had not been a reader before the rotation reads the new value two days later"),
        (NEW_PRINCIPAL, "the same read is this principal's first"),
    ] {
        plan.label(rule, true, Some(&caller), &[secret], at, vec![event.clone()], why);
    }
}

/// A reader that stops the day before the last rotation: it holds the old value.
fn stale_consumer(plan: &mut Plan<'_>) {
    let Some((secret, rotation)) = rotation_before(plan, "etl/warehouse-db", 0.5) else { return };
    let place = Place { account: DATA, region: "us-east-1" };
    let role = plan.cast.role(DATA, "/", "svc-legacy-etl");
    let mut at = plan.start + 10 * HOUR;
    while at < rotation.at - 2 * HOUR {
        let caller = host(&mut plan.random, plan.cast, role.clone(), place, Host::Ec2, true, at);
        plan.get_secret(Ask::new(at, &caller, secret));
        at += 3 * DAY + plan.random.random_range(0..HOUR);
    }
}

/// A job that has pinned the version of its first day reads on with it when everybody else has moved on.
fn stuck(plan: &mut Plan<'_>) {
    let place = Place { account: PROD, region: "us-east-1" };
    let Some((secret, rotation)) = rotation_before(plan, "payments/db", 12.0) else { return };
    let role = plan.cast.role(PROD, "/", "svc-payments-reconcile");
    let old = plan.current(secret, rotation.at - 1);
    let mut events = Vec::new();
    let mut last = None;
    for day in 0..plan.days() {
        let at = plan.start + day * DAY + 15 * HOUR + plan.random.random_range(0..600);
        let caller = host(&mut plan.random, plan.cast, role.clone(), place, Host::Ec2, true, at);
        let is_old = (rotation.at + 2 * HOUR..rotation.at + 12 * DAY).contains(&at);
        let version = if is_old { Version::Id(old.clone()) } else { Version::Current };
        let event = plan.get_secret(Ask { version, ..Ask::new(at, &caller, secret) });
        if is_old && at > rotation.at + DAY {
            events.push(event);
        }
        last = Some(caller);
    }
    let why = "a job reads a superseded version every day for nearly two weeks while the others have the new one";
    let at = rotation.at + DAY;
    let case = Case { caller: last.as_ref(), secrets: &[secret], at, events, why };
    plan.expect(&[RULE, "stale_version_read"], &case);
}

/// A rotation fails and succeeds when it is tried again an hour later.
fn mended(plan: &mut Plan<'_>) {
    let Some((secret, rotation)) = rotation_before(plan, "users/db", 0.5) else { return };
    let at = rotation.at - HOUR;
    let version = uuid(&mut plan.random);
    let id = request_id(&plan.cast.secrets[secret], &version);
    let started = plan.service_event(at - 25, secret, "RotationStarted", &id, None);
    let message =
        format!("arn:aws:lambda:us-east-1:{PROD}:function:rotation-db-us-east-1 failed during the setSecret step.");
    let ended = plan.service_event(at, secret, "RotationFailed", &id, Some(&message));
    let why = "a rotation fails once and succeeds an hour later";
    let case = Case { caller: None, secrets: &[secret], at: at - 25, events: vec![started, ended], why };
    plan.quiet(&["rotation_failed"], &[RULE], &case);
}

fn failed(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.48, 1.8, 1.5) else { return };
    let secret = plan.cast.secret("checkout/session-key");
    let version = uuid(&mut plan.random);
    let caller = rotator(plan, secret, at);
    let id = request_id(&plan.cast.secrets[secret], &version);
    let started = plan.service_event(at - 25, secret, "RotationStarted", &id, None);
    steps_until_pending(plan, &caller, secret, at, &version);
    let message =
        format!("arn:aws:lambda:us-east-1:{PROD}:function:rotation-db-us-east-1 failed during the setSecret step.");
    let ended = plan.service_event(at + 3, secret, "RotationFailed", &id, Some(&message));
    // Tried once more a day later, in vain.
    let again = request_id(&plan.cast.secrets[secret], &uuid(&mut plan.random));
    let once_more = plan.service_event(at + DAY, secret, "RotationStarted", &again, None);
    let failed_again = plan.service_event(at + DAY + 40, secret, "RotationFailed", &again, Some(&message));
    let why = "a rotation failed twice in a row; the old value is still current";
    let events = vec![started, ended, once_more, failed_again];
    let case = Case { caller: None, secrets: &[secret], at: at - 25, events, why };
    plan.expect(&[RULE, "rotation_failed"], &case);
}

fn never_ended(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.72, 1.9, 2.5) else { return };
    let secret = plan.cast.secret("catalog/search-key");
    let version = uuid(&mut plan.random);
    let role = plan.cast.sso_role(PROD, "PowerUser");
    let person = person(&mut plan.random, role, "bob.stone", at);
    let owner = &plan.cast.secrets[secret];
    let id = request_id(owner, &version);
    let lambda = format!("arn:aws:lambda:us-east-1:{PROD}:function:rotation-db-us-east-1");
    let request = Object::new()
        .string("secretId", &owner.id)
        .string("clientRequestToken", &version)
        .string("rotationLambdaARN", &lambda)
        .raw("rotationRules", r#"{"automaticallyAfterDays":30}"#)
        .flag("rotateImmediately", true)
        .end();
    let response =
        Object::new().string("arn", &owner.id).string("name", &owner.name).string("versionId", &version).end();
    let asked =
        plan.call(owner.place, at, &person, Call::write("secretsmanager", "RotateSecret", request, Some(response)));
    let started = plan.service_event(at + 1, secret, "RotationStarted", &id, None);
    let caller = rotator(plan, secret, at + 26);
    steps_until_pending(plan, &caller, secret, at + 26, &version);
    plan.label(RULE, true, None, &[secret], at, vec![asked, started], "a rotation was asked for and never ended");
}
