//! Runs the packs' samples: `fires/` must raise what they say, `quiet/` must not raise anything.
//!
//! In: packs, and the function that turns records into access events (the ingest stage owns that). Out: one [`Outcome`]
//! per sample, for nextest-like lines. Each sample is judged in memory, from an empty state: all records at once, then all
//! again; cut in three; event by event backwards; event by event in an order that is as good as random. What stands in
//! the end must be the same each time: that is how a rule proves that it goes by when events happened and not by when
//! they came.
//!
//! What the lake does when it commits and a sample needs, the version that a KMS `Decrypt` proves, is done here in the
//! same way for one sample; whatever else settles at commit needs a lake.

use std::{collections::BTreeMap, time::Duration};

use keytrail_alerts::{FoldChanges, Inbox, stands};
use keytrail_lake::schema::TableName;
use keytrail_model::{
    AccessEvent, Action, Alert, Evidence, Micros, Odd, Outcome as CallOutcome, Severity, VersionEvidence, time,
};
use serde::Serialize;

use crate::{
    engine::{Engine, JudgeError},
    error::{RuleError, RuleErrorKind},
    manifest::Run,
    pack::{Pack, SampleFile, SampleKind},
    sample::{Sample, SampleConfig},
    settings::RuleSettings,
    state::{State, table},
    tables::{self},
};

/// Turns one file of records into access events: name, bytes.
pub type Normalize<'a> = &'a (dyn Fn(&str, &[u8]) -> Result<Vec<AccessEvent>, String> + Sync);

/// How one sample went.
#[derive(Debug)]
pub struct Outcome {
    pub rule_id: String,
    pub kind: SampleKind,
    pub name: String,
    /// What went wrong, in words; `None` is a pass.
    pub failure: Option<String>,
    /// The reason sentences of what was raised.
    pub reasons: Vec<String>,
    pub took: Duration,
}

impl Outcome {
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

/// Runs every sample of the packs.
pub async fn run(packs: &[std::sync::Arc<Pack>], normalize: Normalize<'_>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for pack in packs {
        let mut bench = Bench::default();
        for file in &pack.samples {
            let started = std::time::Instant::now();
            let result = one(pack, file, normalize, &mut bench).await;
            let (failure, reasons) = match result {
                Ok(alerts) => (None, alerts.into_iter().map(|alert| alert.reason).collect()),
                Err(Failed { what, alerts }) => (Some(what), alerts.into_iter().map(|alert| alert.reason).collect()),
            };
            outcomes.push(Outcome {
                rule_id: pack.manifest.id.clone(),
                kind: file.kind,
                name: file.name.clone(),
                failure,
                reasons,
                took: started.elapsed(),
            });
        }
    }
    outcomes
}

struct Failed {
    what: String,
    alerts: Vec<Alert>,
}

impl From<RuleError> for Failed {
    fn from(error: RuleError) -> Self {
        Self { what: error.to_string(), alerts: Vec::new() }
    }
}

impl From<JudgeError> for Failed {
    fn from(error: JudgeError) -> Self {
        Self { what: error.to_string(), alerts: Vec::new() }
    }
}

/// The engine of the sample before: where the settings are the same, its plans are as well.
#[derive(Default)]
struct Bench {
    engine: Option<(SampleConfig, Engine)>,
}

impl Bench {
    /// An engine for a sample that remembers nothing.
    fn engine(&mut self, pack: &std::sync::Arc<Pack>, config: &SampleConfig) -> Engine {
        match self.engine.take() {
            Some((known, engine)) if known == *config => engine.emptied(),
            _ => {
                let settings = RuleSettings {
                    networks: config.networks.clone(),
                    readers: config.readers.clone(),
                    overrides: BTreeMap::from([(pack.manifest.id.clone(), config.rule.clone())]),
                    ..RuleSettings::default()
                };
                Engine::new(std::slice::from_ref(pack), settings, State::default(), Inbox::default())
            }
        }
    }
}

async fn one(
    pack: &std::sync::Arc<Pack>,
    file: &SampleFile,
    normalize: Normalize<'_>,
    bench: &mut Bench,
) -> Result<Vec<Alert>, Failed> {
    let rule_id = &pack.manifest.id;
    let sample = Sample::parse(rule_id, file)?;
    let json = serde_json::json!({ "Records": &sample.records }).to_string();
    let name = format!("{rule_id}/{}/{}.json", file.kind.folder(), file.name);
    let mut events = normalize(&name, json.as_bytes())
        .map_err(|error| RuleError::new(rule_id, &name, RuleErrorKind::Sample(error)))?;
    settle_versions(&mut events);
    events.sort_by(|a, b| (a.event_at, &a.event_id, a.record_index).cmp(&(b.event_at, &b.event_id, b.record_index)));
    let as_of = sample.as_of.or_else(|| events.last().map(|event| event.event_at)).unwrap_or(0);

    let whole = judge(pack, &sample, &[events.as_slice()], as_of, true, bench).await?;
    if let Some(what) = differs(&sample, &whole) {
        return Err(Failed { what, alerts: whole });
    }
    let wanted = standing(&whole);
    let (backwards, mixed) = (backwards(&events), mixed(&events));
    let orders = [("in three batches", pieces(&events)), ("backwards", slices(&backwards)), ("mixed", slices(&mixed))];
    for (how, batches) in orders {
        let alerts = judge(pack, &sample, &batches, as_of, false, bench).await?;
        let found = standing(&alerts);
        if wanted != found {
            let what = format!(
                "judging the records {how} gives other alerts than judging them at once: {}",
                difference(&wanted, &found)
            );
            return Err(Failed { what, alerts });
        }
    }
    Ok(whole)
}

