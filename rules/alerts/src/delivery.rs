//! What must be told to whom, now.
//!
//! ```text
//! alerts as they stand ─┐                    told.rs    one alert, one sink: what was told, what is due
//! the delivery log      ├─▶ Look ─▶ due ─▶   group.rs   "also" and storms: many alerts, one message
//! routes, sinks, owners ┘                    backoff.rs when a failed try comes again, and when no more
//! ```
//!
//! In: the alerts, every delivery as it stands, who may be told. Out: the steps that claim what is due, the gravest first;
//! whoever commits them sends. Nothing here reads a clock, a file or the network.
//!
//! Invariants:
//! - A delivery's id follows from alert, sink, change and a discriminator that the log alone gives: every host finds the same
//!   id for the same thing to tell, and a retry keeps the id and the alerts of the first try.
//! - Of one alert at one sink at most one delivery is under way, so changes arrive in their order.
//! - Nothing is dropped: an alert that must be told has a delivery of its own or is `covered` by one that names it.
//! - History, suppressed, merged and shadow alerts are never told; of one that was told before, the end is.

mod backoff;
mod group;
mod told;

use std::collections::{HashMap, HashSet};

use keytrail_model::{Alert, AlertState, Delivery, DeliveryChange, DeliveryState, DeliveryStep, Micros, time};
use sha2::{Digest, Sha256};

pub use self::backoff::{Failed, after_failure};
use self::{group::Head, told::Told};
use crate::{
    condition::SINK_FAILING,
    route::{Owners, Route, sinks_of},
};

/// How deliveries behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverySettings {
    /// More alerts of one rule than this within the window become one message.
    pub storm_alerts: usize,
    pub storm_window: Micros,
    /// A storm's message is sent again, with what it grew by, not sooner than this.
    pub storm_every: Micros,
    /// How long a claim holds: what a dead worker had claimed passes on after it.
    pub claim: Micros,
    /// After so many failed tries a delivery is parked.
    pub tries: u32,
    pub first_pause: Micros,
    pub longest_pause: Micros,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            storm_alerts: 25,
            storm_window: 10 * MINUTE,
            storm_every: 10 * MINUTE,
            claim: 5 * MINUTE,
            tries: 20,
            first_pause: 5 * time::SECOND,
            longest_pause: 15 * MINUTE,
        }
    }
}

const MINUTE: Micros = 60 * time::SECOND;

/// A sink, as far as deciding needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    /// Whether many alerts may become one message.
    pub group: bool,
    /// What it is told besides triggers and storms.
    pub update: bool,
    pub acknowledge: bool,
    pub resolve: bool,
}

/// Everything that decides what is due.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    pub alerts: &'a [Alert],
    pub deliveries: &'a HashMap<String, Delivery>,
    pub targets: &'a [Target],
    pub routes: &'a [Route],
    pub owners: &'a Owners,
    pub settings: &'a DeliverySettings,
    /// Who claims.
    pub worker: &'a str,
    pub now: Micros,
}

/// One delivery to make, as the steps that claim it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub claim: DeliveryStep,
    /// What it tells of besides; committed with the claim.
    pub covers: Vec<DeliveryStep>,
}

impl Due {
    /// All steps, for one commit.
    pub fn steps(&self) -> impl Iterator<Item = &DeliveryStep> {
        std::iter::once(&self.claim).chain(&self.covers)
    }
}

