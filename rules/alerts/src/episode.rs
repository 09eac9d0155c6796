//! One alert and one finding: opening an episode, joining it, putting two episodes together.
//!
//! Invariants: an alert's words, and why it is odd, are those of its earliest finding; severity is the highest; lists are
//! sorted and capped; an event (id and secret) is counted once.

use std::collections::{BTreeSet, HashSet};

use keytrail_model::{Alert, AlertState, Evidence, Finding, Micros, Verdict};

use crate::{
    fingerprint::{alert_id, fingerprint},
    inbox::{SELF, WITHDRAWN},
};

/// How many events an alert keeps in full.
pub const EVIDENCE_CAP: usize = 200;
/// How many secrets an alert names.
pub const SECRETS_CAP: usize = 2_000;
/// What `suppressed_by` says of the findings of a rule on trial.
pub const SHADOW: &str = "shadow";

/// What this round's findings did to one alert.
#[derive(Debug)]
pub(crate) struct Touch {
    /// The alert's last event before this round: beyond the cap, earlier events are taken for known.
    last_event_at: Micros,
    counted: HashSet<String>,
    /// Every finding of this round came from a rule on trial.
    pub(crate) is_shadow: bool,
}

impl Touch {
    pub(crate) fn before(alert: &Alert) -> Self {
        let counted = alert.evidence.iter().map(|evidence| evidence.event_id.clone()).collect();
        Self { last_event_at: alert.last_event_at, counted, is_shadow: true }
    }

    pub(crate) fn opened(alert: &Alert) -> Self {
        Self { last_event_at: Micros::MIN, ..Self::before(alert) }
    }
}

/// A new episode.
pub(crate) fn open(finding: &Finding, historical: bool, now: Micros) -> Alert {
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
        fingerprint: fingerprint(&finding.rule_id, &finding.fold_key),
        previous_alert_id: None,
        merged_into: None,
        suppressed_by: None,
        why: finding.why.clone(),
    }
}

/// Fills an alert that nothing is left of with a finding. What people did with it, its id and its history stay.
pub(crate) fn restart(alert: &mut Alert, finding: &Finding, historical: bool) {
    let fresh = open(finding, historical && alert.historical, alert.raised_at);
    *alert = Alert {
        alert_id: std::mem::take(&mut alert.alert_id),
        state: alert.state,
        verdict: alert.verdict,
        note: alert.note.take(),
        changed_by: alert.changed_by.take(),
        raised_at: alert.raised_at,
        updated_at: alert.updated_at,
        previous_alert_id: alert.previous_alert_id.take(),
        suppressed_by: alert.suppressed_by.take(),
        ..fresh
    };
}

/// Takes a finding into an alert that it belongs to.
pub(crate) fn join(alert: &mut Alert, finding: &Finding, historical: bool, touch: &mut Touch) {
    if is_known(alert, finding, touch) {
        return;
    }
    let is_earliest = match (&finding.evidence, alert.evidence.first()) {
        (Some(new), Some(first)) => new < first,
        _ => finding.event_at < alert.first_event_at,
    };
    if is_earliest {
        alert.first_event_at = alert.first_event_at.min(finding.event_at);
        alert.title.clone_from(&finding.title);
        alert.reason.clone_from(&finding.reason);
        alert.why.clone_from(&finding.why);
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
    if let Some(secret) = &finding.secret_id {
        add_secret(alert, secret);
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

fn add_secret(alert: &mut Alert, secret: &str) {
    if let Err(position) = alert.secret_ids.binary_search_by(|known| known.as_str().cmp(secret))
        && alert.secret_ids.len() < SECRETS_CAP
    {
        alert.secret_ids.insert(position, secret.to_owned());
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

/// Whether two pieces of evidence are the same event on the same secret.
pub(crate) fn same_event(a: &Evidence, b: &Evidence) -> bool {
    a.event_id == b.event_id && a.secret_id == b.secret_id
}

/// Takes these events out of an alert; what was taken. An alert with more events than it keeps is left as it is, because
/// what it does not keep cannot be told apart.
pub(crate) fn set_aside(alert: &mut Alert, events: &HashSet<String>) -> Vec<Evidence> {
    if alert.evidence.len() >= EVIDENCE_CAP {
        return Vec::new();
    }
    let (aside, kept): (Vec<Evidence>, Vec<Evidence>) =
        std::mem::take(&mut alert.evidence).into_iter().partition(|evidence| events.contains(&evidence.event_id));
    alert.evidence = kept;
    if let (Some(first), Some(last)) = (alert.evidence.first(), alert.evidence.last())
        && !aside.is_empty()
    {
        (alert.first_event_at, alert.last_event_at) = (first.event_at, last.event_at);
        let ids: BTreeSet<&str> = alert.evidence.iter().map(|evidence| evidence.event_id.as_str()).collect();
        alert.event_count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let secrets: BTreeSet<&String> = alert.evidence.iter().filter_map(|it| it.secret_id.as_ref()).collect();
        alert.secret_ids = secrets.into_iter().cloned().collect();
    }
    aside
}

/// Makes one episode a part of another.
pub(crate) fn absorb(into: &mut Alert, other: &mut Alert, now: Micros) {
    let earlier = match (other.evidence.first(), into.evidence.first()) {
        (Some(theirs), Some(ours)) => theirs < ours,
        _ => other.first_event_at < into.first_event_at,
    };
    if earlier {
        into.title.clone_from(&other.title);
        into.reason.clone_from(&other.reason);
        into.why.clone_from(&other.why);
    }
    let whole = into.evidence.len() < EVIDENCE_CAP && other.evidence.len() < EVIDENCE_CAP;
    let mut evidence: Vec<Evidence> = into.evidence.iter().chain(&other.evidence).cloned().collect();
    evidence.sort();
    evidence.dedup_by(|a, b| same_event(a, b));
    into.event_count = if whole {
        let ids: BTreeSet<&str> = evidence.iter().map(|evidence| evidence.event_id.as_str()).collect();
        i64::try_from(ids.len()).unwrap_or(i64::MAX)
    } else {
        into.event_count.saturating_add(other.event_count)
    };
    evidence.truncate(EVIDENCE_CAP);
    into.evidence = evidence;
    into.first_event_at = into.first_event_at.min(other.first_event_at);
    into.last_event_at = into.last_event_at.max(other.last_event_at);
    into.severity = into.severity.max(other.severity);
    into.historical &= other.historical;
    for secret in &other.secret_ids {
        add_secret(into, secret);
    }
    for (field, theirs) in [
        (&mut into.principal_id, &other.principal_id),
        (&mut into.account_id, &other.account_id),
        (&mut into.region, &other.region),
    ] {
        if field != theirs {
            *field = None;
        }
    }
    become_part_of(other, &into.alert_id, now);
}

/// Closes an episode that is a part of another one.
pub(crate) fn become_part_of(alert: &mut Alert, other: &str, now: Micros) {
    alert.state = AlertState::Closed;
    alert.verdict = Some(Verdict::Duplicate);
    alert.merged_into = Some(other.to_owned());
    alert.changed_by = Some(SELF.to_owned());
    alert.note = Some(format!("part of {other}: events that came late closed the gap between them"));
    alert.updated_at = now.max(alert.updated_at);
}

/// Closes an episode that late events have disproved.
pub(crate) fn withdraw(alert: &mut Alert, now: Micros) {
    alert.state = AlertState::Closed;
    alert.verdict = None;
    alert.changed_by = Some(SELF.to_owned());
    alert.note = Some(format!("{WITHDRAWN}events that came late show that the rule does not apply"));
    alert.updated_at = now.max(alert.updated_at);
}
