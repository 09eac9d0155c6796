//! The engine: rows in, changed alerts out. Knows no lake; the runner brings the rows and keeps the alerts.
//!
//! ```text
//! rows ─▶ take_in: what do they make doubtful? ─▶ State::fold, Recent     judging
//!    ─▶ tables{new_events, recent_events, pairs, …} ─▶ each rule's SQL ─▶ findings ─▶ Inbox::fold ─▶ changed alerts
//! ```
//!
//! Invariants: what stands does not depend on the order in which rows come nor on how they are cut into batches, because
//! rules say something of a row by rows at or before it, and rows after a late one are judged again; a rule that fails
//! becomes an alert of class `rule_error` and stops no other; judging rows again changes nothing.

use std::{collections::BTreeSet, sync::Arc};

use keytrail_alerts::{FoldChanges, FoldMoment, Folding, Inbox, Rejudged, Wording, suppress};
use keytrail_lake::{
    arrow::{array::RecordBatch, error::ArrowError},
    datafusion::error::DataFusionError,
};
use keytrail_model::{
    Alert, Finding, Micros, Suppression,
    time::{self, DAY},
};
use thiserror::Error;

use crate::{
    error::{RuleError, RuleErrorKind},
    evaluate::{self, Plans},
    history::{HistoryError, NoHistory},
    judging::Judged,
    lines::Lines,
    manifest::Run,
    pack::{Pack, Packs},
    recent::{KeepRaw, Recent},
    rule::Rule,
    settings::RuleSettings,
    state::{Rows, RowsError, State, Touched},
    tables::Tables,
    template::Templates,
    troubles::Troubles,
};

