//! Tails the lake: what is new is folded and judged, and the alerts are committed with the position.
//!
//! ```text
//! open: snapshot of the state ─▶ fold (snapshot, judged]   (lost, damaged or another version: fold from the start)
//! run:  changes(judged) ─▶ fold ─▶ batch rules ─▶ alerts + position in one commit ─▶ … ─▶ scheduled rules that are due
//!       another worker was faster: fold what it judged, take its alerts, go on from its position
//! ```
//!
//! Invariants: alerts and position are one commit, so a crash between any two steps loses and doubles nothing; the state
//! may lag behind the position, never lead it, and what it lacks is folded at the next start. A run with nothing new
//! writes nothing.
//!
//! A row that a later commit changed comes once, as it stands now. Whether it was folded before is told by when it
//! was first committed: [`State`] remembers the commits of earlier runs.

use std::collections::{BTreeSet, HashMap};

use keytrail_alerts::{FoldChanges, Inbox};
use keytrail_lake::{
    Changes, Lake, LakeError, LakeErrorKind,
    arrow::{
        array::{AsArray, RecordBatch},
        compute::cast,
        datatypes::{DataType, Int64Type},
        error::ArrowError,
    },
    datafusion::{error::DataFusionError, prelude::SessionContext},
    session::SessionSettings,
};
use keytrail_model::{Alert, Micros};
use thiserror::Error;

