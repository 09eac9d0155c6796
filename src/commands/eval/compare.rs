//! Alerts against labels.
//!
//! In: a folder's labels, the alerts of its lake, the verdicts of the unused report, and when planted events were delivered.
//! Out: what became of each label and of each alert. An alert is explained when a label of its rule expects it, when it rests on an
//! event that is planted for another rule (a real attack trips several), when a look-alike's label says that its rule may fire, or
//! when the unused report says the same. Alerts that were withdrawn, merged or kept back (shadow) are not counted: nobody was told.

use std::collections::{BTreeMap, BTreeSet};

use keytrail_model::{Alert, AlertClass, AlertState, display, time};
use keytrail_simulator::{Label, Labels};

/// How far an alert's time may lie from its label's.
const NEAR: time::Micros = 2 * time::DAY;

/// Event id to the second of its delivery.
pub(super) type Delivered = BTreeMap<String, i64>;

/// What became of one label.
pub(super) struct Judged {
    pub(super) rule_id: String,
    /// Found for an expected label, silent for a look-alike.
    pub(super) good: bool,
    pub(super) line: String,
    /// Seconds from the label's first event to the delivery of the event that was reported.
    pub(super) seconds: Option<i64>,
}

/// Everything that was compared.
pub(super) struct Compared {
    pub(super) expected: Vec<Judged>,
    pub(super) quiet: Vec<Judged>,
    /// Rule and line of every alert that no label explains.
    pub(super) unexplained: Vec<(String, String)>,
    /// Rule of every alert that was told.
    pub(super) told: Vec<String>,
    pub(super) unused_wrong: Vec<String>,
}

pub(super) fn compare(
    labels: &Labels,
    alerts: &[Alert],
    verdicts: &[(String, String)],
    delivered: &Delivered,
) -> Compared {
    let told: Vec<&Alert> = alerts.iter().filter(|alert| was_told(alert)).collect();
    let planted: BTreeSet<&str> =
        labels.expected.iter().flat_map(|label| label.event_ids.iter().map(String::as_str)).collect();
    let expected = labels.expected.iter().map(|label| {
        let met: Vec<_> = told.iter().filter(|alert| meets(label, alert)).collect();
        let seconds = met.iter().filter_map(|alert| seconds_to(label, alert, delivered)).min();
        Judged { rule_id: label.rule_id.clone(), good: !met.is_empty(), line: describe(label), seconds }
    });
    let quiet = labels.quiet.iter().map(|label| {
        let noisy = told.iter().any(|alert| wakes(label, alert, labels));
        Judged { rule_id: label.rule_id.clone(), good: !noisy, line: describe(label), seconds: None }
    });
    let unexplained = told.iter().filter(|alert| !is_explained(alert, labels, &planted)).map(|alert| {
        (
            alert.rule_id.clone(),
            format!("{} [{}] {}", alert.alert_id, alert.rule_id, display::terminal_safe(&alert.reason)),
        )
    });
    Compared {
        expected: expected.collect(),
        quiet: quiet.collect(),
        unexplained: unexplained.collect(),
        told: told.iter().map(|alert| alert.rule_id.clone()).collect(),
        unused_wrong: verdict_differences(labels, verdicts),
    }
}

fn was_told(alert: &Alert) -> bool {
    let withdrawn = alert.state == AlertState::Closed
        && (alert.merged_into.is_some() || alert.note.as_deref().is_some_and(|note| note.starts_with("withdrawn:")));
    alert.class == AlertClass::Detection && alert.state != AlertState::Suppressed && !withdrawn
}

fn shares_event(label: &Label, alert: &Alert) -> bool {
    alert.evidence.iter().any(|evidence| label.event_ids.contains(&evidence.event_id))
}

