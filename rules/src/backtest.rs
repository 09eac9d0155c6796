//! Replays history through rules and counts what they would have alerted on.
//!
//! In: packs, settings, and the lake's rows day by day, oldest first. Out: the alerts, and a [`Forecast`] of each rule: alerts per day,
//! the busiest day, whose share is largest, examples, and what people said of the same fingerprints. Every row before the counted
//! days is learned from, as the running rules would have.
//!
//! Nothing is written: the replay has a state and alerts of its own, and knows no suppression.

use std::{collections::BTreeMap, sync::Arc};

use keytrail_alerts::Inbox;
use keytrail_lake::arrow::array::RecordBatch;
use keytrail_model::{Alert, AlertClass, Micros, Severity, time, time::DAY};

use crate::{
    engine::{Engine, JudgeError},
    error::RuleError,
    manifest::Run,
    pack::Pack,
    settings::RuleSettings,
    state::State,
};

/// Rules over rows that come day by day.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    is_scheduled: bool,
}

impl Replay {
    /// Begins with nothing known.
    pub fn new(packs: &[Arc<Pack>], settings: RuleSettings) -> Self {
        let is_scheduled = packs.iter().any(|pack| pack.manifest.run.contains(&Run::Schedule));
        Self { engine: Engine::new(packs, settings, State::default(), Inbox::default()), is_scheduled }
    }

    /// Rules that do not run, and why.
    pub fn broken(&self) -> &[RuleError] {
        self.engine.broken()
    }

    /// Judges the rows of one day, then the scheduled rules that are due at its end. `coverage` has the hours up to then.
    ///
    /// # Errors
    /// The rows are not those of `access_events`. A rule that fails is an alert of class `rule_error`.
    pub async fn day(&mut self, rows: &[RecordBatch], coverage: &[RecordBatch], end: Micros) -> Result<(), JudgeError> {
        for batch in rows {
            self.engine.judge_batch(batch, vec![false; batch.num_rows()], end).await?;
        }
        if self.is_scheduled {
            self.engine.judge_schedule(coverage.to_vec(), end, false).await?;
        }
        Ok(())
    }

    /// Every alert, in the order of their first events.
    pub fn finish(self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self.engine.inbox().alerts().cloned().collect();
        alerts.sort_by(|a, b| (a.first_event_at, &a.alert_id).cmp(&(b.first_event_at, &b.alert_id)));
        alerts
    }
}

/// The days that are counted: from the first moment up to, not with, the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Micros,
    pub until: Micros,
}

impl Span {
    pub fn has(&self, at: Micros) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// How many days are counted, at least one.
    pub fn days(&self) -> i64 {
        let days = (self.until - 1).div_euclid(DAY) - self.from.div_euclid(DAY) + 1;
        days.max(1)
    }
}

/// What one rule would have done.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub rule_id: String,
    pub alerts: usize,
    pub per_day: f64,
    /// Days with at least one alert, and how many each has.
    pub by_day: BTreeMap<String, usize>,
    pub by_severity: BTreeMap<Severity, usize>,
    /// The principals with the most alerts, the first ones first.
    pub by_principal: Vec<(String, usize)>,
    /// What people said of alerts with the same fingerprint.
    pub verdicts: BTreeMap<&'static str, usize>,
    /// Reason sentences, the worst and newest first.
    pub examples: Vec<Alert>,
    /// Why the rule did not run, where it did not.
    pub error: Option<String>,
}

impl Forecast {
    /// The day with the most alerts; of several, the first.
    pub fn busiest(&self) -> Option<(&str, usize)> {
        let most = self.by_day.values().copied().max()?;
        self.by_day.iter().find(|(_, number)| **number == most).map(|(day, number)| (day.as_str(), *number))
    }
}

/// How many principals a forecast names.
const PRINCIPALS: usize = 3;

/// Sums up a replay, one forecast for each rule in their order. `known` are the lake's own alerts, for their verdicts.
pub fn forecast(rule_ids: &[&str], alerts: &[Alert], known: &[Alert], span: Span, examples: usize) -> Vec<Forecast> {
    rule_ids.iter().map(|rule_id| of_rule(rule_id, alerts, known, span, examples)).collect()
}

fn of_rule(rule_id: &str, alerts: &[Alert], known: &[Alert], span: Span, examples: usize) -> Forecast {
    let of_rule = alerts.iter().filter(|alert| alert.rule_id == rule_id);
    let (errors, found): (Vec<&Alert>, Vec<&Alert>) = of_rule.partition(|alert| alert.class == AlertClass::RuleError);
    let mut counted: Vec<&Alert> = found.into_iter().filter(|alert| span.has(alert.first_event_at)).collect();
    let mut forecast = Forecast {
        rule_id: rule_id.to_owned(),
        alerts: counted.len(),
        per_day: counted.len() as f64 / span.days() as f64,
        by_day: BTreeMap::new(),
        by_severity: BTreeMap::new(),
        by_principal: Vec::new(),
        verdicts: BTreeMap::new(),
        examples: Vec::new(),
        error: errors.first().map(|alert| alert.reason.clone()),
    };
    let mut principals: BTreeMap<&str, usize> = BTreeMap::new();
    for alert in &counted {
        *forecast.by_day.entry(time::utc_day(alert.first_event_at)).or_default() += 1;
        *forecast.by_severity.entry(alert.severity).or_default() += 1;
        *principals.entry(alert.principal_id.as_deref().unwrap_or("nobody in particular")).or_default() += 1;
        let judged = known
            .iter()
            .find(|it| it.verdict.is_some() && (it.alert_id == alert.alert_id || it.fingerprint == alert.fingerprint));
        if let Some(verdict) = judged.and_then(|it| it.verdict) {
            *forecast.verdicts.entry(verdict.as_str()).or_default() += 1;
        }
    }
    let mut principals: Vec<(String, usize)> =
        principals.into_iter().map(|(principal, number)| (principal.to_owned(), number)).collect();
    principals.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    principals.truncate(PRINCIPALS);
    forecast.by_principal = principals;
    counted.sort_by_key(|alert| std::cmp::Reverse((alert.severity, alert.last_event_at)));
    forecast.examples = counted.into_iter().take(examples).cloned().collect();
    forecast
}

#[cfg(test)]
#[path = "backtest_tests.rs"]
mod tests;
