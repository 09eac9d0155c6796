//! Alerts about the pipe itself, class `system`: nobody must take a quiet inbox for a quiet night.
//!
//! ```text
//! lake ─▶ silences.sql, quarantine.sql ─▶ lake_conditions ─┐
//! worker: queue, notifications, trails ─▶ worker::*        ─┼─▶ Condition* ─▶ report ─▶ alert log
//! ```
//!
//! In: what holds now. Out: alerts that were raised, updated, closed. A condition that holds has one alert, a condition
//! that is gone closes it; the rules for that are in `keytrail_alerts::condition`. Reporting the same again writes
//! nothing, so it can be called every minute by every worker.

mod error;
mod from_lake;
pub mod worker;

use keytrail_alerts::{
    FoldMoment,
    condition::{over_since, reconcile},
};
use keytrail_lake::{Lake, LakeError, session::SessionSettings};
use keytrail_model::{
    Alert, Micros, display,
    time::{DAY, HOUR},
};

pub use error::SystemError;
pub use from_lake::{LAKE_RULES, LiveOrHorizon, SILENCE_RULES, lake_conditions};
pub use keytrail_alerts::condition::{
    ACCOUNT_SILENT, Condition, LAKE_SILENT, NOTIFICATIONS_NOT_UNDERSTOOD, OBJECTS_UNREADABLE, QUARANTINE, QUEUE_LAG,
    REGION_SILENT, Reconciled as Reported, SINK_FAILING, SYSTEM_RULES, TRAIL_MISCONFIGURED,
};

/// How watchful to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemSettings {
    /// No silence shorter than this is told, however busy the place usually is.
    pub silent_after: Micros,
    /// A place that delivered fewer objects than this has no habit that silence could break.
    pub min_objects: i64,
    /// What began longer ago than this when it is first seen is recorded, and never sent.
    pub historical_after: Micros,
}

impl Default for SystemSettings {
    fn default() -> Self {
        Self { silent_after: HOUR, min_objects: 24, historical_after: 7 * DAY }
    }
}

/// Makes the alert log agree with the conditions.
///
/// `checked` are the rules whose conditions are all in `conditions`: their other alerts close. A rule that could not be
/// looked at now (the queue did not answer) is left out, and its alerts stand.
///
/// # Errors
/// The alert log cannot be read or written; nothing is recorded then, and the next report says it all again.
pub async fn report(
    lake: &Lake,
    checked: &[&str],
    conditions: &[Condition],
    now: Micros,
    historical_after: Micros,
) -> Result<Reported, LakeError> {
    if checked.is_empty() && conditions.is_empty() {
        return Ok(Reported::default());
    }
    let alerts = lake.alerts().await?;
    let moment = FoldMoment { now, historical_before: now.saturating_sub(historical_after) };
    let changes = reconcile(&alerts, checked, conditions, moment, |alert| why_over(alert, conditions, now));
    if !changes.is_empty() {
        lake.append_alerts(&changes.all(), None).await?;
    }
    Ok(changes)
}

/// Looks for every condition that the lake can tell of, and reports them. An empty lake tells of none.
///
/// # Errors
/// The lake cannot be asked, or the alert log cannot be written.
pub async fn check_lake(
    lake: &Lake,
    session: &SessionSettings,
    now: LiveOrHorizon,
    settings: &SystemSettings,
) -> Result<Reported, SystemError> {
    let Some((now, conditions)) = from_lake::look(lake, session, now, settings).await? else {
        return Ok(Reported::default());
    };
    Ok(report(lake, &LAKE_RULES, &conditions, now, settings.historical_after).await?)
}

/// Why an alert is over.
fn why_over(alert: &Alert, conditions: &[Condition], now: Micros) -> String {
    let holds = |rule: &str, account: Option<&String>| {
        conditions.iter().any(|condition| {
            condition.rule_id == rule && (account.is_none() || condition.account_id.as_ref() == account)
        })
    };
    let account = alert.account_id.as_ref();
    match alert.rule_id.as_str() {
        REGION_SILENT | ACCOUNT_SILENT if holds(LAKE_SILENT, None) => "every account is silent now".to_owned(),
        REGION_SILENT if account.is_some() && holds(ACCOUNT_SILENT, account) => {
            "the whole account is silent now".to_owned()
        }
        ACCOUNT_SILENT if account.is_some() && holds(REGION_SILENT, account) => {
            "some of its regions deliver again".to_owned()
        }
        LAKE_SILENT if holds(ACCOUNT_SILENT, None) || holds(REGION_SILENT, None) => {
            "some accounts deliver again".to_owned()
        }
        REGION_SILENT | ACCOUNT_SILENT | LAKE_SILENT => {
            format!("objects arrive again, or the silence is usual by now ({})", display::moment(now))
        }
        QUARANTINE => format!("nothing of it is quarantined any more ({})", display::moment(now)),
        QUEUE_LAG => format!("the queue is worked off as fast as it fills ({})", display::moment(now)),
        OBJECTS_UNREADABLE => format!("no object waits for permission any more ({})", display::moment(now)),
        NOTIFICATIONS_NOT_UNDERSTOOD => {
            format!("no more messages came that could not be understood ({})", display::moment(now))
        }
        SINK_FAILING => format!("messages arrive again, and none is parked ({})", display::moment(now)),
        TRAIL_MISCONFIGURED => format!("the trail's settings are in order ({})", display::moment(now)),
        _ => over_since(now),
    }
}

#[cfg(test)]
mod tests;
