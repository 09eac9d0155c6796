//! A sink that fails becomes an alert, at the sinks that do not.
//!
//! In: the deliveries as they stand. Out: one condition for each sink that has something parked, has not taken what it was
//! sent for a while, or cannot be opened; the rest is `keytrail_rules::system`'s.

use std::collections::{BTreeMap, HashSet};

use keytrail_lake::{Deliveries, Lake, LakeError};
use keytrail_model::{Alert, AlertState, DeliveryState, Micros, display, time};
use keytrail_rules::system::{self, Condition, SINK_FAILING, worker};

use crate::{commands::detect, settings::Settings};

/// A delivery that was tried in vain for so long is worth an alert.
const FAILING_FOR: Micros = 15 * 60 * time::SECOND;

/// What is wrong with the sinks, now.
pub(super) fn conditions(
    deliveries: &Deliveries,
    known: &HashSet<&str>,
    broken: &[(String, String)],
    now: Micros,
) -> Vec<Condition> {
    let mut by_sink: BTreeMap<&str, worker::SinkFailing<'_>> = BTreeMap::new();
    let of_known = deliveries.by_id.values().filter(|delivery| known.contains(delivery.step.sink.as_str()));
    for delivery in of_known {
        let step = &delivery.step;
        let parked = step.state == DeliveryState::Parked;
        let failing = step.state == DeliveryState::Failed && now - delivery.first_at >= FAILING_FOR;
        if !parked && !failing {
            continue;
        }
        let entry = by_sink.entry(&step.sink).or_insert_with(|| worker::SinkFailing::of(&step.sink, step.at));
        entry.parked += i64::from(parked);
        entry.waiting += i64::from(failing);
        entry.since = entry.since.min(delivery.first_at);
        if step.at >= entry.last_at {
            entry.last_at = step.at;
            entry.reason = step.detail.as_deref().unwrap_or_default();
        }
    }
    for (name, reason) in broken {
        let entry = by_sink.entry(name).or_insert_with(|| worker::SinkFailing::of(name, now));
        entry.reason = reason;
    }
    by_sink.into_values().map(|failing| worker::sink_failing(&failing)).collect()
}

/// Makes the alert log agree with them; nothing is read or written where there is nothing to say.
pub(super) async fn report(
    lake: &Lake,
    alerts: &[Alert],
    conditions: &[Condition],
    settings: &Settings,
    now: Micros,
) -> Result<(), LakeError> {
    let stands = |alert: &Alert| alert.rule_id == SINK_FAILING && alert.state != AlertState::Closed;
    if conditions.is_empty() && !alerts.iter().any(stands) {
        return Ok(());
    }
    let historical_after = detect::system_settings(settings).historical_after;
    let reported = system::report(lake, &[SINK_FAILING], conditions, now, historical_after).await?;
    for alert in &reported.raised {
        let reason = display::terminal_safe(&alert.reason);
        tracing::warn!(alert_id = %alert.alert_id, rule_id = %alert.rule_id, %reason, "alert raised");
    }
    Ok(())
}