/// Rules that cannot be judged at all: not the fault of one rule.
#[derive(Debug, Error)]
pub enum JudgeError {
    #[error("judge the new rows: {0}")]
    Rows(#[from] RowsError),
    #[error("put the rules' tables together: {0}")]
    Arrow(#[from] ArrowError),
    #[error("put the rules' session together: {0}")]
    Session(#[from] DataFusionError),
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// The rules, what they remember, and the alerts as they stand.
#[derive(Debug)]
pub struct Engine {
    pub(crate) rules: Vec<Rule>,
    pub(crate) troubles: Troubles,
    pub(crate) settings: RuleSettings,
    pub(crate) templates: Templates,
    pub(crate) tables: Option<Tables>,
    pub(crate) plans: Plans,
    pub(crate) state: State,
    pub(crate) inbox: Inbox,
    pub(crate) recent: Recent,
    /// Commits that were folded since the state last noted them.
    pub(crate) commits: BTreeSet<Micros>,
    pub(crate) suppressions: Vec<Suppression>,
}

impl Engine {
    /// Resolves the packs with the settings; a pack that cannot be resolved is told of at each judging.
    pub fn new(packs: &[Arc<Pack>], settings: RuleSettings, state: State, inbox: Inbox) -> Self {
        let mut rules = Vec::new();
        let mut troubles = Troubles::new(&inbox);
        for pack in packs {
            match Rule::resolve(pack.clone(), settings.overrides.get(&pack.manifest.id)) {
                Ok(rule) => rules.push(rule),
                Err(error) => troubles.add(error, None),
            }
        }
        for error in unknown_overrides(packs, &settings) {
            troubles.add(error, None);
        }
        let recent = Recent::new(settings.recent_rows, keep_raw(&rules));
        Self {
            rules,
            troubles,
            settings,
            templates: Templates::default(),
            tables: None,
            plans: Plans::default(),
            state,
            inbox,
            recent,
            commits: BTreeSet::new(),
            suppressions: Vec::new(),
        }
    }

    /// Adds errors of packs that could not be read, so that they are told of.
    pub fn with_broken(mut self, errors: impl IntoIterator<Item = RuleError>) -> Self {
        for error in errors {
            let kept = self.rules.iter().find(|rule| rule.id() == error.rule_id);
            let kept = kept.map(|rule| rule.pack.manifest.version.clone());
            self.troubles.add(error, kept);
        }
        self
    }

    /// The same rules with nothing remembered and no alerts. Their plans stay.
    pub(crate) fn emptied(self) -> Self {
        let recent = Recent::new(self.settings.recent_rows, keep_raw(&self.rules));
        let (state, inbox, commits) = (State::default(), Inbox::default(), BTreeSet::new());
        Self { state, inbox, recent, commits, ..self }
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Rules that do not run as their authors wrote them, and why.
    pub fn broken(&self) -> &[RuleError] {
        self.troubles.broken()
    }

    /// Whether a rule does not work, or an alert still says so.
    pub(crate) fn has_troubles(&self) -> bool {
        !self.troubles.is_quiet()
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub fn settings(&self) -> &RuleSettings {
        &self.settings
    }

    /// Puts alerts that somebody else changed in place of ours.
    pub fn refresh(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        self.inbox = Inbox::new(alerts);
        self.troubles.look_at(self.inbox.alerts());
    }

    /// Puts single alerts as they stand now in place of ours.
    pub fn update(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            self.troubles.look_at([&alert]);
            self.inbox.insert(alert);
        }
    }

    /// What people decided not to hear of.
    pub fn suppress(&mut self, suppressions: Vec<Suppression>) {
        self.suppressions = suppressions;
    }

    /// Puts new packs in place of the old ones. What is wrong with a pack is told of, and its last good version stays.
    pub async fn replace_packs(&mut self, packs: Packs) -> Result<(), JudgeError> {
        self.ready()?;
        let mut rules = Vec::new();
        let mut troubles = self.troubles.emptied();
        let unreadable: BTreeSet<&str> = packs.errors.iter().map(|error| error.rule_id.as_str()).collect();
        for pack in &packs.packs {
            let id = &pack.manifest.id;
            let old = self.rules.iter().find(|rule| rule.id() == id);
            if let Some(old) = old
                && (old.pack.digest == pack.digest || unreadable.contains(id.as_str()))
            {
                rules.push(old.clone());
                continue;
            }
            match self.checked(pack).await {
                Ok(rule) => rules.push(rule),
                Err(error) => {
                    troubles.add(error, old.map(|old| old.pack.manifest.version.clone()));
                    rules.extend(old.cloned());
                }
            }
        }
        for error in packs.errors {
            let old = self.rules.iter().find(|rule| rule.id() == error.rule_id);
            if let Some(old) = old
                && rules.iter().all(|rule| rule.id() != old.id())
            {
                rules.push(old.clone());
            }
            let kept = rules.iter().find(|rule| rule.id() == error.rule_id);
            let kept = kept.map(|rule| rule.pack.manifest.version.clone());
            troubles.add(error, kept);
        }
        for error in unknown_overrides(&packs.packs, &self.settings) {
            troubles.add(error, None);
        }
        rules.sort_by(|a, b| a.id().cmp(b.id()));
        (self.rules, self.troubles) = (rules, troubles);
        self.plans.clear();
        Ok(())
    }

    /// A pack as a rule that plans.
    async fn checked(&self, pack: &Arc<Pack>) -> Result<Rule, RuleError> {
        let rule = Rule::resolve(pack.clone(), self.settings.overrides.get(&pack.manifest.id))?;
        if let Some(tables) = &self.tables {
            evaluate::check(&rule, tables.session(), 0).await?;
        }
        Ok(rule)
    }

    /// Makes the tables that the rules read, once.
    pub(crate) fn ready(&mut self) -> Result<(), JudgeError> {
        if self.tables.is_none() {
            self.tables = Some(Tables::new(&self.settings.networks, &self.settings.readers)?);
        }
        Ok(())
    }

    /// Folds rows without judging them: history that was judged before.
    pub fn remember(&mut self, batch: &RecordBatch, changed: Vec<bool>) -> Result<Touched, JudgeError> {
        let rows = Rows::new(batch, changed)?;
        let mut touched = Touched::default();
        for row in rows.iter() {
            self.state.fold(&row, &mut touched);
        }
        Ok(touched)
    }

    /// The same for rows that another worker judged meanwhile; what is in memory follows, if it has been filled.
    pub(crate) fn follow(&mut self, batch: &RecordBatch, changed: Vec<bool>, keep: bool) -> Result<(), JudgeError> {
        let lines = Lines::new(batch)?;
        self.commits.extend(lines.iter().map(|line| line.ingested_at));
        if keep {
            for (line, _) in lines.iter().zip(&changed).filter(|(_, changed)| **changed) {
                self.recent.forget_replaced(&line);
            }
            self.recent.insert(batch)?;
        }
        self.remember(batch, changed)?;
        Ok(())
    }

    /// Notes that the rows folded so far were seen: from now on they come only because they changed.
    pub(crate) fn settle_commits(&mut self) {
        self.state.remember_commits(&self.commits);
        self.commits.clear();
    }

    /// Empties what is in memory, where nothing lies behind it.
    pub(crate) fn forget_recent(&mut self) {
        self.recent = Recent::new(self.settings.recent_rows, keep_raw(&self.rules));
        self.commits.clear();
    }

    /// Puts the newest folded rows into memory; they are complete after a moment.
    pub(crate) fn fill_recent(&mut self, rows: Vec<RecordBatch>, floor: Micros) -> Result<(), JudgeError> {
        self.recent = Recent::new(self.settings.recent_rows, keep_raw(&self.rules)).since(floor);
        for batch in self.folded(rows)? {
            self.recent.insert(&batch)?;
        }
        Ok(())
    }

    /// Whether what is in memory has what the rules read.
    pub(crate) fn remembers_enough(&self) -> bool {
        *self.recent.keep_raw() == keep_raw(&self.rules)
    }

    /// Whether any rule reads the record's JSON.
    pub(crate) fn reads_raw(&self) -> bool {
        keep_raw(&self.rules) != KeepRaw::None
    }

    /// Folds rows and runs the batch rules over them and over what they make doubtful, all of it in memory.
    pub async fn judge_batch(
        &mut self,
        batch: &RecordBatch,
        changed: Vec<bool>,
        now: Micros,
    ) -> Result<FoldChanges, JudgeError> {
        Ok(self.judge_rows(vec![(batch.clone(), changed)], now).await?.changes)
    }

    /// The same for several batches that came together, with what each rule found.
    pub async fn judge_rows(&mut self, rows: Vec<(RecordBatch, Vec<bool>)>, now: Micros) -> Result<Judged, JudgeError> {
        let taken = self.take_in(rows, usize::MAX)?;
        self.judge(taken, &NoHistory, now).await
    }

    /// The scheduled rules that are due at a moment.
    pub fn due(&self, now: Micros, forced: bool) -> Vec<String> {
        let is_due = |rule: &&Rule| {
            let every = rule.pack.manifest.every.unwrap_or(DAY);
            let last = self.state.scheduled.get(rule.id()).copied();
            forced || last.is_none_or(|last| now.saturating_sub(last) >= every)
        };
        let scheduled = self.rules.iter().filter(|rule| rule.enabled && rule.runs(Run::Schedule));
        scheduled.filter(is_due).map(|rule| rule.id().to_owned()).collect()
    }

    /// How far before a row the batch rules look.
    pub(crate) fn looks_back(&self) -> Micros {
        let batch = self.rules.iter().filter(|rule| rule.enabled && rule.runs(Run::Batch));
        batch.map(|rule| rule.pack.manifest.looks_back).max().unwrap_or(0)
    }

    pub(crate) fn fold(&mut self, findings: Vec<Finding>, rejudged: &Rejudged, now: Micros) -> FoldChanges {
        // A key may claim a delivery that is still to come; that must not turn today into history.
        let historical_before = now.min(time::now()).saturating_sub(self.settings.historical_after);
        let folding =
            RuleFolding { rules: &self.rules, templates: &self.templates, suppressions: &self.suppressions, now };
        self.inbox.fold(findings, rejudged, &folding, FoldMoment { now, historical_before })
    }
}

/// Tables `[rules.ID]` of the configuration that no pack has.
fn unknown_overrides(packs: &[Arc<Pack>], settings: &RuleSettings) -> Vec<RuleError> {
    let unknown = settings.overrides.keys().filter(|id| !packs.iter().any(|pack| &pack.manifest.id == *id));
    unknown
        .map(|id| {
            let known = packs.iter().map(|pack| pack.manifest.id.as_str());
            RuleError::new(id, "config", RuleErrorKind::MissingFile).suggest(id, known)
        })
        .collect()
}

/// Of which rows the rules may read the record's JSON: by the actions that they say they look at.
fn keep_raw(rules: &[Rule]) -> KeepRaw {
    let mut actions = BTreeSet::new();
    let readers = rules.iter().filter(|rule| rule.enabled && rule.runs(Run::Batch));
    let mut readers = readers.filter(|rule| rule.sql_texts().any(names_raw)).peekable();
    if readers.peek().is_none() {
        return KeepRaw::None;
    }
    for rule in readers {
        let when = &rule.pack.manifest.when.actions;
        if when.is_empty() {
            return KeepRaw::All;
        }
        actions.extend(when.iter().cloned());
    }
    KeepRaw::Of(actions)
}

/// Whether `raw` stands in SQL as a word of its own.
fn names_raw(sql: &str) -> bool {
    sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word.eq_ignore_ascii_case("raw"))
}

/// What folding asks of the rules.
struct RuleFolding<'a> {
    rules: &'a [Rule],
    templates: &'a Templates,
    suppressions: &'a [Suppression],
    now: Micros,
}

impl RuleFolding<'_> {
    fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id() == id)
    }
}

impl Folding for RuleFolding<'_> {
    fn episode_gap(&self, rule_id: &str) -> Micros {
        self.rule(rule_id).map_or(DAY, |rule| rule.pack.manifest.episode_gap)
    }

    fn suppression(&self, alert: &Alert) -> Option<String> {
        suppress::covering(self.suppressions, alert, self.now).map(|found| found.suppression_id.clone())
    }

    fn wording(&self, alert: &Alert) -> Option<Wording> {
        let text = &self.rule(&alert.rule_id)?.pack.manifest.text;
        let title = text.folded_title.as_ref().map(|source| self.templates.folded(source, alert));
        let reason = text.folded_reason.as_ref().map(|source| self.templates.folded(source, alert));
        // A template that fails keeps the earliest finding's words: an alert is never lost for its wording.
        Some(Wording {
            title: title.and_then(Result::ok).unwrap_or_else(|| alert.title.clone()),
            reason: reason.and_then(Result::ok).unwrap_or_else(|| alert.reason.clone()),
        })
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
