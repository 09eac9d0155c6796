//! What a trail misses, and how to mend it.
//!
//! In: a [`TrailFact`] as the calls left it. Out: findings, worst first, each with a sentence and an `aws` command. Nothing that is
//! unknown is judged; the command never drops selectors of data events.

use super::{
    TrailFact,
    selectors::{Kept, Probe, Selectors},
};

const SECRETS_MANAGER: &str = "secretsmanager.amazonaws.com";
const PARAMETER_STORE: &str = "ssm.amazonaws.com";
const KMS: &str = "kms.amazonaws.com";

const fn read(source: &'static str, name: &'static str) -> Probe {
    Probe { source, name, is_read: true }
}

const fn write(source: &'static str, name: &'static str) -> Probe {
    Probe { source, name, is_read: false }
}

/// The events that tell of a use of a secret.
const READS: [(&str, &[Probe]); 3] = [
    ("Secrets Manager", &[read(SECRETS_MANAGER, "GetSecretValue"), read(SECRETS_MANAGER, "BatchGetSecretValue")]),
    (
        "Parameter Store",
        &[
            read(PARAMETER_STORE, "GetParameter"),
            read(PARAMETER_STORE, "GetParameters"),
            read(PARAMETER_STORE, "GetParametersByPath"),
            read(PARAMETER_STORE, "GetParameterHistory"),
        ],
    ),
    ("KMS", &[read(KMS, "Decrypt")]),
];

/// The events that tell of a secret's own life.
const WRITES: [(&str, &[Probe]); 2] = [
    (
        "Secrets Manager",
        &[
            write(SECRETS_MANAGER, "CreateSecret"),
            write(SECRETS_MANAGER, "PutSecretValue"),
            write(SECRETS_MANAGER, "UpdateSecretVersionStage"),
            write(SECRETS_MANAGER, "RotateSecret"),
            write(SECRETS_MANAGER, "DeleteSecret"),
        ],
    ),
    ("Parameter Store", &[write(PARAMETER_STORE, "PutParameter"), write(PARAMETER_STORE, "DeleteParameter")]),
];

/// What is wrong with a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrailProblem {
    NotLogging,
    /// No management event is kept.
    DropsManagement,
    /// Reads of these services are dropped, or some of them.
    DropsReads {
        services: Vec<&'static str>,
        only_some: bool,
    },
    /// Changes of secrets in these services are dropped, or some of them.
    DropsWrites {
        services: Vec<&'static str>,
        only_some: bool,
    },
    ExcludesKms,
    DeliveryError(String),
    SingleRegion,
}

impl TrailProblem {
    /// A short word for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotLogging => "not_logging",
            Self::DropsManagement => "drops_management",
            Self::DropsReads { .. } => "drops_reads",
            Self::DropsWrites { .. } => "drops_writes",
            Self::ExcludesKms => "excludes_kms",
            Self::DeliveryError(_) => "delivery_error",
            Self::SingleRegion => "single_region",
        }
    }
}

/// A problem, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailFinding {
    pub problem: TrailProblem,
    /// What is not seen because of it.
    pub missed: String,
    /// The command that mends it, or shows more.
    pub mend: String,
}

/// Everything that is wrong with a trail, if these regions are to be seen (every region, where none are named).
pub fn judge(fact: &TrailFact, regions: &[String]) -> Vec<TrailFinding> {
    let mut problems = Vec::new();
    if fact.is_logging == Some(false) {
        problems.push(TrailProblem::NotLogging);
    }
    if let Some(error) = &fact.delivery_error {
        problems.push(TrailProblem::DeliveryError(error.clone()));
    }
    if let Some(selectors) = &fact.selectors {
        problems.extend(dropped(selectors));
    }
    let elsewhere = regions.is_empty() || regions.iter().any(|region| *region != fact.home_region);
    if !fact.is_multi_region && elsewhere {
        problems.push(TrailProblem::SingleRegion);
    }
    let finding =
        |problem: TrailProblem| TrailFinding { missed: missed(&problem, fact), mend: mend(&problem, fact), problem };
    problems.into_iter().map(finding).collect()
}

