//! `bulk_read`: far more distinct secrets than usual, one by one, by lists of names, and in a batch. Quiet: whoever always reads
//! many, and many tasks that start at once.

use super::session;
use crate::{
    behaviour::{read_all, units},
    cast::{Host, Kind, PROD, Place, Style, Unit},
    identity::host,
    json::{Object, strings},
    plan::{Ask, Call, Case, Form, Outcome, Plan},
};

const HOME: Place = Place { account: PROD, region: "us-east-1" };
const RULES: &[&str] = &["bulk_read", "new_principal"];

pub(super) fn run(plan: &mut Plan<'_>) {
    one_by_one(plan);
    by_names(plan);
    in_a_batch(plan);
    always_many(plan);
    scale_out(plan);
}

/// So few secrets that dozens are many for it.
fn reads_few(unit: &Unit) -> bool {
    unit.place == HOME && unit.own.len() + unit.others.len() <= 6
}

fn one_by_one(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| reads_few(unit) && unit.style == Style::Deploys) else { return };
    let mut secrets = plan.of_others(HOME, Kind::Manager, unit);
    secrets.truncate(45);
    let caller = session(plan, unit, at);
    let events = secrets
        .iter()
        .enumerate()
        .map(|(step, &secret)| {
            plan.get_secret(Ask { form: Form::Name, ..Ask::new(at + step as i64 * 9, &caller, secret) })
        })
        .collect();
    let why = "a service's session reads every secret it can list, one after another";
    plan.expect(RULES, &Case { caller: Some(&caller), secrets: &secrets, at, events, why });
    plan.expect(
        &["cross_service_read"],
        &Case {
            caller: Some(&caller),
            secrets: &secrets,
            at,
            events: plan.labels.last().map(|label| label.event_ids.clone()).unwrap_or_default(),
            why,
        },
    );
}

fn by_names(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| reads_few(unit) && unit.style == Style::Deploys) else { return };
    let mut secrets = plan.of_others(HOME, Kind::Secure, unit);
    secrets.truncate(40);
    if secrets.len() < 24 {
        return;
    }
    let caller = session(plan, unit, at);
    let events = secrets
        .chunks(10)
        .enumerate()
        .map(|(step, some)| plan.get_parameters(at + step as i64 * 2, &caller, some, Outcome::Ok))
        .collect();
    let why = "a service's session reads other services' parameters, ten names at a time";
    plan.expect(RULES, &Case { caller: Some(&caller), secrets: &secrets, at, events, why });
}

fn in_a_batch(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| reads_few(unit) && unit.style == Style::Function) else { return };
    let mut secrets = plan.of_others(HOME, Kind::Manager, unit);
    secrets.reverse();
    secrets.truncate(40);
    let caller = session(plan, unit, at);
    let mut events = Vec::new();
    for (page, some) in secrets.chunks(20).enumerate() {
        let at = at + page as i64;
        let ids: Vec<_> = some.iter().map(|&secret| plan.cast.secrets[secret].id.as_str()).collect();
        let request = Object::new().raw("secretIdList", &strings(&ids)).end();
        plan.call(HOME, at, &caller, Call::read("secretsmanager", "BatchGetSecretValue", Some(request)));
        for &secret in some {
            events.push(plan.get_secret(Ask { of_batch: true, ..Ask::new(at, &caller, secret) }));
        }
    }
    let why = "a function asks for the secrets of others, twenty in a batch";
    plan.expect(RULES, &Case { caller: Some(&caller), secrets: &secrets, at, events, why });
}

/// The gateway that reads its twelve partners' keys whenever it starts.
fn always_many(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let names: Vec<_> = plan
        .cast
        .secrets
        .iter()
        .filter(|secret| secret.name.contains("shared/partner-"))
        .map(|secret| &*secret.name)
        .collect();
    let secrets: Vec<_> = names.iter().map(|name| plan.cast.secret(name)).collect();
    let role = plan.cast.role(PROD, "/", "svc-partner-gateway");
    let caller = host(&mut plan.random, plan.cast, role, HOME, Host::Ecs, true, at);
    let events = read_all(plan, &caller, &names, Form::Full, at);
    let why = "a restart of the gateway that has always read twelve secrets at its start";
    plan.quiet(
        &["bulk_read", "cross_service_read"],
        &[],
        &Case { caller: Some(&caller), secrets: &secrets, at, events, why },
    );
}

fn scale_out(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys && unit.own.len() > 2) else { return };
    let mut events = Vec::new();
    let mut last = None;
    for task in 0..12 {
        let caller = units::session(plan, unit, 30, at + task * 7);
        events.extend(units::read(plan, unit, &caller, &unit.own, at + task * 7));
        last = Some(caller);
    }
    let why = "twelve tasks of one service start within two minutes and read what they always read";
    plan.quiet(
        &["bulk_read", "new_network"],
        &[],
        &Case { caller: last.as_ref(), secrets: &unit.own, at, events, why },
    );
}
