//! `objects` and `quarantine`: exactly-once projections of the ledger lines in the commits of `access_events`.
//!
//! Each projection commit states, as a Delta transaction, up to which version of `access_events` it goes; it lands only
//! on the snapshot that it was planned on. So a crash between a commit and its projection leaves nothing but work for
//! the next caller, and two workers projecting the same commits cannot both succeed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use deltalake::{
    arrow::array::RecordBatch,
    kernel::Action,
    protocol::{DeltaOperation, SaveMode},
};
use keytrail_model::{Micros, ObjectEntry, QuarantinedRecord};

use crate::{
    encode::{collect, flag_column, integer_column, maybe_texts, moment_column, texts},
    error::{LakeError, LakeErrorKind},
    lake::Lake,
    ledger::{commit_line, day_of_key},
    schema::TableName,
    table::{Draft, Landed, transaction, transaction_version, version_of},
    write::Purpose,
};

/// The application id of the projections.
const APP: &str = "access_events";
/// Ledger lines per projection commit: bounds memory when a whole log is projected at once.
const LINES_PER_COMMIT: usize = 20_000;
/// An empty projection is committed only when the log has moved on this far, so that quiet tables stay small.
const EMPTY_AFTER: u64 = 20;

/// Up to which version each projection has looked at the log, beyond what its table states.
#[derive(Default)]
pub(crate) struct LookedAt {
    seen: Mutex<HashMap<TableName, (Option<u64>, u64)>>,
}

impl LookedAt {
    fn next(&self, name: TableName, projected: Option<u64>) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&name).filter(|(stated, _)| *stated == projected).map_or(0, |(_, next)| *next)
    }

    fn note(&self, name: TableName, projected: Option<u64>, next: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(name, (projected, next));
    }
}

/// A ledger line and the commit it came in.
struct Line {
    entry: ObjectEntry,
    version: u64,
    committed_at: Micros,
    /// Whether it takes the place of earlier lines of the object.
    replaces: bool,
}

impl Lake {
    /// Brings `objects` and `quarantine` up to the newest commit.
    ///
    /// # Errors
    /// The log cannot be read, or the tables cannot be written.
    pub async fn project(&self) -> Result<(), LakeError> {
        let newest = version_of(&self.inner.tables.get(TableName::AccessEvents).latest().await?);
        for table in [TableName::Objects, TableName::Quarantine] {
            self.project_table(table, newest, EMPTY_AFTER).await?;
        }
        Ok(())
    }

    /// Brings both tables to exactly the newest commit, even where that commit adds nothing to them.
    pub(crate) async fn project_fully(&self) -> Result<(), LakeError> {
        let newest = version_of(&self.inner.tables.get(TableName::AccessEvents).latest().await?);
        for table in [TableName::Objects, TableName::Quarantine] {
            self.project_table(table, newest, 1).await?;
        }
        Ok(())
    }

