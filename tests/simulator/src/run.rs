//! The whole run: plan, deliver, label, mark. The marker `simulation.json` is written first as incomplete and last as complete,
//! so that a run that was cut short is started over and a finished one is recognised.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    behaviour::{self, proxy},
    cast::{Cast, Kind, NETWORKS, STREAMS, SYNC_AGENTS, UPKEEP, config_toml, endpoint},
    clock::rfc3339,
    delivery::deliver,
    error::{Result, SimulateError, SimulateErrorKind},
    incident,
    labels::{CoverageGap, Labels, Policy, PolicyNetwork, RotationEntry, SecretEntry},
    options::Options,
    plan::Plan,
    tree::{Tree, count_files},
};

/// Raised when the same options would write other bytes.
const FORMAT: u32 = 2;
const MARKER: &str = "simulation.json";
const LABELS: &str = "labels.json";

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Days delivered, summed over the places.
    pub done: u64,
    /// Days to deliver, summed over the places.
    pub total: u64,
    /// Files written.
    pub files: u64,
}

/// What a run wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Distinct records.
    pub records: u64,
    /// Of these, the ones planned around secrets (KMS evidence and sessions included).
    pub secret_records: u64,
    /// Records delivered a second time.
    pub duplicates: u64,
    /// Objects: trail files and access logs.
    pub files: u64,
    /// Lines in the access logs.
    pub access_log_lines: u64,
    /// Before compression.
    pub json_bytes: u64,
    /// As stored.
    pub stored_bytes: u64,
    /// Labels that must fire.
    pub expected: u64,
    /// Labels that must not.
    pub quiet: u64,
    /// The first instant of the window.
    pub from: String,
    /// The end of the window.
    pub horizon: String,
    /// False when the folder held the same run already.
    #[serde(skip)]
    pub written: bool,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    options: Options,
    complete: bool,
    summary: Summary,
}

/// Writes the simulation, or recognises that it is there.
pub fn simulate(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Summary> {
    options.check()?;
    if let Some(summary) = prepare(options)? {
        return Ok(summary);
    }
    let mut tree = Tree::new(&options.out);
    let marker = |complete, summary: &Summary| Marker {
        format: FORMAT,
        options: options.clone(),
        complete,
        summary: summary.clone(),
    };
    let mut summary = Summary::default();
    tree.write_json(MARKER, &marker(false, &summary))?;

    let cast = Cast::new(options.seed, options.secrets as usize);
    let mut plan = planned(options, &cast);
    let labels = labels(options, &plan);
    summary.secret_records = plan.events.len() as u64;
    let mut events = std::mem::take(&mut plan.events);
    let total = STREAMS.len() as u64 * u64::from(options.days);
    let mut done = 0;
    for stream in &STREAMS {
        let (mut here, rest): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.place == stream.place);
        events = rest;
        here.sort_by_key(|event| event.at);
        let interval = i64::from(options.file_interval_minutes) * 60;
        let delivered = deliver(&plan, stream, here, options.scale, interval, &mut tree, &mut |files, _| {
            done += 1;
            progress(Progress { done, total, files });
        })?;
        summary.records += delivered.records;
        summary.duplicates += delivered.duplicates;
    }
    debug_assert!(events.is_empty(), "every planned event belongs to a place the trail delivers for");
    if options.access_logs {
        for log in proxy::access_logs(&plan) {
            tree.write(&log.path, &log.text, log.gzip)?;
            summary.access_log_lines += log.lines;
        }
    }
    tree.write_json(LABELS, &labels)?;
    summary.files = tree.files;
    summary.json_bytes = tree.json_bytes;
    summary.stored_bytes = tree.stored_bytes;
    summary.expected = labels.expected.len() as u64;
    summary.quiet = labels.quiet.len() as u64;
    summary.from = rfc3339(plan.start);
    summary.horizon = rfc3339(plan.end);
    tree.write_json(MARKER, &marker(true, &summary))?;
    summary.written = true;
    Ok(summary)
}

/// Everything around secrets, before it is delivered.
pub(crate) fn planned<'c>(options: &Options, cast: &'c Cast) -> Plan<'c> {
    let mut plan = Plan::new(cast, options.window());
    plan.access_logs = options.access_logs;
    behaviour::run(&mut plan, options.incidents);
    if options.incidents {
        incident::run(&mut plan);
    }
    plan
}

