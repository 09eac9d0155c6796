//! Which objects are already in the lake.
//!
//! The truth is in the log: each commit of `access_events` carries the ledger lines of its objects in `commitInfo`. The
//! table `objects` is their projection. This file keeps the digests of the days that were asked for in memory, follows
//! the log from there, and reads a day that is not in memory (or too big to be) from `objects`.
//!
//! A line of a commit made with `again` takes the place of earlier lines of the same object, so an object may have
//! several; its newest one counts. What is in trouble (quarantined, or with quarantined records) is known beside what is
//! there, because only that may be written again.
//!
//! Invariant: a loaded day holds every object of that day in the commits up to [`Ledger::followed`].

use std::collections::{BTreeMap, HashMap, HashSet};

use deltalake::{
    DeltaTable,
    arrow::array::{Array, RecordBatch},
    logstore::{LogStore, extract_version_from_filename},
};
use futures::StreamExt;
use keytrail_model::{Micros, ObjectEntry, ObjectId, ObjectOutcome};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    encode::{Texts, flags, integers},
    error::{At, LakeError, LakeErrorKind},
    lake::Lake,
    read,
    schema::TableName,
    table::version_of,
};

/// The folder of objects whose key tells no day.
pub(crate) const UNKNOWN_DAY: &str = "unknown";

/// What a commit of `access_events` tells of itself in `commitInfo`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CommitLine {
    #[serde(rename = "keytrail.batchId")]
    pub(crate) batch_id: Option<String>,
    #[serde(rename = "keytrail.committedAt")]
    pub(crate) committed_at: Option<Micros>,
    #[serde(rename = "keytrail.rowsWritten", default)]
    pub(crate) rows_written: u64,
    #[serde(rename = "keytrail.rowsChanged", default)]
    pub(crate) rows_changed: u64,
    #[serde(rename = "keytrail.duplicateEvents", default)]
    pub(crate) duplicate_events: u64,
    /// Whether its ledger lines take the place of earlier ones of the same objects.
    #[serde(rename = "keytrail.again", default)]
    pub(crate) again: bool,
    #[serde(rename = "keytrail.ledger", default)]
    pub(crate) ledger: Vec<ObjectEntry>,
}

impl CommitLine {
    /// The line as `commitInfo` carries it.
    pub(crate) fn to_metadata(&self) -> HashMap<String, Value> {
        HashMap::from([
            ("keytrail.batchId".to_owned(), Value::from(self.batch_id.clone())),
            ("keytrail.committedAt".to_owned(), Value::from(self.committed_at)),
            ("keytrail.rowsWritten".to_owned(), Value::from(self.rows_written)),
            ("keytrail.rowsChanged".to_owned(), Value::from(self.rows_changed)),
            ("keytrail.duplicateEvents".to_owned(), Value::from(self.duplicate_events)),
            ("keytrail.again".to_owned(), Value::from(self.again)),
            ("keytrail.ledger".to_owned(), serde_json::json!(self.ledger)),
        ])
    }
}

