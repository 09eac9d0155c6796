//! `cross_service_read`: a service reads what belongs to another. Quiet: a shared label, a shared namespace, its own new secret.

use super::session;
use crate::{
    behaviour::units,
    cast::{Kind, Style},
    plan::{Ask, Case, Plan},
};

pub(super) fn run(plan: &mut Plan<'_>) {
    stray(plan);
    shared_label(plan);
    shared_namespace(plan);
}

fn stray(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys && unit.own.len() > 1) else { return };
    let mut others = plan.of_strangers(unit.place, Kind::Manager, unit);
    others.retain(|&secret| !plan.cast.secrets[secret].name.contains(&unit.name));
    if others.len() < 2 {
        return;
    }
    let caller = session(plan, unit, at);
    let secrets = [others[others.len() / 3], others[others.len() - 1]];
    let events = secrets
        .iter()
        .enumerate()
        .map(|(step, &secret)| plan.get_secret(Ask::new(at + step as i64 * 40, &caller, secret)))
        .collect();
    let why = "a service reads two secrets of other services that it never had to do with";
    let case = Case { caller: Some(&caller), secrets: &secrets, at, events, why };
    plan.expect(&["cross_service_read", "new_principal"], &case);
}

/// A sibling's secret that the service has read since the first day.
fn shared_label(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let shares = |secret: &usize| !cast.secrets[*secret].name.contains("common/");
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys && unit.others.iter().any(shares)) else { return };
    let secrets: Vec<_> = unit.others.iter().copied().filter(shares).collect();
    let caller = units::session(plan, unit, 30, at);
    let events = units::read(plan, unit, &caller, &secrets, at);
    let why = "a new task reads the sibling's secret that its service has read since ever";
    plan.quiet(
        &["cross_service_read", "new_principal"],
        &[],
        &Case { caller: Some(&caller), secrets: &secrets, at, events, why },
    );
}

/// The first read of a secret that is common to all by configuration.
fn shared_namespace(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys && unit.adopts.is_none()) else { return };
    let common = (0..cast.secrets.len()).find(|&secret| {
        let owner = &cast.secrets[secret];
        owner.place == unit.place && owner.name.starts_with("common/") && !unit.others.contains(&secret)
    });
    let Some(common) = common else { return };
    let caller = units::session(plan, unit, 30, at);
    let events = units::read(plan, unit, &caller, &[common], at);
    let why = "the first read of a secret in a namespace that the configuration calls shared";
    let case = Case { caller: Some(&caller), secrets: &[common], at, events, why };
    plan.quiet(&["cross_service_read"], &["new_principal"], &case);
}
