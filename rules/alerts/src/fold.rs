//! Findings of one episode become one alert.
//!
//! In: the alerts as they stand and new findings, in any order. Out: the alerts that changed, each with its full new
//! state, ready to be appended to the alert log.
//!
//! Invariants:
//! - A finding joins an episode of its rule and fold key when its event lies within the rule's gap of it.
//! - An event (event id and secret) that an alert already rests on changes nothing, so folding twice is folding once.
//! - A finding without an event tells of a lasting condition: it is news only when its moment is later than the
//!   alert's last, and it is never historical, because it holds now.
//! - An alert's title and reason are those of its earliest finding, or the rule's folded wording once it covers more
//!   than one secret; severity is the highest seen; ids never change.
//! - A closed alert takes late events of its own time, but is never reopened: later activity is a new alert.
//! - Lists are capped. Beyond [`EVIDENCE_CAP`] an event counts only if it is later than all before this fold, so the
//!   count can fall short on late events but never doubles.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use keytrail_model::{Alert, AlertState, Evidence, Finding, Micros};

use crate::fingerprint::alert_id;

/// How many events an alert keeps in full.
pub const EVIDENCE_CAP: usize = 200;
/// How many secrets an alert names.
pub const SECRETS_CAP: usize = 2_000;

/// What an alert says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    pub title: String,
    pub reason: String,
}

/// What folding must know of a rule.
pub trait Folding {
    /// Findings further apart than this are two alerts.
    fn episode_gap(&self, rule_id: &str) -> Micros;
    /// How the rule words an alert that covers several secrets; `None` keeps the earliest finding's words.
    fn wording(&self, alert: &Alert) -> Option<Wording>;
}

/// When the folding happens.
#[derive(Clone, Copy, Debug)]
pub struct FoldMoment {
    /// The judging's "now": becomes `raised_at` and `updated_at`.
    pub now: Micros,
    /// An alert all of whose findings are older than this is historical.
    pub historical_before: Micros,
}

/// The alerts that a fold changed, in event order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoldChanges {
    pub raised: Vec<Alert>,
    pub updated: Vec<Alert>,
}

impl FoldChanges {
    /// Raised and updated alerts together, ready for the alert log.
    pub fn all(&self) -> Vec<Alert> {
        self.raised.iter().chain(&self.updated).cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.raised.is_empty() && self.updated.is_empty()
    }
}

type Key = (String, Vec<String>);

/// The alerts as they stand, found by rule and fold key.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    alerts: BTreeMap<String, Alert>,
    by_key: HashMap<Key, Vec<String>>,
}

impl Inbox {
    pub fn new(alerts: impl IntoIterator<Item = Alert>) -> Self {
        let mut inbox = Self::default();
        for alert in alerts {
            inbox.insert(alert);
        }
        inbox
    }

    /// Every alert, by id.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    pub fn get(&self, alert_id: &str) -> Option<&Alert> {
        self.alerts.get(alert_id)
    }

    /// Puts an alert's new state in place of the old.
    pub fn insert(&mut self, alert: Alert) {
        let key = (alert.rule_id.clone(), alert.fold_key.clone());
        let ids = self.by_key.entry(key).or_default();
        if !ids.contains(&alert.alert_id) {
            ids.push(alert.alert_id.clone());
        }
        self.alerts.insert(alert.alert_id.clone(), alert);
    }

    /// Folds findings into the alerts and says which alerts changed.
    pub fn fold(&mut self, mut findings: Vec<Finding>, folding: &dyn Folding, moment: FoldMoment) -> FoldChanges {
        findings.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
        let mut raised = BTreeSet::new();
        let mut touched: HashMap<String, Touch> = HashMap::new();
        for finding in &findings {
            // A condition (no event) holds now, however long it has held.
            let historical = finding.evidence.is_some() && finding.event_at < moment.historical_before;
            match self.episode_for(finding, folding.episode_gap(&finding.rule_id)) {
                Some(id) => {
                    let Some(alert) = self.alerts.get_mut(&id) else { continue };
                    let touch = touched.entry(id).or_insert_with(|| Touch::before(alert));
                    join(alert, finding, historical, touch);
                }
                None => {
                    let alert = open(finding, historical, moment.now);
                    raised.insert(alert.alert_id.clone());
                    touched
                        .insert(alert.alert_id.clone(), Touch { last_event_at: Micros::MIN, ..Touch::before(&alert) });
                    self.insert(alert);
                }
            }
        }
        self.changes(&raised, &touched, folding, moment.now)
    }

    /// Words and stamps what changed; an alert that a finding left as it was is not reported.
    fn changes(
        &mut self,
        raised: &BTreeSet<String>,
        touched: &HashMap<String, Touch>,
        folding: &dyn Folding,
        now: Micros,
    ) -> FoldChanges {
        let mut changes = FoldChanges::default();
        for (id, touch) in touched {
            let is_new = raised.contains(id);
            let Some(alert) = self.alerts.get_mut(id) else { continue };
            if !is_new && !touch.changed {
                continue;
            }
            alert.updated_at = now;
            if alert.secret_ids.len() > 1
                && let Some(wording) = folding.wording(alert)
            {
                alert.title = wording.title;
                alert.reason = wording.reason;
            }
            if is_new { &mut changes.raised } else { &mut changes.updated }.push(alert.clone());
        }
        let order = |a: &Alert, b: &Alert| (a.first_event_at, &a.alert_id).cmp(&(b.first_event_at, &b.alert_id));
        changes.raised.sort_by(order);
        changes.updated.sort_by(order);
        changes
    }

    /// The episode that the finding belongs to: of those near enough in time, the latest that began before it.
    fn episode_for(&self, finding: &Finding, gap: Micros) -> Option<String> {
        let ids = self.by_key.get(&(finding.rule_id.clone(), finding.fold_key.clone()))?;
        let new_id = alert_id(finding);
        let at = finding.event_at;
        ids.iter()
            .filter_map(|id| self.alerts.get(id))
            // An alert of class `system` may have any id; its conditions are none of the rules' business.
            .filter(|alert| alert.class == finding.class)
            .filter(|alert| {
                let begins = alert.first_event_at.saturating_sub(gap);
                let ends = match alert.state {
                    AlertState::Closed => alert.last_event_at,
                    _ => alert.last_event_at.saturating_add(gap),
                };
                alert.alert_id == new_id || (begins..=ends).contains(&at)
            })
            .max_by_key(|alert| (alert.first_event_at <= at, alert.first_event_at))
            .map(|alert| alert.alert_id.clone())
    }
}

