//! Tails the lake: what is new is folded and judged, and the alerts are committed with the position.
//!
//! ```text
//! open: snapshot of the state ─▶ fold (snapshot, judged]   (lost, damaged or another version: fold from the start)
//! run:  changes(judged) ─▶ fold ─▶ batch rules ─▶ alerts + position in one commit ─▶ … ─▶ scheduled rules that are due
//! ```
//!
//! Invariants: alerts and position are one commit, so a crash between any two steps loses and doubles nothing; the state
//! may lag behind the position, never lead it, and what it lacks is folded at the next start. A run with nothing new
//! writes nothing.
//!
//! A row that a later commit changed comes once, as it stands now. Whether it was folded before is told by when it
//! was first committed: [`State`] remembers the commits of earlier runs.

use std::collections::BTreeSet;

use keytrail_alerts::Inbox;
use keytrail_lake::{
    Lake, LakeError, LakeErrorKind,
    arrow::{
        array::{Array, AsArray, RecordBatch},
        compute::cast,
        datatypes::{DataType, Int64Type},
    },
    datafusion::{error::DataFusionError, prelude::SessionContext},
    session::SessionSettings,
};
use keytrail_model::Micros;
use thiserror::Error;

use crate::{
    engine::{Engine, JudgeError},
    pack::Packs,
    settings::RuleSettings,
    state::{SnapshotError, State},
};

/// The name of the state among the lake's snapshots.
const STATE: &str = "rules";
/// Rows folded since the last snapshot that make a new one worth its cost, besides an eighth of the state.
const ROWS_PER_SNAPSHOT: usize = 20_000;

