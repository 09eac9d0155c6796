//! Jobs at fixed hours, each with its own shape of read: plain, batch, by path, through the pass-through name, across accounts,
//! by a user's long-term key, through a service that acts for a role, and by a service on its own.

use rand::Rng;

use super::services::read_all;
use crate::{
    cast::{DATA, Host, PLATFORM, PROD, Place, Role, SECURITY},
    clock::{DAY, HOUR, MINUTE},
    identity::{Caller, aws_service, function, host, user},
    json::Object,
    plan::{Ask, Call, Form, Plan},
};

/// The job whose role is deleted and made again, the share of the window when it happens, and its only parameter.
const RECREATED: (&str, f64, &str) = ("report-mailer", 0.8, "/users/smtp-password");

const USE1: &str = "us-east-1";

struct Job {
    name: &'static str,
    place: Place,
    hour: i64,
    every_days: i64,
    how: How,
    secrets: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum How {
    Plain,
    Lambda,
    Batch,
    Path(&'static str),
    Reference,
    User,
    Acting(&'static str),
    Service(&'static str),
    /// Through the endpoint, from a peered network that no CIDR of the policy covers.
    Peered,
}

const fn job(
    name: &'static str,
    account: &'static str,
    hour: i64,
    every_days: i64,
    how: How,
    secrets: &'static [&'static str],
) -> Job {
    Job { name, place: Place { account, region: USE1 }, hour, every_days, how, secrets }
}

const JOBS: &[Job] = &[
    job("nightly-backup", DATA, 2, 1, How::Plain, &["etl/warehouse-db", "/etl/jdbc-password"]),
    job(RECREATED.0, PROD, 6, 1, How::Plain, &[RECREATED.2]),
    job("analytics-export", DATA, 4, 1, How::Plain, &["reporting/replica-db"]),
    job("siem-forwarder", SECURITY, 1, 1, How::Lambda, &["sec/siem-token"]),
    job("config-loader", PLATFORM, 7, 2, How::Batch, &["loader/feed-a", "loader/feed-b", "loader/feed-c"]),
    job(
        "batch-runner",
        PLATFORM,
        5,
        2,
        How::Path("/legacy/config"),
        &["/legacy/config/endpoint-key", "/legacy/config/tenant-key", "/legacy/config/token"],
    ),
    job("token-minter", PROD, 3, 2, How::Reference, &["users/jwt-key"]),
    job("svc-legacy-backup", DATA, 11, 7, How::User, &["etl/s3-partner-key"]),
    job("codebuild-release", PLATFORM, 13, 3, How::Acting("codebuild.amazonaws.com"), &["ci/deploy-token"]),
    job("rds", PROD, 8, 7, How::Service("rds.amazonaws.com"), &["rds!cluster-6f0b9c1e-52d7-4c0e-9a61-3f0d4b7c8e21"]),
    job("ledger-archiver", PROD, 12, 2, How::Peered, &["payments/signing-key"]),
];

pub(super) fn run(plan: &mut Plan<'_>, incidents: bool) {
    let renewed = if incidents { plan.moment(RECREATED.1, 9.0, 1.5) } else { None };
    for job in JOBS {
        let mut labelled = false;
        for day in (0..plan.days()).step_by(job.every_days as usize) {
            let at = plan.start + day * DAY + job.hour * HOUR + plan.random.random_range(0..4 * MINUTE);
            let again = job.name == RECREATED.0 && renewed.is_some_and(|renewed| at > renewed);
            let path = if matches!(job.how, How::Acting(_)) { "/service-role/" } else { "/" };
            let role = plan.cast.role_generation(job.place.account, path, job.name, if again { 2 } else { 1 });
            let (caller, events) = once(plan, job, role, at);
            if again && !labelled {
                let secret = plan.cast.secret(RECREATED.2);
                plan.label("new_principal", true, Some(&caller), &[secret], at, events, "the role was deleted and made again under the same name: another unique id reads for the first time");
                labelled = true;
            } else if day >= 10 && !labelled {
                labelled = quiet(plan, job, &caller, at, events);
            }
        }
    }
    if let Some(at) = renewed {
        recreate(plan, at - MINUTE);
    }
}

fn once(plan: &mut Plan<'_>, job: &Job, role: Role, at: i64) -> (Caller, Vec<String>) {
    let place = job.place;
    let mut caller = match job.how {
        How::Lambda => function(&mut plan.random, plan.cast, role, place, job.name, at),
        How::User => user(plan.cast, &mut plan.random, place, job.name, at),
        How::Service(service) => aws_service(place.account, service),
        _ => host(&mut plan.random, plan.cast, role, place, Host::Ec2, true, at),
    };
    match job.how {
        How::Acting(service) => {
            service.clone_into(&mut caller.address);
            service.clone_into(&mut caller.user_agent);
            caller.invoked_by = Some(service);
            caller.endpoint = None;
        }
        How::Peered => caller.address = format!("172.31.9.{}", plan.random.random_range(4..40_u8)),
        _ => {}
    }
    let secrets: Vec<_> = job.secrets.iter().map(|name| plan.cast.secret(name)).collect();
    let events = match job.how {
        How::Batch => batch(plan, &caller, &secrets, at),
        How::Path(path) => {
            plan.get_path(at, &caller, path, &secrets);
            Vec::new()
        }
        How::Reference => {
            for &secret in &secrets {
                plan.get_reference(at, &caller, secret);
            }
            Vec::new()
        }
        _ => read_all(plan, &caller, job.secrets, Form::Full, at),
    };
    (caller, events)
}

fn batch(plan: &mut Plan<'_>, caller: &Caller, secrets: &[usize], at: i64) -> Vec<String> {
    let place = plan.cast.secrets[secrets[0]].place;
    let request =
        Object::new().raw("filters", r#"[{"key":"name","values":["loader/"]}]"#).raw("maxResults", "20").end();
    plan.call(place, at, caller, Call::read("secretsmanager", "BatchGetSecretValue", Some(request)));
    secrets.iter().map(|&secret| plan.get_secret(Ask { of_batch: true, ..Ask::new(at, caller, secret) })).collect()
}

/// Labels one run of a job that looks like something a rule is after. True when it did.
fn quiet(plan: &mut Plan<'_>, job: &Job, caller: &Caller, at: i64, events: Vec<String>) -> bool {
    let (rule, why) = match job.how {
        How::Batch => ("new_principal", "the entries of a batch by a known reader are not first reads"),
        How::Acting(_) => {
            ("off_cidr_use", "a service acts for the role: the address is the service's name, not a network")
        }
        How::Service(_) => ("off_cidr_use", "a service reads on its own: it has no address to judge"),
        How::Peered => {
            ("off_cidr_use", "the address is in no allowed block, but it came through an allowed VPC endpoint")
        }
        How::Plain if job.name == "analytics-export" => {
            ("new_principal", "a known reader from another account; the owner's copy of the record has no ARN")
        }
        _ => return false,
    };
    let secrets: Vec<_> = job.secrets.iter().map(|name| plan.cast.secret(name)).collect();
    plan.label(rule, false, Some(caller), &secrets, at, events, why);
    true
}

/// The IAM events of a role that is deleted and made again; IAM's trail is in us-east-1.
fn recreate(plan: &mut Plan<'_>, at: i64) {
    let place = Place { account: PROD, region: USE1 };
    let deployer = plan.cast.role(PROD, "/", "github-actions-infra");
    let caller = crate::identity::build_job(&mut plan.random, deployer, "infra", at);
    let new = plan.cast.role_generation(PROD, "/", RECREATED.0, 2);
    let named = Object::new().string("roleName", &new.name).end();
    plan.call(place, at, &caller, Call::write("iam", "DeleteRole", named, None));
    let request = Object::new()
        .string("roleName", &new.name)
        .string("path", "/")
        .string("assumeRolePolicyDocument", "{\"Version\":\"2012-10-17\"}")
        .end();
    let role = Object::new()
        .string("path", "/")
        .string("roleName", &new.name)
        .string("roleId", &new.unique_id)
        .string("arn", &new.arn())
        .end();
    plan.call(
        place,
        at + 40,
        &caller,
        Call::write("iam", "CreateRole", request, Some(Object::new().raw("role", &role).end())),
    );
}
