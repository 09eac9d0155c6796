//! Conditions of the pipe itself become alerts of class `system`, and end with them.
//!
//! In: the alerts as they stand, the conditions that hold now, and the rules whose conditions were all looked for. Out:
//! the alerts that changed, each with its full new state, ready to be appended to the alert log.
//!
//! Invariants:
//! - One alert stands for one rule and subject. Its id follows from rule, subject and the moment since when it holds, so
//!   several workers that see the same condition raise the same alert; should two stand all the same, the later is
//!   closed as a duplicate.
//! - An alert is written again only for news: a higher severity, twice or half the number, twice the time. So the log
//!   grows with the logarithm of a trouble's length.
//! - A checked rule's condition that is gone closes its alert, whoever acknowledged it; the verdict stays as it was. What
//!   only one worker can see ([`is_held`]) is closed when nobody has confirmed it for [`HELD_FOR`].
//! - A closed alert is never reopened. What a person closed is not raised again unless something came after it; what
//!   closed by itself and comes back is a new alert.

use std::collections::{BTreeMap, HashMap};

use keytrail_model::{
    Alert, AlertClass, AlertState, Micros, Severity, Verdict, display,
    time::{HOUR, SECOND},
};

use crate::{
    fingerprint::{condition_id, fingerprint},
    fold::FoldMoment,
};

/// A region that used to deliver is silent.
pub const REGION_SILENT: &str = "region_silent";
/// Every region of an account is silent.
pub const ACCOUNT_SILENT: &str = "account_silent";
/// Every account is silent: the pipe, not an account.
pub const LAKE_SILENT: &str = "lake_silent";
/// Messages wait longer and longer.
pub const QUEUE_LAG: &str = "queue_lag";
/// Objects or records that could not be understood.
pub const QUARANTINE: &str = "quarantine";
/// Objects that the worker may not read.
pub const OBJECTS_UNREADABLE: &str = "objects_unreadable";
/// A trail leaves out what Keytrail needs.
pub const TRAIL_MISCONFIGURED: &str = "trail_misconfigured";
/// Messages that no known shape fits.
pub const NOTIFICATIONS_NOT_UNDERSTOOD: &str = "notifications_not_understood";
/// A sink that alerts cannot be sent to.
pub const SINK_FAILING: &str = "sink_failing";

/// Every rule of class `system`.
pub const SYSTEM_RULES: [&str; 9] = [
    REGION_SILENT,
    ACCOUNT_SILENT,
    LAKE_SILENT,
    QUEUE_LAG,
    QUARANTINE,
    OBJECTS_UNREADABLE,
    TRAIL_MISCONFIGURED,
    NOTIFICATIONS_NOT_UNDERSTOOD,
    SINK_FAILING,
];

/// Who acts when nobody does.
pub const BY_KEYTRAIL: &str = "keytrail";

/// How long an alert that only one worker sees outlives its last confirmation.
pub const HELD_FOR: Micros = 20 * MINUTE;
/// Besides a higher severity, an alert is not written again sooner than this; a held one is confirmed this often.
const QUIET_FOR: Micros = 10 * MINUTE;
/// What closed a moment ago is not raised again by a worker that looked a moment earlier.
const STALE_VIEW: Micros = 2 * MINUTE;
/// A silence that began this long after its alert was last written is another one: something came in between.
const ANOTHER_AFTER: Micros = HOUR;
const MINUTE: Micros = 60 * SECOND;
const RULE_VERSION: &str = "1";
/// How the note of an alert begins that ended by itself.
const RESOLVED: &str = "resolved: ";

/// One thing that is wrong with the pipe, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// One of [`SYSTEM_RULES`], or another id that no rule pack has.
    pub rule_id: String,
    /// What it is about: with the rule, what makes two conditions the same.
    pub subject: Vec<String>,
    pub since: Micros,
    /// When its newest part happened, which decides whether it is history; `since` for a condition that only lasts.
    pub happened_at: Micros,
    /// When its newest part became known, which decides whether a person who closed the alert knew of it; `Micros::MIN`
    /// where there is nothing to know but that it lasts.
    pub known_at: Micros,
    /// How many things are concerned; 1 where nothing is counted. It becomes the alert's `event_count`.
    pub count: i64,
    pub severity: Severity,
    pub title: String,
    /// One sentence: what, since when, compared with what is usual, what to do.
    pub reason: String,
    pub account_id: Option<String>,
    pub region: Option<String>,
}

