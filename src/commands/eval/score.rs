//! What a comparison comes to: counts for each rule and in all, of one folder or of several together.
//!
//! In: a folder's comparison, its days and its events. Out: [`Evaluation`], which is the JSON of `keytrail eval`. Rates are over
//! all days and events that were judged; recall of nothing planted is 1.

use std::collections::BTreeMap;

use keytrail_simulator::Labels;
use serde::Serialize;

use super::compare::Compared;

/// One rule.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RuleScore {
    pub(super) rule_id: String,
    pub(super) expected: usize,
    pub(super) found: usize,
    pub(super) recall: f64,
    pub(super) quiet: usize,
    /// Look-alikes that alerted all the same.
    pub(super) noise_on_quiet: usize,
    pub(super) alerts: usize,
    /// Alerts that no label explains.
    pub(super) false_alerts: usize,
    pub(super) false_per_day: f64,
    pub(super) false_per_million_events: f64,
    /// Seconds from event to delivery of what was reported, of every planted case that has one.
    #[serde(skip)]
    pub(super) seconds: Vec<i64>,
    pub(super) median_seconds_to_detect: Option<i64>,
    pub(super) longest_seconds_to_detect: Option<i64>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Evaluation {
    pub(super) folders: usize,
    pub(super) seeds: Vec<u64>,
    pub(super) days: u64,
    pub(super) secrets: usize,
    /// Rows about secrets that were judged.
    pub(super) events: i64,
    pub(super) expected: usize,
    pub(super) found: usize,
    pub(super) recall: f64,
    /// Labels that no alert meets.
    pub(super) missed: Vec<String>,
    pub(super) quiet: usize,
    /// Look-alikes that alerted all the same.
    pub(super) noise_on_quiet: Vec<String>,
    pub(super) alerts: usize,
    /// Alerts that no label explains.
    pub(super) unexplained: Vec<String>,
    pub(super) false_per_day: f64,
    pub(super) false_per_million_events: f64,
    pub(super) median_seconds_to_detect: Option<i64>,
    pub(super) longest_seconds_to_detect: Option<i64>,
    /// Secrets whose verdict differs from the label's.
    pub(super) unused_wrong: Vec<String>,
    pub(super) rules: Vec<RuleScore>,
}

impl Evaluation {
    pub(super) fn new(labels: &Labels, compared: Compared, events: i64) -> Self {
        let mut rules: BTreeMap<String, RuleScore> = BTreeMap::new();
        let mut of = |rule: &str, change: &dyn Fn(&mut RuleScore)| {
            let score = rules.entry(rule.to_owned()).or_default();
            rule.clone_into(&mut score.rule_id);
            change(score);
        };
        for judged in &compared.expected {
            of(&judged.rule_id, &|score| {
                score.expected += 1;
                score.found += usize::from(judged.good);
                score.seconds.extend(judged.seconds);
            });
        }
        for judged in &compared.quiet {
            of(&judged.rule_id, &|score| {
                score.quiet += 1;
                score.noise_on_quiet += usize::from(!judged.good);
            });
        }
        for rule in &compared.told {
            of(rule, &|score| score.alerts += 1);
        }
        for (rule, _) in &compared.unexplained {
            of(rule, &|score| score.false_alerts += 1);
        }
        let lines = |judged: Vec<super::compare::Judged>| {
            judged.into_iter().filter(|one| !one.good).map(|one| one.line).collect::<Vec<_>>()
        };
        Self {
            folders: 1,
            seeds: vec![labels.options.seed],
            days: labels.options.days.into(),
            secrets: labels.secrets.len(),
            events,
            missed: lines(compared.expected),
            noise_on_quiet: lines(compared.quiet),
            unexplained: compared.unexplained.into_iter().map(|(_, line)| line).collect(),
            unused_wrong: compared.unused_wrong,
            rules: rules.into_values().collect(),
            ..Self::default()
        }
        .rated()
    }

    /// Several folders as one.
    pub(super) fn sum(all: Vec<Self>) -> Self {
        let mut sum = Self::default();
        let mut rules: BTreeMap<String, RuleScore> = BTreeMap::new();
        for one in all {
            sum.folders += one.folders;
            sum.seeds.extend(one.seeds);
            sum.days += one.days;
            sum.secrets = sum.secrets.max(one.secrets);
            sum.events += one.events;
            sum.missed.extend(one.missed);
            sum.noise_on_quiet.extend(one.noise_on_quiet);
            sum.unexplained.extend(one.unexplained);
            sum.unused_wrong.extend(one.unused_wrong);
            for rule in one.rules {
                let score = rules.entry(rule.rule_id.clone()).or_default();
                score.rule_id = rule.rule_id;
                score.expected += rule.expected;
                score.found += rule.found;
                score.quiet += rule.quiet;
                score.noise_on_quiet += rule.noise_on_quiet;
                score.alerts += rule.alerts;
                score.false_alerts += rule.false_alerts;
                score.seconds.extend(rule.seconds);
            }
        }
        sum.rules = rules.into_values().collect();
        sum.rated()
    }

    /// Fills in what follows from the counts.
    fn rated(mut self) -> Self {
        let (days, millions) = (self.days.max(1) as f64, (self.events.max(1) as f64) / 1e6);
        let mut seconds = Vec::new();
        for rule in &mut self.rules {
            rule.seconds.sort_unstable();
            rule.recall = share(rule.found, rule.expected);
            rule.false_per_day = rule.false_alerts as f64 / days;
            rule.false_per_million_events = rule.false_alerts as f64 / millions;
            (rule.median_seconds_to_detect, rule.longest_seconds_to_detect) = middle_and_last(&rule.seconds);
            seconds.extend_from_slice(&rule.seconds);
        }
        seconds.sort_unstable();
        (self.median_seconds_to_detect, self.longest_seconds_to_detect) = middle_and_last(&seconds);
        let total = |count: fn(&RuleScore) -> usize| self.rules.iter().map(count).sum::<usize>();
        let (expected, found, quiet, alerts) = (
            total(|rule| rule.expected),
            total(|rule| rule.found),
            total(|rule| rule.quiet),
            total(|rule| rule.alerts),
        );
        (self.expected, self.found, self.quiet, self.alerts) = (expected, found, quiet, alerts);
        self.recall = share(found, expected);
        self.false_per_day = self.unexplained.len() as f64 / days;
        self.false_per_million_events = self.unexplained.len() as f64 / millions;
        self
    }

    /// Nothing was missed, no look-alike alerted, and every verdict is right.
    pub(super) fn is_good(&self) -> bool {
        self.missed.is_empty() && self.noise_on_quiet.is_empty() && self.unused_wrong.is_empty()
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn middle_and_last(sorted: &[i64]) -> (Option<i64>, Option<i64>) {
    (sorted.get(sorted.len() / 2).copied(), sorted.last().copied())
}