/// What an alert says, as far as it must not depend on the order in which events came.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub rule_id: String,
    pub fold_key: Vec<String>,
    pub severity: Severity,
    pub title: String,
    pub reason: String,
    pub first_event_at: Micros,
    pub last_event_at: Micros,
    pub event_count: i64,
    pub evidence: Vec<Evidence>,
    pub why: Vec<Odd>,
}

/// The alerts that stand, without what follows from the order in which events came: ids, moments of raising.
pub fn standing<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Vec<Standing> {
    let mut standing: Vec<Standing> = alerts
        .into_iter()
        .filter(|alert| stands(alert))
        .map(|alert| Standing {
            rule_id: alert.rule_id.clone(),
            fold_key: alert.fold_key.clone(),
            severity: alert.severity,
            title: alert.title.clone(),
            reason: alert.reason.clone(),
            first_event_at: alert.first_event_at,
            last_event_at: alert.last_event_at,
            event_count: alert.event_count,
            evidence: alert.evidence.clone(),
            why: alert.why.clone(),
        })
        .collect();
    standing
        .sort_by(|a, b| (&a.rule_id, &a.fold_key, a.first_event_at).cmp(&(&b.rule_id, &b.fold_key, b.first_event_at)));
    standing
}

/// The first thing in which two outcomes differ, in words.
fn difference(wanted: &[Standing], found: &[Standing]) -> String {
    let said = |alert: &Standing| format!("{} ({} events)", alert.reason, alert.event_count);
    match wanted.iter().zip(found).find(|(wanted, found)| wanted != found) {
        Some((wanted, found)) if said(wanted) != said(found) => format!("\"{}\" / \"{}\"", said(wanted), said(found)),
        Some((wanted, found)) => format!("{wanted:?} / {found:?}"),
        None => format!("{} alerts / {} alerts", wanted.len(), found.len()),
    }
}

async fn judge(
    pack: &std::sync::Arc<Pack>,
    sample: &Sample,
    batches: &[&[AccessEvent]],
    as_of: Micros,
    twice: bool,
    bench: &mut Bench,
) -> Result<Vec<Alert>, Failed> {
    let mut engine = bench.engine(pack, &sample.config);
    if let Some(error) = engine.broken().first() {
        return Err(Failed { what: error.to_string(), alerts: Vec::new() });
    }
    let coverage = vec![tables::coverage(&sample.coverage).map_err(JudgeError::from)?];
    for events in batches {
        let batch = rows(events).map_err(JudgeError::from)?;
        engine.judge_batch(&batch, vec![false; events.len()], as_of).await?;
        if !twice {
            continue;
        }
        // The second time every row is one that came before, and nothing may change.
        let again = engine.judge_batch(&batch, vec![true; events.len()], as_of).await?;
        if !again.is_empty() {
            return Err(Failed {
                what: "judging the same rows again changed the alerts".to_owned(),
                alerts: again.all(),
            });
        }
    }
    if pack.manifest.run.contains(&Run::Schedule) {
        engine.judge_schedule(coverage.clone(), as_of, true).await?;
        let again = if twice { engine.judge_schedule(coverage, as_of, true).await? } else { FoldChanges::default() };
        if !again.is_empty() {
            return Err(Failed {
                what: "running the schedule again changed the alerts".to_owned(),
                alerts: again.all(),
            });
        }
    }
    let mut alerts: Vec<Alert> = engine.inbox().alerts().cloned().collect();
    alerts.sort_by(|a, b| (a.first_event_at, &a.alert_id).cmp(&(b.first_event_at, &b.alert_id)));
    bench.engine = Some((sample.config.clone(), engine));
    Ok(alerts)
}

/// Samples with more events than this are judged in a few batches: what one batch costs is the same for all.
const SINGLE_EVENTS_MAX: usize = 12;
const FEW_BATCHES: usize = 5;

fn slices(batches: &[Vec<AccessEvent>]) -> Vec<&[AccessEvent]> {
    batches.iter().map(Vec::as_slice).collect()
}

/// Event by event, the last one first.
fn backwards(events: &[AccessEvent]) -> Vec<Vec<AccessEvent>> {
    let mut single: Vec<&[AccessEvent]> = events.chunk_by(|a, b| a.event_id == b.event_id).collect();
    single.reverse();
    batches_of(&single)
}