/// Makes the folder; the summary of a finished run that is in it already.
fn prepare(options: &Options) -> Result<Option<Summary>> {
    let out = &options.out;
    let fail = |error: std::io::Error| SimulateError::new(out, error);
    fs::create_dir_all(out).map_err(fail)?;
    let marker = out.join(MARKER);
    if fs::read_dir(out).map_err(fail)?.next().is_none() {
        return Ok(None);
    }
    let foreign = || SimulateError::new(out, SimulateErrorKind::ForeignFolder);
    let text = fs::read(&marker).map_err(|_| foreign())?;
    let found: Marker = serde_json::from_slice(&text).map_err(|_| foreign())?;
    let same = Options { out: out.clone(), ..found.options } == *options;
    if !same || found.format != FORMAT {
        return Err(foreign());
    }
    if found.complete && delivered_files(out) == found.summary.files && out.join(LABELS).is_file() {
        return Ok(Some(found.summary));
    }
    for folder in ["AWSLogs", "apigw-access-logs"] {
        let folder = out.join(folder);
        if folder.is_dir() {
            fs::remove_dir_all(&folder).map_err(|error| SimulateError::new(&folder, error))?;
        }
    }
    Ok(None)
}

fn delivered_files(out: &Path) -> u64 {
    count_files(&out.join("AWSLogs")) + count_files(&out.join("apigw-access-logs"))
}

/// What `labels.json` says about a plan.
pub(crate) fn labels(options: &Options, plan: &Plan<'_>) -> Labels {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let time_of = |list: &[(usize, i64)], index: usize| {
        list.iter().find(|(secret, _)| *secret == index).map(|&(_, at)| rfc3339(at))
    };
    let mut secrets: Vec<_> = plan
        .cast
        .secrets
        .iter()
        .enumerate()
        .map(|(index, secret)| SecretEntry {
            secret_id: secret.id.clone(),
            name: secret.name.clone(),
            kind: if secret.kind == Kind::Manager { "secretsmanager" } else { "parameter" }.to_owned(),
            account: secret.place.account.to_owned(),
            region: secret.place.region.to_owned(),
            created_at: time_of(&plan.created, index),
            deleted_at: time_of(&plan.deleted, index),
            kms_evidence: secret.kind != Kind::Plain,
        })
        .collect();
    if options.access_logs {
        secrets.extend(proxy::api_secrets().map(|(secret_id, name, place)| SecretEntry {
            secret_id,
            name,
            kind: "api".to_owned(),
            account: place.account.to_owned(),
            region: place.region.to_owned(),
            created_at: None,
            deleted_at: None,
            kms_evidence: false,
        }));
    }
    let (mut expected, mut quiet): (Vec<_>, Vec<_>) = plan.labels.iter().cloned().partition(|label| label.must_fire);
    for list in [&mut expected, &mut quiet] {
        list.sort_by(|one, other| (&one.first_event_at, &one.rule_id).cmp(&(&other.first_event_at, &other.rule_id)));
    }
    let mut rotations: Vec<_> = plan.rotations.iter().collect();
    rotations.sort_by_key(|rotation| rotation.at);
    let endpoints: Vec<_> = STREAMS.iter().map(|stream| endpoint(plan.cast.seed, stream.place)).collect();
    let network = NETWORKS.iter().map(|entry| PolicyNetwork {
        secrets: owned(entry.secrets),
        principals: owned(entry.principals),
        cidrs: owned(entry.cidrs),
        vpc_endpoints: if entry.with_endpoints { endpoints.clone() } else { Vec::new() },
    });
    let gap_place = crate::cast::GAP_PLACE;
    Labels {
        options: options.clone(),
        horizon: rfc3339(plan.end),
        expected,
        quiet,
        unused: plan.unused(),
        stale_consumers: plan.stale_consumers(),
        rotations: rotations
            .into_iter()
            .map(|rotation| RotationEntry {
                secret_id: plan.cast.secrets[rotation.secret].id.clone(),
                rotation_at: rfc3339(rotation.at),
                version_id: rotation.version.clone(),
                how: rotation.how.to_owned(),
            })
            .collect(),
        gaps: plan
            .gap
            .iter()
            .map(|&(from, until)| CoverageGap {
                account: gap_place.account.to_owned(),
                region: gap_place.region.to_owned(),
                from: rfc3339(from),
                until: rfc3339(until),
            })
            .collect(),
        secrets,
        policy: Policy { network: network.collect(), upkeep: owned(UPKEEP), sync_agents: owned(SYNC_AGENTS) },
        config_toml: config_toml(plan.cast.seed),
    }
}
