//! Lambda functions that keep a secret for five minutes: short bursts with one read per cache period.

use rand::Rng;

use crate::{
    cast::CACHING,
    clock::{DAY, HOUR, MINUTE},
    identity::function,
    plan::{Ask, Plan},
};

pub(super) fn run(plan: &mut Plan<'_>) {
    for lambda in CACHING {
        let role = plan.cast.role(lambda.place.account, "/service-role/", &format!("lambda-{}", lambda.name));
        for day in 0..plan.days() {
            let mut at = plan.start + day * DAY + plan.random.random_range(0..16 * HOUR);
            let caller = function(&mut plan.random, plan.cast, role.clone(), lambda.place, lambda.name, at);
            for _ in 0..plan.random.random_range(1..4_u8) {
                for name in lambda.secrets {
                    let secret = plan.cast.secret(name);
                    plan.get_secret(Ask::new(at, &caller, secret));
                }
                at += 5 * MINUTE + plan.random.random_range(1..90);
            }
            plan.sessions.push((at, caller));
        }
    }
}