use crate::{
    engine::{Engine, JudgeError},
    follow::Follower,
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
    #[error("read what the lake answered the rules: {0}")]
    Columns(#[from] ArrowError),
    #[error("read the alert log: {0}")]
    AlertLog(#[source] serde_json::Error),
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
    /// Ids of the alerts that this run raised, in event order; historical ones among them. `Runner::engine` has them.
    pub raised_alerts: Vec<String>,
    /// How often another worker had judged the same rows first.
    pub conflicts: usize,
    /// Ids of the scheduled rules that ran.
    pub scheduled: Vec<String>,
    pub as_of: Option<Micros>,
}

impl RunSummary {
    fn add(&mut self, found: &FoldChanges) {
        self.raised += found.raised.len();
        self.updated += found.updated.len();
        self.raised_alerts.extend(found.raised.iter().map(|alert| alert.alert_id.clone()));
    }
}

/// The rules over one lake. Several workers may each have one: who records a position first has judged up to it, the others
/// take his alerts for theirs and go on from there.
#[derive(Debug)]
pub struct Runner {
    lake: Lake,
    engine: Engine,
    follower: Follower,
    judged: Option<u64>,
    rows_since_snapshot: usize,
    /// A run began and did not end: the state may hold rows that are not judged.
    is_cut_short: bool,
}

impl Runner {
    /// Opens the rules over a lake and brings their state up to what is judged.
    pub async fn open(lake: Lake, packs: Packs, settings: RuleSettings) -> Result<Self, RunError> {
        let (judged, state) = stored(&lake).await?;
        let inbox = Inbox::new(lake.alerts().await?);
        let engine = Engine::new(&packs.packs, settings, state, inbox).with_broken(packs.errors);
        let follower = Follower::default();
        let mut runner = Self { lake, engine, follower, judged, rows_since_snapshot: 0, is_cut_short: false };
        runner.catch_up().await?;
        Ok(runner)
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Judges everything that is new, then runs the scheduled rules that are due.
    ///
    /// To be called again and again: with nothing new it asks for the newest version and no more. A run that failed or was
    /// dropped half-way has recorded whole steps or nothing; the next one begins from what is recorded.
    ///
    /// # Errors
    /// The lake cannot be read or written. A rule that fails is an alert, not an error.
    pub async fn run(&mut self, options: RunOptions) -> Result<RunSummary, RunError> {
        if std::mem::replace(&mut self.is_cut_short, true) {
            self.reopen().await?;
        }
        let summary = self.judge_all(options).await?;
        self.is_cut_short = false;
        Ok(summary)
    }

    async fn judge_all(&mut self, options: RunOptions) -> Result<RunSummary, RunError> {
        let mut summary = RunSummary { judged_to: self.judged, ..RunSummary::default() };
        let mut next = self.next().await?;
        let mut now = options.as_of.or(self.follower.horizon());
        if next.is_none() && now.is_some_and(|now| self.engine.due(now, options.force_schedule).is_empty()) {
            summary.as_of = now;
            return Ok(summary);
        }
        let mut seen = self.lake.version().await?;
        let mut commits = BTreeSet::new();
        if next.is_none() {
            now = self.look(options).await?;
        }
        while let Some(mut changes) = next {
            // What another worker judged is history, and its alerts stand.
            if self.follow_others().await? {
                let Some(rest) = self.next().await? else { break };
                changes = rest;
            }
            if changes.to > seen {
                // A row that was folded by this run may have been changed since.
                self.engine.state_mut().remember_commits(&commits);
                seen = self.lake.version().await?;
            }
            now = self.look(options).await?;
            let (to, rows) = (changes.to, changes.row_count());
            let found = self.judge(changes, now, &mut commits).await?;
            match self.record(&found, to).await? {
                true => {
                    summary.rows += rows;
                    summary.add(&found);
                    self.judged = Some(to);
                    self.engine.state_mut().set_folded_to(to);
                }
                false => {
                    summary.conflicts += 1;
                    self.engine.state_mut().remember_commits(&commits);
                    self.engine.state_mut().set_folded_to(to);
                    self.engine.refresh(self.lake.alerts().await?);
                    self.judged = self.lake.judged().await?;
                    self.catch_up().await?;
                }
            }
            self.rows_since_snapshot += rows;
            next = self.next().await?;
        }
        self.engine.state_mut().remember_commits(&commits);
        if let Some(now) = now {
            self.run_schedule(now, options, &mut summary).await?;
        }
        (summary.judged_to, summary.as_of) = (self.judged, now);
        if self.rows_since_snapshot >= ROWS_PER_SNAPSHOT.max(self.engine.state().pair_count() / 8) {
            self.save().await?;
        }
        Ok(summary)
    }

    async fn next(&self) -> Result<Option<Changes>, RunError> {
        Ok(self.lake.changes(self.judged, self.engine.settings().max_rows).await?)
    }

    /// Takes in what others did to alerts, and says how far the lake has seen.
    async fn look(&mut self, options: RunOptions) -> Result<Option<Micros>, RunError> {
        let alerts = self.follower.look(&self.lake).await?;
        self.engine.update(alerts);
        Ok(options.as_of.or(self.follower.horizon()))
    }

    /// Folds what another worker has judged meanwhile. Whether there was anything.
    async fn follow_others(&mut self) -> Result<bool, RunError> {
        let recorded = self.lake.judged().await?;
        if recorded <= self.judged {
            return Ok(false);
        }
        self.judged = recorded;
        self.catch_up().await?;
        Ok(true)
    }

    async fn judge(
        &mut self,
        changes: Changes,
        now: Option<Micros>,
        commits: &mut BTreeSet<Micros>,
    ) -> Result<FoldChanges, RunError> {
        let mut touched = crate::state::Touched::default();
        for batch in &changes.rows {
            let changed = self.known_before(batch, commits)?;
            touched.add(self.engine.remember(batch, changed)?);
        }
        self.refold(&touched.doubtful).await?;
        match now {
            Some(now) if !changes.rows.is_empty() => {
                Ok(self.engine.judge_remembered(changes.rows, &touched, now).await?)
            }
            _ => Ok(FoldChanges::default()),
        }
    }

    /// Commits alerts and position; false where somebody else has judged meanwhile.
    async fn record(&mut self, found: &FoldChanges, to: u64) -> Result<bool, RunError> {
        let alerts = self.with_decisions(found.all()).await?;
        Ok(self.lake.append_judged(&alerts, self.judged, to).await?)
    }

    /// The alerts with what people decided while they were being judged.
    async fn with_decisions(&mut self, mut alerts: Vec<Alert>) -> Result<Vec<Alert>, RunError> {
        if alerts.is_empty() {
            return Ok(alerts);
        }
        let decided: HashMap<String, Alert> =
            self.follower.alerts(&self.lake).await?.into_iter().map(|alert| (alert.alert_id.clone(), alert)).collect();
        for alert in &mut alerts {
            if let Some(newer) = decided.get(&alert.alert_id) {
                (alert.state, alert.verdict) = (newer.state, newer.verdict);
                (alert.note, alert.changed_by) = (newer.note.clone(), newer.changed_by.clone());
            }
        }
        self.engine.update(decided.into_values());
        self.engine.update(alerts.iter().cloned());
        Ok(alerts)
    }

    async fn run_schedule(
        &mut self,
        now: Micros,
        options: RunOptions,
        summary: &mut RunSummary,
    ) -> Result<(), RunError> {
        summary.scheduled = self.engine.due(now, options.force_schedule);
        if summary.scheduled.is_empty() {
            return Ok(());
        }
        let hours = "SELECT account_id, region, hour_at, state, object_count FROM coverage";
        let coverage = self.session().await?.sql(hours).await?.collect().await?;
        let found = self.engine.judge_schedule(coverage, now, options.force_schedule).await?;
        let alerts = self.with_decisions(found.all()).await?;
        if !alerts.is_empty() {
            self.lake.append_alerts(&alerts, None).await?;
        }
        summary.add(&found);
        self.rows_since_snapshot += 1;
        Ok(())
    }

    /// Begins from what is recorded, after a run that was cut short: rows may be folded that are not judged.
    async fn reopen(&mut self) -> Result<(), RunError> {
        let (judged, state) = stored(&self.lake).await?;
        *self.engine.state_mut() = state;
        (self.judged, self.follower, self.rows_since_snapshot) = (judged, Follower::default(), 0);
        self.engine.refresh(self.lake.alerts().await?);
        self.catch_up().await
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
            if changes.to > judged {
                // Commits without rows of ours: a state that leads the position would not be trusted at the next start.
                self.engine.state_mut().set_folded_to(judged);
                break;
            }
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
    async fn refold(&mut self, secrets: &BTreeSet<crate::state::Id>) -> Result<(), RunError> {
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

/// What is recorded of a lake's judging: the position, and the state at or before it.
async fn stored(lake: &Lake) -> Result<(Option<u64>, State), RunError> {
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
    Ok((judged, state))
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
