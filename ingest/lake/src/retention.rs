//! Forgetting: days past their time, files that no snapshot names, log entries that nobody needs.
//!
//! Days are dropped whole, because partitions are days: no file is rewritten. The ledger's days go with the rows' days,
//! so an object older than that may be read again and then falls out again; the least retention is longer than
//! CloudTrail redelivers. Alerts are never dropped.

use deltalake::{
    checkpoints::cleanup_metadata, kernel::Action, operations::vacuum::VacuumMode, protocol::DeltaOperation,
};
use keytrail_model::{Micros, time};

use crate::{
    encode::day_of,
    error::{At, LakeError, LakeErrorKind},
    lake::Lake,
    ledger::UNKNOWN_DAY,
    schema::TableName,
    table::{Draft, Landed},
};

/// CloudTrail may deliver an object again for 30 days; the ledger must remember longer.
pub const LEAST_RETENTION_DAYS: u32 = 35;

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Files that left the tables.
    pub files: u64,
    /// Rows in them, as far as the log tells.
    pub rows: u64,
    /// Files deleted from the store by [`Lake::vacuum`].
    pub files_deleted: u64,
    /// Log entries deleted by [`Lake::vacuum`].
    pub log_entries_deleted: u64,
}

impl Lake {
    /// Drops the days that ended more than so many days before a moment.
    ///
    /// # Errors
    /// The retention is too short to be safe, or a table cannot be written.
    pub async fn retain(&self, days: u32, now: Micros) -> Result<Retired, LakeError> {
        if days < LEAST_RETENTION_DAYS {
            let kind = LakeErrorKind::RetentionTooShort { days, least: LEAST_RETENTION_DAYS };
            return Err(LakeError::new(&self.inner.location, kind));
        }
        // What is not projected yet must not reappear after its day was dropped.
        self.project_fully().await?;
        let first_kept = day_of(now.saturating_sub(i64::from(days) * time::DAY));
        let mut retired = Retired::default();
        for name in TableName::ALL {
            if let Some(column) = name.spec().partition {
                self.drop_days(name, column, &first_kept, &mut retired).await?;
            }
        }
        Ok(retired)
    }

    async fn drop_days(
        &self,
        name: TableName,
        column: &str,
        first_kept: &str,
        retired: &mut Retired,
    ) -> Result<(), LakeError> {
        let table = self.inner.tables.get(name);
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = table.latest().await?;
            let past = |day: Option<&str>| day.is_some_and(|day| day != UNKNOWN_DAY && day < first_kept);
            let mut files = self.files(name).of(&snapshot, name)?;
            files.retain(|file| past(file.partition.as_deref()));
            if files.is_empty() {
                return Ok(());
            }
            let draft = Draft {
                actions: files.iter().map(|file| Action::Remove(file.remove(name.spec(), true))).collect(),
                metadata: Default::default(),
                transactions: Vec::new(),
                operation: DeltaOperation::Delete { predicate: Some(format!("{column} < '{first_kept}'")) },
            };
            if let Landed::At(_) = table.land(&snapshot, draft).await? {
                retired.files += files.len() as u64;
                retired.rows += files.iter().filter_map(|file| file.rows).sum::<u64>();
                return Ok(());
            }
            self.pause(attempt).await;
        }
        Err(LakeError::new(name, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    /// Deletes files that no snapshot of the last seven days names, and log entries older than the log's retention.
    /// The ledger lines in the log are projected first.
    ///
    /// # Errors
    /// A table cannot be read or its files cannot be deleted.
    pub async fn vacuum(&self) -> Result<Retired, LakeError> {
        self.project_fully().await?;
        let mut retired = Retired::default();
        for name in TableName::ALL {
            let table = self.inner.tables.get(name).latest().await?;
            // Full: also what a crashed or outrun commit left, which no log entry names.
            let (_, metrics) = table.vacuum().with_mode(VacuumMode::Full).await.at(name)?;
            retired.files_deleted += metrics.files_deleted.len() as u64;
            let table = self.inner.tables.get(name).latest().await?;
            retired.log_entries_deleted += cleanup_metadata(&table, None).await.at(name)? as u64;
        }
        Ok(retired)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, time::Duration};

    use keytrail_model::time::DAY;

    use super::*;
    use crate::testing::{START, ask, batch, from_object, lake, read, rows};

    #[tokio::test]
    async fn old_days_go_whole_and_the_rest_stays() {
        let (_folder, lake) = lake().await;
        let key = |day: &str| format!("l/{day}/log.json.gz");
        let old = from_object(read("old", "a", START - 50 * DAY), &key("2026/06/12"));
        let new = from_object(read("new", "a", START), &key("2026/08/01"));
        let plain = from_object(read("edge", "a", START - 40 * DAY), "no-day.json");
        lake.commit(batch([old, new, plain])).await.expect("a commit");
        let too_short = lake.retain(30, START).await.expect_err("CloudTrail redelivers for 30 days");
        assert!(too_short.to_string().contains("35"), "{too_short}");
        let retired = lake.retain(40, START).await.expect("retention");
        assert_eq!((retired.files, retired.rows), (2, 2));
        assert_eq!(rows(&lake).await, ["edge|a|-", "new|a|-"], "the day at the edge stays");
        let objects = ask(&lake, "SELECT object_key FROM objects_stored ORDER BY 1").await;
        assert_eq!(objects, ["l/2026/08/01/log.json.gz", "no-day.json"]);
        assert_eq!(lake.retain(40, START).await.expect("retention"), Retired::default());
    }

    fn age(path: &Path, days: u64) {
        let at = std::time::SystemTime::now() - Duration::from_secs(days * 86_400);
        let file = fs::File::options().write(true).open(path).expect("the file");
        file.set_modified(at).expect("an older file");
    }

    #[tokio::test]
    async fn vacuum_removes_old_orphans_only() {
        let (folder, lake) = lake().await;
        lake.commit(batch([from_object(read("e1", "a", START), "o1")])).await.expect("a commit");
        let day = folder.path().join("access_events/event_date=2026-08-01");
        let (orphan, young) = (day.join("part-orphan.zstd.parquet"), day.join("part-young.zstd.parquet"));
        for path in [&orphan, &young] {
            fs::write(path, b"left by a crash").expect("a file");
        }
        age(&orphan, 8);
        for file in fs::read_dir(&day).expect("the folder") {
            let path = file.expect("a file").path();
            if path != young {
                age(&path, 8);
            }
        }
        let retired = lake.vacuum().await.expect("a vacuum");
        assert_eq!(retired.files_deleted, 1);
        assert!(!orphan.exists() && young.exists());
        assert_eq!(rows(&lake).await, ["e1|a|-"]);
    }
}
