//! `dormant_secret_read` and `read_pending_deletion`. Quiet: a monthly job (`behaviour/units.rs`), a young secret's first read, a read
//! before the deletion, and one after the secret was restored.

use crate::{
    behaviour::units,
    cast::{Fate, Host, PROD, Place, Style},
    clock::{DAY, HOUR, locale_time},
    identity::{host, person},
    json::Object,
    plan::{Ask, Call, Case, Outcome, Plan},
};

const HOME: Place = Place { account: PROD, region: "us-east-1" };
const PENDING: &str = "read_pending_deletion";

pub(super) fn run(plan: &mut Plan<'_>) {
    woken(plan);
    young(plan);
    in_vain(plan);
    restored(plan);
}

/// Secrets that an old service read on the first days come back to life near the end.
fn woken(plan: &mut Plan<'_>) {
    let cast = plan.cast;
    let secrets: Vec<_> =
        (0..cast.secrets.len()).filter(|&secret| cast.secrets[secret].fate == Fate::Dormant).collect();
    let role = cast.role(PROD, "/", "svc-archive-export");
    for day in 0..4 {
        let at = plan.start + day * DAY + 6 * HOUR + day * 700;
        let caller = host(&mut plan.random, cast, role.clone(), HOME, Host::Ec2, true, at);
        for &secret in &secrets {
            plan.get_secret(Ask::new(at, &caller, secret));
        }
    }
    if plan.days() < 80 || secrets.is_empty() {
        return;
    }
    let at = plan.start + plan.days() * DAY * 93 / 100 + 13 * HOUR;
    let role = cast.role(PROD, "/", "svc-data-migration");
    let caller = host(&mut plan.random, cast, role, HOME, Host::Ec2, true, at);
    let events = secrets
        .iter()
        .enumerate()
        .map(|(step, &secret)| plan.get_secret(Ask::new(at + step as i64 * 60, &caller, secret)))
        .collect();
    let why = "secrets that nobody had read for months are read by a role that never had";
    let case = Case { caller: Some(&caller), secrets: &secrets, at, events, why };
    plan.expect(&["dormant_secret_read", "new_principal"], &case);
}

/// Made some time ago, read for the first time when its service starts.
fn young(plan: &mut Plan<'_>) {
    let cast = plan.cast;
    let Some(unit) = cast.units.iter().find(|unit| unit.style == Style::New && !unit.own.is_empty()) else { return };
    let Some(made) = plan.created.iter().find(|(secret, _)| *secret == unit.own[0]).map(|&(_, at)| at) else { return };
    let at = made + 90 * 60;
    if at >= plan.end {
        return;
    }
    let caller = units::session(plan, unit, 0, at);
    let events = units::read(plan, unit, &caller, &unit.own, at);
    let why = "the first reads of secrets that were made that day";
    plan.quiet(
        &["dormant_secret_read", "new_principal"],
        &[],
        &Case { caller: Some(&caller), secrets: &unit.own, at, events, why },
    );
}

/// The secret that `behaviour/lifecycle.rs` deletes is asked for once more.
fn in_vain(plan: &mut Plan<'_>) {
    let secret = plan.cast.secret("old/reporting-db");
    let Some(deleted) = plan.deleted.iter().find(|(index, _)| *index == secret).map(|&(_, at)| at) else { return };
    let role = plan.cast.role(PROD, "/", "svc-old-reporting");
    let at = deleted + 5 * HOUR;
    let caller = host(&mut plan.random, plan.cast, role, HOME, Host::Ec2, true, at);
    let event = plan.get_secret(Ask { outcome: Outcome::Deleted, ..Ask::new(at, &caller, secret) });
    let why = "somebody asks for a secret that waits to be deleted";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&[PENDING], &case);
    let before = deleted - 5 * DAY;
    let event = plan.get_secret(Ask::new(before, &caller, secret));
    let why = "the last read of its reader, days before the secret is deleted";
    plan.quiet(
        &[PENDING],
        &["dormant_secret_read"],
        &Case { caller: Some(&caller), secrets: &[secret], at: before, events: vec![event], why },
    );
}

/// Deleted by mistake, restored an hour later, and read as ever.
fn restored(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(21.0, 2.0) else { return };
    let cast = plan.cast;
    let manager = |secret: &usize| cast.secrets[*secret].kind == crate::cast::Kind::Manager;
    let Some(unit) =
        plan.victim(|unit| unit.place == HOME && unit.style == Style::Deploys && unit.own.iter().any(manager))
    else {
        return;
    };
    let Some(&secret) = unit.own.iter().find(|own| manager(own)) else { return };
    let remover = cast.sso_role(PROD, "PowerUser");
    let remover = person(&mut plan.random, remover, "carol.ortiz", at);
    let owner = &cast.secrets[secret];
    let request = Object::new().string("secretId", &owner.id).raw("recoveryWindowInDays", "30").end();
    let response = Object::new()
        .string("arn", &owner.id)
        .string("name", &owner.name)
        .string("deletionDate", &locale_time(at + 30 * DAY))
        .end();
    let deleted = plan.call(HOME, at, &remover, Call::write("secretsmanager", "DeleteSecret", request, Some(response)));
    let request = Object::new().string("secretId", &owner.id).end();
    let response = Object::new().string("arn", &owner.id).string("name", &owner.name).end();
    plan.call(HOME, at + HOUR, &remover, Call::write("secretsmanager", "RestoreSecret", request, Some(response)));
    let at = at + 2 * HOUR;
    let caller = units::session(plan, unit, 30, at);
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "the secret was restored an hour after its deletion, and is read as ever";
    plan.quiet(
        &[PENDING],
        &["secret_destroyed"],
        &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![deleted, event], why },
    );
}
