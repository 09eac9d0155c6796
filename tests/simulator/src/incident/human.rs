//! `human_read`: a person reads a production secret that people do not read. Quiet: staging, what the team has always read, and a
//! service that is called after a person.

use crate::{
    behaviour::read_secrets,
    cast::{Host, PROD, Place, STAGING},
    clock::{DAY, HOUR},
    identity::{host, person},
    plan::{Ask, Case, Form, Plan},
};

const RULE: &str = "human_read";

pub(super) fn run(plan: &mut Plan<'_>) {
    production(plan);
    staging(plan);
    habit(plan);
    called_after_a_person(plan);
}

fn production(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(21.0, 1.0) else { return };
    let role = plan.cast.sso_role(PROD, "DatabaseAdmin");
    let caller = person(&mut plan.random, role, "heidi.wolf", at);
    let secret = plan.cast.secret("payments/signing-key");
    let event = plan.get_secret(Ask { form: Form::Name, ..Ask::new(at, &caller, secret) });
    let why = "a person reads a production secret that only services have read";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&[RULE, "new_principal"], &case);
}

fn staging(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(21.0, 1.0) else { return };
    let role = plan.cast.sso_role(STAGING, "Developer");
    let caller = person(&mut plan.random, role, "grace.lindt", at);
    let secret = plan.cast.secret("stg/orders-db");
    let event = plan.get_secret(Ask { form: Form::Name, ..Ask::new(at, &caller, secret) });
    let why = "a developer reads a secret of staging";
    plan.quiet(
        &[RULE, "new_principal"],
        &[],
        &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
    );
}

fn habit(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(35.0, 1.0) else { return };
    let role = plan.cast.sso_role(PROD, "DatabaseAdmin");
    let caller = person(&mut plan.random, role, "heidi.wolf", at);
    let secret = plan.cast.secret("reporting/replica-db");
    let events = read_secrets(plan, &caller, &caller, &[secret], Form::Name, at);
    let why = "the database's administrator reads the replica's password, as every week";
    plan.quiet(&[RULE, "new_principal"], &[], &Case { caller: Some(&caller), secrets: &[secret], at, events, why });
}

fn called_after_a_person(plan: &mut Plan<'_>) {
    let place = Place { account: PROD, region: "us-east-1" };
    let secret = plan.cast.secret("checkout-flag-token");
    let role = plan.cast.role(PROD, "/", "alice-smith-chatbot");
    for day in (0..plan.days()).step_by(2) {
        let at = plan.start + day * DAY + 9 * HOUR + 90;
        let caller = host(&mut plan.random, plan.cast, role.clone(), place, Host::Ecs, true, at);
        let event = plan.get_parameters(at, &caller, &[secret], crate::plan::Outcome::Ok);
        if day == 30 {
            let why = "a service whose role is called after a person";
            let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
            plan.quiet(&[RULE, "off_hours_read"], &[], &case);
        }
    }
}
