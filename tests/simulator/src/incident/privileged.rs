//! `root_use` and `long_term_key_read`. Quiet: a role with root in its name, root away from secrets, a key that has always read, and
//! a user's session with a second factor.

use crate::{
    cast::{DATA, PROD, Place, Style},
    clock::DAY,
    identity::{root, user},
    json::Object,
    plan::{Ask, Call, Case, Form, Outcome, Plan},
    random::iam_id,
};

const DATA_HOME: Place = Place { account: DATA, region: "us-east-1" };
const KEY_RULE: &str = "long_term_key_read";

pub(super) fn run(plan: &mut Plan<'_>) {
    by_root(plan);
    named_like_root(plan);
    root_elsewhere(plan);
    leaked_key(plan);
    known_key(plan);
    session_of_a_user(plan);
}

fn by_root(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(10.0, 1.0) else { return };
    let Some(unit) = plan.victim(|unit| unit.place.account == PROD && unit.style == Style::Deploys) else { return };
    let Some(&secret) = unit.own.iter().find(|&&own| plan.rotations_of(own).is_empty()) else { return };
    let caller = root(&mut plan.random, PROD, at);
    let event = read(plan, at, &caller, secret);
    let why = "the account's root reads a secret in the console";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&["root_use", "new_principal", "off_cidr_use"], &case);
}

fn read(plan: &mut Plan<'_>, at: i64, caller: &crate::identity::Caller, secret: usize) -> String {
    if plan.cast.secrets[secret].kind == crate::cast::Kind::Manager {
        plan.get_secret(Ask { form: Form::Name, ..Ask::new(at, caller, secret) })
    } else {
        plan.get_parameters(at, caller, &[secret], Outcome::Ok)
    }
}

/// A signer whose role is called after the root certificate.
fn named_like_root(plan: &mut Plan<'_>) {
    let place = Place { account: PROD, region: "us-east-1" };
    let secret = plan.cast.secret("checkout-flag-token");
    let role = plan.cast.role(PROD, "/root/", "root-ca-signer");
    for day in 0..plan.days() {
        let at = plan.start + day * DAY + 5 * 3_600 + 20;
        let caller =
            crate::identity::host(&mut plan.random, plan.cast, role.clone(), place, crate::cast::Host::Ec2, true, at);
        let event = plan.get_parameters(at, &caller, &[secret], Outcome::Ok);
        if day == 15 {
            let why = "the word root is in the name of a role, and nowhere else";
            plan.quiet(
                &["root_use", "new_principal"],
                &[],
                &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
            );
        }
    }
}

fn root_elsewhere(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(5.0, 1.0) else { return };
    let place = Place { account: PROD, region: "us-east-1" };
    let caller = root(&mut plan.random, PROD, at);
    let event = plan.call(place, at, &caller, Call::read("account", "GetContactInformation", Some("{}".to_owned())));
    let why = "root looks at the account's address, not at a secret";
    plan.quiet(&["root_use"], &[], &Case { caller: Some(&caller), secrets: &[], at, events: vec![event], why });
}

fn leaked_key(plan: &mut Plan<'_>) {
    let Some(at) = plan.somewhen(21.0, 1.0) else { return };
    let secret = plan.cast.secret("ml/hf-key");
    let caller = user(plan.cast, &mut plan.random, DATA_HOME, "svc-legacy-import", at);
    let event = read(plan, at, &caller, secret);
    let why = "a user's long-term key reads a secret that only a role has read";
    let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
    plan.expect(&[KEY_RULE, "new_principal"], &case);
}

/// The backup's key reads every week since the first day; once more on another day.
fn known_key(plan: &mut Plan<'_>) {
    let Some(at) = plan.some_working_day(28.0, 1.0) else { return };
    let caller = user(plan.cast, &mut plan.random, DATA_HOME, "svc-legacy-backup", at);
    let secret = plan.cast.secret("etl/s3-partner-key");
    let event = plan.get_secret(Ask::new(at, &caller, secret));
    let why = "a long-term key reads the secret that it has read every week";
    plan.quiet(
        &[KEY_RULE, "new_principal"],
        &[],
        &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
    );
}

/// A user of before the roles, who signs in with a second factor and then reads, all along.
fn session_of_a_user(plan: &mut Plan<'_>) {
    let secret = plan.cast.secret("etl/s3-partner-key");
    for day in (0..plan.days()).step_by(2) {
        let at = plan.start + day * DAY + 13 * 3_600 + 300;
        let mut caller = user(plan.cast, &mut plan.random, DATA_HOME, "data-steward", at);
        let request = Object::new()
            .raw("durationSeconds", "3600")
            .string("serialNumber", &format!("arn:aws:iam::{DATA}:mfa/data-steward"))
            .end();
        plan.call(DATA_HOME, at - 30, &caller, Call::read("sts", "GetSessionToken", Some(request)));
        caller.access_key = iam_id(&mut plan.random, "ASIA");
        let event = plan.get_secret(Ask::new(at, &caller, secret));
        if day == 20 {
            let why = "a user's temporary session, with a second factor";
            plan.quiet(
                &[KEY_RULE],
                &[],
                &Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why },
            );
        }
    }
}
