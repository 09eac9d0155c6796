//! People, through their permission sets: a few reads a week, from the office, its IPv6 network, or the VPN.

use rand::Rng;

use crate::{
    cast::{PLATFORM, PROD, STAGING},
    clock::{DAY, HOUR, MINUTE, weekday},
    identity::person,
    plan::{Form, Plan},
    random::chance,
};

/// Name, account, permission set, what they read.
const PEOPLE: &[(&str, &str, &str, &[&str])] = &[
    ("bob.stone", PROD, "PowerUser", &["/users/smtp-password", "shared/partner-01"]),
    ("carol.ortiz", PROD, "PowerUser", &["/users/smtp-password", "shared/partner-01"]),
    ("heidi.wolf", PROD, "DatabaseAdmin", &["reporting/replica-db"]),
    ("dave.kim", PLATFORM, "Platform", &["platform/grafana-admin"]),
    ("erin.diaz", PLATFORM, "Platform", &["platform/grafana-admin"]),
    ("frank.moreau", STAGING, "Developer", &["stg/orders-db", "/stg/feature-token"]),
    ("grace.lindt", STAGING, "Developer", &["stg/orders-db", "/stg/feature-token"]),
];

pub(super) fn run(plan: &mut Plan<'_>) {
    for &(name, account, permission_set, secrets) in PEOPLE {
        let role = plan.cast.sso_role(account, permission_set);
        for day in 0..plan.days() {
            let midnight = plan.start + day * DAY;
            if day > 0 && (weekday(midnight) >= 5 || !chance(&mut plan.random, 0.15)) {
                continue;
            }
            let at = midnight + plan.random.random_range(9 * HOUR..17 * HOUR);
            let caller = person(&mut plan.random, role.clone(), name, at);
            super::services::read_all(plan, &caller, secrets, Form::Name, at);
        }
    }
    // Two secrets were read once, long ago, and never again.
    let role = plan.cast.sso_role(PROD, "PowerUser");
    let at = plan.start + 11 * HOUR + 23 * MINUTE;
    let caller = person(&mut plan.random, role, "bob.stone", at);
    super::services::read_all(plan, &caller, &["legacy/partner-sftp", "/legacy-app/api-token"], Form::Name, at);
}
