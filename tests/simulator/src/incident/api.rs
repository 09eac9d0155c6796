//! `new_api_caller`: somebody calls the proxied API who never did. Quiet: a known caller from a new task, and a new caller that is refused.

use crate::{
    behaviour::proxy,
    cast::{PROD, Place},
    plan::{ApiCall, Plan},
    random::alnum,
};

const RULE: &str = "new_api_caller";

pub(super) fn run(plan: &mut Plan<'_>) {
    if !plan.access_logs {
        return;
    }
    let home = Place { account: PROD, region: "us-east-1" };
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let role = plan.cast.role(PROD, "/", "svc-users");
    let caller = crate::identity::host(&mut plan.random, plan.cast, role, home, crate::cast::Host::Ecs, true, at);
    call(plan, at, &caller, 0, true, "a service that never did calls the proxied API");
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let role = plan.cast.role(PROD, "/", "svc-orders");
    let caller = crate::identity::host(&mut plan.random, plan.cast, role, home, crate::cast::Host::Ecs, true, at);
    call(plan, at, &caller, 1, false, "a known caller from a new task");
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let role = plan.cast.role(PROD, "/", "svc-payments");
    let caller = crate::identity::host(&mut plan.random, plan.cast, role, home, crate::cast::Host::Ecs, true, at);
    call(plan, at, &caller, 0, false, "another known caller from a new task");
}

fn call(plan: &mut Plan<'_>, at: i64, caller: &crate::identity::Caller, resource: usize, must_fire: bool, why: &str) {
    let id = format!("{}=", alnum(&mut plan.random, 15));
    plan.add_api_call(ApiCall { at, caller: caller.clone(), resource, id: id.clone() });
    let labelled = plan.labels.len();
    plan.label(RULE, must_fire, Some(caller), &[], at, vec![id], why);
    let secret = proxy::api_secrets().nth(resource).map(|(id, _, _)| id);
    if let Some(label) = plan.labels.get_mut(labelled) {
        label.secret_ids.extend(secret);
    }
}
