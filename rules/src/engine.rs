//! The engine: rows in, changed alerts out. Knows no lake; the runner brings the rows and keeps the alerts.
//!
//! ```text
//! rows ─▶ State::fold ─▶ session{new_events, pairs, …} ─▶ each rule's SQL ─▶ findings ─▶ Inbox::fold ─▶ changed alerts
//! ```
//!
//! Invariants: every row is folded before any rule sees it, and rules compare moments, so judging ninety days at once
//! gives what judging them as they came gave; a rule that fails becomes a finding of class `rule_error` and stops no
//! other; judging rows again changes nothing.

use std::sync::Arc;

use keytrail_alerts::{FoldChanges, FoldMoment, Folding, Inbox, Wording};
use keytrail_lake::{
    arrow::{array::RecordBatch, error::ArrowError},
    datafusion::error::DataFusionError,
};
use keytrail_model::{
    Alert, Finding, Micros,
    time::{self, DAY},
};
use thiserror::Error;

use crate::{
    error::RuleError,
    evaluate::{self, Limits},
    manifest::Run,
    pack::Pack,
    rule::Rule,
    settings::RuleSettings,
    state::{Rows, RowsError, Scope, State, Touched},
    tables::{self, Judging},
    template::Templates,
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
}

/// The rules, what they remember, and the alerts as they stand.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Rule>,
    broken: Vec<RuleError>,
    settings: RuleSettings,
    templates: Templates,
    state: State,
    inbox: Inbox,
}

impl Engine {
    /// Resolves the packs with the settings; a pack that cannot be resolved is told of at each judging.
    pub fn new(packs: &[Arc<Pack>], settings: RuleSettings, state: State, inbox: Inbox) -> Self {
        let (mut rules, mut broken) = (Vec::new(), Vec::new());
        for pack in packs {
            match Rule::resolve(pack.clone(), settings.overrides.get(&pack.manifest.id)) {
                Ok(rule) => rules.push(rule),
                Err(error) => broken.push(error),
            }
        }
        for id in settings.overrides.keys() {
            if !packs.iter().any(|pack| &pack.manifest.id == id) {
                let known = packs.iter().map(|pack| pack.manifest.id.as_str());
                let error = RuleError::new(id, "config", crate::error::RuleErrorKind::MissingFile);
                broken.push(error.suggest(id, known));
            }
        }
        Self { rules, broken, settings, templates: Templates::default(), state, inbox }
    }

    /// Adds errors of packs that could not be read, so that they are told of.
    pub fn with_broken(mut self, errors: impl IntoIterator<Item = RuleError>) -> Self {
        self.broken.extend(errors);
        self
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Rules that do not run, and why.
    pub fn broken(&self) -> &[RuleError] {
        &self.broken
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

    /// Puts alerts that somebody else changed in place of ours.
    pub fn refresh(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        self.inbox = Inbox::new(alerts);
    }

    /// Puts single alerts as they stand now in place of ours.
    pub fn update(&mut self, alerts: impl IntoIterator<Item = Alert>) {
        for alert in alerts {
            self.inbox.insert(alert);
        }
    }

    pub fn settings(&self) -> &RuleSettings {
        &self.settings
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

    /// Folds rows and runs the batch rules over them.
    pub async fn judge_batch(
        &mut self,
        batch: &RecordBatch,
        changed: Vec<bool>,
        now: Micros,
    ) -> Result<FoldChanges, JudgeError> {
        let touched = self.remember(batch, changed)?;
        self.judge_remembered(vec![batch.clone()], &touched, now).await
    }

    /// Runs the batch rules over rows that [`Engine::remember`] has folded.
    pub async fn judge_remembered(
        &mut self,
        new_events: Vec<RecordBatch>,
        touched: &Touched,
        now: Micros,
    ) -> Result<FoldChanges, JudgeError> {
        let due: Vec<&Rule> = self.rules.iter().filter(|rule| rule.enabled && rule.runs(Run::Batch)).collect();
        if due.is_empty() && self.broken.is_empty() {
            return Ok(FoldChanges::default());
        }
        let judging = Judging {
            state: &self.state,
            scope: Scope::Touched(touched),
            new_events,
            coverage: Vec::new(),
            networks: &self.settings.networks,
            readers: &self.settings.readers,
        };
        let session = tables::session(&judging)?;
        let findings = self.findings(&due, &session, now).await;
        Ok(self.fold(findings, now))
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

    /// Runs the scheduled rules that are due, over the whole state.
    pub async fn judge_schedule(
        &mut self,
        coverage: Vec<RecordBatch>,
        now: Micros,
        forced: bool,
    ) -> Result<FoldChanges, JudgeError> {
        let ids = self.due(now, forced);
        if ids.is_empty() {
            return Ok(FoldChanges::default());
        }
        let judging = Judging {
            state: &self.state,
            scope: Scope::Everything,
            new_events: Vec::new(),
            coverage,
            networks: &self.settings.networks,
            readers: &self.settings.readers,
        };
        let session = tables::session(&judging)?;
        let due: Vec<&Rule> = self.rules.iter().filter(|rule| ids.iter().any(|id| id == rule.id())).collect();
        let findings = self.findings(&due, &session, now).await;
        let changes = self.fold(findings, now);
        self.state.scheduled.extend(ids.into_iter().map(|id| (id, now)));
        Ok(changes)
    }

    async fn findings(
        &self,
        rules: &[&Rule],
        session: &keytrail_lake::datafusion::prelude::SessionContext,
        now: Micros,
    ) -> Vec<Finding> {
        let limits = Limits { time_budget: self.settings.time_budget, max_findings: self.settings.max_findings };
        let mut findings: Vec<Finding> = self.broken.iter().map(|error| evaluate::error_finding(error, now)).collect();
        for rule in rules {
            match evaluate::evaluate(rule, session, &self.templates, now, limits).await {
                Ok(found) => findings.extend(found),
                Err(error) => {
                    tracing::warn!(rule = rule.id(), %error, "rule failed");
                    findings.push(evaluate::error_finding(&error, now));
                }
            }
        }
        findings
    }

    fn fold(&mut self, findings: Vec<Finding>, now: Micros) -> FoldChanges {
        // A key may claim a delivery that is still to come; that must not turn today into history.
        let historical_before = now.min(time::now()).saturating_sub(self.settings.historical_after);
        let folding = RuleFolding { rules: &self.rules, templates: &self.templates };
        self.inbox.fold(findings, &folding, FoldMoment { now, historical_before })
    }
}

/// What folding asks of the rules.
struct RuleFolding<'a> {
    rules: &'a [Rule],
    templates: &'a Templates,
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
