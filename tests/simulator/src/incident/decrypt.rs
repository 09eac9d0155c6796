//! `direct_decrypt`: a parameter fetched as ciphertext and decrypted by hand. Quiet: ciphertext alone, and a job that has always done both.

use super::session;
use crate::{
    cast::{Host, Kind, PROD, Place, Style},
    clock::{DAY, HOUR},
    identity::host,
    plan::{Case, Plan},
};

const RULE: &str = "direct_decrypt";
const HOME: Place = Place { account: PROD, region: "us-east-1" };

pub(super) fn run(plan: &mut Plan<'_>) {
    by_hand(plan);
    ciphertext_alone(plan);
    by_habit(plan);
}

fn by_hand(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.place == HOME && unit.style == Style::Deploys) else { return };
    let others = plan.of_others(HOME, Kind::Secure, unit);
    let Some(&parameter) = others.first() else { return };
    let caller = session(plan, unit, at);
    let fetched = plan.get_ciphertext(at, &caller, parameter);
    let decrypted = plan.decrypt_by_hand(at + 70, &caller, parameter);
    let why = "a service fetches another's parameter as ciphertext and decrypts it with a call of its own to KMS";
    let case = Case { caller: Some(&caller), secrets: &[parameter], at, events: vec![fetched, decrypted], why };
    plan.expect(&[RULE], &case);
    let fetched = case.events[..1].to_vec();
    plan.expect(&["new_principal"], &Case { events: fetched, ..case });
}

fn ciphertext_alone(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let secure = |secret: &usize| cast.secrets[*secret].kind == Kind::Secure;
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys && unit.own.iter().any(secure)) else { return };
    let Some(&parameter) = unit.own.iter().find(|own| secure(own)) else { return };
    let caller = session(plan, unit, at);
    let event = plan.get_ciphertext(at, &caller, parameter);
    let why = "a service looks at its own parameter without decrypting it";
    plan.quiet(&[RULE], &[], &Case { caller: Some(&caller), secrets: &[parameter], at, events: vec![event], why });
}

/// A job with an old library that has decrypted for itself every day since the first.
fn by_habit(plan: &mut Plan<'_>) {
    let parameter = plan.cast.secret("/payments/fraud-key");
    let role = plan.cast.role(PROD, "/", "svc-payments-fraud-batch");
    for day in 0..plan.days() {
        let at = plan.start + day * DAY + 4 * HOUR + 33;
        let caller = host(&mut plan.random, plan.cast, role.clone(), HOME, Host::Ec2, true, at);
        let fetched = plan.get_ciphertext(at, &caller, parameter);
        let decrypted = plan.decrypt_by_hand(at + 1, &caller, parameter);
        if day == 40 {
            let why = "a job that has fetched ciphertext and decrypted it itself every day";
            let case = Case { caller: Some(&caller), secrets: &[parameter], at, events: vec![fetched, decrypted], why };
            plan.quiet(&[RULE], &[], &case);
        }
    }
}