/// Why a run ended early.
#[derive(Debug, Error)]
pub enum RunError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Judge(#[from] JudgeError),
    #[error("ask the lake for the rules: {0}")]
    Query(#[from] DataFusionError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Run scheduled rules whether they are due or not.
    pub force_schedule: bool,
    /// The judging's "now" in place of the lake's horizon.
    pub as_of: Option<Micros>,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSummary {
    pub judged_to: Option<u64>,
    pub rows: usize,
    pub raised: usize,
    pub updated: usize,
    /// Ids of the scheduled rules that ran.
    pub scheduled: Vec<String>,
    pub as_of: Option<Micros>,
}

/// The rules over one lake. One runner per lake at a time: two would judge the same rows twice, and the second's
/// commit of an older position is refused by the lake.
#[derive(Debug)]
pub struct Runner {
    lake: Lake,
    engine: Engine,
    judged: Option<u64>,
    rows_since_snapshot: usize,
}

impl Runner {
    /// Opens the rules over a lake and brings their state up to what is judged.
    pub async fn open(lake: Lake, packs: Packs, settings: RuleSettings) -> Result<Self, RunError> {
        let judged = lake.judged().await?;
        let state = match lake.get_state(STATE).await? {
            None => State::default(),
            Some(bytes) => State::from_snapshot(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "the rules' state is folded again from the lake");
                State::default()
            }),
        };
        // A state ahead of the position belongs to another history of this folder.
        let state = if state.folded_to() > judged { State::default() } else { state };
        let inbox = Inbox::new(lake.alerts().await?);
        let engine = Engine::new(&packs.packs, settings, state, inbox).with_broken(packs.errors);
        let mut runner = Self { lake, engine, judged, rows_since_snapshot: 0 };
        runner.catch_up().await?;
        Ok(runner)
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Judges everything that is new, then runs the scheduled rules that are due.
    pub async fn run(&mut self, options: RunOptions) -> Result<RunSummary, RunError> {
        let mut summary = RunSummary { judged_to: self.judged, ..RunSummary::default() };
        self.engine.refresh(self.lake.alerts().await?);
        let mut commits = BTreeSet::new();
        let mut session = self.session().await?;
        let mut now = horizon(&session, options.as_of).await?;
        while let Some(changes) = self.lake.changes(self.judged, self.engine.settings().max_rows).await? {
            if summary.rows > 0 {
                session = self.session().await?;
                now = horizon(&session, options.as_of).await?;
            }
            summary.rows += changes.row_count();
            let mut touched = crate::state::Touched::default();
            for batch in &changes.rows {
                let changed = self.known_before(batch, &mut commits)?;
                touched.add(self.engine.remember(batch, changed)?);
            }
            self.refold(&touched.doubtful, &session).await?;
            let found = match now {
                Some(now) if !changes.rows.is_empty() => {
                    self.engine.judge_remembered(changes.rows, &touched, now).await?
                }
                _ => keytrail_alerts::FoldChanges::default(),
            };
            if !self.lake.append_alerts(&found.all(), Some(changes.to)).await? {
                // Somebody else judged this far: their alerts stand.
                self.engine.refresh(self.lake.alerts().await?);
            }
            summary.raised += found.raised.len();
            summary.updated += found.updated.len();
            self.judged = Some(changes.to);
            self.engine.state_mut().set_folded_to(changes.to);
        }
        self.engine.state_mut().remember_commits(&commits);
        self.rows_since_snapshot += summary.rows;
        if let Some(now) = now {
            summary.scheduled = self.engine.due(now, options.force_schedule);
            if !summary.scheduled.is_empty() {
                let hours = "SELECT account_id, region, hour_at, state, object_count FROM coverage";
                let coverage = session.sql(hours).await?.collect().await?;
                let found = self.engine.judge_schedule(coverage, now, options.force_schedule).await?;
                if !found.is_empty() {
                    self.lake.append_alerts(&found.all(), None).await?;
                }
                summary.raised += found.raised.len();
                summary.updated += found.updated.len();
                self.rows_since_snapshot += 1;
            }
        }
        (summary.judged_to, summary.as_of) = (self.judged, now);
        if self.rows_since_snapshot >= ROWS_PER_SNAPSHOT.max(self.engine.state().pair_count() / 8) {
            self.save().await?;
        }
        Ok(summary)
    }

    /// Stores the state if it has changed, so that the next start need not fold again. For the end of a process.
    pub async fn close(mut self) -> Result<(), RunError> {
        if self.rows_since_snapshot > 0 { self.save().await } else { Ok(()) }
    }

    async fn save(&mut self) -> Result<(), RunError> {
        self.lake.put_state(STATE, self.engine.state().to_snapshot()?).await?;
        self.rows_since_snapshot = 0;
        Ok(())
    }

    /// Folds what was judged after the snapshot was taken.
    async fn catch_up(&mut self) -> Result<(), RunError> {
        let Some(judged) = self.judged else { return Ok(()) };
        let mut commits = BTreeSet::new();
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
                let changed = self.known_before(batch, &mut commits)?;
                self.engine.remember(batch, changed)?;
            }
            self.rows_since_snapshot += changes.row_count();
            self.engine.state_mut().set_folded_to(changes.to);
        }
        self.engine.state_mut().remember_commits(&commits);
        Ok(())
    }

    /// Folds every row of the lake, where its log no longer reaches back to the snapshot.
    async fn rebuild(&mut self) -> Result<(), RunError> {
        *self.engine.state_mut() = State::default();
        let version = self.lake.version().await?;
        let session = self.session().await?;
        let rows = session.sql("SELECT * FROM access_events_stored").await?.collect().await?;
        let mut commits = BTreeSet::new();
        for batch in &rows {
            self.known_before(batch, &mut commits)?;
            self.engine.remember(batch, vec![false; batch.num_rows()])?;
            self.rows_since_snapshot += batch.num_rows();
        }
        let state = self.engine.state_mut();
        state.remember_commits(&commits);
        // Rows beyond the position are folded and still to be judged; they come again as known ones.
        state.set_folded_to(self.judged.map_or(version, |judged| judged.min(version)));
        Ok(())
    }

    /// Secrets whose rows changed hands: what is remembered of them is folded again from the lake.
    async fn refold(&mut self, secrets: &BTreeSet<crate::state::Id>, session: &SessionContext) -> Result<(), RunError> {
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

    /// Which rows were folded in earlier runs; notes the commits that the rows come from.
    fn known_before(&self, batch: &RecordBatch, commits: &mut BTreeSet<Micros>) -> Result<Vec<bool>, JudgeError> {
        let missing = || JudgeError::Rows(crate::state::RowsError::MissingColumn("ingested_at"));
        let column = batch.column_by_name("ingested_at").ok_or_else(missing)?;
        let column = cast(column, &DataType::Int64)?;
        let times = column.as_primitive::<Int64Type>();
        Ok((0..times.len())
            .map(|row| {
                let ingested_at = times.value(row);
                commits.insert(ingested_at);
                self.engine.state().knows_commit(ingested_at)
            })
            .collect())
    }

    async fn session(&self) -> Result<SessionContext, RunError> {
        let settings = SessionSettings { prefer_hash_join: true, ..SessionSettings::default() };
        Ok(self.lake.session(&settings).await?)
    }
}

/// The judging's "now": how far the lake has seen.
async fn horizon(session: &SessionContext, as_of: Option<Micros>) -> Result<Option<Micros>, RunError> {
    if as_of.is_some() {
        return Ok(as_of);
    }
    let batches = session.sql("SELECT CAST(horizon_at AS BIGINT) AS horizon_at FROM horizon").await?.collect().await?;
    let value = batches.iter().find(|batch| batch.num_rows() > 0).map(|batch| batch.column(0).clone());
    Ok(value.and_then(|column| {
        let column = column.as_primitive_opt::<Int64Type>()?;
        column.is_valid(0).then(|| column.value(0))
    }))
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
