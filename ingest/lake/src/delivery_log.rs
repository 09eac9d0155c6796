//! The deliveries' log: every step of telling a sink of an alert is a row, and the newest row of a delivery counts.
//!
//! In: steps. Out: deliveries as they stand. Whoever wants to tell a sink claims the delivery first, and a claim is a
//! compare-and-set on a counter in the table: of several workers that read the same log, one claims. What became of a
//! delivery is appended whatever else was written meanwhile.
//!
//! Invariant: a claim that [`Lake::claim_deliveries`] confirms was made by nobody else; one that it does not confirm was
//! not made, or its answer got lost and the log shows it at the next look.

use std::collections::HashMap;

use deltalake::{
    DeltaTable,
    arrow::array::{Array as _, RecordBatch},
    kernel::Action,
};
use futures::StreamExt;
use keytrail_model::{Delivery, DeliveryStep};

use crate::{
    alert_log::{lists, text_lists},
    encode::{Texts, collect, integer_column, integers, maybe_texts, moment_column, moments, texts},
    error::{At, LakeError, LakeErrorKind},
    lake::Lake,
    project::append,
    read,
    schema::TableName,
    table::{Draft, Landed, transaction, transaction_version, version_of},
    write::Purpose,
};

const NAME: TableName = TableName::DeliveryLog;
/// The application id of claims; its version counts them.
const APP: &str = "keytrail-deliveries";
/// Room for the steps of one commit in the sequence.
const SEQUENCE_STEP: i64 = 1_000_000;

/// The deliveries as one look at the log found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// How many claims had been committed: what the next claim is made against.
    pub claims: i64,
    pub by_id: HashMap<String, Delivery>,
}

/// What of the logs a look rests on: the versions of the alerts' and of the deliveries' log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogVersions {
    pub alerts: u64,
    pub deliveries: u64,
}

impl Lake {
    /// The versions of both logs: as long as they stay, no new look finds anything else.
    ///
    /// # Errors
    /// The logs cannot be read.
    pub async fn log_versions(&self) -> Result<LogVersions, LakeError> {
        let alerts = version_of(&self.inner.tables.get(TableName::AlertLog).latest().await?);
        let deliveries = version_of(&self.inner.tables.get(NAME).latest().await?);
        Ok(LogVersions { alerts, deliveries })
    }