/// The id of a delivery: 32 hex digits.
pub fn delivery_id(alert_id: &str, sink: &str, change: DeliveryChange, discriminator: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [alert_id, sink, change.as_str(), discriminator] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether somebody is to be told of the alert at all.
pub fn is_told(alert: &Alert) -> bool {
    matches!(alert.state, AlertState::Open | AlertState::Acknowledged)
        && !alert.historical
        && alert.merged_into.is_none()
}

/// What is due, the gravest first.
pub fn due(look: &Look<'_>) -> Vec<Due> {
    let index = Index::of(look);
    let mut all = again(look);
    let mut heads: HashMap<&str, Vec<Head<'_>>> = HashMap::new();
    for alert in look.alerts {
        let routed = if is_told(alert) { sinks_of(look.routes, alert, look.owners) } else { Vec::new() };
        for target in look.targets {
            let told = Told::of(index.of_alert(&target.name, &alert.alert_id));
            let wanted = routed.contains(&target.name.as_str()) && !is_about(alert, &target.name);
            let Some((change, discriminator)) = told.next(alert, target, wanted, look.now) else { continue };
            let id = delivery_id(&alert.alert_id, &target.name, change, &discriminator);
            if look.deliveries.contains_key(&id) {
                continue;
            }
            match change {
                DeliveryChange::Trigger => heads.entry(&target.name).or_default().push(Head::new(alert, id)),
                _ => all.push(Due { claim: look.claim(id, &target.name, change, &[alert]), covers: Vec::new() }),
            }
        }
    }
    for target in look.targets {
        let heads = heads.remove(target.name.as_str()).unwrap_or_default();
        if target.group {
            all.extend(group::storms(look, &index, target, group::with_also(heads)));
        } else {
            all.extend(heads.into_iter().map(|head| head.due(look, target)));
        }
        all.extend(group::over(look, &index, target));
    }
    all.sort_by(|a, b| {
        let key = |due: &Due| (std::cmp::Reverse(due.claim.severity), due.claim.delivery_id.clone());
        key(a).cmp(&key(b))
    });
    all
}

/// What was tried before, or claimed by a worker that has gone, and is to be tried again.
fn again(look: &Look<'_>) -> Vec<Due> {
    let is_due = |delivery: &&Delivery| {
        is_under_way(&delivery.step) && delivery.step.next_at.is_none_or(|next_at| next_at <= look.now)
    };
    let known: HashSet<&str> = look.targets.iter().map(|target| target.name.as_str()).collect();
    look.deliveries
        .values()
        .filter(is_due)
        .filter(|delivery| known.contains(delivery.step.sink.as_str()))
        .map(|delivery| {
            let claim = DeliveryStep {
                state: DeliveryState::Claimed,
                attempt: delivery.step.attempt.saturating_add(1),
                at: look.now,
                next_at: Some(look.now.saturating_add(look.settings.claim)),
                worker: look.worker.to_owned(),
                status: None,
                detail: None,
                ..delivery.step.clone()
            };
            Due { claim, covers: Vec::new() }
        })
        .collect()
}

/// When there is something to try again, if nothing else happens.
pub fn next_at(deliveries: &HashMap<String, Delivery>) -> Option<Micros> {
    deliveries
        .values()
        .filter(|delivery| is_under_way(&delivery.step))
        .filter_map(|delivery| delivery.step.next_at)
        .min()
}

/// Whether it has neither arrived nor been given up.
pub fn is_under_way(step: &DeliveryStep) -> bool {
    matches!(step.state, DeliveryState::Claimed | DeliveryState::Failed)
}

/// An alert about a sink that fails is not told to that sink.
fn is_about(alert: &Alert, sink: &str) -> bool {
    alert.rule_id == SINK_FAILING && alert.fold_key.first().is_some_and(|subject| subject == sink)
}

impl Look<'_> {
    fn claim(&self, delivery_id: String, sink: &str, change: DeliveryChange, alerts: &[&Alert]) -> DeliveryStep {
        let (events, secrets) = alerts
            .first()
            .map_or((0, 0), |alert| (alert.event_count, i64::try_from(alert.secret_ids.len()).unwrap_or(i64::MAX)));
        DeliveryStep {
            delivery_id,
            sink: sink.to_owned(),
            alert_ids: alerts.iter().map(|alert| alert.alert_id.clone()).collect(),
            change,
            state: DeliveryState::Claimed,
            attempt: 1,
            at: self.now,
            next_at: Some(self.now.saturating_add(self.settings.claim)),
            worker: self.worker.to_owned(),
            status: None,
            detail: None,
            title: alerts.first().map(|alert| alert.title.clone()).unwrap_or_default(),
            severity: alerts.iter().map(|alert| alert.severity).max().unwrap_or(keytrail_model::Severity::Info),
            event_count: events,
            secret_count: secrets,
        }
    }

    /// The step that says who tells of an alert instead.
    fn covered(&self, alert: &Alert, trigger_id: String, by: &DeliveryStep) -> DeliveryStep {
        DeliveryStep {
            state: DeliveryState::Covered,
            attempt: 0,
            next_at: None,
            detail: Some(by.delivery_id.clone()),
            ..self.claim(trigger_id, &by.sink, DeliveryChange::Trigger, &[alert])
        }
    }
}

/// The log by what is asked of it.
struct Index<'a> {
    alerts: HashMap<&'a str, &'a Alert>,
    /// Deliveries about one alert, by sink and alert.
    by_alert: HashMap<(&'a str, &'a str), Vec<&'a Delivery>>,
    /// Storms and their ends, by sink.
    storms: HashMap<&'a str, Vec<&'a Delivery>>,
}

impl<'a> Index<'a> {
    fn of(look: &Look<'a>) -> Self {
        let mut by_alert: HashMap<_, Vec<_>> = HashMap::new();
        let mut storms: HashMap<_, Vec<_>> = HashMap::new();
        for delivery in look.deliveries.values() {
            let step = &delivery.step;
            let Some(main) = step.alert_ids.first() else { continue };
            match step.change {
                DeliveryChange::Storm | DeliveryChange::StormOver => {
                    storms.entry(step.sink.as_str()).or_default().push(delivery);
                }
                _ => by_alert.entry((step.sink.as_str(), main.as_str())).or_default().push(delivery),
            }
        }
        let alerts = look.alerts.iter().map(|alert| (alert.alert_id.as_str(), alert)).collect();
        Self { alerts, by_alert, storms }
    }

    fn of_alert(&self, sink: &'a str, alert_id: &'a str) -> &[&'a Delivery] {
        self.by_alert.get(&(sink, alert_id)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