/// Event by event, in an order that is always the same and has nothing to do with time.
fn mixed(events: &[AccessEvent]) -> Vec<Vec<AccessEvent>> {
    let mut single: Vec<&[AccessEvent]> = events.chunk_by(|a, b| a.event_id == b.event_id).collect();
    let mut random = single.len() as u64 + 1;
    for at in (1..single.len()).rev() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from((random >> 33) % (at as u64 + 1)).unwrap_or(0);
        single.swap(at, other);
    }
    batches_of(&single)
}

fn batches_of(single: &[&[AccessEvent]]) -> Vec<Vec<AccessEvent>> {
    let size = if single.len() > SINGLE_EVENTS_MAX { single.len().div_ceil(FEW_BATCHES) } else { 1 };
    single.chunks(size.max(1)).map(<[_]>::concat).collect()
}

/// The events cut in three: most of them, all but the last event, the last.
fn pieces(events: &[AccessEvent]) -> Vec<&[AccessEvent]> {
    let single: Vec<&[AccessEvent]> = events.chunk_by(|a, b| a.event_id == b.event_id).collect();
    let last = single.last().map_or(0, |event| event.len());
    let (before, last) = events.split_at(events.len() - last);
    let (most, rest) = before.split_at(before.len() * 2 / 3);
    // The rows of one event come together, as they do from the lake.
    let same = rest.iter().take_while(|row| most.last().is_some_and(|end| end.event_id == row.event_id)).count();
    let (most, rest) = before.split_at(most.len() + same);
    [most, rest, last].into_iter().filter(|piece| !piece.is_empty()).collect()
}

/// What the sample expects and did not get.
fn differs(sample: &Sample, alerts: &[Alert]) -> Option<String> {
    let expect = &sample.expect;
    if let Some(broken) = alerts.iter().find(|alert| alert.class == keytrail_model::AlertClass::RuleError) {
        return Some(broken.reason.clone());
    }
    if let Some(count) = expect.alerts
        && count != alerts.len()
    {
        let said: Vec<&str> = alerts.iter().map(|alert| alert.reason.as_str()).collect();
        return Some(format!("expected {count} alerts, got {}: {}", alerts.len(), said.join(" | ")));
    }
    let alert = alerts.first()?;
    let mut wrong = Vec::new();
    if let Some(principal) = &expect.principal_id
        && alert.principal_id.as_ref() != Some(principal)
    {
        wrong.push(format!("principal_id is {:?}", alert.principal_id));
    }
    if let Some(secrets) = &expect.secret_ids {
        let mut wanted = secrets.clone();
        wanted.sort();
        if wanted != alert.secret_ids {
            wrong.push(format!("secret_ids are {:?}", alert.secret_ids));
        }
    }
    if let Some(severity) = expect.severity
        && severity != alert.severity
    {
        wrong.push(format!("severity is {}", alert.severity));
    }
    if let Some(count) = expect.event_count
        && count != alert.event_count
    {
        wrong.push(format!("event_count is {}", alert.event_count));
    }
    if let Some(part) = &expect.reason
        && !alert.reason.contains(part.as_str())
    {
        wrong.push(format!("the reason is: {}", alert.reason));
    }
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// The version that a `Decrypt` made for a read proves, as the lake settles it.
fn settle_versions(events: &mut [AccessEvent]) {
    let decrypts: Vec<AccessEvent> = events
        .iter()
        .filter(|event| {
            event.action == Action::Decrypt && event.outcome == CallOutcome::Ok && event.version_id.is_some()
        })
        .cloned()
        .collect();
    for read in events.iter_mut() {
        if read.action != Action::Read || read.outcome != CallOutcome::Ok || read.version_id.is_some() {
            continue;
        }
        let proof = decrypts
            .iter()
            .filter(|it| it.principal_id == read.principal_id && it.secret_id == read.secret_id)
            .filter(|it| (it.event_at - read.event_at).abs() <= 2 * time::SECOND)
            .min_by_key(|it| (it.event_at - read.event_at).abs());
        if let Some(proof) = proof {
            read.version_id.clone_from(&proof.version_id);
            read.version_evidence = Some(VersionEvidence::Kms);
        }
    }
}

#[derive(Serialize)]
struct StoredRow<'a> {
    #[serde(flatten)]
    event: &'a AccessEvent,
    ingested_at: Micros,
    event_date: String,
    batch_id: &'static str,
}

/// Access events as rows of `access_events`.
fn rows(
    events: &[AccessEvent],
) -> Result<keytrail_lake::arrow::array::RecordBatch, keytrail_lake::arrow::error::ArrowError> {
    let schema = TableName::AccessEvents.spec().arrow_schema();
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let stored: Vec<StoredRow<'_>> = events
        .iter()
        .map(|event| StoredRow {
            event,
            ingested_at: event.event_at,
            event_date: time::utc_day(event.event_at),
            batch_id: "sample",
        })
        .collect();
    table(&fields, &stored)
}

#[cfg(test)]
#[path = "samples_tests.rs"]
pub(crate) mod tests;
