//! The stored rows that a batch may concern: found by a narrow scan of the files of its days.
//!
//! In: the facts of a batch and a snapshot. Out: the facts of every stored row that is the same event, a copy of the
//! same call, corrected by or correcting an event of the batch, or evidence for or of it; with the file each is in.
//!
//! Cost: a file is opened only if its time range meets the batch's times (a redelivered event has the same time); of it
//! the time column is read, and the other narrow columns only where the time fits. Memory holds one batch of rows per
//! file being read, and the rows found. Corrections may lie elsewhere in time: the files whose statistics say that they
//! hold some are read for them, and a correction's own event is looked for in [`CORRECTION_REACH`] around it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use deltalake::{
    DeltaTable,
    arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray},
};
use futures::{FutureExt, StreamExt};
use keytrail_model::{
    Micros, Resolution,
    time::{DAY, SECOND},
};

use crate::{
    encode::{Texts, moments},
    error::{At, LakeError},
    files::FileFact,
    lake::{Lake, in_parallel},
    read::{self, Test},
    schema::TableName,
    settle::{EVIDENCE_WINDOW, EventKey, Facts, Origin, SecretWords, evidence_key},
};

/// How far from a correction its event is looked for. CloudTrail redelivers for 30 days.
const CORRECTION_REACH: Micros = 45 * DAY;
/// Times closer than this are asked for as one range.
const JOIN: Micros = 60 * SECOND;

const NARROW: [&str; 17] = [
    "account_id",
    "event_id",
    "event_name",
    "event_at",
    "delivered_at",
    "shared_event_id",
    "corrects_event_id",
    "action",
    "outcome",
    "principal_id",
    "secret_id",
    "secret_resolution",
    "secret_account",
    "secret_region",
    "region",
    "version_id",
    "version_evidence",
];

/// A stored row and the file it is in.
pub(crate) struct Neighbour {
    pub(crate) facts: Facts,
    pub(crate) file: Arc<FileFact>,
}

/// What is asked of the stored rows.
#[derive(Default)]
struct Question {
    /// Ranges of time, sorted and apart from each other.
    times: Vec<(Micros, Micros)>,
    events: HashSet<EventKey>,
    shared: HashSet<String>,
    evidence: HashSet<String>,
    /// Events that the batch corrects.
    corrected: HashSet<EventKey>,
    /// Ranges of time in which the corrected events may lie.
    reach: Vec<(Micros, Micros)>,
    /// The event ids among the above, and the principals of evidence: for a first, cheap look.
    ids: HashSet<String>,
    settling: HashSet<String>,
}

impl Question {
    fn of(incoming: &[Facts]) -> Self {
        let mut question = Self::default();
        let mut times = Vec::with_capacity(incoming.len());
        let mut reach = Vec::new();
        for facts in incoming {
            // A read near the batch needs all decrypts near it, hence twice the window.
            let settles = facts.wants_evidence() || facts.gives_evidence();
            let margin = if settles || facts.shared_event_id.is_some() { 2 * EVIDENCE_WINDOW } else { 0 };
            times.push((facts.event_at.saturating_sub(margin), facts.event_at.saturating_add(margin)));
            question.events.insert(facts.event_key());
            question.ids.insert(facts.event_id.clone());
            question.shared.extend(facts.shared_event_id.clone());
            if settles {
                question.evidence.insert(facts.evidence_key.clone());
                question.settling.insert(facts.principal_id.clone());
            }
            for id in facts.corrects() {
                question.corrected.insert((facts.account_id.clone(), id.to_owned()));
                question.ids.insert(id.to_owned());
                let from = facts.event_at.saturating_sub(CORRECTION_REACH);
                reach.push((from, facts.event_at.saturating_add(CORRECTION_REACH)));
            }
        }
        question.times = joined(times);
        question.reach = joined(reach);
        question
    }

    fn concerns(&self, facts: &Facts) -> bool {
        let key = |id: &str| (facts.account_id.clone(), id.to_owned());
        let correction = || {
            self.corrected.contains(&facts.event_key())
                || facts.corrects().any(|id| self.events.contains(&key(id)) || self.corrected.contains(&key(id)))
        };
        let near = || {
            self.events.contains(&facts.event_key())
                || facts.shared_event_id.as_ref().is_some_and(|shared| self.shared.contains(shared))
                || (self.evidence.contains(&facts.evidence_key) && (facts.wants_evidence() || facts.gives_evidence()))
        };
        (within(&self.times, facts.event_at) && near()) || correction()
    }
}