    /// Every delivery as it stands.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn deliveries(&self) -> Result<Deliveries, LakeError> {
        let snapshot = self.inner.tables.get(NAME).latest().await?;
        let claims = claims_in(&snapshot).await?;
        let mut by_id: HashMap<String, Delivery> = HashMap::new();
        for (sequence, step) in self.steps(&snapshot).await? {
            match by_id.get_mut(&step.delivery_id) {
                Some(known) => {
                    known.first_at = known.first_at.min(step.at);
                    if sequence > known.sequence {
                        (known.sequence, known.step) = (sequence, step);
                    }
                }
                None => {
                    by_id.insert(step.delivery_id.clone(), Delivery { first_at: step.at, sequence, step });
                }
            }
        }
        Ok(Deliveries { claims, by_id })
    }

    /// Appends claims, and what they cover, if nobody has claimed since `seen` ([`Deliveries::claims`]). False where
    /// somebody has: then nothing is written, and what is due must be found anew.
    ///
    /// # Errors
    /// The log cannot be read or written, or was not confirmed; the next look tells what is recorded.
    pub async fn claim_deliveries(&self, steps: &[DeliveryStep], seen: i64) -> Result<bool, LakeError> {
        self.append_steps(steps, Some(seen)).await
    }

    /// Appends what became of deliveries.
    ///
    /// # Errors
    /// The log cannot be written; a delivery whose outcome is not recorded is tried again when its claim ends.
    pub async fn append_deliveries(&self, steps: &[DeliveryStep]) -> Result<(), LakeError> {
        self.append_steps(steps, None).await.map(|_| ())
    }

    async fn append_steps(&self, steps: &[DeliveryStep], seen: Option<i64>) -> Result<bool, LakeError> {
        let mut unconfirmed = false;
        let table = self.inner.tables.get(NAME);
        if steps.is_empty() {
            return Ok(true);
        }
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = table.latest().await?;
            // After a lost answer our own commit may be what is there: a claim names its worker and its moment.
            if unconfirmed && self.holds(&snapshot, steps).await? {
                return Ok(true);
            }
            let claims = claims_in(&snapshot).await?;
            if seen.is_some_and(|seen| seen != claims) {
                return Ok(false);
            }
            let version = i64::try_from(version_of(&snapshot) + 1).unwrap_or(i64::MAX / SEQUENCE_STEP);
            let batch = encode(steps, version.saturating_mul(SEQUENCE_STEP))?;
            let adds = self.write_rows(&snapshot, NAME, batch, Purpose::Fresh).await?;
            let draft = Draft {
                actions: adds.iter().cloned().map(Action::Add).collect(),
                metadata: HashMap::new(),
                transactions: seen.map(|seen| transaction(APP, seen + 1)).into_iter().collect(),
                operation: append(NAME),
            };
            match table.land(&snapshot, draft).await? {
                Landed::At(_) => return Ok(true),
                Landed::Lost => self.discard(&snapshot, &adds).await,
                Landed::Unknown => unconfirmed = true,
            }
            self.pause(attempt).await;
        }
        Err(LakeError::new(NAME, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    async fn holds(&self, snapshot: &DeltaTable, steps: &[DeliveryStep]) -> Result<bool, LakeError> {
        let Some(wanted) = steps.first() else { return Ok(true) };
        Ok(self.steps(snapshot).await?.iter().any(|(_, step)| step == wanted))
    }

    async fn steps(&self, snapshot: &DeltaTable) -> Result<Vec<(i64, DeliveryStep)>, LakeError> {
        let store = snapshot.log_store().object_store(None);
        let mut steps = Vec::new();
        for file in self.files(NAME).of(snapshot, NAME)? {
            let mut stream = read::open(store.clone(), &file, None, None).await?;
            while let Some(batch) = stream.next().await {
                steps.extend(decode(&batch.at(&file.path)?)?);
            }
        }
        Ok(steps)
    }
}

async fn claims_in(snapshot: &DeltaTable) -> Result<i64, LakeError> {
    Ok(transaction_version(snapshot, APP, NAME).await?.unwrap_or_default())
}

fn encode(steps: &[DeliveryStep], sequence: i64) -> Result<RecordBatch, LakeError> {
    collect(NAME.spec(), |column| {
        let text = |get: fn(&DeliveryStep) -> &str| texts(steps.iter().map(get));
        let maybe = |get: fn(&DeliveryStep) -> Option<&str>| maybe_texts(steps.iter().map(get));
        let number = |get: fn(&DeliveryStep) -> i64| integer_column(steps.iter().map(|step| Some(get(step))));
        Some(match column {
            "delivery_id" => text(|step| &step.delivery_id),
            "sink" => text(|step| &step.sink),
            "alert_ids" => text_lists(steps.iter().map(|step| &step.alert_ids)),
            "change" => text(|step| step.change.as_str()),
            "state" => text(|step| step.state.as_str()),
            "attempt" => number(|step| step.attempt.into()),
            "at" => moment_column(steps.iter().map(|step| Some(step.at))),
            "next_at" => moment_column(steps.iter().map(|step| step.next_at)),
            "worker" => text(|step| &step.worker),
            "status" => maybe(|step| step.status.as_deref()),
            "detail" => maybe(|step| step.detail.as_deref()),
            "title" => text(|step| &step.title),
            "severity" => text(|step| step.severity.as_str()),
            "event_count" => number(|step| step.event_count),
            "secret_count" => number(|step| step.secret_count),
            "sequence" => integer_column((sequence..).take(steps.len()).map(Some)),
            _ => return None,
        })
    })
}

fn decode(batch: &RecordBatch) -> Result<Vec<(i64, DeliveryStep)>, LakeError> {
    let text = |name| Texts::of(batch, name);
    let (delivery_id, sink, change, state) = (text("delivery_id")?, text("sink")?, text("change")?, text("state")?);
    let (worker, status, detail) = (text("worker")?, text("status")?, text("detail")?);
    let (title, severity) = (text("title")?, text("severity")?);
    let (at, next_at) = (moments(batch, "at")?, moments(batch, "next_at")?);
    let (attempt, sequence) = (integers(batch, "attempt")?, integers(batch, "sequence")?);
    let (event_count, secret_count) = (integers(batch, "event_count")?, integers(batch, "secret_count")?);
    let alert_ids = lists(batch, "alert_ids")?;
    let owned = |texts: &Texts, row| texts.maybe(row).map(str::to_owned);
    (0..batch.num_rows())
        .map(|row| {
            let step = DeliveryStep {
                delivery_id: delivery_id.always(row)?.to_owned(),
                sink: sink.always(row)?.to_owned(),
                alert_ids: alert_ids.get(row).cloned().unwrap_or_default(),
                change: change.word(row)?,
                state: state.word(row)?,
                attempt: u32::try_from(attempt.value(row)).unwrap_or_default(),
                at: at.value(row),
                next_at: next_at.is_valid(row).then(|| next_at.value(row)),
                worker: worker.always(row)?.to_owned(),
                status: owned(&status, row),
                detail: owned(&detail, row),
                title: title.always(row)?.to_owned(),
                severity: severity.word(row)?,
                event_count: event_count.value(row),
                secret_count: secret_count.value(row),
            };
            Ok((sequence.value(row), step))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use keytrail_model::{DeliveryChange, DeliveryState, Severity};

    use super::*;
    use crate::{
        session::SessionSettings,
        testing::{lake, lines},
    };

    fn step(id: &str, state: DeliveryState, at: i64) -> DeliveryStep {
        DeliveryStep {
            delivery_id: id.to_owned(),
            sink: "on call".to_owned(),
            alert_ids: vec!["a".to_owned(), "b".to_owned()],
            change: DeliveryChange::Trigger,
            state,
            attempt: 1,
            at,
            next_at: (state == DeliveryState::Claimed).then_some(at + 10),
            worker: "w".to_owned(),
            status: None,
            detail: (state == DeliveryState::Failed).then(|| "a \"reason\" \u{202e}".to_owned()),
            title: "a title".to_owned(),
            severity: Severity::High,
            event_count: 3,
            secret_count: 2,
        }
    }

    #[tokio::test]
    async fn the_newest_step_counts_and_nothing_is_lost() {
        let (_folder, lake) = lake().await;
        assert_eq!(lake.deliveries().await.expect("a look"), Deliveries::default());
        let claims = [step("one", DeliveryState::Claimed, 5), step("two", DeliveryState::Claimed, 5)];
        assert!(lake.claim_deliveries(&claims, 0).await.expect("a claim"));
        let failed = step("one", DeliveryState::Failed, 7);
        lake.append_deliveries(std::slice::from_ref(&failed)).await.expect("an outcome");
        let found = lake.deliveries().await.expect("a look");
        assert_eq!((found.claims, found.by_id.len()), (1, 2));
        assert_eq!((&found.by_id["one"].step, found.by_id["one"].first_at), (&failed, 5));
        assert_eq!(found.by_id["two"].step, claims[1]);
        let session = lake.session(&SessionSettings::default()).await.expect("a session");
        let sql = "SELECT delivery_id, state, alert_id, attempt, covered_by FROM alert_deliveries ORDER BY delivery_id";
        let rows = session.sql(sql).await.expect("a plan").collect().await.expect("rows");
        assert_eq!(lines(rows), ["one|failed|a|1|-", "two|claimed|a|1|-"]);
    }

    #[tokio::test]
    async fn of_two_who_saw_the_same_log_one_claims() {
        let (_folder, lake) = lake().await;
        let seen = lake.deliveries().await.expect("a look").claims;
        assert!(lake.claim_deliveries(&[step("one", DeliveryState::Claimed, 5)], seen).await.expect("a claim"));
        assert!(!lake.claim_deliveries(&[step("one", DeliveryState::Claimed, 6)], seen).await.expect("no claim"));
        // What became of a delivery is no claim, and stands in nobody's way.
        lake.append_deliveries(&[step("one", DeliveryState::Delivered, 7)]).await.expect("an outcome");
        assert!(lake.claim_deliveries(&[step("two", DeliveryState::Claimed, 8)], seen + 1).await.expect("a claim"));
        let found = lake.deliveries().await.expect("a look");
        assert_eq!(found.by_id["one"].step.state, DeliveryState::Delivered);
        assert_eq!(found.claims, 2);
    }

    #[tokio::test]
    async fn both_logs_tell_when_there_is_something_new() {
        let (_folder, lake) = lake().await;
        let before = lake.log_versions().await.expect("versions");
        assert_eq!(lake.log_versions().await.expect("versions"), before);
        lake.append_deliveries(&[step("one", DeliveryState::Parked, 7)]).await.expect("a step");
        let after = lake.log_versions().await.expect("versions");
        assert_eq!((after.alerts, after.deliveries), (before.alerts, before.deliveries + 1));
    }
}
