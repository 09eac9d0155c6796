//! Many alerts, one message: "also" and storms.
//!
//! In: the alerts that a sink is to be told of for the first time. Out: deliveries, each with the alerts it covers.
//!
//! An alert that rests on an event of a graver one in the same round is told in that one's message. More alerts of one rule
//! within the window than a person reads are told in one message, which comes again as it grows, not sooner than every
//! `storm_every` unless it becomes graver, always with all of its alerts and the same first one. Until then what joins
//! waits; nothing is dropped.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use keytrail_model::{Alert, Delivery, DeliveryChange, DeliveryState, Micros, display};

use super::{Due, Index, Look, Target, delivery_id, is_told, is_under_way};

/// Alerts beside the main one in a message, before others get a message of their own.
const ALSO_CAP: usize = 20;
/// Alerts of one storm, before those that join make up another one.
const STORM_CAP: usize = 1_000;

/// An alert to trigger, and those that its message tells of too.
pub(super) struct Head<'a> {
    alert: &'a Alert,
    trigger_id: String,
    also: Vec<(&'a Alert, String)>,
}

impl<'a> Head<'a> {
    pub(super) fn new(alert: &'a Alert, trigger_id: String) -> Self {
        Self { alert, trigger_id, also: Vec::new() }
    }

    pub(super) fn due(self, look: &Look<'_>, target: &Target) -> Due {
        let alerts: Vec<&Alert> = std::iter::once(self.alert).chain(self.also.iter().map(|(also, _)| *also)).collect();
        let claim = look.claim(self.trigger_id, &target.name, DeliveryChange::Trigger, &alerts);
        let covers = self.also.into_iter().map(|(also, id)| look.covered(also, id, &claim)).collect();
        Due { claim, covers }
    }
}

/// Lays alerts beside a graver one that rests on the same event.
pub(super) fn with_also(mut heads: Vec<Head<'_>>) -> Vec<Head<'_>> {
    heads.sort_by(|a, b| order(a.alert).cmp(&order(b.alert)));
    let mut kept: Vec<Head<'_>> = Vec::with_capacity(heads.len());
    let mut by_event: HashMap<&str, usize> = HashMap::new();
    for head in heads {
        let graver = head.alert.evidence.iter().find_map(|evidence| {
            let place = *by_event.get(evidence.event_id.as_str())?;
            let other = kept.get(place)?;
            (other.alert.severity > head.alert.severity && other.also.len() < ALSO_CAP).then_some(place)
        });
        if let Some(other) = graver.and_then(|place| kept.get_mut(place)) {
            other.also.push((head.alert, head.trigger_id));
            continue;
        }
        for evidence in head.alert.evidence.iter().filter(|evidence| !evidence.event_id.is_empty()) {
            by_event.entry(&evidence.event_id).or_insert(kept.len());
        }
        kept.push(head);
    }
    kept
}

fn order(alert: &Alert) -> (Reverse<keytrail_model::Severity>, Micros, &str) {
    (Reverse(alert.severity), alert.first_event_at, &alert.alert_id)
}

/// One delivery for each, or one for all of a storm.
pub(super) fn storms<'a>(look: &Look<'_>, index: &Index<'_>, target: &Target, heads: Vec<Head<'a>>) -> Vec<Due> {
    let mut by_rule: BTreeMap<&'a str, Vec<Head<'a>>> = BTreeMap::new();
    for head in heads {
        by_rule.entry(&head.alert.rule_id).or_default().push(head);
    }
    let mut all = Vec::new();
    for (rule_id, heads) in by_rule {
        match newest_storm(look, index, target, rule_id) {
            Some(storm) if may_grow(look, storm, &heads) => {
                // One that never ends must not grow for ever: what joins a full one begins another.
                let is_full = storm.step.alert_ids.len() >= STORM_CAP;
                let before = storm.step.alert_ids.iter().filter(|_| !is_full).map(String::as_str).collect();
                all.push(storm_of(look, index, target, before, heads));
            }
            // What has joined waits for the next message.
            Some(_) => {}
            None if told_lately(look, index, target, rule_id) + heads.len() > look.settings.storm_alerts => {
                all.push(storm_of(look, index, target, Vec::new(), heads));
            }
            None => all.extend(heads.into_iter().map(|head| head.due(look, target))),
        }
    }
    all
}

/// The rule's storm that is going on at the sink.
fn newest_storm<'a>(look: &Look<'_>, index: &Index<'a>, target: &Target, rule_id: &str) -> Option<&'a Delivery> {
    let since = look.now.saturating_sub(look.settings.storm_window.max(look.settings.storm_every));
    let newest = index
        .storms
        .get(target.name.as_str())?
        .iter()
        .filter(|storm| rule_of(index, storm) == Some(rule_id))
        .max_by_key(|storm| storm.sequence)?;
    let goes_on = is_under_way(&newest.step) || newest.step.at >= since;
    (newest.step.change == DeliveryChange::Storm && goes_on).then_some(*newest)
}