/// Ranges sorted and joined where they meet or nearly do.
fn joined(mut ranges: Vec<(Micros, Micros)>) -> Vec<(Micros, Micros)> {
    ranges.sort_unstable();
    let mut joined: Vec<(Micros, Micros)> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some((_, end)) if from <= end.saturating_add(JOIN) => *end = to.max(*end),
            _ => joined.push((from, to)),
        }
    }
    joined
}

fn within(ranges: &[(Micros, Micros)], at: Micros) -> bool {
    let after = ranges.partition_point(|(from, _)| *from <= at);
    after.checked_sub(1).and_then(|before| ranges.get(before)).is_some_and(|(_, to)| at <= *to)
}

fn meets(ranges: &[(Micros, Micros)], file: &FileFact) -> bool {
    ranges.iter().any(|(from, to)| file.may_hold(*from, *to))
}

fn within_times(ranges: Arc<Vec<(Micros, Micros)>>) -> Test {
    let known = ranges.clone();
    let may_pass = move |first: Micros, last: Micros| known.iter().any(|(from, to)| *from <= last && *to >= first);
    let passes = move |column: &ArrayRef| {
        let batch = RecordBatch::try_from_iter([("event_at", column.clone())])?;
        let times = moments(&batch, "event_at")
            .map_err(|error| deltalake::arrow::error::ArrowError::ExternalError(Box::new(error)))?;
        let passing = (0..times.len()).map(|row| Some(times.is_valid(row) && within(&ranges, times.value(row))));
        Ok(passing.collect::<BooleanArray>())
    };
    Test { column: "event_at", passes: Box::new(passes), may_pass: Some(Box::new(may_pass)) }
}

impl Lake {
    /// The stored rows of `access_events` that these may concern.
    pub(crate) async fn neighbours(
        &self,
        snapshot: &DeltaTable,
        incoming: &[Facts],
    ) -> Result<Vec<Neighbour>, LakeError> {
        let name = TableName::AccessEvents;
        let question = Arc::new(Question::of(incoming));
        let store = snapshot.log_store().object_store(None);
        let files = self.files(name).of(snapshot, name)?;
        let times = Arc::new(question.times.clone());
        let reach = Arc::new(question.reach.clone());
        let scans = files.into_iter().filter_map(|file| {
            // Rows near in time, rows far away that a correction concerns, or both at once.
            let near = meets(&times, &file);
            let test = match (near, file.may_correct, meets(&reach, &file)) {
                (_, true, _) => None,
                (_, _, true) => Some(within_times(reach.clone())),
                (true, ..) => Some(within_times(times.clone())),
                _ => return None,
            };
            let (question, store) = (question.clone(), store.clone());
            let scan = async move {
                let mut found = Vec::new();
                let mut stream = read::open(store, &file, Some(&NARROW), test).await?;
                while let Some(batch) = stream.next().await {
                    let batch = batch.at(&file.path)?;
                    let columns = Columns::of(&batch)?;
                    for row in 0..batch.num_rows() {
                        if !columns.may_concern(row, &question)? {
                            continue;
                        }
                        let facts = columns.facts(row)?;
                        if question.concerns(&facts) {
                            found.push(Neighbour { facts, file: file.clone() });
                        }
                    }
                }
                Ok::<_, LakeError>(found)
            };
            Some(scan.boxed())
        });
        let found = in_parallel(name, scans.collect()).await?;
        let mut found: Vec<Neighbour> = found.into_iter().flatten().collect();
        // The same question gets the same answer in the same order, whichever file was read first.
        found.sort_by(|one, other| {
            (&one.file.path, one.facts.row_key()).cmp(&(&other.file.path, other.facts.row_key()))
        });
        Ok(found)
    }

    /// Which of these events (with their times) the table `events` already has.
    pub(crate) async fn known_events(
        &self,
        snapshot: &DeltaTable,
        incoming: &HashMap<EventKey, Micros>,
    ) -> Result<HashSet<EventKey>, LakeError> {
        let name = TableName::Events;
        let times = Arc::new(joined(incoming.values().map(|at| (*at, *at)).collect()));
        let store = snapshot.log_store().object_store(None);
        let mut known = HashSet::new();
        for file in self.files(name).of(snapshot, name)?.into_iter().filter(|file| meets(&times, file)) {
            let columns = ["account_id", "event_id", "event_at"];
            let mut stream =
                read::open(store.clone(), &file, Some(&columns), Some(within_times(times.clone()))).await?;
            while let Some(batch) = stream.next().await {
                let batch = batch.at(&file.path)?;
                let (accounts, ids) = (Texts::of(&batch, "account_id")?, Texts::of(&batch, "event_id")?);
                for row in 0..batch.num_rows() {
                    let key = (accounts.always(row)?.to_owned(), ids.always(row)?.to_owned());
                    if incoming.contains_key(&key) {
                        known.insert(key);
                    }
                }
            }
        }
        Ok(known)
    }
}

