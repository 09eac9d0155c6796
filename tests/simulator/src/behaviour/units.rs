//! The services beyond the table: deploys with new sessions, addresses and SDK versions, scaling at any hour, functions, daily
//! and monthly runs, path reads, two gateways that deploys take turns with, and one failover to another region.
//!
//! Every pair is first seen on the first day, but for what is labelled or named here: a unit made in mid-window reads its new
//! secrets (and what is common to all), and a few units adopt a common secret at a later deploy, as real ones do. Nothing says
//! that these few may not alert: an alert about them counts as a false one.

use rand::Rng;

use super::services::read_secrets;
use crate::{
    cast::{Egress, Host, Kind, PROD, Place, Style, Unit, green_nat_address, nat_address},
    clock::{DAY, HOUR, MINUTE},
    identity::{Caller, build_job, function, host},
    json::Object,
    plan::{Call, Form, Plan},
    random::chance,
};

/// The failover's families and its hour.
struct Failover {
    at: i64,
    families: [usize; 2],
}

pub(super) fn run(plan: &mut Plan<'_>) {
    let cast = plan.cast;
    let failover = Failover {
        at: plan.start + plan.random.random_range(plan.days() * 4 / 10..=plan.days() * 6 / 10) * DAY + 10 * HOUR,
        families: [plan.random.random_range(0..24), plan.random.random_range(0..24)],
    };
    for unit in &cast.units {
        match unit.style {
            Style::Function => functions(plan, unit),
            Style::Daily => runs(plan, unit, 1),
            Style::Monthly => runs(plan, unit, 30),
            Style::Retired => retired(plan, unit),
            Style::New => born(plan, unit),
            Style::Deploys | Style::Scaling | Style::ByPath => deploys(plan, unit, &failover),
        }
    }
}

/// A session of a unit as it would begin at this moment; `generation` counts its deploys.
pub(crate) fn session(plan: &mut Plan<'_>, unit: &Unit, generation: i64, at: i64) -> Caller {
    let cast = plan.cast;
    if unit.style == Style::Function {
        let role = cast.role(unit.place.account, "/service-role/", &format!("lambda-{}", unit.name));
        return function(&mut plan.random, cast, role, unit.place, &unit.name, at);
    }
    let role = cast.role(unit.place.account, "/", &unit.role_name());
    let by_endpoint = unit.egress != Egress::Nat;
    let mut caller = host(&mut plan.random, cast, role, unit.place, unit.host, by_endpoint, at);
    if !by_endpoint && generation % 2 == 1 {
        caller.address = green_nat_address(&mut plan.random, unit.place);
    }
    caller.user_agent = agent(unit.sdk, generation);
    caller
}

/// The SDK of a unit, newer at every few deploys.
fn agent(sdk: usize, generation: i64) -> String {
    let minor = generation / 3;
    match sdk {
        0 => format!(
            "aws-sdk-java/2.{}.45 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.115 lang/java#21.0.{}",
            29 + minor,
            5 + minor / 2
        ),
        1 => format!(
            "Boto3/1.{}.3 md/Botocore#1.{}.3 ua/2.1 os/linux#6.1.{} lang/python#3.12.8",
            35 + minor,
            35 + minor,
            115 + generation
        ),
        2 => format!(
            "aws-sdk-go-v2/1.{}.1 ua/2.1 os/linux lang/go#1.24.{} md/GOOS#linux md/GOARCH#arm64",
            36 + minor,
            2 + minor
        ),
        3 => format!(
            "aws-sdk-js/3.{}.0 ua/2.1 os/linux#6.1.{} lang/js md/nodejs#22.{}.0",
            900 + minor,
            115 + generation,
            11 + minor
        ),
        _ => format!("aws-sdk-rust/1.3.{} ua/2.1 os/linux lang/rust/1.{}.0", 3 + minor, 88 + minor),
    }
}

