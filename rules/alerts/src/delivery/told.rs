//! One alert and one sink: what was told, and what comes next.
//!
//! In: the deliveries about the alert to the sink. Out: the next change and its discriminator, or nothing.
//!
//! After a trigger an update is due when the severity rises above what was told, when there are ten times the events that
//! were told, or, an hour after the last telling at the earliest, when the alert concerns more secrets. So an alert is told
//! a handful of times, however long it lasts.

use keytrail_model::{Alert, AlertState, Delivery, DeliveryChange, DeliveryState, Micros, Severity, time};

use super::{Target, is_told, is_under_way};

/// An alert with so many times the events that were told is told again.
const GREW: i64 = 10;
/// More secrets are told this long after the last telling, and not sooner.
const SECRETS_AFTER: Micros = time::HOUR;

/// What a sink was told of an alert since it was last told of its end.
pub(super) struct Told<'a> {
    /// How often it was told of an end: an alert may be opened again.
    ends: usize,
    trigger: Option<&'a Delivery>,
    under_way: bool,
    /// A message of its own arrived: a trigger, or an update of what another message covered.
    itself: bool,
    acknowledged: bool,
    severity: Severity,
    events: i64,
    secrets: i64,
    last_at: Micros,
}

impl<'a> Told<'a> {
    pub(super) fn of(deliveries: &[&'a Delivery]) -> Self {
        let is_end = |delivery: &&&Delivery| delivery.step.change == DeliveryChange::Resolve;
        let ends = deliveries.iter().filter(is_end).count();
        let last_end = deliveries.iter().filter(is_end).map(|end| end.sequence).max();
        let mut told = Self {
            ends,
            trigger: None,
            under_way: deliveries.iter().any(|delivery| is_under_way(&delivery.step)),
            itself: false,
            acknowledged: false,
            severity: Severity::Info,
            events: 0,
            secrets: 0,
            last_at: Micros::MIN,
        };
        for delivery in deliveries.iter().filter(|delivery| last_end.is_none_or(|end| delivery.sequence > end)) {
            let step = &delivery.step;
            match step.change {
                DeliveryChange::Acknowledge => {
                    told.acknowledged = true;
                    continue;
                }
                DeliveryChange::Trigger => told.trigger = Some(delivery),
                _ => {}
            }
            told.itself |= step.state == DeliveryState::Delivered;
            told.severity = told.severity.max(step.severity);
            told.events = told.events.max(step.event_count);
            told.secrets = told.secrets.max(step.secret_count);
            told.last_at = told.last_at.max(step.at);
        }
        told
    }

    /// What is to be told now. `wanted`: whether the routes lead to this sink.
    pub(super) fn next(
        &self,
        alert: &Alert,
        target: &Target,
        wanted: bool,
        now: Micros,
    ) -> Option<(DeliveryChange, String)> {
        let ends = self.ends;
        let Some(trigger) = self.trigger else {
            return (wanted && !self.under_way).then(|| (DeliveryChange::Trigger, ends.to_string()));
        };
        if self.under_way {
            return None;
        }
        if !is_told(alert) {
            // Whoever was told only beside another alert has nothing to close.
            return (self.itself && target.resolve).then(|| (DeliveryChange::Resolve, ends.to_string()));
        }
        if trigger.step.state == DeliveryState::Parked && !self.itself {
            return None;
        }
        if target.update {
            if alert.severity > self.severity {
                return Some((DeliveryChange::Update, format!("{ends} severity {}", alert.severity)));
            }
            if self.itself && alert.event_count >= self.events.max(1).saturating_mul(GREW) {
                return Some((DeliveryChange::Update, format!("{ends} events {}", self.events)));
            }
            let secrets = i64::try_from(alert.secret_ids.len()).unwrap_or(i64::MAX);
            if self.itself && secrets > self.secrets && now >= self.last_at.saturating_add(SECRETS_AFTER) {
                return Some((DeliveryChange::Update, format!("{ends} secrets {}", self.secrets)));
            }
        }
        let acknowledge = alert.state == AlertState::Acknowledged && !self.acknowledged;
        (acknowledge && self.itself && target.acknowledge).then(|| (DeliveryChange::Acknowledge, ends.to_string()))
    }
}