fn dropped(selectors: &Selectors) -> Vec<TrailProblem> {
    let keep = |(service, probes): &(&'static str, &[Probe])| (*service, selectors.keep(probes));
    let reads: Vec<_> = READS.iter().map(keep).collect();
    let writes: Vec<_> = WRITES.iter().map(keep).collect();
    if reads.iter().chain(&writes).all(|(_, kept)| *kept == Kept::Nothing) {
        return vec![TrailProblem::DropsManagement];
    }
    let lacking = |services: &[(&'static str, Kept)]| {
        let lacking: Vec<_> = services.iter().filter(|(_, kept)| *kept != Kept::All).copied().collect();
        let only_some = lacking.iter().any(|(_, kept)| *kept == Kept::Some);
        (lacking.into_iter().map(|(service, _)| service).collect::<Vec<_>>(), only_some)
    };
    let mut problems = Vec::new();
    match lacking(&reads) {
        (services, _) if services.is_empty() => {}
        // KMS alone has a cause of its own, and a lesser effect.
        (services, _) if services == ["KMS"] => problems.push(TrailProblem::ExcludesKms),
        (services, only_some) => problems.push(TrailProblem::DropsReads { services, only_some }),
    }
    let (services, only_some) = lacking(&writes);
    if !services.is_empty() {
        problems.push(TrailProblem::DropsWrites { services, only_some });
    }
    problems
}

fn missed(problem: &TrailProblem, fact: &TrailFact) -> String {
    let TrailFact { name, home_region, .. } = fact;
    let some = |only_some: bool| if only_some { "some of the " } else { "the " };
    match problem {
        TrailProblem::NotLogging => format!("trail {name} is switched off: nothing is recorded"),
        TrailProblem::DropsManagement => {
            format!("trail {name} keeps no management events: no use and no change of a secret is seen")
        }
        TrailProblem::DropsReads { services, only_some } => format!(
            "trail {name} drops {}read events of {}: who used a secret there is not seen",
            some(*only_some),
            services.join(", ")
        ),
        TrailProblem::DropsWrites { services, only_some } => format!(
            "trail {name} drops {}write events of {}: rotations, changes and deletions there are not seen",
            some(*only_some),
            services.join(", ")
        ),
        TrailProblem::ExcludesKms => format!(
            "trail {name} drops KMS events: which version of a secret was read, and which parameters a path gave, is not seen"
        ),
        TrailProblem::DeliveryError(error) => {
            let bucket = fact.bucket.as_deref().unwrap_or("its bucket");
            format!("trail {name} could not deliver to {bucket} ({error}): what happened since then is not seen")
        }
        TrailProblem::SingleRegion => {
            format!("trail {name} records {home_region} only: uses of secrets in other regions are not seen")
        }
    }
}

fn mend(problem: &TrailProblem, fact: &TrailFact) -> String {
    let command =
        |verb: &str, rest: &str| format!("aws cloudtrail {verb} --region {} {rest}", quoted(&fact.home_region));
    let arn = quoted(&fact.arn);
    match problem {
        TrailProblem::NotLogging => command("start-logging", &format!("--name {arn}")),
        TrailProblem::DeliveryError(_) => command("get-trail-status", &format!("--name {arn}")),
        TrailProblem::SingleRegion => command("update-trail", &format!("--name {arn} --is-multi-region-trail")),
        TrailProblem::DropsManagement
        | TrailProblem::DropsReads { .. }
        | TrailProblem::DropsWrites { .. }
        | TrailProblem::ExcludesKms => {
            let mended = fact.selectors.clone().unwrap_or_default().mended();
            let (option, json) = if mended.advanced.is_empty() {
                ("--event-selectors", serde_json::to_string(&mended.basic))
            } else {
                ("--advanced-event-selectors", serde_json::to_string(&mended.advanced))
            };
            let json = json.unwrap_or_default();
            command("put-event-selectors", &format!("--trail-name {arn} {option} {}", quoted(&json)))
        }
    }
}

/// For a shell: what is not plain stands in single quotes.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'/' | b'.');
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