/// The same session as Parameter Store sees it.
pub(crate) fn before_parameters(plan: &mut Plan<'_>, unit: &Unit, caller: &Caller) -> Caller {
    let mut other = caller.clone();
    if unit.egress == Egress::Mixed && caller.endpoint.is_some() {
        other.endpoint = None;
        other.address = nat_address(&mut plan.random, unit.place);
    }
    other
}

/// Everything that a unit reads, by one session. Returns the event ids.
pub(crate) fn read(plan: &mut Plan<'_>, unit: &Unit, caller: &Caller, secrets: &[usize], at: i64) -> Vec<String> {
    let form = [Form::Full, Form::Name, Form::Partial][unit.family % 3];
    let other = before_parameters(plan, unit, caller);
    read_secrets(plan, caller, &other, secrets, form, at)
}

fn all_of(unit: &Unit) -> Vec<usize> {
    unit.own.iter().chain(&unit.others).copied().collect()
}

fn start(plan: &mut Plan<'_>, unit: &Unit, caller: Caller, secrets: &[usize], at: i64) -> Vec<String> {
    let launcher = if unit.host == Host::Ecs { "ecs-tasks.amazonaws.com" } else { "ec2.amazonaws.com" };
    if let crate::identity::Who::Role(role) = &caller.who {
        plan.begin_session(unit.place, at - 4, &role.clone(), &caller, launcher);
    }
    let events = if unit.style == Style::ByPath {
        let other = before_parameters(plan, unit, &caller);
        plan.get_path(at, &other, &format!("/{}/", unit.name), &unit.own);
        read(plan, unit, &caller, &unit.others, at + 1)
    } else {
        read(plan, unit, &caller, secrets, at)
    };
    plan.sessions.push((at, caller));
    events
}

fn deploys(plan: &mut Plan<'_>, unit: &Unit, failover: &Failover) {
    let secrets = all_of(unit);
    let mut starts = vec![plan.start + plan.random.random_range(HOUR..16 * HOUR)];
    let mut day = unit.deploy_days;
    while day < plan.days() {
        starts.push(plan.start + day * DAY + plan.random.random_range(8 * HOUR..17 * HOUR));
        day += unit.deploy_days;
    }
    for &secret in &unit.own {
        for rotation in plan.rotations_of(secret) {
            starts.push(rotation.at + plan.random.random_range(2 * HOUR..18 * HOUR));
        }
    }
    starts.sort_unstable();
    let adopted = starts.len() / 2;
    for (generation, &at) in starts.iter().enumerate() {
        let mut wanted = secrets.clone();
        if generation >= adopted.max(1) {
            wanted.extend(unit.adopts);
        }
        for task in 0..unit.tasks {
            let at = at + task as i64 * plan.random.random_range(5..40);
            if at + MINUTE >= plan.end {
                return;
            }
            let caller = session(plan, unit, generation as i64, at);
            start(plan, unit, caller, &wanted, at);
        }
    }
    if unit.style == Style::Scaling {
        for day in 0..plan.days() {
            for _ in 0..plan.random.random_range(0..4_u8) {
                let at = plan.start + day * DAY + plan.random.random_range(HOUR..24 * HOUR - MINUTE);
                let generation = starts.iter().filter(|&&start| start <= at).count() as i64 - 1;
                let caller = session(plan, unit, generation.max(0), at);
                start(plan, unit, caller, &secrets, at);
            }
        }
    }
    let home = Place { account: PROD, region: "us-east-1" };
    if unit.place == home && failover.families.contains(&unit.family) && plan.days() >= 20 {
        // The tasks come up in the other region and read where they always read.
        let at = failover.at + plan.random.random_range(0..20 * MINUTE);
        let mut caller = session(plan, unit, starts.len() as i64, at);
        caller.address = nat_address(&mut plan.random, Place { account: PROD, region: "eu-west-1" });
        caller.endpoint = None;
        read_secrets(plan, &caller, &caller, &secrets, Form::Full, at);
    }
}

