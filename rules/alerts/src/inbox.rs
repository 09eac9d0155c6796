//! The alerts as they stand, and where to look for them.
//!
//! In: alerts, each in its newest state. Out: those of one rule and fold key, those that rest on an event, those that are
//! about a principal or a secret. The indexes may name an alert that has moved on since; whoever asks looks at the alert.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use keytrail_model::{Alert, AlertClass, AlertState, Micros};

/// Who closes alerts when nobody did.
pub const SELF: &str = "keytrail";
/// How the note of an alert begins whose findings late events have disproved.
pub const WITHDRAWN: &str = "withdrawn: ";

type Key = (String, Vec<String>);

/// The alerts as they stand, found by rule and fold key, by event and by subject.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    pub(crate) alerts: BTreeMap<String, Alert>,
    by_key: HashMap<Key, Vec<String>>,
    /// (event, alert), each as a number.
    by_event: BTreeSet<(u64, u64)>,
    /// (principal or secret, alert), each as a number.
    by_subject: BTreeSet<(u64, u64)>,
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
        self.index(&alert);
        self.alerts.insert(alert.alert_id.clone(), alert);
    }

    /// Notes what an alert rests on and is about.
    pub(crate) fn index(&mut self, alert: &Alert) {
        if alert.class != AlertClass::Detection {
            return;
        }
        let Some(number) = number_of(&alert.alert_id) else { return };
        for evidence in &alert.evidence {
            self.by_event.insert((hash(&evidence.event_id), number));
        }
        for subject in alert.principal_id.iter().chain(&alert.secret_ids) {
            self.by_subject.insert((hash(subject), number));
        }
    }

    /// The detections that are about any of these principals and secrets and still stand or were closed by people: what
    /// late events may change.
    pub fn about<'a>(&self, subjects: impl IntoIterator<Item = &'a str>) -> Vec<&Alert> {
        let subjects: Vec<&str> = subjects.into_iter().collect();
        let found = self.indexed(&self.by_subject, subjects.iter().copied());
        let is_about = |alert: &&Alert| {
            let named = |subject: &str| {
                alert.principal_id.as_deref() == Some(subject) || alert.secret_ids.iter().any(|id| id == subject)
            };
            alert.merged_into.is_none() && subjects.iter().any(|subject| named(subject))
        };
        found.iter().filter_map(|id| self.alerts.get(id)).filter(is_about).collect()
    }

    /// The alerts that rest on any of these events.
    pub fn resting_on<'a>(&self, events: impl IntoIterator<Item = &'a str>) -> Vec<&Alert> {
        let events: HashSet<&str> = events.into_iter().collect();
        let found = self.indexed(&self.by_event, events.iter().copied());
        let rests = |alert: &&Alert| alert.evidence.iter().any(|evidence| events.contains(evidence.event_id.as_str()));
        found.iter().filter_map(|id| self.alerts.get(id)).filter(rests).collect()
    }

    fn indexed<'a>(&self, index: &BTreeSet<(u64, u64)>, names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for name in names {
            let name = hash(name);
            found.extend(index.range((name, 0)..=(name, u64::MAX)).map(|(_, alert)| format!("{alert:016x}")));
        }
        found
    }

    /// The ids of a rule's alerts with one fold key.
    pub(crate) fn of_key(&self, rule_id: &str, fold_key: &[String]) -> Vec<String> {
        self.by_key.get(&(rule_id.to_owned(), fold_key.to_vec())).cloned().unwrap_or_default()
    }

    /// Closes the standing alerts of class `rule_error` of rules that work again; the closed ones, for the alert log.
    pub fn close_rule_errors(&mut self, working: &BTreeSet<String>, now: Micros) -> Vec<Alert> {
        let mended = self.alerts.values_mut().filter(|alert| {
            alert.class == AlertClass::RuleError
                && alert.state != AlertState::Closed
                && working.contains(&alert.rule_id)
        });
        let mut closed = Vec::new();
        for alert in mended {
            alert.state = AlertState::Closed;
            alert.changed_by = Some(SELF.to_owned());
            alert.note = Some("the rule works again".to_owned());
            alert.updated_at = now.max(alert.updated_at);
            closed.push(alert.clone());
        }
        closed
    }
}

/// Whether an alert still says something: it was neither disproved nor found to be a part of another.
pub fn stands(alert: &Alert) -> bool {
    alert.merged_into.is_none() && !is_withdrawn(alert)
}

/// Whether late events have disproved all that an alert rested on.
pub fn is_withdrawn(alert: &Alert) -> bool {
    alert.state == AlertState::Closed
        && alert.verdict.is_none()
        && alert.changed_by.as_deref() == Some(SELF)
        && alert.note.as_ref().is_some_and(|note| note.starts_with(WITHDRAWN))
}

/// Ids are 16 hex digits; whatever else somebody wrote into the log is not found by event.
fn number_of(alert_id: &str) -> Option<u64> {
    (alert_id.len() == 16).then(|| u64::from_str_radix(alert_id, 16).ok()).flatten()
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
