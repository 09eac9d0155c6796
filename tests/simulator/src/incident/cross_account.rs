//! `cross_account_read`: a principal of another account reads, from inside the organisation and from outside. Quiet: the readers that have
//! crossed accounts since ever.

use super::session;
use crate::{
    cast::{DATA, Host, Kind, PROD, Place, STAGING, Style},
    identity::host,
    plan::{Ask, Case, Plan},
};

const RULE: &str = "cross_account_read";
/// An account that is nobody's of the organisation.
const STRANGER: &str = "930415872266";

pub(super) fn run(plan: &mut Plan<'_>) {
    from_staging(plan);
    from_outside(plan);
    by_habit(plan);
    own_account(plan);
}

fn from_staging(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let home = Place { account: PROD, region: "us-east-1" };
    let Some(unit) = plan.victim(|unit| unit.place.account == STAGING && unit.style == Style::Deploys) else { return };
    let others = plan.of_others(home, Kind::Manager, unit);
    let Some(&secret) = others.get(others.len() / 4) else { return };
    let caller = session(plan, unit, at);
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "a service of staging reads a secret of production";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&[RULE, "new_principal"], &case);
    if caller.endpoint.is_none() {
        plan.expect(&["off_cidr_use"], &case);
    }
}

/// Only the owner's copy of the record exists; it has no ARN.
fn from_outside(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let home = Place { account: DATA, region: "us-east-1" };
    let cast = plan.cast;
    let secret = cast.secret("ml/hf-key");
    let role = cast.role(STRANGER, "/", "collector");
    let mut caller = host(&mut plan.random, cast, role, home, Host::Ec2, false, at);
    caller.address = format!("{}{}", crate::cast::FOREIGN_V4, 5 + at % 200);
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "a role of an account outside the organisation reads a secret whose policy lets it";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&[RULE, "new_principal", "off_cidr_use"], &case);
}

fn by_habit(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(21.0, 1.0) else { return };
    let role = plan.cast.role(DATA, "/", "analytics-export");
    let place = Place { account: DATA, region: "us-east-1" };
    let caller = host(&mut plan.random, plan.cast, role, place, Host::Ec2, true, at);
    let secret = plan.cast.secret("reporting/replica-db");
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "the export reads the replica's password in the other account, as every day";
    plan.quiet(
        &[RULE, "new_principal"],
        &[],
        &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
    );
}

fn own_account(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys) else {
        return;
    };
    let caller = session(plan, unit, at);
    let other = crate::behaviour::units::before_parameters(plan, unit, &caller);
    let events = crate::behaviour::read_secrets(plan, &caller, &other, &unit.own, crate::plan::Form::Full, at);
    debug_assert!(
        unit.own.iter().all(|&own| cast.secrets[own].place == unit.place),
        "a unit's secrets are where it is"
    );
    let why = "a service reads its own secrets by ARN, in its own account";
    plan.quiet(&[RULE], &[], &Case { caller: Some(&caller), secrets: &unit.own, at, events, why });
}