/// The alerts that conditions changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    pub raised: Vec<Alert>,
    pub updated: Vec<Alert>,
    pub closed: Vec<Alert>,
}

impl Reconciled {
    /// All of them, ready for the alert log.
    pub fn all(&self) -> Vec<Alert> {
        self.closed.iter().chain(&self.raised).chain(&self.updated).cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.raised.is_empty() && self.updated.is_empty() && self.closed.is_empty()
    }
}

type Key<'a> = (&'a str, &'a [String]);

/// Whether a rule's conditions are seen by the one worker that meets them, and by no other.
pub fn is_held(rule_id: &str) -> bool {
    matches!(rule_id, QUEUE_LAG | NOTIFICATIONS_NOT_UNDERSTOOD | OBJECTS_UNREADABLE)
}

/// Silences begin with an object, whenever they are found; other conditions may only tell when they were found.
fn is_silence(alert: &Alert) -> bool {
    matches!(alert.rule_id.as_str(), REGION_SILENT | ACCOUNT_SILENT | LAKE_SILENT)
}

/// What the alerts become under these conditions. `note` says of an alert why it is over.
pub fn reconcile(
    alerts: &[Alert],
    checked: &[&str],
    conditions: &[Condition],
    moment: FoldMoment,
    note: impl Fn(&Alert) -> String,
) -> Reconciled {
    let mut by_key: HashMap<Key<'_>, Vec<&Alert>> = HashMap::new();
    for alert in alerts.iter().filter(|alert| alert.class == AlertClass::System) {
        by_key.entry((&alert.rule_id, &alert.fold_key)).or_default().push(alert);
    }
    // Of two tellings of one thing the graver counts.
    let mut holding: BTreeMap<Key<'_>, &Condition> = BTreeMap::new();
    for condition in conditions {
        let known = holding.entry((&condition.rule_id, &condition.subject)).or_insert(condition);
        if condition.severity > known.severity {
            *known = condition;
        }
    }
    let mut changes = Reconciled::default();
    for (key, condition) in &holding {
        let of_key = by_key.get(key).map_or(&[][..], Vec::as_slice);
        let mut standing = standing(of_key);
        if let Some((first, others)) = standing.split_first() {
            for other in others {
                let text = format!("duplicate of {}", first.alert_id);
                changes.closed.push(Alert { verdict: Some(Verdict::Duplicate), ..close(other, text, moment.now) });
            }
            if is_silence(first) && condition.since > first.last_event_at.saturating_add(ANOTHER_AFTER) {
                changes.closed.push(close(first, note(first), moment.now));
                standing.clear();
            }
        }
        match standing.first() {
            Some(alert) => changes.updated.extend(updated(alert, condition, moment)),
            None => changes.raised.extend(raised(of_key, condition, moment)),
        }
    }
    let mut over: Vec<&Alert> = by_key
        .iter()
        .filter(|(key, _)| checked.contains(&key.0) && !holding.contains_key(*key))
        .flat_map(|(_, alerts)| standing(alerts))
        .filter(|alert| !is_held(&alert.rule_id) || moment.now >= alert.last_event_at.saturating_add(HELD_FOR))
        .collect();
    over.sort_by_key(|alert| (alert.first_event_at, &alert.alert_id));
    changes.closed.extend(over.into_iter().map(|alert| close(alert, note(alert), moment.now)));
    changes
}

/// The alerts that are not closed, the earliest first.
fn standing<'a>(alerts: &[&'a Alert]) -> Vec<&'a Alert> {
    let mut standing: Vec<&Alert> = alerts.iter().copied().filter(|alert| alert.state != AlertState::Closed).collect();
    standing.sort_by_key(|alert| (alert.first_event_at, &alert.alert_id));
    standing
}

fn close(alert: &Alert, text: String, now: Micros) -> Alert {
    Alert {
        state: AlertState::Closed,
        note: Some(format!("{RESOLVED}{text}")),
        changed_by: Some(BY_KEYTRAIL.to_owned()),
        updated_at: now.max(alert.updated_at),
        ..alert.clone()
    }
}

