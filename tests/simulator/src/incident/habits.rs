//! `off_hours_read`, `new_network` and `new_user_agent`: known readers of their usual secrets, in an unusual way. Quiet: the on-call
//! at night, an hour later than usual, a new machine of the build provider, the other colour's gateway, a newer SDK.

use std::collections::BTreeSet;

use super::session;
use crate::{
    behaviour::units,
    cast::{Egress, FOREIGN_V4, PROD, People, Style, Unit, green_nat_address, hosted_runner_address, office_address},
    clock::{DAY, HOUR, weekday},
    identity::{Caller, build_job, person},
    plan::{Case, Form, Plan},
};

const HOURS: &str = "off_hours_read";
const NETWORK: &str = "new_network";
const AGENT: &str = "new_user_agent";

pub(super) fn run(plan: &mut Plan<'_>) {
    at_night(plan);
    on_call(plan);
    a_little_late(plan);
    from_a_hotel(plan);
    inside_but_new(plan);
    another_runner(plan);
    other_colour(plan);
    another_tool(plan);
    newer_sdk(plan);
}

/// A team by whether it has an on-call duty.
fn team<'c>(plan: &Plan<'c>, on_call: bool, which: usize) -> Option<&'c People> {
    let cast = plan.cast;
    let all: Vec<_> = cast.people.iter().filter(|people| people.on_call == on_call).collect();
    all.get(which % all.len().max(1)).copied()
}

/// On so many days a person's role must have been active before its habits can be called known; the rules ask for twelve.
const KNOWN_DAYS: usize = 14;

/// A team without on-call duty whose habits are known so many hours after its morning, and that moment: at or after a
/// moment, the sooner the better.
fn known_team<'c>(plan: &Plan<'c>, at: i64, hours: i64) -> Option<(&'c People, i64)> {
    let teams = || (0..plan.cast.people.len()).filter_map(|which| team(plan, false, which));
    (0..plan.days()).map(|later| at + later * DAY).find_map(|at| {
        teams().map(|people| (people, hours_after(people, at, hours))).find(|(people, at)| {
            let role = plan.cast.sso_role(people.account, &people.permission_set).arn();
            let midnight = at - at.rem_euclid(DAY);
            let days: BTreeSet<i64> = plan
                .ledger
                .iter()
                .filter(|access| access.principal == role && (midnight - 90 * DAY..midnight).contains(&access.at))
                .map(|access| access.at.div_euclid(DAY))
                .collect();
            days.len() >= KNOWN_DAYS && *at < plan.end - 2 * DAY
        })
    })
}

fn member(plan: &mut Plan<'_>, people: &People, at: i64) -> Caller {
    let role = plan.cast.sso_role(people.account, &people.permission_set);
    person(&mut plan.random, role, &people.names[0], at)
}

fn read(plan: &mut Plan<'_>, caller: &Caller, secrets: &[usize], at: i64) -> Vec<String> {
    crate::behaviour::read_secrets(plan, caller, caller, secrets, Form::Name, at)
}

/// The weekday at or after a moment, at so many hours after the team's morning.
fn hours_after(people: &People, at: i64, hours: i64) -> i64 {
    let mut midnight = at - at.rem_euclid(DAY);
    while weekday(midnight) >= 5 {
        midnight += DAY;
    }
    midnight + people.morning * HOUR + hours * HOUR
}

fn at_night(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(45.0, 4.0) else { return };
    let Some((people, at)) = known_team(plan, at, 17) else { return };
    let at = at + 40;
    let caller = member(plan, people, at);
    let events = read(plan, &caller, &people.secrets[..1], at);
    let why = "a person of a team that works by day reads its usual secret in the middle of its night";
    plan.expect(&[HOURS], &Case { caller: Some(&caller), secrets: &people.secrets[..1], at, events, why });
}

fn on_call(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(60.0, 4.0) else { return };
    let Some(people) = team(plan, true, 0) else { return };
    let at = hours_after(people, at, 16);
    let caller = member(plan, people, at);
    let events = read(plan, &caller, &people.secrets[..1], at);
    let why = "the on-call of a team that reads at night now and then";
    plan.quiet(&[HOURS], &[], &Case { caller: Some(&caller), secrets: &people.secrets[..1], at, events, why });
}

fn a_little_late(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(60.0, 4.0) else { return };
    let Some(people) = team(plan, false, 1) else { return };
    let caller = member(plan, people, at);
    let morning = hours_after(people, at, 0);
    // The latest that anybody of the team has read so far; which hour that is differs from team to team.
    let offsets = plan
        .ledger
        .iter()
        .filter(|access| access.principal == caller.principal() && (morning - 80 * DAY..morning).contains(&access.at))
        .map(|access| (access.at - morning).rem_euclid(DAY))
        .filter(|offset| *offset < 10 * HOUR);
    let Some(latest) = offsets.max() else { return };
    let at = morning + latest + 20 * 60;
    let caller = Caller { since: at - at.rem_euclid(HOUR), ..caller };
    let events = read(plan, &caller, &people.secrets[..1], at);
    let why = "twenty minutes later than the team has ever read";
    plan.quiet(&[HOURS], &[], &Case { caller: Some(&caller), secrets: &people.secrets[..1], at, events, why });
}