/// An alert meets a label when it is the rule's and rests on one of the label's events, or when principal or place, a secret
/// and the time agree.
fn meets(label: &Label, alert: &Alert) -> bool {
    if label.rule_id != alert.rule_id {
        return false;
    }
    let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
    let same_secret =
        label.secret_ids.is_empty() || label.secret_ids.iter().any(|secret| alert.secret_ids.contains(secret));
    let same_place = same(&label.account_id, &alert.account_id) && same(&label.region, &alert.region);
    shares_event(label, alert)
        || (same(&label.principal_id, &alert.principal_id) && same_place && same_secret && is_near(label, alert))
}

fn is_near(label: &Label, alert: &Alert) -> bool {
    let Some(first) = time::parse_rfc3339(&label.first_event_at) else { return true };
    let last = label.last_event_at.as_deref().and_then(time::parse_rfc3339).unwrap_or(first);
    first - NEAR <= alert.last_event_at && alert.first_event_at <= last + NEAR
}

/// Whether an alert is one that the look-alike must not raise.
fn wakes(label: &Label, alert: &Alert, labels: &Labels) -> bool {
    if label.rule_id != alert.rule_id {
        return false;
    }
    if label.event_ids.is_empty() {
        let same_place = label.account_id == alert.account_id && label.region == alert.region;
        return same_place && !labels.expected.iter().any(|expected| meets(expected, alert));
    }
    // An event may be a look-alike and planted: then it is no noise to report it.
    let planted = |event: &String| {
        labels.expected.iter().any(|expected| expected.rule_id == alert.rule_id && expected.event_ids.contains(event))
    };
    alert.evidence.iter().any(|evidence| label.event_ids.contains(&evidence.event_id) && !planted(&evidence.event_id))
}

fn is_explained(alert: &Alert, labels: &Labels, planted: &BTreeSet<&str>) -> bool {
    labels.expected.iter().any(|label| meets(label, alert))
        || alert.evidence.iter().any(|evidence| planted.contains(evidence.event_id.as_str()))
        || labels.quiet.iter().any(|label| label.also.contains(&alert.rule_id) && shares_event(label, alert))
        || (alert.rule_id == "unused_secret"
            && alert.secret_ids.iter().all(|secret| labels.unused.unused.contains(secret)))
}

/// From the first event of a label to the delivery of the first of its events that the alert rests on.
fn seconds_to(label: &Label, alert: &Alert, delivered: &Delivered) -> Option<i64> {
    let first = time::parse_rfc3339(&label.first_event_at)? / time::SECOND;
    let reported = alert.evidence.iter().filter(|evidence| label.event_ids.contains(&evidence.event_id));
    reported.filter_map(|evidence| delivered.get(&evidence.event_id)).min().map(|at| (at - first).max(0))
}

fn verdict_differences(labels: &Labels, verdicts: &[(String, String)]) -> Vec<String> {
    let unused = &labels.unused;
    let wanted = [
        ("unused", &unused.unused),
        ("sync_only", &unused.sync_only),
        ("cannot_tell", &unused.cannot_tell),
        ("start_time_reader", &unused.start_time_reader),
        ("used", &unused.used),
    ];
    let ours: BTreeMap<&str, &str> =
        verdicts.iter().map(|(secret, verdict)| (secret.as_str(), verdict.as_str())).collect();
    let mut differences = Vec::new();
    for (verdict, secrets) in wanted {
        for secret in secrets {
            let found = ours.get(secret.as_str()).copied();
            if found != Some(verdict) {
                let shown = display::terminal_safe(secret);
                differences.push(format!("{shown} is {}, not {verdict}", found.unwrap_or("not listed")));
            }
        }
    }
    differences
}

fn describe(label: &Label) -> String {
    let place = || format!("{}/{}", label.account_id.as_deref().unwrap_or("-"), label.region.as_deref().unwrap_or("-"));
    let who = label.principal_id.clone().unwrap_or_else(place);
    let secrets = match label.secret_ids.as_slice() {
        [] => String::new(),
        [one] => format!(" {one}"),
        [one, rest @ ..] => format!(" {one} and {} more", rest.len()),
    };
    format!("{} {who}{secrets} at {}: {}", label.rule_id, label.first_event_at, label.why)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
