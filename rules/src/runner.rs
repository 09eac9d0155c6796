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

use std::collections::{BTreeMap, HashMap};

use keytrail_alerts::{FoldChanges, Inbox};
use keytrail_lake::{
    Changes, Lake, LakeError,
    arrow::error::ArrowError,
    datafusion::{error::DataFusionError, prelude::SessionContext},
    session::SessionSettings,
};
use keytrail_model::{Alert, Micros};
use thiserror::Error;

mod again;
mod catch_up;

use crate::{
    engine::{Engine, JudgeError},
    follow::Follower,
    history::{HistoryError, Key},
    judging::{Judged, Taken},
    lake_rows::LakeRows,
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
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("read or write what is to be judged again: {0}")]
    Late(#[source] serde_json::Error),
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
    /// Keys whose rows are to be judged again from a moment on, because something came late that memory does not reach.
    late: BTreeMap<Key, Micros>,
    /// What the engine keeps in memory has been read.
    is_filled: bool,
    /// Packs were loaded that nothing was said of yet.
    has_news: bool,
    /// A run began and did not end: the state may hold rows that are not judged.
    is_cut_short: bool,
}

impl Runner {
    /// Opens the rules over a lake and brings their state up to what is judged.
    pub async fn open(lake: Lake, packs: Packs, settings: RuleSettings) -> Result<Self, RunError> {
        let (judged, state) = stored(&lake).await?;
        let late = again::stored(&lake).await?;
        let inbox = Inbox::new(lake.alerts().await?);
        let engine = Engine::new(&packs.packs, settings, state, inbox).with_broken(packs.errors);
        let follower = Follower::default();
        let mut runner = Self {
            lake,
            engine,
            follower,
            judged,
            rows_since_snapshot: 0,
            late,
            is_filled: false,
            has_news: true,
            is_cut_short: false,
        };
        runner.catch_up().await?;
        Ok(runner)
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The rules with what they remember, for asking them; nothing is recorded any more.
    pub fn into_engine(self) -> Engine {
        self.engine
    }

    /// Puts new packs in place of the old ones, from the next judging on. A pack that is wrong keeps its last good version.
    pub async fn reload(&mut self, packs: Packs) -> Result<(), RunError> {
        self.engine.replace_packs(packs).await?;
        // Other rules may read more of what is kept in memory.
        self.is_filled &= self.engine.remembers_enough();
        self.has_news = true;
        Ok(())
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
        let has_work = next.is_some() || self.has_news || !self.late.is_empty();
        if !has_work && now.is_some_and(|now| self.engine.due(now, options.force_schedule).is_empty()) {
            summary.as_of = now;
            return Ok(summary);
        }
        let mut seen = self.lake.version().await?;
        if next.is_none() {
            now = self.look(options).await?;
        }
        loop {
            while let Some(mut changes) = next {
                // What another worker judged is history, and its alerts stand.
                if self.follow_others().await? {
                    let Some(rest) = self.next().await? else { break };
                    changes = rest;
                }
                if changes.to > seen {
                    // A row that was folded by this run may have been changed since.
                    self.engine.settle_commits();
                    seen = self.lake.version().await?;
                }
                now = self.look(options).await?;
                self.step(changes, now, &mut summary).await?;
                next = self.next().await?;
            }
            // What came since goes first; a round here is one slice of what is left to judge again.
            if !self.judge_late(now, &mut summary).await? {
                break;
            }
            next = self.next().await?;
        }
        self.engine.settle_commits();
        if let Some(now) = now {
            self.run_schedule(now, options, &mut summary).await?;
        }
        self.report_troubles(now, &mut summary).await?;
        (summary.judged_to, summary.as_of) = (self.judged, now);
        if self.rows_since_snapshot >= ROWS_PER_SNAPSHOT.max(self.engine.state().pair_count() / 8) {
            self.save().await?;
        }
        Ok(summary)
    }

    /// Judges some commits and records them.
    async fn step(&mut self, changes: Changes, now: Option<Micros>, summary: &mut RunSummary) -> Result<(), RunError> {
        let (to, rows) = (changes.to, changes.row_count());
        let found = self.judge(changes, now).await?.changes;
        match self.record(&found, to).await? {
            true => {
                summary.rows += rows;
                summary.add(&found);
                self.judged = Some(to);
                self.engine.state_mut().set_folded_to(to);
            }
            false => {
                summary.conflicts += 1;
                self.engine.settle_commits();
                self.engine.state_mut().set_folded_to(to);
                self.engine.refresh(self.lake.alerts().await?);
                self.judged = self.lake.judged().await?;
                self.catch_up().await?;
            }
        }
        self.rows_since_snapshot += rows;
        Ok(())
    }

    async fn next(&self) -> Result<Option<Changes>, RunError> {
        Ok(self.lake.changes(self.judged, self.engine.settings().max_rows).await?)
    }

    /// Takes in what others did to alerts, and says how far the lake has seen.
    async fn look(&mut self, options: RunOptions) -> Result<Option<Micros>, RunError> {
        let alerts = self.follower.look(&self.lake).await?;
        self.engine.update(alerts);
        if let Some(suppressions) = self.follower.suppressions(&self.lake).await? {
            self.engine.suppress(suppressions);
        }
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

    async fn judge(&mut self, changes: Changes, now: Option<Micros>) -> Result<Judged, RunError> {
        self.fill().await?;
        let mut rows = Vec::with_capacity(changes.rows.len());
        for batch in changes.rows {
            let changed = self.known_before(&batch)?;
            rows.push((batch, changed));
        }
        let again_rows = self.engine.settings().again_rows;
        let is_empty = rows.is_empty();
        let mut taken = self.engine.take_in(rows, again_rows)?;
        self.refold(&taken.touched.doubtful).await?;
        self.add_late(std::mem::take(&mut taken.late)).await?;
        match now {
            Some(now) if !is_empty => self.judge_taken(taken, now).await,
            _ => Ok(Judged::default()),
        }
    }

    async fn judge_taken(&mut self, taken: Taken, now: Micros) -> Result<Judged, RunError> {
        let history = self.history();
        Ok(self.engine.judge(taken, &history, now).await?)
    }

    /// What memory does not have.
    fn history(&self) -> LakeRows {
        LakeRows::new(self.lake.clone(), self.engine.reads_raw())
    }

    /// Commits alerts and position; false where somebody else has judged meanwhile.
    async fn record(&mut self, found: &FoldChanges, to: u64) -> Result<bool, RunError> {
        let alerts = self.with_decisions(found.all()).await?;
        Ok(self.lake.append_judged(&alerts, self.judged, to).await?)
    }

    /// Takes in what is in the alert log by now, our own last rows among it, so that what comes after is a decision.
    async fn take_decisions(&mut self) -> Result<(), RunError> {
        let alerts = self.follower.alerts(&self.lake).await?;
        self.engine.update(alerts);
        Ok(())
    }

    /// Commits alerts that no new position comes with.
    async fn append(&mut self, found: &FoldChanges, summary: &mut RunSummary) -> Result<(), RunError> {
        let alerts = self.with_decisions(found.all()).await?;
        if !alerts.is_empty() {
            self.lake.append_alerts(&alerts, None).await?;
        }
        summary.add(found);
        Ok(())
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
        self.take_decisions().await?;
        let found = self.engine.judge_schedule(coverage, now, options.force_schedule).await?;
        self.append(&found, summary).await?;
        self.rows_since_snapshot += 1;
        Ok(())
    }

    /// Tells of packs that do not work, and of those that do again, where no rows came to judge.
    async fn report_troubles(&mut self, now: Option<Micros>, summary: &mut RunSummary) -> Result<(), RunError> {
        if std::mem::replace(&mut self.has_news, false) && self.engine.has_troubles() {
            self.take_decisions().await?;
            let found = self.engine.report(now.unwrap_or_else(keytrail_model::time::now));
            self.append(&found, summary).await?;
        }
        Ok(())
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