fn rule_of<'a>(index: &Index<'a>, delivery: &Delivery) -> Option<&'a str> {
    let first = delivery.step.alert_ids.first()?;
    index.alerts.get(first.as_str()).map(|alert| alert.rule_id.as_str())
}

fn may_grow(look: &Look<'_>, storm: &Delivery, heads: &[Head<'_>]) -> bool {
    let graver = heads.iter().any(|head| head.alert.severity > storm.step.severity);
    let rested = look.now >= storm.step.at.saturating_add(look.settings.storm_every);
    !is_under_way(&storm.step) && (graver || rested)
}

/// How many alerts of the rule the sink was told of one by one within the window.
fn told_lately(look: &Look<'_>, index: &Index<'_>, target: &Target, rule_id: &str) -> usize {
    let since = look.now.saturating_sub(look.settings.storm_window);
    let is_one = |delivery: &&Delivery| {
        delivery.step.change == DeliveryChange::Trigger
            && delivery.step.state != DeliveryState::Covered
            && delivery.first_at >= since
    };
    index
        .by_alert
        .iter()
        .filter(|((sink, alert), _)| {
            *sink == target.name && index.alerts.get(alert).is_some_and(|alert| alert.rule_id == rule_id)
        })
        .map(|(_, deliveries)| deliveries.iter().copied().filter(is_one).count())
        .sum()
}

fn storm_of(look: &Look<'_>, index: &Index<'_>, target: &Target, before: Vec<&str>, heads: Vec<Head<'_>>) -> Due {
    let mut alerts: Vec<&Alert> = before.into_iter().filter_map(|id| index.alerts.get(id).copied()).collect();
    let mut joining: Vec<(&Alert, String)> = Vec::new();
    let (mut first, mut beside) = (Vec::new(), Vec::new());
    for head in heads {
        first.push((head.alert, head.trigger_id));
        beside.extend(head.also);
    }
    joining.append(&mut first);
    joining.append(&mut beside);
    alerts.extend(joining.iter().map(|(alert, _)| *alert));
    let anchor = alerts.first().map_or("", |alert| alert.alert_id.as_str());
    let id = delivery_id(anchor, &target.name, DeliveryChange::Storm, &alerts.len().to_string());
    let mut claim = look.claim(id, &target.name, DeliveryChange::Storm, &alerts);
    let number = i64::try_from(alerts.len()).unwrap_or(i64::MAX);
    let rule = alerts.first().map_or("", |alert| alert.rule_id.as_str());
    claim.title = format!("{} alerts of {}", display::count(number), display::terminal_safe(rule));
    let covers = joining.into_iter().map(|(alert, id)| look.covered(alert, id, &claim)).collect();
    Due { claim, covers }
}

/// The ends of storms: every alert of them is closed.
pub(super) fn over(look: &Look<'_>, index: &Index<'_>, target: &Target) -> Vec<Due> {
    if !target.resolve {
        return Vec::new();
    }
    // A storm's messages have the same first alert; the newest one names all.
    let mut newest: BTreeMap<&str, &Delivery> = BTreeMap::new();
    for storm in index.storms.get(target.name.as_str()).into_iter().flatten() {
        let Some(anchor) = storm.step.alert_ids.first() else { continue };
        let known = newest.entry(anchor).or_insert(storm);
        if storm.sequence > known.sequence {
            *known = storm;
        }
    }
    let is_over = |storm: &Delivery| {
        storm.step.change == DeliveryChange::Storm
            && storm.step.state == DeliveryState::Delivered
            && storm.step.alert_ids.iter().all(|id| index.alerts.get(id.as_str()).is_none_or(|alert| !is_told(alert)))
    };
    newest
        .into_iter()
        .filter(|(_, storm)| is_over(storm))
        .filter_map(|(anchor, storm)| {
            let alerts: Vec<&Alert> =
                storm.step.alert_ids.iter().filter_map(|id| index.alerts.get(id.as_str()).copied()).collect();
            let number = storm.step.alert_ids.len().to_string();
            let id = delivery_id(anchor, &target.name, DeliveryChange::StormOver, &number);
            let claim = look.claim(id, &target.name, DeliveryChange::StormOver, &alerts);
            (!alerts.is_empty() && !look.deliveries.contains_key(&claim.delivery_id)).then(|| Due {
                claim: keytrail_model::DeliveryStep { title: storm.step.title.clone(), ..claim },
                covers: Vec::new(),
            })
        })
        .collect()
}