/// Reads what the commit of a version tells of itself. `None` where it is not Keytrail's own.
pub(crate) async fn commit_line(log: &dyn LogStore, version: u64) -> Result<Option<CommitLine>, LakeError> {
    #[derive(Deserialize)]
    struct Action {
        #[serde(rename = "commitInfo")]
        commit_info: Option<CommitLine>,
    }
    let place = TableName::AccessEvents;
    let Some(bytes) = log.read_commit_entry(version).await.at(place)? else {
        let oldest = oldest_version(log).await?;
        return Err(LakeError::new(place, LakeErrorKind::LogGone { wanted: version, oldest }));
    };
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"commitInfo\"")) {
        let action: Action = serde_json::from_slice(line)
            .map_err(|error| LakeErrorKind::Damaged(format!("commit {version}: {error}")))
            .at(place)?;
        if let Some(line) = action.commit_info.filter(|line| line.batch_id.is_some()) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

/// The oldest version that the log still has.
async fn oldest_version(log: &dyn LogStore) -> Result<u64, LakeError> {
    let place = TableName::AccessEvents;
    let mut oldest = u64::MAX;
    let store = log.object_store(None);
    let mut entries = store.list(Some(log.log_path()));
    while let Some(entry) = entries.next().await {
        if let Some(version) = extract_version_from_filename(entry.at(place)?.location.as_ref()) {
            oldest = oldest.min(version);
        }
    }
    Ok(oldest)
}

/// The day of an object as its key tells it: CloudTrail's stamp (`…_20260801T1200Z_…`), else a folder `/2026/08/01/`.
/// A pure function of the key, so that the place where a line is kept is the place where it is looked for.
pub(crate) fn day_of_key(key: &str) -> String {
    let bytes = key.as_bytes();
    let digits = |from: usize, count: usize| {
        bytes.get(from..from + count).filter(|part| part.iter().all(u8::is_ascii_digit)).is_some()
    };
    let day = |year: usize, month: usize, day: usize| -> Option<String> {
        let part = |from: usize, count: usize| key.get(from..from + count);
        let text = format!("{}-{}-{}", part(year, 4)?, part(month, 2)?, part(day, 2)?);
        chrono::NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().map(|_| text)
    };
    let stamp = (0..bytes.len()).rev().find_map(|at| {
        let stamped = digits(at, 8) && bytes.get(at + 8) == Some(&b'T') && digits(at + 9, 4);
        stamped.then(|| day(at, at + 4, at + 6)).flatten()
    });
    let folder = || {
        (0..bytes.len()).rev().find_map(|at| {
            let slash = |offset: usize| bytes.get(at + offset) == Some(&b'/');
            let dated = slash(0) && digits(at + 1, 4) && slash(5) && digits(at + 6, 2) && slash(8) && digits(at + 9, 2);
            (dated && slash(11)).then(|| day(at + 1, at + 6, at + 9)).flatten()
        })
    };
    stamp.or_else(folder).unwrap_or_else(|| UNKNOWN_DAY.to_owned())
}

/// The digests that are in memory.
pub(crate) struct Ledger {
    /// The last commit of `access_events` that is taken into account.
    followed: Option<u64>,
    days: BTreeMap<String, Day>,
    capacity: usize,
}

/// The objects of one day.
#[derive(Default)]
struct Day {
    known: HashSet<u128>,
    /// Those whose newest line tells of trouble: few, so they are kept apart.
    troubled: HashSet<u128>,
}

impl Day {
    fn note(&mut self, digest: u128, troubled: bool) {
        self.known.insert(digest);
        if troubled {
            self.troubled.insert(digest);
        } else if !self.troubled.is_empty() {
            self.troubled.remove(&digest);
        }
    }

    /// Whether the object is done: there, and with `again` not in trouble either.
    fn has(&self, digest: u128, again: bool) -> bool {
        self.known.contains(&digest) && !(again && self.troubled.contains(&digest))
    }
}

impl Ledger {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { followed: None, days: BTreeMap::new(), capacity }
    }

    fn note(&mut self, entries: &[ObjectEntry]) {
        for entry in entries {
            if let Some(day) = self.days.get_mut(&day_of_key(&entry.object.key)) {
                day.note(digest(&entry.object), in_trouble(entry));
            }
        }
    }

    /// Makes room for another day by forgetting the oldest days, which live data asks for least.
    fn make_room(&mut self, rows: usize) {
        while !self.days.is_empty()
            && self.days.values().map(|day| day.known.len()).sum::<usize>() + rows > self.capacity
        {
            self.days.pop_first();
        }
    }
}

/// Whether a line tells of something that reading again may mend.
pub(crate) fn in_trouble(entry: &ObjectEntry) -> bool {
    matches!(entry.outcome, ObjectOutcome::Quarantined(_)) || !entry.quarantined.is_empty()
}

/// A digest as a number: a third of its text's size.
fn digest(object: &ObjectId) -> u128 {
    u128::from_str_radix(&object.digest(), 16).unwrap_or_default()
}

/// The lines of a day while it is read from `objects`, in whatever order its files come.
#[derive(Default)]
struct Lines {
    day: Day,
    /// The newest line of each object that may have several: those in trouble and those that took another's place.
    newest: HashMap<u128, (i64, bool)>,
}

impl Lines {
    fn read(&mut self, batch: &RecordBatch, wanted: impl Fn(u128) -> bool) -> Result<(), LakeError> {
        let (digests, outcomes) = (Texts::of(batch, "object_digest")?, Texts::of(batch, "outcome")?);
        let (records, versions) = (integers(batch, "quarantined_count")?, integers(batch, "ledger_version")?);
        // Null in files of an older format.
        let replaces = flags(batch, "replaces")?;
        for row in 0..batch.num_rows() {
            let digest = u128::from_str_radix(digests.always(row)?, 16).unwrap_or_default();
            if !wanted(digest) {
                continue;
            }
            self.day.known.insert(digest);
            let troubled = outcomes.always(row)? == "quarantined" || records.value(row) > 0;
            let replacing = replaces.is_valid(row) && replaces.value(row);
            if troubled || replacing {
                let line = (versions.value(row), troubled);
                self.newest.entry(digest).and_modify(|known| *known = line.max(*known)).or_insert(line);
            }
        }
        Ok(())
    }

    fn into_day(self) -> Day {
        let troubled = self.newest.into_iter().filter(|(_, (_, troubled))| *troubled);
        Day { known: self.day.known, troubled: troubled.map(|(digest, _)| digest).collect() }
    }
}

