//! The weekly refresh of the infrastructure code, and the auditor that lists and never reads.
//!
//! The refresh describes every secret of its account, reads the values of a few, and runs into Parameter Store's throttle.
//! Both are upkeep: they never make a secret used.

use rand::Rng;

use crate::{
    cast::{DATA, Fate, Kind, PLATFORM, PROD, Place, SECURITY, STAGING},
    clock::{DAY, HOUR, MINUTE, weekday},
    identity::{Caller, terraform},
    json::Object,
    plan::{Ask, Call, Plan},
    random::chance,
};

pub(super) fn run(plan: &mut Plan<'_>) {
    for (index, account) in [PROD, PLATFORM, DATA, STAGING, SECURITY].into_iter().enumerate() {
        for week in 0..=(plan.days() - 1) / 7 {
            let at = plan.start + week * 7 * DAY + 3 * HOUR + index as i64 * 6 * MINUTE;
            refresh(plan, account, at);
        }
        for day in 0..plan.days() {
            audit(plan, account, plan.start + day * DAY + 22 * HOUR + index as i64 * MINUTE);
        }
    }
}

fn refresh(plan: &mut Plan<'_>, account: &'static str, at: i64) {
    let role = plan.cast.role(account, "/", "terraform-plan");
    let caller = terraform(&mut plan.random, role, at);
    let mut at = at;
    for secret in 0..plan.cast.secrets.len() {
        let owner = &plan.cast.secrets[secret];
        let unborn =
            owner.fate == Fate::New && !plan.created.iter().any(|&(created, when)| created == secret && when < at);
        let gone = unborn || plan.deleted.iter().any(|&(deleted, when)| deleted == secret && when < at + HOUR);
        if owner.place.account != account || gone {
            continue;
        }
        at += plan.random.random_range(0..2);
        let fate = owner.fate;
        if owner.kind == Kind::Manager {
            plan.describe(at, &caller, secret, "DescribeSecret");
            plan.describe(at, &caller, secret, "GetResourcePolicy");
            if fate == Fate::Refreshed {
                plan.get_secret(Ask::new(at, &caller, secret));
            }
        } else {
            parameter(plan, at, &caller, owner.place, &owner.name);
        }
    }
}

/// `DescribeParameters` until it is not throttled; a throttled call is logged without its parameters.
fn parameter(plan: &mut Plan<'_>, at: i64, caller: &Caller, place: Place, name: &str) {
    while chance(&mut plan.random, 0.3) {
        let mut call = Call::read("ssm", "DescribeParameters", None);
        call.error = Some(("ThrottlingException", "Rate exceeded"));
        plan.call(place, at, caller, call);
    }
    let filter = Object::new()
        .string("key", "Name")
        .string("option", "Equals")
        .raw("values", &crate::json::strings(&[name]))
        .end();
    let request = Object::new().raw("parameterFilters", &format!("[{filter}]")).end();
    plan.call(place, at, caller, Call::read("ssm", "DescribeParameters", Some(request)));
}

fn audit(plan: &mut Plan<'_>, account: &'static str, at: i64) {
    let place = Place { account, region: "us-east-1" };
    let role = plan.cast.role(account, "/", "keytrail-auditor");
    let mut caller = terraform(&mut plan.random, role, at);
    "keytrail".clone_into(&mut caller.session);
    "aws-sdk-rust/1.3.3 os/linux lang/rust/1.95.0".clone_into(&mut caller.user_agent);
    caller.address = crate::cast::nat_address(&mut plan.random, Place { account: SECURITY, region: "us-east-1" });
    let many = Object::new().raw("maxResults", "100").end();
    plan.call(place, at, &caller, Call::read("secretsmanager", "ListSecrets", Some(many)));
    if weekday(at) == 0 {
        let some = Object::new().raw("maxResults", "50").end();
        plan.call(place, at + 1, &caller, Call::read("ssm", "DescribeParameters", Some(some)));
    }
}
