//! `proxy_bypass`: a credential that only the proxy should read is read by somebody else. Quiet: the proxy itself, and a look at the
//! secret's description.

use super::session;
use crate::{
    cast::{PLATFORM, Place, Style},
    identity::{function, terraform},
    json::Object,
    plan::{Ask, Call, Case, Plan},
};

const RULE: &str = "proxy_bypass";
const HOME: Place = Place { account: PLATFORM, region: "us-east-1" };

pub(super) fn run(plan: &mut Plan<'_>) {
    by_a_service(plan);
    the_proxy(plan);
    description(plan);
}

fn by_a_service(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.place == HOME && unit.style != Style::Function) else { return };
    let caller = session(plan, unit, at);
    let secret = plan.cast.secret("proxy/sendgrid-key");
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "a service reads the credential that the proxy injects for everybody";
    plan.expect(
        &[RULE, "new_principal"],
        &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
    );
}

fn the_proxy(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let role = plan.cast.role(PLATFORM, "/service-role/", "lambda-secrets-proxy");
    let caller = function(&mut plan.random, plan.cast, role, HOME, "secrets-proxy", at);
    let secret = plan.cast.secret("proxy/sendgrid-key");
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "the proxy reads what it injects";
    plan.quiet(
        &[RULE, "new_principal"],
        &[],
        &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
    );
}

fn description(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let role = plan.cast.role(PLATFORM, "/", "terraform-plan");
    let caller = terraform(&mut plan.random, role, at);
    let secret = plan.cast.secret("proxy/stripe-key");
    let owner = &plan.cast.secrets[secret];
    let request = Object::new().string("secretId", &owner.id).end();
    let event = plan.call(owner.place, at, &caller, Call::read("secretsmanager", "DescribeSecret", Some(request)));
    let why = "a look at the description of a proxied secret, not at its value";
    plan.quiet(&[RULE], &[], &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why });
}