impl Lake {
    /// Which of these objects the lake already has, whatever became of them.
    ///
    /// # Errors
    /// The log or the table `objects` cannot be read.
    pub async fn committed(&self, objects: &[ObjectId]) -> Result<HashSet<ObjectId>, LakeError> {
        let snapshot = self.inner.tables.get(TableName::AccessEvents).latest().await?;
        self.committed_at(&snapshot, objects, false).await
    }

    /// Which of these objects are in the commits up to this snapshot (or a little after); with `again` those in trouble are
    /// left out.
    pub(crate) async fn committed_at(
        &self,
        snapshot: &DeltaTable,
        objects: &[ObjectId],
        again: bool,
    ) -> Result<HashSet<ObjectId>, LakeError> {
        let mut ledger = self.inner.ledger.lock().await;
        let newest = version_of(snapshot);
        match ledger.followed {
            // Nothing is loaded yet, so there is nothing to bring up to date.
            None => ledger.followed = Some(newest),
            Some(followed) => {
                let log = snapshot.log_store();
                for version in followed + 1..=newest {
                    if let Some(line) = commit_line(log.as_ref(), version).await? {
                        ledger.note(&line.ledger);
                    }
                    ledger.followed = Some(version);
                }
            }
        }
        let mut by_day: BTreeMap<String, Vec<&ObjectId>> = BTreeMap::new();
        for object in objects {
            by_day.entry(day_of_key(&object.key)).or_default().push(object);
        }
        let mut found = HashSet::new();
        for (day, wanted) in by_day {
            if !ledger.days.contains_key(&day) {
                found.extend(self.load_day(&mut ledger, &day, &wanted, again).await?);
            }
            if let Some(day) = ledger.days.get(&day) {
                found.extend(wanted.into_iter().filter(|object| day.has(digest(object), again)).cloned());
            }
        }
        Ok(found)
    }

    /// Loads a day from `objects`. Of a day too big for memory only the wanted ones are looked up; those that are done
    /// are the answer then.
    async fn load_day(
        &self,
        ledger: &mut Ledger,
        day: &str,
        wanted: &[&ObjectId],
        again: bool,
    ) -> Result<Vec<ObjectId>, LakeError> {
        // With the projection up to date, the table holds at least every commit that is followed.
        self.project().await?;
        let table = self.inner.tables.get(TableName::Objects).latest().await?;
        let files: Vec<_> = self
            .files(TableName::Objects)
            .of(&table, TableName::Objects)?
            .into_iter()
            .filter(|file| file.partition.as_deref() == Some(day))
            .collect();
        let rows: u64 = files.iter().map(|file| file.rows.unwrap_or(u64::MAX / 4)).fold(0, u64::saturating_add);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let keep = rows <= ledger.capacity;
        let wanted: HashMap<u128, &ObjectId> = wanted.iter().map(|object| (digest(object), *object)).collect();
        let mut lines = Lines::default();
        let store = table.log_store().object_store(None);
        for file in files {
            let columns = ["object_digest", "outcome", "quarantined_count", "ledger_version", "replaces"];
            let mut stream = read::open(store.clone(), &file, Some(&columns), None).await?;
            while let Some(batch) = stream.next().await {
                lines.read(&batch.at(&file.path)?, |digest| keep || wanted.contains_key(&digest))?;
            }
        }
        let loaded = lines.into_day();
        if keep {
            ledger.make_room(rows);
            ledger.days.insert(day.to_owned(), loaded);
            return Ok(Vec::new());
        }
        let done = wanted.into_iter().filter(|(digest, _)| loaded.has(*digest, again));
        Ok(done.map(|(_, object)| object.clone()).collect())
    }

    /// Takes note of a commit of this handle's own, so that its log entry need not be read back.
    pub(crate) async fn note_committed(&self, version: u64, entries: &[ObjectEntry]) {
        let mut ledger = self.inner.ledger.lock().await;
        if ledger.followed == Some(version - 1) {
            ledger.note(entries);
            ledger.followed = Some(version);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_day() {
        let key = "s3://b/AWSLogs/1/CloudTrail/eu-west-1/2026/08/02/1_CloudTrail_eu-west-1_20260801T2355Z_x.json.gz";
        assert_eq!(day_of_key(key), "2026-08-01", "the stamp goes before the folder");
        assert_eq!(day_of_key("b/2026/08/02/x.json"), "2026-08-02");
        for odd in ["", "x.json", "b/2026/13/02/x", "99999999T9999Z", "é/2026/08/0", "20260801T12"] {
            assert_eq!(day_of_key(odd), UNKNOWN_DAY, "{odd}");
        }
    }

    #[test]
    fn memory_stays_bounded() {
        let mut ledger = Ledger::new(10);
        for day in ["2026-08-01", "2026-08-02", "2026-08-03"] {
            ledger.make_room(4);
            ledger.days.insert(day.to_owned(), Day { known: (0..4).collect(), ..Day::default() });
        }
        assert_eq!(ledger.days.keys().collect::<Vec<_>>(), ["2026-08-02", "2026-08-03"]);
    }
}
