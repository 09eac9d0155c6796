//! First reads by somebody who never read the secret, after its learning week; and first reads by known readers from new places.

use rand::Rng;

use crate::{
    cast::{Host, PLATFORM, PROD, Place},
    clock::{DAY, HOUR},
    identity::{host, person},
    plan::{Ask, Case, Form, Outcome, Plan},
};

const RULE: &str = "new_principal";
const HOME: Place = Place { account: PROD, region: "us-east-1" };

pub(super) fn run(plan: &mut Plan<'_>) {
    dormant_role(plan);
    bypass(plan);
    second_gateway(plan);
    new_session(plan);
}

/// A role that was left behind reads a production secret.
fn dormant_role(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.62, 8.5, 0.3) else { return };
    let role = plan.cast.role(PROD, "/", "legacy-support-tools");
    let mut caller = host(&mut plan.random, plan.cast, role, HOME, Host::Ec2, true, at);
    "aws-cli/2.15.30 Python/3.11.8 Linux/6.1.0 exe/x86_64 prompt/off command/secretsmanager.get-secret-value"
        .clone_into(&mut caller.user_agent);
    let secret = plan.cast.secret("payments/psp-token");
    let event = plan.get_secret(Ask { form: Form::Name, ..Ask::new(at, &caller, secret) });
    plan.label(
        RULE,
        true,
        Some(&caller),
        &[secret],
        at,
        vec![event],
        "a role that never read this production secret reads it, from inside the network",
    );
}

/// A person reads the credential that only the proxy reads.
fn bypass(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.7, 8.6, 0.3) else { return };
    let role = plan.cast.sso_role(PLATFORM, "Platform");
    let caller = person(&mut plan.random, role, "dave.kim", at);
    let secret = plan.cast.secret("proxy/stripe-key");
    let event = plan.get_secret(Ask { form: Form::Name, ..Ask::new(at, &caller, secret) });
    let why = "a person reads the proxied credential directly, for the first time";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&[RULE, "proxy_bypass"], &case);
}

/// A new service takes over twelve secrets that another has read all along: one alert.
fn second_gateway(plan: &mut Plan<'_>) {
    let Some(first) = plan.moment(0.5, 8.4, 0.4) else { return };
    let names: Vec<_> = plan
        .cast
        .secrets
        .iter()
        .filter(|secret| secret.name.contains("shared/partner-"))
        .map(|secret| &*secret.name)
        .collect();
    let role = plan.cast.role(PROD, "/", "svc-partner-gateway-v2");
    let mut at = first;
    while at + HOUR < plan.end {
        let caller = host(&mut plan.random, plan.cast, role.clone(), HOME, Host::Ecs, true, at);
        plan.begin_session(HOME, at - 4, &role, &caller, "ecs-tasks.amazonaws.com");
        let events = crate::behaviour::read_all(plan, &caller, &names, Form::Full, at);
        if at == first {
            let secrets: Vec<_> = names.iter().map(|name| plan.cast.secret(name)).collect();
            plan.label(
                RULE,
                true,
                Some(&caller),
                &secrets,
                at,
                events,
                "one new role reads twelve existing secrets for the first time: one alert",
            );
        }
        at += 8 * DAY + plan.random.random_range(0..HOUR);
    }
}

/// A known reader comes back from a new task with a new address.
fn new_session(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.52, 8.2, 0.3) else { return };
    let role = plan.cast.role(PROD, "/", "svc-orders");
    let caller = host(&mut plan.random, plan.cast, role.clone(), HOME, Host::Ecs, true, at);
    plan.begin_session(HOME, at - 4, &role, &caller, "ecs-tasks.amazonaws.com");
    let parameter = plan.cast.secret("/orders/feature-token");
    let event = plan.get_parameters(at, &caller, &[parameter], Outcome::Ok);
    plan.label(RULE, false, Some(&caller), &[parameter], at, vec![event], "a known reader from a new task");
}
