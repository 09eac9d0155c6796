//! From alerts to the parts of the message.

use std::collections::BTreeSet;

use keytrail_model::{
    Alert, AlertClass, AlertState, Evidence, Frequency, Micros, Odd, Severity, Verdict,
    display::{count, moment, principal_short},
};

use super::{Fact, Links, Message, Unusual};
use crate::{
    fingerprint::fingerprint,
    render::secrets_phrase,
    sink::{Change, text::clean},
};

const TITLE: usize = 160;
const REASON: usize = 600;
const VALUE: usize = 200;
const STEP: usize = 300;
/// Lines of unusual against usual that a phone shows without scrolling.
const UNUSUAL: usize = 4;
/// Names before the rest is counted.
const NAMED: usize = 3;

impl Message {
    /// The message of one change. The first alert is what it is about, the others are related; a storm is about all of them.
    /// `guide` is the rule's guide, filled for the first alert; `alerts` must not be empty (else the message tells of
    /// nothing).
    pub fn new(change: Change, alerts: &[Alert], guide: Option<&str>, links: &Links) -> Self {
        let (main, related) = match (change, alerts.split_first()) {
            (Change::Storm | Change::StormOver, _) | (_, None) => return Self::of_storm(change, alerts, links),
            (_, Some(split)) => split,
        };
        let told = matches!(change, Change::Trigger | Change::Update | Change::Test);
        Self {
            change,
            severity: main.severity,
            headline: headline(change, main),
            reason: clean(&main.reason, REASON),
            facts: facts(main),
            unusual: if told { unusual(&main.why) } else { Vec::new() },
            first_step: guide.filter(|_| told && change != Change::Test).and_then(first_step),
            by: by(main),
            before: main
                .previous_alert_id
                .as_ref()
                .filter(|_| told)
                .map(|previous| format!("an earlier alert of the same was closed, {}", links.alert(previous).as_str())),
            also: also(related),
            storm: None,
            about: about(main),
            // The alert of a test stands nowhere.
            link: if change == Change::Test { links.all() } else { links.alert(&main.alert_id) },
        }
    }
}

/// The alert that `sinks test` sends: it says what it is, and rests on nothing.
pub fn test_alert(at: Micros) -> Alert {
    let fold_key = vec!["test".to_owned()];
    Alert {
        alert_id: "0000000000000000".to_owned(),
        rule_id: "keytrail_test".to_owned(),
        rule_version: "1".to_owned(),
        severity: Severity::Info,
        class: AlertClass::System,
        state: AlertState::Open,
        verdict: None,
        title: "A test of this sink".to_owned(),
        reason: "Somebody tried this sink out with `keytrail sinks test`. Nothing happened, nothing needs to be done."
            .to_owned(),
        principal_id: None,
        secret_ids: Vec::new(),
        account_id: None,
        region: None,
        first_event_at: at,
        last_event_at: at,
        event_count: 0,
        raised_at: at,
        updated_at: at,
        historical: false,
        fingerprint: fingerprint("keytrail_test", &fold_key),
        fold_key,
        note: None,
        changed_by: None,
        evidence: Vec::<Evidence>::new(),
        previous_alert_id: None,
        merged_into: None,
        suppressed_by: None,
        why: Vec::new(),
    }
}

fn headline(change: Change, alert: &Alert) -> String {
    let title = Some(clean(&alert.title, TITLE)).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| "an alert without a title".to_owned());
    let severity = alert.severity.as_str().to_uppercase();
    match change {
        Change::Trigger | Change::Storm | Change::StormOver => format!("{severity}: {title}"),
        Change::Update => format!("{severity}, more: {title}"),
        Change::Acknowledge => format!("Acknowledged: {title}"),
        Change::Resolve => match alert.verdict {
            Some(verdict) => format!("Closed ({}): {title}", verdict_words(verdict)),
            None => format!("Closed: {title}"),
        },
        Change::Test => format!("TEST: {title}"),
    }
}

fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::TruePositive => "a true positive",
        Verdict::Expected => "expected",
        Verdict::FalsePositive => "a false positive",
        Verdict::Duplicate => "a duplicate",
    }
}

