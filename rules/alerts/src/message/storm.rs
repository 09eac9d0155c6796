//! The message of a storm: more alerts at once than a person reads, told as one. Every alert stays in the inbox.

use std::collections::BTreeMap;

use keytrail_model::{
    Alert, Severity,
    display::{count, duration},
};
use serde::Serialize;

use super::{Links, Message, build::span};
use crate::{
    order::by_urgency,
    sink::{Change, text::clean},
};

/// How many alerts and how many rules a storm names before it only counts.
const NAMED: usize = 10;
const TITLE: usize = 120;

/// What a storm consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Storm {
    pub alert_count: usize,
    /// Alerts per rule, most first; of many rules the first ten.
    pub by_rule: Vec<(String, usize)>,
    pub rule_count: usize,
    /// The most urgent ten.
    pub top: Vec<StormLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StormLine {
    pub severity: Severity,
    pub title: String,
    pub alert_id: String,
}

impl Message {
    /// One message for all these alerts; the same as [`Message::new`] with [`Change::Storm`].
    pub fn storm<'a>(alerts: impl IntoIterator<Item = &'a Alert>, links: &Links) -> Self {
        Self::of_storm(Change::Storm, alerts, links)
    }

    /// One message for all these alerts, or for the end of them.
    pub(super) fn of_storm<'a>(change: Change, alerts: impl IntoIterator<Item = &'a Alert>, links: &Links) -> Self {
        let mut alerts: Vec<&Alert> = alerts.into_iter().collect();
        alerts.sort_by(|a, b| by_urgency(a, b));
        let severity = alerts.iter().map(|alert| alert.severity).max().unwrap_or(Severity::Info);
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        for alert in &alerts {
            *rules.entry(&alert.rule_id).or_default() += 1;
        }
        let mut by_rule: Vec<(String, usize)> =
            rules.iter().map(|(rule, number)| (clean(rule, TITLE), *number)).collect();
        by_rule.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rule_count = by_rule.len();
        by_rule.truncate(NAMED);
        let line = |alert: &&Alert| StormLine {
            severity: alert.severity,
            title: clean(&alert.title, TITLE),
            alert_id: clean(&alert.alert_id, 64),
        };
        let first = alerts.iter().map(|alert| alert.first_event_at).min().unwrap_or_default();
        let last = alerts.iter().map(|alert| alert.last_event_at).max().unwrap_or_default();
        let number = count(alerts.len() as i64);
        let of = match by_rule.first() {
            Some((rule, _)) if rule_count == 1 => format!(", all of {rule}"),
            Some((rule, most)) => format!(", most of {rule} ({})", count(*most as i64)),
            None => String::new(),
        };
        let is_over = change == Change::StormOver;
        let (headline, reason) = if is_over {
            (format!("Over: {number} alerts{of}"), "Every alert of this storm is closed.".to_owned())
        } else {
            let severity = severity.as_str().to_uppercase();
            let reason = format!(
                "{number} alerts came together and are told in one message. None is lost: each stands in the list by itself."
            );
            (format!("{severity}: {number} alerts at once{of}"), reason)
        };
        Self {
            change,
            severity,
            headline,
            reason,
            facts: Vec::new(),
            unusual: Vec::new(),
            first_step: None,
            by: None,
            before: None,
            also: None,
            about: format!("events {}, {} in all", span(first, last), duration(last.saturating_sub(first).max(0))),
            link: links.all(),
            storm: Some(Storm {
                alert_count: alerts.len(),
                by_rule,
                rule_count,
                top: alerts.iter().take(NAMED).map(line).collect(),
            }),
        }
    }
}
