//! Bringing the state up to what is judged: at the start, after another worker was faster, after a run was cut short.
//!
//! In: the lake's log behind the state's position, or all its rows where the log no longer reaches back. Out: the state at
//! the position, and the newest rows in memory. Nothing is judged here.

use std::collections::BTreeSet;

use keytrail_lake::{
    LakeErrorKind,
    arrow::{
        array::{AsArray, RecordBatch},
        compute::cast,
        datatypes::{DataType, Int64Type},
    },
};

use super::{RunError, Runner, again, stored};
use crate::{
    engine::JudgeError,
    follow::Follower,
    lake_rows,
    state::{Id, RowsError, State},
};

impl Runner {
    /// Begins from what is recorded, after a run that was cut short: rows may be folded that are not judged.
    pub(super) async fn reopen(&mut self) -> Result<(), RunError> {
        let (judged, state) = stored(&self.lake).await?;
        *self.engine.state_mut() = state;
        (self.judged, self.follower, self.rows_since_snapshot) = (judged, Follower::default(), 0);
        (self.late, self.is_filled) = (again::stored(&self.lake).await?, false);
        self.engine.forget_recent();
        self.engine.refresh(self.lake.alerts().await?);
        self.catch_up().await
    }

    /// Folds what was judged after the snapshot was taken.
    pub(super) async fn catch_up(&mut self) -> Result<(), RunError> {
        let Some(judged) = self.judged else { return Ok(()) };
        while self.engine.state().folded_to().is_none_or(|folded| folded < judged) {
            let folded = self.engine.state().folded_to();
            let mut changes = match self.lake.changes(folded, self.engine.settings().max_rows).await {
                Err(error) if matches!(error.kind, LakeErrorKind::LogGone { .. }) => return self.rebuild().await,
                other => other?,
            };
            // Many commits may come together; beyond the position they are not history yet, so the last go one by one.
            if changes.as_ref().is_some_and(|changes| changes.to > judged) {
                changes = self.lake.changes(folded, 1).await?;
            }
            let Some(changes) = changes else { break };
            for batch in &changes.rows {
                let changed = self.known_before(batch)?;
                self.engine.follow(batch, changed, self.is_filled)?;
            }
            self.rows_since_snapshot += changes.row_count();
            self.engine.state_mut().set_folded_to(changes.to);
            if changes.to > judged {
                // Commits without rows of ours: a state that leads the position would not be trusted at the next start.
                self.engine.state_mut().set_folded_to(judged);
                break;
            }
        }
        self.engine.settle_commits();
        Ok(())
    }

    /// Folds every row of the lake, where its log no longer reaches back to the snapshot.
    async fn rebuild(&mut self) -> Result<(), RunError> {
        *self.engine.state_mut() = State::default();
        let version = self.lake.version().await?;
        let session = self.session().await?;
        let rows = session.sql("SELECT * FROM access_events_stored").await?.collect().await?;
        self.engine.forget_recent();
        self.is_filled = false;
        for batch in &rows {
            self.engine.follow(batch, vec![false; batch.num_rows()], false)?;
            self.rows_since_snapshot += batch.num_rows();
        }
        self.engine.settle_commits();
        let state = self.engine.state_mut();
        // Rows beyond the position are folded and still to be judged; they come again as known ones.
        state.set_folded_to(self.judged.map_or(version, |judged| judged.min(version)));
        Ok(())
    }

    /// Secrets whose rows changed hands: what is remembered of them is folded again from the lake.
    pub(super) async fn refold(&mut self, secrets: &BTreeSet<Id>) -> Result<(), RunError> {
        if secrets.is_empty() {
            return Ok(());
        }
        let session = self.session().await?;
        for &secret in secrets {
            let id = self.engine.state().text(secret).replace('\'', "''");
            let sql = format!("SELECT * FROM access_events WHERE secret_id = '{id}'");
            let rows = session.sql(&sql).await?.collect().await?;
            self.engine.state_mut().forget_secret(secret);
            for batch in &rows {
                self.engine.remember(batch, vec![false; batch.num_rows()])?;
            }
        }
        Ok(())
    }

    /// Which rows were folded in earlier runs.
    pub(super) fn known_before(&self, batch: &RecordBatch) -> Result<Vec<bool>, JudgeError> {
        let missing = || JudgeError::Rows(RowsError::MissingColumn("ingested_at"));
        let column = batch.column_by_name("ingested_at").ok_or_else(missing)?;
        let column = cast(column, &DataType::Int64)?;
        let times = column.as_primitive::<Int64Type>();
        Ok((0..times.len())
            .map(|row| {
                let ingested_at = times.value(row);
                self.engine.state().knows_commit(ingested_at)
            })
            .collect())
    }

    /// Reads the newest rows into memory, once: before the first judging.
    pub(super) async fn fill(&mut self) -> Result<(), RunError> {
        if std::mem::replace(&mut self.is_filled, true) {
            return Ok(());
        }
        let Some(newest) = self.engine.state().newest_event_at() else {
            // Nothing is folded, so nothing lies behind.
            self.engine.forget_recent();
            return Ok(());
        };
        let most = self.engine.settings().recent_rows;
        let (rows, floor) = lake_rows::newest(&self.history(), newest, most).await?;
        self.engine.fill_recent(rows, floor)?;
        Ok(())
    }
}