/// Who, which secrets, from where; for trouble of Keytrail's own only where.
fn facts(alert: &Alert) -> Vec<Fact> {
    let place = match (&alert.account_id, &alert.region) {
        (Some(account), Some(region)) => Some(format!("account {account}, {region}")),
        (Some(account), None) => Some(format!("account {account}")),
        _ => None,
    };
    let mut facts = Vec::new();
    let mut fact = |name, value: String| facts.push(Fact { name, value: clean(&value, VALUE) });
    if alert.class != AlertClass::Detection {
        if let Some(place) = place {
            fact("where", place);
        }
        return facts;
    }
    let who = alert
        .principal_id
        .as_deref()
        .map_or_else(|| "more than one principal, or none named".to_owned(), principal_short);
    fact("who", place.map_or_else(|| who.clone(), |place| format!("{}, {place}", clean(&who, VALUE / 2))));
    if !alert.secret_ids.is_empty() {
        let name = if alert.secret_ids.len() == 1 { "secret" } else { "secrets" };
        fact(name, secrets_phrase(&alert.secret_ids, NAMED));
    }
    let sources: BTreeSet<&str> = alert.evidence.iter().filter_map(|event| event.source_ip.as_deref()).collect();
    let named: Vec<String> = sources.iter().take(NAMED).map(|source| clean(source, 60)).collect();
    match sources.len().saturating_sub(NAMED) {
        0 if named.is_empty() => fact("from", "no address of its own".to_owned()),
        0 => fact("from", named.join(", ")),
        more => fact("from", format!("{} and {} more addresses", named.join(", "), count(more as i64))),
    }
    facts
}

/// The oddest lines; what is frequent is left out unless nothing else is known.
fn unusual(why: &[Odd]) -> Vec<Unusual> {
    let mut lines: Vec<&Odd> = why.iter().filter(|odd| odd.word != Frequency::Frequent).collect();
    // The order that the rule gives stays among equals.
    lines.sort_by_key(|odd| std::cmp::Reverse(odd.word));
    if lines.is_empty() {
        lines = why.iter().collect();
    }
    let line = |odd: &&Odd| Unusual {
        dimension: clean(&odd.dimension, 60),
        value: clean(&odd.value, 80),
        word: odd.word,
        sample: match odd.sample {
            ..=0 => "no history".to_owned(),
            sample => format!("{} of {} {}", count(odd.seen), count(sample), clean(&odd.unit, 40)),
        },
        usual: clean(&odd.usual, 120),
    };
    lines.iter().take(UNUSUAL).map(line).collect()
}

/// The first numbered step of a guide, as plain text.
fn first_step(guide: &str) -> Option<String> {
    let mut lines = guide.lines().skip_while(|line| !line.trim_start().starts_with("1. "));
    let first = lines.next()?.trim_start().strip_prefix("1. ")?;
    let goes_on = |line: &&str| line.starts_with([' ', '\t']) && !line.trim().is_empty();
    let whole = std::iter::once(first).chain(lines.take_while(goes_on)).collect::<Vec<_>>().join(" ");
    let plain = clean(&whole.replace(['`', '*'], ""), STEP);
    (!plain.is_empty()).then_some(plain)
}

fn by(alert: &Alert) -> Option<String> {
    let who = clean(alert.changed_by.as_deref()?, 80);
    let note = alert.note.as_deref().map(|note| clean(note, VALUE)).filter(|note| !note.is_empty());
    Some(note.map_or_else(|| who.clone(), |note| format!("{who}: {note}")))
}

fn also(related: &[Alert]) -> Option<String> {
    let titles: Vec<String> = related.iter().take(NAMED).map(|alert| clean(&alert.title, 80)).collect();
    let noun = if related.len() == 1 { "related alert" } else { "related alerts" };
    let more = if related.len() > titles.len() { "; …" } else { "" };
    (!related.is_empty()).then(|| format!("{} {noun}: {}{more}", count(related.len() as i64), titles.join("; ")))
}

fn about(alert: &Alert) -> String {
    let when = span(alert.first_event_at, alert.last_event_at);
    let events = match alert.event_count {
        0 => String::new(),
        1 => "1 event, ".to_owned(),
        number => format!("{} events, ", count(number)),
    };
    let past = if alert.historical { ", from backfill" } else { "" };
    format!(
        "{events}{when}{past}, rule {} v{}, alert {}",
        clean(&alert.rule_id, 80),
        clean(&alert.rule_version, 20),
        clean(&alert.alert_id, 64)
    )
}

/// From when to when; of one day the day is said once.
pub(super) fn span(first: Micros, last: Micros) -> String {
    if first == last {
        return moment(first);
    }
    let (first, last) = (moment(first), moment(last));
    match (first.split_once(' '), last.split_once(' ')) {
        (Some((day, _)), Some((same, time))) if day == same => format!("{first} to {time}"),
        _ => format!("{first} to {last}"),
    }
}
