//! `credential_used_elsewhere`: the session of an instance or a function, used from another place. Quiet: one session through the
//! endpoint and the NAT gateway of its own network, and through two addresses of one gateway.

use crate::{
    behaviour::units,
    cast::{Egress, FOREIGN_V4, Host, Kind, PROD, Place, SECURITY, Style, nat_address},
    clock::MINUTE,
    identity::Workload,
    plan::{Ask, Case, Outcome, Plan},
};

const RULE: &str = "credential_used_elsewhere";

pub(super) fn run(plan: &mut Plan<'_>) {
    of_an_instance(plan);
    of_a_function(plan);
    through_a_strange_endpoint(plan);
    two_ways_out(plan);
    two_addresses(plan);
}

fn of_an_instance(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(unit) = plan.victim(|unit| {
        unit.host == Host::Ec2
            && unit.style == Style::Deploys
            && unit.egress == Egress::Endpoint
            && unit.own.iter().any(|&own| cast.secrets[own].kind == Kind::Manager)
    }) else {
        return;
    };
    // The instance itself has started and read before.
    let mut caller = units::session(plan, unit, 30, at);
    units::read(plan, unit, &caller, &unit.own, at - 40 * MINUTE);
    caller.address = format!("{FOREIGN_V4}{}", 20 + at % 200);
    caller.endpoint = None;
    let secrets: Vec<_> = unit.own.iter().copied().filter(|&own| cast.secrets[own].kind == Kind::Manager).collect();
    let events = secrets.iter().map(|&secret| plan.get_secret(Ask::new(at, &caller, secret))).collect();
    let why =
        "the credentials of an instance read its own secrets from a foreign network, with the agent it always has";
    let case = Case { caller: Some(&caller), secrets: &secrets, at, events, why };
    plan.expect(&[RULE, "off_cidr_use"], &case);
}

fn of_a_function(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let role = plan.cast.role(SECURITY, "/", "siem-forwarder");
    let place = Place { account: SECURITY, region: "us-east-1" };
    let secret = plan.cast.secret("sec/siem-token");
    let mut caller =
        crate::identity::function(&mut plan.random, plan.cast, role, place, "siem-forwarder", at - 20 * MINUTE);
    plan.get_secret(Ask::new(at - 20 * MINUTE, &caller, secret));
    caller.address = format!("{FOREIGN_V4}{}", 20 + at % 200);
    caller.endpoint = None;
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "the credentials of a function inside a VPC are used from the internet";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&[RULE, "off_cidr_use"], &case);
}

/// Through an endpoint in a network of the thief's own: the address is private, and tells nothing.
fn through_a_strange_endpoint(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(unit) = plan.victim(|unit| {
        unit.place.account == PROD
            && unit.style == Style::Deploys
            && unit.egress == Egress::Endpoint
            && unit.own.iter().any(|&own| cast.secrets[own].kind == Kind::Manager)
    }) else {
        return;
    };
    let mut caller = units::session(plan, unit, 30, at);
    units::read(plan, unit, &caller, &unit.own, at - 3 * 60 * MINUTE);
    caller.address = format!("10.77.3.{}", 4 + at % 200);
    caller.endpoint = Some(format!("vpce-0{}", crate::random::hex(&mut plan.random, 16)));
    let secrets: Vec<_> = unit.own.iter().copied().filter(|&own| cast.secrets[own].kind == Kind::Manager).collect();
    let events = secrets.iter().map(|&secret| plan.get_secret(Ask::new(at, &caller, secret))).collect();
    let why = "a task's credentials are used through a VPC endpoint that is nobody's of the organisation";
    let case = Case { caller: Some(&caller), secrets: &secrets, at, events, why };
    plan.expect(&[RULE, "off_cidr_use"], &case);
}

/// Secrets through the endpoint, parameters through the gateway, with one session.
fn two_ways_out(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let cast = plan.cast;
    let both = |kinds: Kind, own: &[usize]| own.iter().any(|&secret| cast.secrets[secret].kind == kinds);
    let Some(unit) = plan.victim(|unit| {
        unit.egress == Egress::Mixed
            && unit.style == Style::Deploys
            && both(Kind::Manager, &unit.own)
            && both(Kind::Secure, &unit.own)
    }) else {
        return;
    };
    let mut caller = units::session(plan, unit, 30, at);
    if matches!(caller.workload, Workload::None) {
        caller.workload = Workload::Ec2(format!(
            "arn:aws:ec2:{}:{}:instance/i-0{}",
            unit.place.region,
            unit.place.account,
            crate::random::hex(&mut plan.random, 16)
        ));
    }
    let events = units::read(plan, unit, &caller, &unit.own, at);
    let why = "one session reads secrets through its endpoint and parameters through its gateway, as it always does";
    plan.quiet(&[RULE, "new_network"], &[], &Case { caller: Some(&caller), secrets: &unit.own, at, events, why });
}

fn two_addresses(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let place = Place { account: PROD, region: "us-east-1" };
    let Some(mut caller) = plan.session_of("svc-catalog", at) else { return };
    let parameter = plan.cast.secret("/catalog/cdn-key");
    let mut events = Vec::new();
    for step in 0..4 {
        caller.address = nat_address(&mut plan.random, place);
        events.push(plan.get_parameters(at + step * 5 * MINUTE, &caller, &[parameter], Outcome::Ok));
    }
    let why = "one instance behind the addresses of one gateway";
    plan.quiet(&[RULE, "new_network"], &[], &Case { caller: Some(&caller), secrets: &[parameter], at, events, why });
}
