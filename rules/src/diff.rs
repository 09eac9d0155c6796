//! What two versions of rules say about the same history.
//!
//! In: the alerts that each gave. Out: a [`Difference`] for each rule: what only the old or only the new one says, what both say with
//! another severity, and the counts per day. Two alerts are the same where they rest on an event in common or, without events,
//! where they are folded by the same and overlap.

use std::collections::{BTreeMap, HashMap, HashSet};

use keytrail_model::{Alert, Severity, time};

use crate::backtest::Span;

/// One rule's alerts, old against new.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    pub old_rule: String,
    pub new_rule: String,
    pub old: usize,
    pub new: usize,
    pub only_old: Vec<Alert>,
    pub only_new: Vec<Alert>,
    /// What both say: the new alert, with the severity that the old one gave.
    pub other_severity: Vec<(Severity, Alert)>,
    /// By day: how many alerts the old and the new version give, where that differs.
    pub by_day: BTreeMap<String, (usize, usize)>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.only_old.is_empty() && self.only_new.is_empty() && self.other_severity.is_empty()
    }
}

/// Compares the alerts of two rules, or of two versions of one.
pub fn diff((old_rule, old): (&str, &[Alert]), (new_rule, new): (&str, &[Alert]), span: Span) -> Difference {
    let of = |alerts: &[Alert], rule: &str| -> Vec<Alert> {
        let counted = alerts.iter().filter(|alert| alert.rule_id == rule && span.has(alert.first_event_at));
        counted.cloned().collect()
    };
    let (old, new) = (of(old, old_rule), of(new, new_rule));
    let (in_old, in_new) = (Index::of(&old), Index::of(&new));
    let mut difference = Difference {
        old_rule: old_rule.to_owned(),
        new_rule: new_rule.to_owned(),
        old: old.len(),
        new: new.len(),
        ..Difference::default()
    };
    for alert in &old {
        difference.by_day.entry(time::utc_day(alert.first_event_at)).or_default().0 += 1;
        if in_new.find(alert).is_none() {
            difference.only_old.push(alert.clone());
        }
    }
    for alert in &new {
        difference.by_day.entry(time::utc_day(alert.first_event_at)).or_default().1 += 1;
        match in_old.find(alert) {
            None => difference.only_new.push(alert.clone()),
            Some(same) if same.severity != alert.severity => {
                difference.other_severity.push((same.severity, alert.clone()));
            }
            Some(_) => {}
        }
    }
    difference.by_day.retain(|_, (old, new)| old != new);
    difference
}

/// Alerts by the events they rest on, and by what they are folded by.
struct Index<'a> {
    by_event: HashMap<&'a str, &'a Alert>,
    by_key: HashMap<&'a [String], Vec<&'a Alert>>,
}

impl<'a> Index<'a> {
    fn of(alerts: &'a [Alert]) -> Self {
        let mut index = Self { by_event: HashMap::new(), by_key: HashMap::new() };
        for alert in alerts {
            for event in &alert.evidence {
                index.by_event.entry(&event.event_id).or_insert(alert);
            }
            index.by_key.entry(&alert.fold_key).or_default().push(alert);
        }
        index
    }

    fn find(&self, alert: &Alert) -> Option<&'a Alert> {
        let events: HashSet<&str> = alert.evidence.iter().map(|event| event.event_id.as_str()).collect();
        let mut by_event = events.into_iter().filter_map(|event| self.by_event.get(event).copied());
        let overlaps = |other: &&&'a Alert| {
            other.first_event_at <= alert.last_event_at && alert.first_event_at <= other.last_event_at
        };
        // Two alerts may rest on one event where a rule folds by more than the event tells: the same key goes first.
        let mut same_key = self.by_key.get(alert.fold_key.as_slice()).into_iter().flatten();
        same_key.find(overlaps).copied().or_else(|| by_event.next())
    }
}

#[cfg(test)]
mod tests {
    use keytrail_model::{AlertClass, AlertState, Evidence, time::DAY};

    use super::*;

    fn alert(id: &str, severity: Severity, at: i64, key: &str) -> Alert {
        Alert {
            alert_id: id.into(),
            rule_id: "r".into(),
            rule_version: "1".into(),
            severity,
            class: AlertClass::Detection,
            state: AlertState::Open,
            verdict: None,
            title: "t".into(),
            reason: "r".into(),
            principal_id: None,
            secret_ids: Vec::new(),
            account_id: None,
            region: None,
            first_event_at: at,
            last_event_at: at,
            event_count: 1,
            raised_at: at,
            updated_at: at,
            historical: false,
            fold_key: vec![key.into()],
            note: None,
            changed_by: None,
            evidence: vec![Evidence {
                event_at: at,
                event_id: id.into(),
                event_name: "e".into(),
                secret_id: None,
                source_ip: None,
                object_key: "o".into(),
                record_index: 0,
            }],
            fingerprint: key.into(),
            previous_alert_id: None,
            merged_into: None,
            suppressed_by: None,
            why: Vec::new(),
        }
    }

    #[test]
    fn what_differs_is_told_and_what_does_not_is_left_out() {
        let span = Span { from: 0, until: 10 * DAY };
        let old = [
            alert("a", Severity::Low, 1, "a"),
            alert("b", Severity::Low, DAY, "b"),
            alert("c", Severity::Low, 2 * DAY, "c"),
            alert("z", Severity::Low, 11 * DAY, "z"),
        ];
        let new = [
            alert("a", Severity::Low, 1, "other"),
            alert("b", Severity::High, DAY, "b"),
            alert("d", Severity::Low, 3 * DAY, "d"),
        ];
        let found = diff(("r", &old), ("r", &new), span);
        assert_eq!((found.old, found.new), (3, 3));
        assert_eq!(found.only_old.iter().map(|it| it.alert_id.as_str()).collect::<Vec<_>>(), ["c"]);
        assert_eq!(found.only_new.iter().map(|it| it.alert_id.as_str()).collect::<Vec<_>>(), ["d"]);
        assert_eq!(found.other_severity.len(), 1);
        assert_eq!(found.other_severity[0].0, Severity::Low);
        let days: Vec<_> = found.by_day.iter().map(|(day, counts)| (day.as_str(), *counts)).collect();
        assert_eq!(days, [("1970-01-03", (1, 0)), ("1970-01-04", (0, 1))]);
        assert!(diff(("r", &old), ("r", &old), span).is_empty());
    }
}