/// The narrow columns of a batch.
struct Columns {
    account_id: Texts,
    event_id: Texts,
    event_name: Texts,
    event_at: TimestampMicrosecondArray,
    delivered_at: TimestampMicrosecondArray,
    shared_event_id: Texts,
    corrects_event_id: Texts,
    action: Texts,
    outcome: Texts,
    principal_id: Texts,
    secret_id: Texts,
    secret_resolution: Texts,
    secret_account: Texts,
    secret_region: Texts,
    region: Texts,
    version_id: Texts,
    version_evidence: Texts,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self, LakeError> {
        let text = |name| Texts::of(batch, name);
        Ok(Self {
            account_id: text("account_id")?,
            event_id: text("event_id")?,
            event_name: text("event_name")?,
            event_at: moments(batch, "event_at")?,
            delivered_at: moments(batch, "delivered_at")?,
            shared_event_id: text("shared_event_id")?,
            corrects_event_id: text("corrects_event_id")?,
            action: text("action")?,
            outcome: text("outcome")?,
            principal_id: text("principal_id")?,
            secret_id: text("secret_id")?,
            secret_resolution: text("secret_resolution")?,
            secret_account: text("secret_account")?,
            secret_region: text("secret_region")?,
            region: text("region")?,
            version_id: text("version_id")?,
            version_evidence: text("version_evidence")?,
        })
    }

    /// A cheap test that rules out nearly every row before anything is copied.
    fn may_concern(&self, row: usize, question: &Question) -> Result<bool, LakeError> {
        let id = self.event_id.always(row)?;
        let shared = || self.shared_event_id.maybe(row).is_some_and(|shared| question.shared.contains(shared));
        let settles = || Ok::<_, LakeError>(question.settling.contains(self.principal_id.always(row)?));
        Ok(question.ids.contains(id) || self.corrects_event_id.maybe(row).is_some() || shared() || settles()?)
    }

    fn facts(&self, row: usize) -> Result<Facts, LakeError> {
        let owned = |texts: &Texts| texts.maybe(row).map(str::to_owned);
        let account_id = self.account_id.always(row)?;
        let resolution: Resolution = self.secret_resolution.word(row)?;
        let words = SecretWords {
            principal_id: self.principal_id.always(row)?,
            secret_id: self.secret_id.maybe(row),
            resolution,
            account: self.secret_account.maybe(row).unwrap_or(account_id),
            region: self.secret_region.maybe(row).map_or_else(|| self.region.always(row), Ok)?,
        };
        Ok(Facts {
            origin: Origin::Stored,
            account_id: account_id.to_owned(),
            event_id: self.event_id.always(row)?.to_owned(),
            event_name: self.event_name.always(row)?.to_owned(),
            event_at: self.event_at.value(row),
            delivered_at: self.delivered_at.is_valid(row).then(|| self.delivered_at.value(row)),
            shared_event_id: owned(&self.shared_event_id),
            corrects_event_id: owned(&self.corrects_event_id),
            action: self.action.word(row)?,
            outcome: self.outcome.word(row)?,
            principal_id: words.principal_id.to_owned(),
            secret_id: owned(&self.secret_id),
            evidence_key: evidence_key(&words),
            version_id: owned(&self.version_id),
            version_evidence: self.version_evidence.maybe_word(row)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_find() {
        let ranges = joined(vec![(200 * SECOND, 201 * SECOND), (0, 5), (10, 20), (i64::MAX - 1, i64::MAX)]);
        assert_eq!(ranges, [(0, 20), (200 * SECOND, 201 * SECOND), (i64::MAX - 1, i64::MAX)]);
        for at in [0, 7, 20, 200 * SECOND, i64::MAX] {
            assert!(within(&ranges, at), "{at}");
        }
        for at in [-1, 21, 201 * SECOND + 1, i64::MIN] {
            assert!(!within(&ranges, at), "{at}");
        }
        assert!(!within(&[], 0));
    }
}
