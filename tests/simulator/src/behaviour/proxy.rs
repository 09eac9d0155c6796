//! The gateway in front of two paid APIs: callers sign with their role, the gateway injects the credential, and what is left of
//! it is access logs, as Firehose writes them: JSON objects one after another with nothing between them, some files gzipped.
//!
//! `userArn` has lost the role's path and `caller` is `AROA...:session`. A few calls carry a user agent whose quotes and
//! backslashes break the JSON around it, because the log's format is plain text substitution.

use rand::Rng;

use crate::{
    cast::{Cast, Host, ORGANISATION, PLATFORM, PROD, Place, Style, Unit, endpoint},
    clock::{HOUR, civil},
    identity::{Caller, host},
    json::Object,
    plan::Plan,
    random::{Random, alnum, chance, pick, random_for, uuid},
};

const API: &str = "k3f9x2p7qa";
/// Method, resource path, and what a caller would see as the path.
const RESOURCES: [(&str, &str); 4] = [
    ("POST", "/stripe/charges"),
    ("GET", "/stripe/charges/{id}"),
    ("POST", "/sendgrid/mail/send"),
    ("GET", "/sendgrid/stats"),
];
const CALLERS: [(&str, usize); 3] = [("svc-orders", 4), ("svc-payments", 2), ("svc-checkout", 3)];

/// Who calls, and how many of the resources.
pub(crate) fn callers(cast: &Cast) -> Vec<(String, usize)> {
    let named = CALLERS.iter().map(|&(name, allowed)| (name.to_owned(), allowed));
    let home = Place { account: PROD, region: "us-east-1" };
    let at_home = |unit: &&Unit| unit.place == home && unit.is_running() && unit.style != Style::Function;
    let units = cast.units.iter().filter(at_home).step_by(5).take(16);
    named.chain(units.enumerate().map(|(index, unit)| (unit.role_name(), 1 + index % 3))).collect()
}
const HOSTILE: &str = "Mozilla/5.0 \"}; DROP TABLE access; -- \\\\\" onload=\"\\x41";

/// One object that Firehose wrote.
pub(crate) struct AccessLog {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) gzip: bool,
    pub(crate) lines: u64,
}

const HOME: Place = Place { account: PLATFORM, region: "us-east-1" };

/// The canonical ids and names of the API's operations.
pub(crate) fn api_secrets() -> impl Iterator<Item = (String, String, Place)> {
    RESOURCES.iter().map(|(method, resource)| {
        let name = format!("{API}/prod/{method}/{}", resource.trim_start_matches('/'));
        (format!("arn:aws:execute-api:{}:{}:{name}", HOME.region, HOME.account), name, HOME)
    })
}

/// All access logs, one per six hours.
pub(crate) fn access_logs(plan: &Plan<'_>) -> Vec<AccessLog> {
    let mut random = random_for(plan.cast.seed, "access logs");
    let mut files = Vec::new();
    let mut sequence = 0_u32;
    let place = Place { account: PROD, region: "us-east-1" };
    let known = callers(plan.cast);
    let mut from = plan.start;
    while from < plan.end {
        let until = (from + 6 * HOUR).min(plan.end);
        // A caller without a session yet uses one of its own; a pair is first seen in the first hours of the window.
        let callers: Vec<_> = known
            .iter()
            .map(|(name, allowed)| {
                let fallback =
                    host(&mut random, plan.cast, plan.cast.role(PROD, "/", name), place, Host::Ecs, true, from);
                (plan.session_of(name, from).unwrap_or(fallback), *allowed)
            })
            .collect();
        let mut calls = Vec::new();
        for (who, (_, allowed)) in callers.iter().enumerate() {
            for resource in 0..*allowed {
                let times = if from == plan.start { 1 } else { random.random_range(0..6) };
                calls.extend((0..times).map(|_| (random.random_range(from..until), who, resource)));
            }
        }
        calls.sort_unstable();
        let mut text = String::new();
        for &(at, who, resource) in &calls {
            let first = from == plan.start;
            let hostile = !first && chance(&mut random, 0.001);
            let id = format!("{}=", alnum(&mut random, 15));
            line(&mut random, plan.cast.seed, &callers[who].0, resource, at, &id, first, hostile, &mut text);
        }
        let mut lines = calls.len() as u64;
        for call in plan.api_calls.iter().filter(|call| (from..until).contains(&call.at)) {
            line(&mut random, plan.cast.seed, &call.caller, call.resource, call.at, &call.id, true, false, &mut text);
            lines += 1;
        }
        sequence += 1;
        if lines > 0 {
            let gzip = sequence.is_multiple_of(3);
            files.push(AccessLog { path: path(&mut random, until, gzip), text, gzip, lines });
        }
        from = until;
    }
    files
}

fn path(random: &mut Random, at: i64, gzip: bool) -> String {
    let time = civil(at);
    format!(
        "apigw-access-logs/{}/{}/{:04}/{:02}/{:02}/{:02}/amazon-apigateway-secrets-proxy-1-{:04}-{:02}-{:02}-{:02}-{:02}-{:02}-{}{}",
        HOME.account,
        HOME.region,
        time.year,
        time.month,
        time.day,
        time.hour,
        time.year,
        time.month,
        time.day,
        time.hour,
        time.minute,
        time.second,
        uuid(random),
        if gzip { ".gz" } else { "" }
    )
}

#[expect(clippy::too_many_arguments, reason = "the parts of one log line, and one caller")]
fn line(
    random: &mut Random,
    seed: u64,
    caller: &Caller,
    resource: usize,
    at: i64,
    id: &str,
    first: bool,
    hostile: bool,
    out: &mut String,
) {
    let (method, path) = RESOURCES[resource];
    let status = match () {
        () if first => "200",
        () if hostile => "403",
        () if chance(random, 0.96) => "200",
        () => pick(random, &["400", "403", "404", "429", "502"]),
    };
    let denied = status == "403";
    let session = format!("{}:{}", caller.unique_id(), caller.session);
    let shown = path.replace("{id}", &format!("ch_{}", alnum(random, 14)));
    // Private endpoints of the caller's network; the gateway sees the address inside it.
    let from = Place { account: PROD, region: "us-east-1" };
    let written = Object::new()
        .raw("v", "1")
        .string("src", "apigw-rest")
        .string("extId", id)
        .string("reqId", &uuid(random))
        .string("t", &format!("{}", at * 1_000 + random.random_range(0..1_000)))
        .string("owner", HOME.account)
        .string("api", API)
        .string("stage", "prod")
        .string("method", method)
        .string("res", path)
        .string("path", &format!("/prod{shown}"))
        .string("status", status)
        .string("errType", if denied { "ACCESS_DENIED" } else { "-" })
        .string("authz", if denied { "403" } else { "200" })
        .string("authn", "200")
        .string("userArn", &caller.arn())
        .string("caller", &session)
        .string("user", &session)
        .string("acct", caller.account())
        .string("org", ORGANISATION)
        .string("cognito", "-")
        .string("authPrincipal", "-")
        .string("keyId", "-")
        .string("ip", &caller.address)
        .string("vpc", "vpc-0ab12cd34ef56ab78")
        .string("vpce", &endpoint(seed, from))
        .string("tls", "TLSv1.3")
        .string("dom", &format!("{API}.execute-api.us-east-1.amazonaws.com"));
    if hostile {
        // Plain substitution: what the caller sent is what is between the quotes.
        out.push_str(&written.raw("ua", &format!("\"{HOSTILE}\"")).end());
    } else {
        out.push_str(&written.string("ua", &caller.user_agent).end());
    }
}