/// The alert with what is new; `None` where it says it all already.
fn updated(alert: &Alert, condition: &Condition, moment: FoldMoment) -> Option<Alert> {
    let now = moment.now;
    let historical = alert.historical && condition.happened_at < moment.historical_before;
    let graver = condition.severity > alert.severity || historical != alert.historical;
    // Where judging follows the lake's horizon, a person's clock is ahead of it; then nobody asks every minute either.
    let rested = now < alert.updated_at || now >= alert.updated_at.saturating_add(QUIET_FOR);
    let count = (condition.count.max(1), alert.event_count.max(1));
    let other_number = count.0 >= count.1.saturating_mul(2) || count.1 >= count.0.saturating_mul(2);
    let told = alert.last_event_at.saturating_sub(alert.first_event_at);
    let longer = now.saturating_sub(alert.first_event_at) >= told.saturating_mul(2).max(HOUR);
    let news = other_number || longer || is_held(&alert.rule_id);
    (graver || (rested && news)).then(|| Alert {
        severity: alert.severity.max(condition.severity),
        title: condition.title.clone(),
        reason: condition.reason.clone(),
        event_count: condition.count.max(1),
        last_event_at: seen_until(condition, now).max(alert.last_event_at),
        updated_at: now.max(alert.updated_at),
        historical,
        ..alert.clone()
    })
}

/// A new alert; `None` where a person closed this condition, or it closed by itself only just now.
fn raised(of_key: &[&Alert], condition: &Condition, moment: FoldMoment) -> Option<Alert> {
    let closed = || of_key.iter().copied().filter(|alert| alert.state == AlertState::Closed);
    let dismissed = closed().any(|alert| !closed_itself(alert) && condition.known_at <= known_until(alert, moment.now));
    let stale = |alert: &Alert| (1..STALE_VIEW).contains(&moment.now.saturating_sub(alert.updated_at));
    let just_over =
        closed().any(|alert| closed_itself(alert) && condition.known_at <= alert.last_event_at && stale(alert));
    if dismissed || just_over {
        return None;
    }
    // A closed alert keeps its id to itself: what comes back began, for us, when that one ended.
    let mut first_event_at = condition.since;
    let mut alert_id = condition_id(&condition.rule_id, &condition.subject, first_event_at);
    while let Some(taken) = of_key.iter().find(|alert| alert.alert_id == alert_id) {
        first_event_at = taken.updated_at.max(first_event_at.saturating_add(1));
        alert_id = condition_id(&condition.rule_id, &condition.subject, first_event_at);
    }
    Some(Alert {
        alert_id,
        rule_id: condition.rule_id.clone(),
        rule_version: RULE_VERSION.to_owned(),
        severity: condition.severity,
        class: AlertClass::System,
        state: AlertState::Open,
        verdict: None,
        title: condition.title.clone(),
        reason: condition.reason.clone(),
        principal_id: None,
        secret_ids: Vec::new(),
        account_id: condition.account_id.clone(),
        region: condition.region.clone(),
        first_event_at,
        last_event_at: seen_until(condition, moment.now).max(first_event_at),
        event_count: condition.count.max(1),
        raised_at: moment.now,
        updated_at: moment.now,
        historical: condition.happened_at < moment.historical_before,
        fold_key: condition.subject.clone(),
        note: None,
        changed_by: None,
        evidence: Vec::new(),
        fingerprint: fingerprint(&condition.rule_id, &condition.subject),
        previous_alert_id: None,
        merged_into: None,
        suppressed_by: None,
        why: Vec::new(),
    })
}

/// Whether [`reconcile`] closed an alert. A person may bear our name, but gives a verdict and writes another note.
fn closed_itself(alert: &Alert) -> bool {
    alert.changed_by.as_deref() == Some(BY_KEYTRAIL)
        && matches!(alert.verdict, None | Some(Verdict::Duplicate))
        && alert.note.as_deref().is_some_and(|note| note.starts_with(RESOLVED))
}

/// Up to when an alert speaks of its condition.
fn seen_until(condition: &Condition, now: Micros) -> Micros {
    now.max(condition.known_at)
}

/// Up to when a person who closed the alert knew. Where judging follows the lake's horizon, the person's clock is ahead of
/// it and tells nothing.
fn known_until(alert: &Alert, now: Micros) -> Micros {
    if alert.updated_at <= now { alert.last_event_at.max(alert.updated_at) } else { alert.last_event_at }
}

/// Why an alert is over, where there is nothing better to say.
pub fn over_since(now: Micros) -> String {
    format!("it no longer holds at {}", display::moment(now))
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
