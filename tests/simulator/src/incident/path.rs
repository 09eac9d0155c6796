//! `path_sweep`: a whole tree of parameters read by its path. Quiet: a service below its own path, by habit or for the first time.

use super::session;
use crate::{
    behaviour::units,
    cast::{DATA, Kind, PLATFORM, PROD, STAGING, Style},
    plan::{Case, Plan},
};

pub(super) fn run(plan: &mut Plan<'_>) {
    sweep(plan);
    own_path(plan);
    first_own_path(plan);
}

fn sweep(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let fits = [STAGING, DATA, PLATFORM];
    let Some(unit) = plan.victim(|unit| {
        fits.contains(&unit.place.account) && unit.place.region == "us-east-1" && unit.style == Style::Deploys
    }) else {
        return;
    };
    let cast = plan.cast;
    let below: Vec<_> = (0..cast.secrets.len())
        .filter(|&secret| cast.secrets[secret].place == unit.place && cast.secrets[secret].kind == Kind::Secure)
        .filter(|&secret| !matches!(cast.secrets[secret].fate, crate::cast::Fate::New | crate::cast::Fate::Decoy))
        .collect();
    if below.is_empty() {
        return;
    }
    let caller = session(plan, unit, at);
    let events =
        below.chunks(10).enumerate().map(|(page, some)| plan.get_path(at + page as i64, &caller, "/", some)).collect();
    let why = "a service's session reads every parameter of the account by the path /, page after page";
    plan.expect(&["path_sweep"], &Case { caller: Some(&caller), secrets: &[], at, events, why });
}

/// Reads below its own path at each of its starts.
fn own_path(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.style == Style::ByPath) else { return };
    let caller = session(plan, unit, at);
    let event = plan.get_path(at, &caller, &format!("/{}/", unit.name), &unit.own);
    let why = "a service reads below its own path, as at each of its starts";
    plan.quiet(
        &["path_sweep", "bulk_read"],
        &[],
        &Case { caller: Some(&caller), secrets: &unit.own, at, events: vec![event], why },
    );
}

/// Has read its parameters by name until now.
fn first_own_path(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let secure = |secret: &usize| cast.secrets[*secret].kind == Kind::Secure;
    let Some(unit) = plan.victim(|unit| {
        unit.place.account == PROD
            && unit.style == Style::Deploys
            && unit.own.iter().filter(|own| secure(own)).count() > 1
    }) else {
        return;
    };
    let own: Vec<_> = unit.own.iter().copied().filter(secure).collect();
    let caller = units::session(plan, unit, 30, at);
    let event = plan.get_path(at, &caller, &format!("/{}/", unit.name), &own);
    let why = "a service reads by path what it has always read by name";
    plan.quiet(
        &["path_sweep"],
        &["new_principal"],
        &Case { caller: Some(&caller), secrets: &own, at, events: vec![event], why },
    );
}
