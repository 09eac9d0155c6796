//! A corpus for benchmarks: the same records as a simulation, without a story, in objects of very different sizes.
//!
//! Objects hold 200 to 20,000 records each; the given share of records is about secrets. Same options, same bytes.

use std::path::PathBuf;

use rand::Rng;

use crate::{
    behaviour::noise::Noise,
    cast::{Cast, Host, Kind, STREAMS},
    delivery::{envelope, file_path},
    error::{Result, SimulateError, SimulateErrorKind},
    identity::host,
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
    /// The share of records about secrets, KMS evidence included.
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
    /// Of these, the ones about secrets.
    pub secret_records: u64,
    /// Before compression.
    pub json_bytes: u64,
    /// As stored.
    pub stored_bytes: u64,
}

const START: i64 = 1_785_542_400;

/// Writes a corpus.
pub fn corpus(options: &CorpusOptions) -> Result<CorpusSummary> {
    if !(0.0..=1.0).contains(&options.secrets_share) {
        let kind = SimulateErrorKind::Option { name: "secrets_share", expected: "between 0 and 1" };
        return Err(SimulateError::new(&options.out, kind));
    }
    if std::fs::read_dir(&options.out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(SimulateError::new(&options.out, SimulateErrorKind::ForeignFolder));
    }
    let cast = Cast::new(options.seed);
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
            if chance(&mut random, options.secrets_share / (2.0 - options.secrets_share)) {
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