/// What an alert looked like before this fold, and what the fold did to it.
#[derive(Debug)]
struct Touch {
    last_event_at: Micros,
    counted: HashSet<String>,
    changed: bool,
}

impl Touch {
    fn before(alert: &Alert) -> Self {
        let counted = alert.evidence.iter().map(|evidence| evidence.event_id.clone()).collect();
        Self { last_event_at: alert.last_event_at, counted, changed: false }
    }
}

fn order_of(finding: &Finding) -> (Micros, &str, &str, i64, &str) {
    let evidence = finding.evidence.as_ref();
    (
        finding.event_at,
        evidence.map_or("", |evidence| evidence.event_id.as_str()),
        finding.secret_id.as_deref().unwrap_or(""),
        evidence.map_or(0, |evidence| evidence.record_index),
        finding.reason.as_str(),
    )
}

fn open(finding: &Finding, historical: bool, now: Micros) -> Alert {
    Alert {
        alert_id: alert_id(finding),
        rule_id: finding.rule_id.clone(),
        rule_version: finding.rule_version.clone(),
        severity: finding.severity,
        class: finding.class,
        state: AlertState::Open,
        verdict: None,
        title: finding.title.clone(),
        reason: finding.reason.clone(),
        principal_id: finding.principal_id.clone(),
        secret_ids: finding.secret_id.iter().cloned().collect(),
        account_id: finding.account_id.clone(),
        region: finding.region.clone(),
        first_event_at: finding.event_at,
        last_event_at: finding.event_at,
        event_count: 1,
        raised_at: now,
        updated_at: now,
        historical,
        fold_key: finding.fold_key.clone(),
        note: None,
        changed_by: None,
        evidence: finding.evidence.iter().cloned().collect(),
    }
}

fn is_known(alert: &Alert, finding: &Finding, touch: &Touch) -> bool {
    match &finding.evidence {
        None => finding.event_at <= alert.last_event_at,
        Some(new) => {
            alert.evidence.iter().any(|old| same_event(old, new))
                || (alert.evidence.len() >= EVIDENCE_CAP && finding.event_at <= touch.last_event_at)
        }
    }
}

fn same_event(a: &Evidence, b: &Evidence) -> bool {
    a.event_id == b.event_id && a.secret_id == b.secret_id
}

fn join(alert: &mut Alert, finding: &Finding, historical: bool, touch: &mut Touch) {
    if is_known(alert, finding, touch) {
        return;
    }
    touch.changed = true;
    if finding.event_at < alert.first_event_at {
        alert.first_event_at = finding.event_at;
        alert.title.clone_from(&finding.title);
        alert.reason.clone_from(&finding.reason);
    }
    alert.last_event_at = alert.last_event_at.max(finding.event_at);
    alert.severity = alert.severity.max(finding.severity);
    alert.historical &= historical;
    alert.rule_version.clone_from(&finding.rule_version);
    // An alert over several of these names none of them.
    for (field, other) in [
        (&mut alert.principal_id, &finding.principal_id),
        (&mut alert.account_id, &finding.account_id),
        (&mut alert.region, &finding.region),
    ] {
        if field != other {
            *field = None;
        }
    }
    if let Some(secret) = &finding.secret_id
        && let Err(position) = alert.secret_ids.binary_search(secret)
        && alert.secret_ids.len() < SECRETS_CAP
    {
        alert.secret_ids.insert(position, secret.clone());
    }
    match &finding.evidence {
        None => alert.event_count += 1,
        Some(evidence) => {
            alert.event_count += i64::from(touch.counted.insert(evidence.event_id.clone()));
            if alert.evidence.len() < EVIDENCE_CAP {
                let position = alert.evidence.partition_point(|old| old <= evidence);
                alert.evidence.insert(position, evidence.clone());
            }
        }
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