    async fn project_table(&self, name: TableName, newest: u64, empty_after: u64) -> Result<(), LakeError> {
        let table = self.inner.tables.get(name);
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = if attempt == 0 { table.seen().await } else { table.latest().await? };
            let stated = transaction_version(&snapshot, APP, name).await?;
            let projected = stated.and_then(|version| u64::try_from(version).ok());
            let from = projected.map_or(0, |version| version + 1).max(self.inner.looked_at.next(name, projected));
            if from > newest {
                return Ok(());
            }
            let (lines, upto) = self.lines(from, newest).await?;
            let batch = match name {
                TableName::Quarantine => encode_quarantine(&lines)?,
                _ => encode_objects(&lines)?,
            };
            if batch.num_rows() == 0 && upto - projected.unwrap_or_default() < empty_after {
                self.inner.looked_at.note(name, projected, upto + 1);
                return Ok(());
            }
            let adds = self.write_rows(&snapshot, name, batch, Purpose::Fresh).await?;
            let draft = Draft {
                actions: adds.iter().cloned().map(Action::Add).collect(),
                metadata: HashMap::new(),
                transactions: vec![transaction(APP, i64::try_from(upto).unwrap_or(i64::MAX))],
                operation: append(name),
            };
            match table.land(&snapshot, draft).await? {
                Landed::At(_) if upto == newest => return Ok(()),
                Landed::At(_) => {}
                Landed::Lost => {
                    self.discard(&snapshot, &adds).await;
                    self.pause(attempt).await;
                }
                Landed::Unknown => self.pause(attempt).await,
            }
        }
        Err(LakeError::new(name, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    async fn lines(&self, from: u64, newest: u64) -> Result<(Vec<Line>, u64), LakeError> {
        let log = self.inner.tables.get(TableName::AccessEvents).seen().await.log_store();
        let mut lines = Vec::new();
        for version in from..=newest {
            if let Some(line) = commit_line(log.as_ref(), version).await? {
                let committed_at = line.committed_at.unwrap_or_default();
                let replaces = line.again;
                lines.extend(line.ledger.into_iter().map(|entry| Line { entry, version, committed_at, replaces }));
            }
            if lines.len() >= LINES_PER_COMMIT {
                return Ok((lines, version));
            }
        }
        Ok((lines, newest))
    }
}

/// The operation of a commit that only adds files.
pub(crate) fn append(table: TableName) -> DeltaOperation {
    let partition_by = table.spec().partition.map(|column| vec![column.to_owned()]);
    DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None }
}

fn encode_objects(lines: &[Line]) -> Result<RecordBatch, LakeError> {
    let mut lines: Vec<(&Line, String, String)> =
        lines.iter().map(|line| (line, line.entry.object.digest(), day_of_key(&line.entry.object.key))).collect();
    lines.sort_by(|(one, ..), (other, ..)| one.entry.object.cmp(&other.entry.object));
    collect(TableName::Objects.spec(), |column| {
        let text = |get: fn(&ObjectEntry) -> &str| texts(lines.iter().map(|(line, ..)| get(&line.entry)));
        let maybe =
            |get: fn(&ObjectEntry) -> Option<&str>| maybe_texts(lines.iter().map(|(line, ..)| get(&line.entry)));
        let moment =
            |get: fn(&ObjectEntry) -> Option<Micros>| moment_column(lines.iter().map(|(line, ..)| get(&line.entry)));
        let number =
            |get: fn(&ObjectEntry) -> i64| integer_column(lines.iter().map(|(line, ..)| Some(get(&line.entry))));
        Some(match column {
            "object_key" => text(|entry| &entry.object.key),
            "object_version" => text(|entry| &entry.object.version),
            "object_digest" => texts(lines.iter().map(|(_, digest, _)| digest.as_str())),
            "outcome" => text(|entry| entry.outcome.as_str()),
            "reason" => maybe(|entry| entry.outcome.reason()),
            "content_kind" => text(|entry| &entry.content_kind),
            "account_id" => maybe(|entry| entry.account_id.as_deref()),
            "region" => maybe(|entry| entry.region.as_deref()),
            "delivered_at" => moment(|entry| entry.delivered_at),
            "committed_at" => moment_column(lines.iter().map(|(line, ..)| Some(line.committed_at))),
            "size_bytes" => number(|entry| entry.size_bytes),
            "json_bytes" => number(|entry| entry.json_bytes),
            "record_count" => number(|entry| entry.record_count),
            "kept_count" => number(|entry| entry.kept_count),
            "ignored_count" => number(|entry| entry.ignored_count),
            "quarantined_count" => number(|entry| i64::try_from(entry.quarantined.len()).unwrap_or(i64::MAX)),
            "first_event_at" => moment(|entry| entry.first_event_at),
            "last_event_at" => moment(|entry| entry.last_event_at),
            "ledger_version" => integer_column(lines.iter().map(|(line, ..)| i64::try_from(line.version).ok())),
            "object_date" => texts(lines.iter().map(|(.., day)| day.as_str())),
            "replaces" => flag_column(lines.iter().map(|(line, ..)| line.replaces.then_some(true))),
            _ => return None,
        })
    })
}

fn encode_quarantine(lines: &[Line]) -> Result<RecordBatch, LakeError> {
    struct Row<'a> {
        line: &'a Line,
        record: QuarantinedRecord,
        digest: String,
        day: String,
    }
    let mut rows = Vec::new();
    for line in lines {
        let mut records = line.entry.quarantined.clone();
        if let keytrail_model::ObjectOutcome::Quarantined(reason) = &line.entry.outcome
            && records.is_empty()
        {
            // The object as a whole.
            let byte_length = line.entry.json_bytes;
            records.push(QuarantinedRecord { record_index: -1, reason: reason.clone(), byte_offset: 0, byte_length });
        }
        let digest = line.entry.object.digest();
        let day = day_of_key(&line.entry.object.key);
        rows.extend(records.into_iter().map(|record| Row { line, record, digest: digest.clone(), day: day.clone() }));
    }
    rows.sort_by(|one, other| {
        (&one.line.entry.object, one.record.record_index).cmp(&(&other.line.entry.object, other.record.record_index))
    });
    collect(TableName::Quarantine.spec(), |column| {
        Some(match column {
            "object_key" => texts(rows.iter().map(|row| row.line.entry.object.key.as_str())),
            "object_version" => texts(rows.iter().map(|row| row.line.entry.object.version.as_str())),
            "object_digest" => texts(rows.iter().map(|row| row.digest.as_str())),
            "record_index" => integer_column(rows.iter().map(|row| Some(row.record.record_index))),
            "reason" => texts(rows.iter().map(|row| row.record.reason.as_str())),
            "byte_offset" => integer_column(rows.iter().map(|row| Some(row.record.byte_offset))),
            "byte_length" => integer_column(rows.iter().map(|row| Some(row.record.byte_length))),
            "content_kind" => texts(rows.iter().map(|row| row.line.entry.content_kind.as_str())),
            "account_id" => maybe_texts(rows.iter().map(|row| row.line.entry.account_id.as_deref())),
            "region" => maybe_texts(rows.iter().map(|row| row.line.entry.region.as_deref())),
            "delivered_at" => moment_column(rows.iter().map(|row| row.line.entry.delivered_at)),
            "committed_at" => moment_column(rows.iter().map(|row| Some(row.line.committed_at))),
            "ledger_version" => integer_column(rows.iter().map(|row| i64::try_from(row.line.version).ok())),
            "object_date" => texts(rows.iter().map(|row| row.day.as_str())),
            _ => return None,
        })
    })
}
