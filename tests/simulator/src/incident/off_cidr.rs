//! Uses from outside the allowed networks. The quiet counterparts (a service acting for a role, an allowed endpoint) are jobs of
//! `behaviour/scheduled.rs`.

use crate::{
    cast::{DATA, FOREIGN_V4, FOREIGN_V6, Place, STAGING},
    clock::MINUTE,
    identity::{person, user},
    plan::{Ask, Case, Form, Outcome, Plan},
};

const RULE: &str = "off_cidr_use";

pub(super) fn run(plan: &mut Plan<'_>) {
    stolen_session(plan);
    over_ipv6(plan);
    denied(plan);
}

/// The credentials of an instance, used elsewhere.
fn stolen_session(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.85, 1.5, 0.2) else { return };
    let Some(mut caller) = plan.session_of("svc-checkout", at) else { return };
    caller.address = format!("{FOREIGN_V4}77");
    caller.endpoint = None;
    "Boto3/1.34.11 md/Botocore#1.34.11 ua/2.0 os/linux#6.6.9-amd64 md/arch#x86_64 lang/python#3.11.8"
        .clone_into(&mut caller.user_agent);
    let secrets = [plan.cast.secret("checkout/session-key"), plan.cast.secret("orders/stripe-webhook")];
    let mut events = Vec::new();
    for (step, &secret) in secrets.iter().chain(&secrets[..1]).enumerate() {
        let at = at + step as i64 * 7 * MINUTE;
        events.push(plan.get_secret(Ask { form: Form::Name, ..Ask::new(at, &caller, secret) }));
    }
    let why = "an instance's role session is used from a foreign network for the secrets it always reads";
    let case = Case { caller: Some(&caller), secrets: &secrets, at, events, why };
    plan.expect(&[RULE, "credential_used_elsewhere"], &case);
}

/// A person's session from a foreign IPv6 network.
fn over_ipv6(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.57, 1.4, 0.2) else { return };
    let role = plan.cast.sso_role(STAGING, "Developer");
    let mut caller = person(&mut plan.random, role, "frank.moreau", at);
    caller.address = format!("{FOREIGN_V6}1f");
    let secret = plan.cast.secret("stg/orders-db");
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    plan.label(RULE, true, Some(&caller), &[secret], at, vec![event], "a known reader from a foreign IPv6 network");
}

/// A leaked long-term key is tried from outside and refused.
fn denied(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.78, 1.6, 0.2) else { return };
    let place = Place { account: DATA, region: "us-east-1" };
    let mut caller = user(plan.cast, &mut plan.random, place, "svc-legacy-backup", at);
    caller.address = format!("{FOREIGN_V4}200");
    "aws-sdk-go/1.44.122 (go1.19.3; linux; amd64)".clone_into(&mut caller.user_agent);
    let secrets = [plan.cast.secret("etl/warehouse-db"), plan.cast.secret("ml/hf-key")];
    let parameter = plan.cast.secret("/etl/jdbc-password");
    let mut events = Vec::new();
    for (step, &secret) in secrets.iter().enumerate() {
        events
            .push(plan.get_secret(Ask { outcome: Outcome::Denied, ..Ask::new(at + step as i64 * 3, &caller, secret) }));
    }
    events.push(plan.get_parameters(at + 9, &caller, &[parameter], Outcome::Denied));
    plan.label(
        RULE,
        true,
        Some(&caller),
        &[secrets[0], secrets[1], parameter],
        at,
        events,
        "a user's long-term key is tried from a foreign network and refused",
    );
}