fn functions(plan: &mut Plan<'_>, unit: &Unit) {
    let secrets = all_of(unit);
    for day in 0..plan.days() {
        let mut at = plan.start + day * DAY + plan.random.random_range(0..16 * HOUR);
        let caller = session(plan, unit, 0, at);
        for _ in 0..plan.random.random_range(1..4_u8) {
            read(plan, unit, &caller, &secrets, at);
            at += 5 * MINUTE + plan.random.random_range(1..90);
        }
        plan.sessions.push((at, caller));
    }
}

fn runs(plan: &mut Plan<'_>, unit: &Unit, every: usize) {
    let secrets = all_of(unit);
    for (run, day) in (0..plan.days()).step_by(every).enumerate() {
        // Before the twentieth hour, so that the first run is on the first day's side of everything.
        let at = plan.start + day * DAY + unit.hour % 20 * HOUR + plan.random.random_range(0..4 * MINUTE);
        let caller = session(plan, unit, run as i64 / 10, at);
        let events = start(plan, unit, caller.clone(), &secrets, at);
        if every == 30 && run == 2 {
            plan.label(
                "dormant_secret_read",
                false,
                Some(&caller),
                &secrets,
                at,
                events,
                "a monthly job comes back to its own secrets",
            );
        }
    }
}

/// Reads on the first days of the window and never again.
fn retired(plan: &mut Plan<'_>, unit: &Unit) {
    for day in 0..4 {
        let at = plan.start + day * DAY + plan.random.random_range(HOUR..16 * HOUR);
        let caller = session(plan, unit, 0, at);
        start(plan, unit, caller, &unit.own, at);
    }
}

/// Secrets, role and service made together in the middle of the window.
fn born(plan: &mut Plan<'_>, unit: &Unit) {
    let Some(made) = plan.somewhen(12.0, 1.5) else { return };
    let deployer = plan.cast.role(unit.place.account, "/", "github-actions-infra");
    let maker = build_job(&mut plan.random, deployer, "infra", made);
    create(plan, &maker, unit.place, &unit.own, &unit.name, made);
    let mut at = made + plan.random.random_range(HOUR..6 * HOUR);
    let mut generation = 0;
    while at + MINUTE < plan.end {
        for task in 0..unit.tasks {
            let at = at + task as i64 * 20;
            let caller = session(plan, unit, generation, at);
            let events = start(plan, unit, caller.clone(), &all_of(unit), at);
            if generation == 0 && task == 0 {
                let own = events.into_iter().take(1).collect::<Vec<_>>();
                for rule in ["cross_service_read", "bulk_read"] {
                    plan.label(
                        rule,
                        false,
                        Some(&caller),
                        &unit.own,
                        at,
                        own.clone(),
                        "a new service reads its own new secrets",
                    );
                }
            }
        }
        generation += 1;
        // Young services are deployed often.
        at += if generation < 6 { DAY } else { unit.deploy_days * DAY } + plan.random.random_range(0..HOUR);
        if chance(&mut plan.random, 0.05) {
            at += 2 * DAY;
        }
    }
}

/// The events that make secrets, one after another.
pub(crate) fn create(plan: &mut Plan<'_>, maker: &Caller, place: Place, new: &[usize], about: &str, made: i64) {
    for (step, &secret) in new.iter().enumerate() {
        let at = made + step as i64 * 2;
        plan.created.push((secret, at));
        let owner = &plan.cast.secrets[secret];
        if owner.kind != Kind::Manager {
            plan.put_parameter(at, maker, secret, false, 1);
            continue;
        }
        let version = plan.current(secret, at);
        let request = Object::new()
            .string("name", &owner.name)
            .string("clientRequestToken", &version)
            .string("description", about)
            .flag("forceOverwriteReplicaSecret", false)
            .end();
        let response = Object::new().string("arn", &owner.id).end();
        plan.call(place, at, maker, Call::write("secretsmanager", "CreateSecret", request, Some(response)));
        plan.generate_data_key(at, maker, secret, &version);
    }
}
