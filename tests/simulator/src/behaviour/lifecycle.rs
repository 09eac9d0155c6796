//! Secrets come and go: a new service with new secrets, values changed by hand, a deletion, parameters that Terraform made on
//! the first day, and a user's new access key.

use rand::Rng;

use crate::{
    cast::{DATA, Fate, Host, PLATFORM, PROD, Place},
    clock::{DAY, HOUR, MINUTE, locale_time},
    identity::{build_job, host, person, terraform, user},
    json::Object,
    plan::{Ask, Call, Form, Plan},
    random::iam_id,
};

const BY_HAND: &str = "ci/npm-token";
const OVERWRITTEN: &str = "/orders/feature-token";

/// Fixes when values are changed by hand.
pub(super) fn schedule(plan: &mut Plan<'_>) {
    if let Some(at) = plan.moment(0.6, 1.3, 4.0) {
        plan.schedule(plan.cast.secret(BY_HAND), at, "put_secret_value");
    }
    if let Some(at) = plan.moment(0.4, 1.3, 1.2) {
        plan.schedule(plan.cast.secret(OVERWRITTEN), at, "put_parameter");
    }
}

pub(super) fn run(plan: &mut Plan<'_>) {
    by_hand(plan);
    first_parameters(plan);
    new_service(plan);
    deletion(plan);
    access_key(plan);
}

fn by_hand(plan: &mut Plan<'_>) {
    let (token, parameter) = (plan.cast.secret(BY_HAND), plan.cast.secret(OVERWRITTEN));
    for rotation in plan.rotations_of(token) {
        let role = plan.cast.sso_role(PLATFORM, "Platform");
        let caller = person(&mut plan.random, role, "erin.diaz", rotation.at);
        plan.put_value(rotation.at, &caller, token, &rotation.version.unwrap_or_default(), None);
    }
    for rotation in plan.rotations_of(parameter) {
        let role = plan.cast.sso_role(PROD, "PowerUser");
        let caller = person(&mut plan.random, role, "carol.ortiz", rotation.at);
        plan.put_parameter(rotation.at, &caller, parameter, true, 2);
    }
}

/// Parameters that would be invisible otherwise are made before anybody could read them.
fn first_parameters(plan: &mut Plan<'_>) {
    let at = plan.start + 40 * MINUTE;
    for name in [
        "/legacy-app/smtp-password",
        "/legacy/config/endpoint-key",
        "/legacy/config/tenant-key",
        "/legacy/config/token",
        "/berlin-pos/old-pin-pad-key",
        "/payments/card-master-key",
    ] {
        // The bait is part of a fleet only.
        let Some(parameter) = plan.cast.secrets.iter().position(|secret| secret.name == name) else { continue };
        let role = plan.cast.role(plan.cast.secrets[parameter].place.account, "/", "terraform-apply");
        let caller = terraform(&mut plan.random, role, at);
        plan.put_parameter(at, &caller, parameter, false, 1);
    }
}

fn new_service(plan: &mut Plan<'_>) {
    let Some(made) = plan.moment(0.45, 1.2, 1.0) else { return };
    let place = Place { account: PROD, region: "us-east-1" };
    let deployer = plan.cast.role(PROD, "/", "github-actions-infra");
    let maker = build_job(&mut plan.random, deployer, "infra", made);
    let new: Vec<_> = (0..plan.cast.secrets.len())
        .filter(|&secret| {
            let owner = &plan.cast.secrets[secret];
            owner.fate == Fate::New && owner.name.trim_start_matches('/').starts_with("invoicing/")
        })
        .collect();
    super::units::create(plan, &maker, place, &new, "invoicing", made);
    let role = plan.cast.role(PROD, "/", "svc-invoicing");
    let names: Vec<_> = new.iter().map(|&secret| &*plan.cast.secrets[secret].name).collect();
    let mut starts = vec![made + 2 * HOUR, made + 5 * DAY];
    while let Some(&last) = starts.last()
        && last < plan.end
    {
        starts.push(last + 6 * DAY);
    }
    for (deploy, start) in starts.into_iter().enumerate() {
        for task in 0..2 {
            let at = start + plan.random.random_range(0..HOUR) + task * 30;
            if at + MINUTE >= plan.end {
                return;
            }
            let caller = host(&mut plan.random, plan.cast, role.clone(), place, Host::Ecs, true, at);
            plan.begin_session(place, at - 4, &role, &caller, "ecs-tasks.amazonaws.com");
            let events = super::services::read_all(plan, &caller, &names, Form::Name, at);
            if deploy == 0 && task == 0 {
                for rule in ["new_principal", "post_rotation_access"] {
                    plan.label(
                        rule,
                        false,
                        Some(&caller),
                        &new,
                        at,
                        events.clone(),
                        "a new service reads its own new secrets while they are being learnt",
                    );
                }
            }
        }
    }
}

/// A secret that was read on the first day, deleted later, and asked for once more in vain.
fn deletion(plan: &mut Plan<'_>) {
    let secret = plan.cast.secret("old/reporting-db");
    let place = plan.cast.secrets[secret].place;
    let role = plan.cast.role(PROD, "/", "svc-old-reporting");
    let at = plan.start + 7 * HOUR;
    let caller = host(&mut plan.random, plan.cast, role, place, Host::Ec2, true, at);
    plan.get_secret(Ask::new(at, &caller, secret));
    let Some(at) = plan.moment(0.2, 1.0, 0.5) else { return };
    plan.deleted.push((secret, at));
    let owner = &plan.cast.secrets[secret];
    let remover = plan.cast.sso_role(PROD, "PowerUser");
    let remover = person(&mut plan.random, remover, "bob.stone", at);
    let request = Object::new().string("secretId", &owner.id).raw("recoveryWindowInDays", "7").end();
    let response = Object::new()
        .string("arn", &owner.id)
        .string("name", &owner.name)
        .string("deletionDate", &locale_time(at + 7 * DAY))
        .end();
    let ended = format!("SecretDeleteMessage:{}:{}", owner.id, locale_time(at + 7 * DAY));
    plan.call(place, at, &remover, Call::write("secretsmanager", "DeleteSecret", request, Some(response)));
    plan.service_event(at + 7 * DAY + 20 * MINUTE, secret, "StartSecretVersionDelete", &ended, None);
    plan.service_event(at + 7 * DAY + 21 * MINUTE, secret, "EndSecretVersionDelete", &ended, None);
}

/// A long-term key is replaced; the answer holds its id, never the key.
fn access_key(plan: &mut Plan<'_>) {
    let Some(at) = plan.moment(0.35, 1.0, 0.1) else { return };
    let place = Place { account: DATA, region: "us-east-1" };
    let caller = user(plan.cast, &mut plan.random, place, "ops-admin", at);
    let key = iam_id(&mut plan.random, "AKIA");
    let request = Object::new().string("userName", "svc-legacy-import").end();
    let made = Object::new()
        .string("userName", "svc-legacy-import")
        .string("accessKeyId", &key)
        .string("status", "Active")
        .string("createDate", &locale_time(at))
        .end();
    plan.call(
        place,
        at,
        &caller,
        Call::write("iam", "CreateAccessKey", request, Some(Object::new().raw("accessKey", &made).end())),
    );
    let request = Object::new().string("userName", "svc-legacy-import").string("accessKeyId", &key).end();
    plan.call(place, at + 9 * HOUR, &caller, Call::write("iam", "DeleteAccessKey", request, None));
}