fn from_a_hotel(plan: &mut Plan<'_>) {
    // People are known by then: they read on two or three days a week.
    let Some(at) = plan.somewhen(70.0, 4.0) else { return };
    let Some(people) = team(plan, false, 2) else { return };
    let at = hours_after(people, at, 3) + 15 * 60;
    let mut caller = member(plan, people, at);
    caller.address = format!("{FOREIGN_V4}{}", 30 + at % 180);
    let events = read(plan, &caller, &people.secrets[..1], at);
    let why = "a person's session reads its usual secret from a network that nobody of the organisation uses";
    let case = Case { caller: Some(&caller), secrets: &people.secrets[..1], at, events, why };
    plan.expect(&[NETWORK, "off_cidr_use"], &case);
}

/// Units that read nearly every day, so that a fortnight tells their habits.
fn reads_daily(unit: &Unit) -> bool {
    matches!(unit.style, Style::Scaling | Style::Daily)
}

fn inside_but_new(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(28.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| reads_daily(unit) && unit.egress != Egress::Nat) else { return };
    let mut caller = session(plan, unit, at);
    caller.address = format!("198.18.201.{}", 4 + at % 200);
    caller.endpoint = None;
    let events = read(plan, &caller, &unit.own, at);
    let why = "a service's session reads its own secrets from a network that nobody has ever used";
    let case = Case { caller: Some(&caller), secrets: &unit.own, at, events, why };
    plan.expect(&[NETWORK], &case);
    if unit.place.account == PROD {
        plan.expect(&["off_cidr_use"], &case);
    }
}

fn another_runner(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(28.0, 1.0) else { return };
    let cast = plan.cast;
    let Some(unit) = cast.units.iter().find(|unit| unit.is_running()) else { return };
    let role = cast.role(unit.place.account, "/", &format!("github-actions-{}", unit.name));
    let mut caller = build_job(&mut plan.random, role, "release-again", at);
    caller.address = hosted_runner_address(&mut plan.random);
    let secrets: Vec<_> = unit.own.iter().take(2).copied().collect();
    let events = read(plan, &caller, &secrets, at);
    let why = "a pipeline on a hosted machine, in another network of the provider as nearly every time";
    plan.quiet(
        &[NETWORK, "off_cidr_use", HOURS],
        &[],
        &Case { caller: Some(&caller), secrets: &secrets, at, events, why },
    );
}

fn other_colour(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(28.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.egress == Egress::Nat && unit.style == Style::Deploys) else { return };
    let mut caller = units::session(plan, unit, 0, at);
    caller.address = green_nat_address(&mut plan.random, unit.place);
    let events = units::read(plan, unit, &caller, &unit.own, at);
    let why = "a deploy behind the second of the two gateways that deploys take turns with";
    plan.quiet(&[NETWORK, HOURS], &[], &Case { caller: Some(&caller), secrets: &unit.own, at, events, why });
}

fn another_tool(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(28.0, 1.0) else { return };
    let Some(unit) = plan.victim(reads_daily) else { return };
    let mut caller = session(plan, unit, at);
    "aws-cli/2.28.11 md/awscrt#0.26.1 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.13.4 md/installer#exe"
        .clone_into(&mut caller.user_agent);
    let other = units::before_parameters(plan, unit, &caller);
    let events = crate::behaviour::read_secrets(plan, &caller, &other, &unit.own, Form::Name, at);
    let why = "somebody with a shell in a service's task reads its secrets with the command line";
    plan.expect(&[AGENT], &Case { caller: Some(&caller), secrets: &unit.own, at, events, why });
}

fn newer_sdk(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(28.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.style == Style::Deploys) else { return };
    let caller = units::session(plan, unit, 60, at);
    let events = units::read(plan, unit, &caller, &unit.own, at);
    let why = "a deploy with an SDK that is many versions newer";
    plan.quiet(&[AGENT, "new_principal"], &[], &Case { caller: Some(&caller), secrets: &unit.own, at, events, why });
    // A person with the browser one day and the command line another.
    let Some(people) = team(plan, true, 1) else { return };
    let Some(at) = plan.some_working_day(28.0, 1.0) else { return };
    let mut caller = member(plan, people, at);
    // Now and then the office is left by IPv6; whether a team ever was is chance.
    while caller.address.contains(':') {
        caller.address = office_address(&mut plan.random);
    }
    let events = read(plan, &caller, &people.secrets[..1], at);
    let why = "a person who uses the console and the command line";
    plan.quiet(
        &[AGENT, NETWORK],
        &["off_hours_read"],
        &Case { caller: Some(&caller), secrets: &people.secrets[..1], at, events, why },
    );
}
