//! A corpus for benchmarks: the same records as a simulation, without a story, in objects of very different sizes.
//!
//! Objects hold 200 to 20,000 records each. The given share of records is what `scope = "secrets"` keeps: calls for secrets
//! with their KMS evidence, and the few people and roles that take up a role. As in real trails most sessions are those of
//! AWS services, and public parameters are asked for now and then. Same options, same bytes.

use std::path::PathBuf;

use rand::Rng;

use crate::{
    behaviour::noise::Noise,
    cast::{Cast, Host, Kind, STREAMS},
    delivery::{envelope, file_path},
    error::{Result, SimulateError, SimulateErrorKind},
    identity::{aws_service, host},
    plan::{Ask, Outcome, Plan},
    random::{alnum, chance, pick, random_for},
    tree::Tree,
};

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub struct CorpusOptions {
    /// The folder; must be empty or missing.
    pub out: PathBuf,
    /// Stop after this much JSON.
    pub target_json_bytes: u64,
    /// Everything random follows from this.
    pub seed: u64,
    /// The share of records that a reader of secrets keeps, KMS evidence and sessions of people and roles included.
    pub secrets_share: f64,
}

impl CorpusOptions {
    /// Five hundred megabytes, three records in a hundred about secrets.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self { out: out.into(), target_json_bytes: 500_000_000, seed: 7, secrets_share: 0.03 }
    }
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CorpusSummary {
    /// Objects.
    pub files: u64,
    /// Records in them.
    pub records: u64,
    /// Of these, the ones that a reader of secrets keeps.
    pub secret_records: u64,
    /// Before compression.
    pub json_bytes: u64,
    /// As stored.
    pub stored_bytes: u64,
}

const START: i64 = 1_785_542_400;

/// Of the sessions in the noise, those that people and roles take up; AWS services take up the others.
const OWN_SESSIONS: f64 = 0.05;
/// The share of all records that these come to.
const OWN_SESSIONS_SHARE: f64 = 0.002;
/// Of the calls for public parameters in the noise, those that stay.
const PUBLIC_PARAMETERS: f64 = 0.05;

const PUBLIC_PARAMETER: &str = "/aws/service/";
const SESSION: &str = "\"eventName\":\"AssumeRole\"";
const BY_SERVICE: &str = "\"userIdentity\":{\"type\":\"AWSService\"";
const SERVICES: &[&str] = &[
    "ec2.amazonaws.com",
    "lambda.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "config.amazonaws.com",
    "autoscaling.amazonaws.com",
    "delivery.logs.amazonaws.com",
];

/// The same session, taken up by an AWS service: no TLS, its own name for an address.
fn taken_up_by_service(record: &str, account: &'static str, service: &'static str) -> String {
    let caller = aws_service(account, service);
    let between = |from: &str, to: &str| {
        let (_, rest) = record.split_once(from).unwrap_or_default();
        rest.split_once(to).map_or(rest, |(part, _)| part)
    };
    let middle = between(",\"eventTime\":", ",\"sourceIPAddress\":");
    let rest = between(",\"requestParameters\":", ",\"vpcEndpointId\":");
    let rest = rest.split_once(",\"tlsDetails\":").map_or(rest.trim_end_matches('}'), |(before, _)| before);
    let rest = rest.split_once(",\"eventCategory\":").map_or(rest, |(before, _)| before);
    format!(
        "{{\"eventVersion\":\"1.11\",\"userIdentity\":{},\"eventTime\":{middle},\"sourceIPAddress\":\"{service}\",\
         \"userAgent\":\"{service}\",\"requestParameters\":{rest},\"eventCategory\":\"Management\"}}",
        caller.identity(),
    )
}

/// Writes a corpus.
pub fn corpus(options: &CorpusOptions) -> Result<CorpusSummary> {
    if !(0.0..=1.0).contains(&options.secrets_share) {
        let kind = SimulateErrorKind::Option { name: "secrets_share", expected: "between 0 and 1" };
        return Err(SimulateError::new(&options.out, kind));
    }
    if std::fs::read_dir(&options.out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(SimulateError::new(&options.out, SimulateErrorKind::ForeignFolder));
    }
    let cast = Cast::new(options.seed, 0);
    let mut plan = Plan::new(&cast, (START, START + 36_500 * 86_400));
    plan.gap = None;
    let mut random = random_for(options.seed, "corpus");
    let mut noises: Vec<_> = STREAMS.iter().map(|stream| Noise::new(&cast, stream.place)).collect();
    let mut tree = Tree::new(&options.out);
    let mut summary = CorpusSummary::default();
    let mut at = START;
    while tree.json_bytes < options.target_json_bytes {
        let stream = random.random_range(0..STREAMS.len());
        let place = STREAMS[stream].place;
        // As many objects of hundreds of records as of thousands and of tens of thousands.
        let size = 200.0 * 100.0_f64.powf(random.random());
        let mut records = Vec::with_capacity(size as usize + 1);
        let secrets: Vec<_> = (0..cast.secrets.len()).filter(|&secret| cast.secrets[secret].place == place).collect();
        while records.len() < size as usize {
            let when = at + random.random_range(0..300);
            let mut json = String::with_capacity(1_800);
            // A read is two records: the call and its evidence.
            let share = (options.secrets_share - OWN_SESSIONS_SHARE).max(0.0);
            if chance(&mut random, share / (2.0 - share)) {
                let secret = *pick(&mut random, &secrets);
                let role = cast.role(
                    place.account,
                    "/",
                    &format!(
                        "svc-{}",
                        cast.secrets[secret].name.trim_start_matches('/').split('/').next().unwrap_or("app")
                    ),
                );
                let caller = host(&mut random, &cast, role, place, Host::Ecs, true, when);
                if cast.secrets[secret].kind == Kind::Manager {
                    plan.get_secret(Ask::new(when, &caller, secret));
                } else {
                    plan.get_parameters(when, &caller, &[secret], Outcome::Ok);
                }
                plan.ledger.clear();
                for event in plan.events.drain(..) {
                    records.push(event.json);
                    summary.secret_records += 1;
                }
                continue;
            }
            noises[stream].write(when, &mut json);
            if json.contains(PUBLIC_PARAMETER) && !chance(&mut random, PUBLIC_PARAMETERS) {
                continue;
            }
            if json.contains(SESSION) && !json.contains(BY_SERVICE) {
                if chance(&mut random, OWN_SESSIONS) {
                    summary.secret_records += 1;
                } else {
                    let service = pick::<&str>(&mut random, SERVICES);
                    json = taken_up_by_service(&json, place.account, service);
                }
            }
            records.push(json);
        }
        at += 60;
        let suffix = alnum(&mut random, 16);
        tree.write(&file_path(place, at + 300, &suffix), &envelope(&records), true)?;
        summary.records += records.len() as u64;
    }
    summary.files = tree.files;
    summary.json_bytes = tree.json_bytes;
    summary.stored_bytes = tree.stored_bytes;
    Ok(summary)
}
