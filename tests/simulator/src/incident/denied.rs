//! `denied_burst` and `denied_then_read`. Quiet: a broken deploy that asks for its one secret again and again, a few typing errors,
//! and a known reader whose right was lost for half an hour.

use super::session;
use crate::{
    behaviour::units,
    cast::{Fate, Kind, PROD, Place, Style},
    clock::MINUTE,
    identity::person,
    plan::{Ask, Case, Form, Outcome, Plan},
};

const HOME: Place = Place { account: PROD, region: "us-east-1" };

pub(super) fn run(plan: &mut Plan<'_>) {
    burst(plan);
    broken_deploy(plan);
    typing_errors(plan);
    then_read(plan);
    right_lost_and_given_back(plan);
    first_start_of_a_new_secret(plan);
}

fn burst(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(14.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys && unit.place == HOME) else {
        return;
    };
    let cast = plan.cast;
    let of_others = |secret: &usize| {
        let owner = &cast.secrets[*secret];
        owner.place == HOME
            && owner.kind == Kind::Manager
            && matches!(owner.fate, Fate::Ordinary | Fate::Rotated(_))
            && !unit.own.contains(secret)
            && !unit.others.contains(secret)
    };
    let secrets: Vec<_> = (0..cast.secrets.len()).filter(of_others).step_by(2).take(24).collect();
    let caller = session(plan, unit, at);
    let events = secrets
        .iter()
        .enumerate()
        .map(|(step, &secret)| {
            let ask = Ask::new(at + step as i64 * 3, &caller, secret);
            plan.get_secret(Ask { outcome: Outcome::Denied, form: Form::Name, ..ask })
        })
        .collect();
    let why = "a service's session tries the secrets of others, one after another, and is refused";
    plan.expect(&["denied_burst"], &Case { caller: Some(&caller), secrets: &secrets, at, events, why });
}

fn broken_deploy(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(14.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys) else { return };
    let cast = plan.cast;
    let Some(&secret) = unit.own.iter().find(|&&own| cast.secrets[own].kind == Kind::Manager) else { return };
    let caller = units::session(plan, unit, 30, at);
    let mut events = Vec::new();
    for step in 0..24 {
        let ask = Ask::new(at + step * 20, &caller, secret);
        events.push(plan.get_secret(Ask { outcome: Outcome::Denied, ..ask }));
    }
    let why = "a broken deploy asks for its own secret again and again for eight minutes";
    plan.quiet(
        &["denied_burst", "denied_then_read"],
        &[],
        &Case { caller: Some(&caller), secrets: &[secret], at, events, why },
    );
}

fn typing_errors(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(14.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(people) = cast.people.last() else { return };
    let role = cast.sso_role(people.account, &people.permission_set);
    let caller = person(&mut plan.random, role, &people.names[0], at);
    let others: Vec<_> = (0..cast.secrets.len())
        .filter(|&secret| {
            let owner = &cast.secrets[secret];
            owner.place.account == people.account && owner.kind == Kind::Manager && !people.secrets.contains(&secret)
        })
        .take(2)
        .collect();
    let mut events = Vec::new();
    for (step, &secret) in others.iter().enumerate() {
        let ask = Ask::new(at + step as i64 * 50, &caller, secret);
        events.push(plan.get_secret(Ask { outcome: Outcome::Denied, form: Form::Name, ..ask }));
    }
    let why = "a person asks for two secrets that are not for the team, and gives up";
    plan.quiet(
        &["denied_burst", "denied_then_read"],
        &[],
        &Case { caller: Some(&caller), secrets: &others, at, events, why },
    );
}

fn then_read(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys && unit.place == HOME) else {
        return;
    };
    let others = plan.of_strangers(unit.place, Kind::Manager, unit);
    // A small fleet may have nothing left that this service has not met: then a secret of the table, which many share.
    let stray = others.get(others.len() / 2).copied();
    let secret = stray.unwrap_or_else(|| plan.cast.secret("payments/psp-token"));
    let caller = session(plan, unit, at);
    let refused = plan.get_secret(Ask { outcome: Outcome::Denied, ..Ask::new(at, &caller, secret) });
    let again = plan.get_secret(Ask { outcome: Outcome::Denied, ..Ask::new(at + 90, &caller, secret) });
    let read = plan.get_secret(Ask::new(at + 25 * MINUTE, &caller, secret));
    let why = "a service is refused a secret of another's, and has it twenty-five minutes later";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![refused, again, read], why };
    plan.expect(&["denied_then_read"], &case);
    let read = case.events[2..].to_vec();
    let rules: &[&str] = if stray.is_some() { &["new_principal", "cross_service_read"] } else { &["new_principal"] };
    plan.expect(rules, &Case { at: at + 25 * MINUTE, events: read, ..case });
}

fn right_lost_and_given_back(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(unit) = plan.victim(|unit| {
        unit.style == Style::Deploys && unit.own.iter().any(|&own| cast.secrets[own].kind == Kind::Manager)
    }) else {
        return;
    };
    let Some(&secret) = unit.own.iter().find(|&&own| cast.secrets[own].kind == Kind::Manager) else { return };
    let caller = session(plan, unit, at);
    let refused = plan.get_secret(Ask { outcome: Outcome::Denied, ..Ask::new(at, &caller, secret) });
    let read = plan.get_secret(Ask::new(at + 30 * MINUTE, &caller, secret));
    let why = "a reader of old is refused its own secret, and reads it again when the policy is mended";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![refused, read], why };
    plan.quiet(&["denied_then_read", "denied_burst", "new_principal"], &[], &case);
}

/// The role's policy is an hour behind the new service.
fn first_start_of_a_new_secret(plan: &mut Plan<'_>) {
    let secret = plan.cast.secret("invoicing/tax-api-key");
    let Some(made) = plan.created.iter().find(|(created, _)| *created == secret).map(|&(_, at)| at) else { return };
    let at = made + 30 * MINUTE;
    let place = plan.cast.secrets[secret].place;
    let role = plan.cast.role(place.account, "/", "svc-invoicing");
    let caller = crate::identity::host(&mut plan.random, plan.cast, role, place, crate::cast::Host::Ecs, true, at);
    let refused = plan.get_secret(Ask { outcome: Outcome::Denied, ..Ask::new(at, &caller, secret) });
    let read = plan.get_secret(Ask::new(at + 50 * MINUTE, &caller, secret));
    let why = "a new service is refused its own new secret until its policy is complete";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![refused, read], why };
    plan.quiet(&["denied_then_read"], &[], &case);
}
