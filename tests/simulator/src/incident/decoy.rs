//! `decoy_read`: bait is read, or tried. Quiet: the refresh that describes it, and the real secret beside it.

use super::session;
use crate::{
    cast::{Fate, Kind, PROD, Place, Style},
    identity::terraform,
    json::Object,
    plan::{Ask, Call, Case, Form, Outcome, Plan},
};

const RULE: &str = "decoy_read";
const HOME: Place = Place { account: PROD, region: "us-east-1" };

pub(super) fn run(plan: &mut Plan<'_>) {
    read(plan);
    described(plan);
    namesake(plan);
}

/// Three decoys: a secret read, a secret tried, a parameter read.
fn read(plan: &mut Plan<'_>) {
    let cast = plan.cast;
    let decoys: Vec<_> = (0..cast.secrets.len()).filter(|&secret| cast.secrets[secret].fate == Fate::Decoy).collect();
    for (index, &decoy) in decoys.iter().enumerate() {
        // Not in the first days of a long window: whoever reads bait keeps it from being unused.
        let before = (plan.days() as f64 - 80.0).max(10.0);
        let Some(at) = plan.somewhen(before, 1.0) else { return };
        let Some(unit) = plan.victim(|unit| unit.place == HOME && unit.style == Style::Deploys) else { return };
        let caller = session(plan, unit, at);
        let mut events = Vec::new();
        if cast.secrets[decoy].kind == Kind::Manager {
            if index == 1 {
                let ask = Ask { outcome: Outcome::Denied, ..Ask::new(at, &caller, decoy) };
                events.push(plan.get_secret(ask));
                let case = Case {
                    caller: Some(&caller),
                    secrets: &[decoy],
                    at,
                    events: events.clone(),
                    why: "bait is asked for and refused",
                };
                plan.expect(&[RULE], &case);
            }
            let read = plan.get_secret(Ask { form: Form::Name, ..Ask::new(at + 2 * 3_600, &caller, decoy) });
            events = vec![read];
        } else {
            events.push(plan.get_parameters(at + 2 * 3_600, &caller, &[decoy], Outcome::Ok));
        }
        let why = "bait that nothing is configured with is read";
        let case = Case { caller: Some(&caller), secrets: &[decoy], at: at + 2 * 3_600, events, why };
        plan.expect(&[RULE, "new_principal"], &case);
    }
}

fn described(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(10.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(decoy) = cast.secrets.iter().position(|secret| secret.fate == Fate::Decoy) else { return };
    let role = cast.role(PROD, "/", "terraform-plan");
    let caller = terraform(&mut plan.random, role, at);
    let request = Object::new().string("secretId", &cast.secrets[decoy].id).end();
    let event = plan.call(HOME, at, &caller, Call::read("secretsmanager", "DescribeSecret", Some(request)));
    let why = "the infrastructure code looks at the bait's description";
    plan.quiet(&[RULE], &[], &Case { caller: Some(&caller), secrets: &[decoy], at, events: vec![event], why });
}

/// A real parameter whose name is like the bait's.
fn namesake(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(10.0, 1.0) else { return };
    let Some(caller) = plan.session_of("svc-payments", at) else { return };
    let parameter = plan.cast.secret("/payments/ledger-token");
    let event = plan.get_parameters(at, &caller, &[parameter], Outcome::Ok);
    let why = "a service reads its own parameter, beside the bait under the same path";
    plan.quiet(&[RULE], &[], &Case { caller: Some(&caller), secrets: &[parameter], at, events: vec![event], why });
}
