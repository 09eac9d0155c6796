//! Services that read their secrets when a task or an instance starts: at the beginning, at deploys, and at the restart that
//! follows a change of one of their secrets. Each start has a new session and a new address inside the known network.

use rand::Rng;

use crate::{
    cast::{Fate, Host, Kind, Place, SERVICES, Service},
    clock::{DAY, HOUR, MINUTE},
    identity::{Caller, host},
    plan::{Ask, Form, Outcome, Plan},
};

pub(super) fn run(plan: &mut Plan<'_>) {
    for (index, service) in SERVICES.iter().enumerate() {
        let mut starts = vec![plan.start + plan.random.random_range(HOUR..16 * HOUR)];
        let mut day = service.deploy_days;
        while day < plan.days() {
            starts.push(plan.start + day * DAY + plan.random.random_range(8 * HOUR..17 * HOUR));
            day += service.deploy_days;
        }
        for name in service.secrets {
            for rotation in plan.rotations_of(plan.cast.secret(name)) {
                starts.push(rotation.at + plan.random.random_range(2 * HOUR..18 * HOUR));
            }
        }
        starts.sort_unstable();
        for at in starts {
            deploy(plan, index, service, at);
        }
    }
    licensing(plan);
}

fn deploy(plan: &mut Plan<'_>, index: usize, service: &Service, at: i64) {
    let role = plan.cast.role(service.place.account, "/", &service.role_name());
    let form = [Form::Full, Form::Name, Form::Partial][index % 3];
    for task in 0..service.tasks {
        let at = at + task as i64 * plan.random.random_range(5..40);
        if at + MINUTE >= plan.end {
            return;
        }
        let caller =
            host(&mut plan.random, plan.cast, role.clone(), service.place, service.host, service.through_endpoint, at);
        let launcher = if service.host == Host::Ecs { "ecs-tasks.amazonaws.com" } else { "ec2.amazonaws.com" };
        plan.begin_session(service.place, at - 4, &role, &caller, launcher);
        read_all(plan, &caller, service.secrets, form, at);
        plan.sessions.push((at, caller));
    }
}

/// Reads secrets one by one and parameters ten at a time. Returns the event ids.
pub(crate) fn read_all(plan: &mut Plan<'_>, caller: &Caller, names: &[&str], form: Form, at: i64) -> Vec<String> {
    let secrets: Vec<_> = names.iter().map(|name| plan.cast.secret(name)).collect();
    read_secrets(plan, caller, caller, &secrets, form, at)
}

/// The same by index, with the caller as it stands before Parameter Store, which may be reached another way.
pub(crate) fn read_secrets(
    plan: &mut Plan<'_>,
    caller: &Caller,
    parameter_caller: &Caller,
    secrets: &[usize],
    form: Form,
    at: i64,
) -> Vec<String> {
    let (managed, parameters): (Vec<usize>, Vec<usize>) =
        secrets.iter().copied().partition(|&secret| plan.cast.secrets[secret].kind == Kind::Manager);
    let mut events = Vec::new();
    for (step, secret) in managed.into_iter().enumerate() {
        events.push(plan.get_secret(Ask { form, ..Ask::new(at + step as i64 / 3, caller, secret) }));
    }
    for some in parameters.chunks(10) {
        events.push(plan.get_parameters(at + 2, parameter_caller, some, Outcome::Ok));
    }
    events
}

/// One task that read its key when it started and has run ever since.
fn licensing(plan: &mut Plan<'_>) {
    let names: Vec<_> =
        plan.cast.secrets.iter().filter(|secret| secret.fate == Fate::StartTime).map(|secret| &*secret.name).collect();
    let place = Place { account: crate::cast::PROD, region: "us-east-1" };
    let role = plan.cast.role(place.account, "/", "svc-licensing");
    let at = plan.start + 9 * HOUR + 17 * MINUTE;
    let caller = host(&mut plan.random, plan.cast, role.clone(), place, Host::Ecs, true, at);
    plan.begin_session(place, at - 4, &role, &caller, "ecs-tasks.amazonaws.com");
    read_all(plan, &caller, &names, Form::Full, at);
}
