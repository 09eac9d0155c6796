//! Runs the packs' samples: `fires/` must raise what they say, `quiet/` must not raise anything.
//!
//! In: packs, and the function that turns records into access events (the ingest stage owns that). Out: one [`Outcome`]
//! per sample, for nextest-like lines. Each sample is judged in memory, from an empty state: all records at once;
//! those of `fires/` all again, and cut in three: the alerts must be the same.
//!
//! What the lake does when it commits and a sample needs, the version that a KMS `Decrypt` proves, is done here in the
//! same way for one sample; whatever else settles at commit needs a lake.

use std::{collections::BTreeMap, time::Duration};

use keytrail_alerts::{FoldChanges, Inbox};
use keytrail_lake::schema::TableName;
use keytrail_model::{AccessEvent, Action, Alert, Micros, Outcome as CallOutcome, VersionEvidence, time};
use serde::Serialize;

use crate::{
    engine::{Engine, JudgeError},
    error::{RuleError, RuleErrorKind},
    manifest::Run,
    pack::{Pack, SampleFile, SampleKind},
    sample::Sample,
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
        for file in &pack.samples {
            let started = std::time::Instant::now();
            let result = one(pack, file, normalize).await;
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

async fn one(pack: &std::sync::Arc<Pack>, file: &SampleFile, normalize: Normalize<'_>) -> Result<Vec<Alert>, Failed> {
    let rule_id = &pack.manifest.id;
    let sample = Sample::parse(rule_id, file)?;
    let json = serde_json::json!({ "Records": &sample.records }).to_string();
    let name = format!("{rule_id}/{}/{}.json", file.kind.folder(), file.name);
    let mut events = normalize(&name, json.as_bytes())
        .map_err(|error| RuleError::new(rule_id, &name, RuleErrorKind::Sample(error)))?;
    settle_versions(&mut events);
    events.sort_by(|a, b| (a.event_at, &a.event_id, a.record_index).cmp(&(b.event_at, &b.event_id, b.record_index)));
    let as_of = sample.as_of.or_else(|| events.last().map(|event| event.event_at)).unwrap_or(0);

    let fires = file.kind == SampleKind::Fires;
    let whole = judge(pack, &sample, &[events.as_slice()], as_of, fires).await?;
    let pieces = if fires { judge(pack, &sample, &pieces(&events), as_of, false).await? } else { whole.clone() };
    if let Some(what) = differs(&sample, &whole) {
        return Err(Failed { what, alerts: whole });
    }
    let brief = |alerts: &[Alert]| -> Vec<(String, String)> {
        alerts.iter().map(|alert| (alert.alert_id.clone(), alert.reason.clone())).collect()
    };
    if brief(&whole) != brief(&pieces) {
        let what = "judging the records in three batches gives other alerts than judging them at once".to_owned();
        return Err(Failed { what, alerts: pieces });
    }
    Ok(whole)
}

async fn judge(
    pack: &std::sync::Arc<Pack>,
    sample: &Sample,
    batches: &[&[AccessEvent]],
    as_of: Micros,
    twice: bool,
) -> Result<Vec<Alert>, Failed> {
    let settings = RuleSettings {
        networks: sample.config.networks.clone(),
        readers: sample.config.readers.clone(),
        overrides: BTreeMap::from([(pack.manifest.id.clone(), sample.config.rule.clone())]),
        ..RuleSettings::default()
    };
    let mut engine = Engine::new(std::slice::from_ref(pack), settings, State::default(), Inbox::default());
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
    Ok(alerts)
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
