//! Whether the pipe itself is well: what is not becomes an alert of class *system*, and ends with its cause.
//!
//! ```text
//! every minute     the worker's watch ─▶ queue lag, misread notifications, objects it may not read ─┐
//!                  the lake ─▶ silent regions and accounts, quarantine                              ├─▶ alerts
//! every 15 minutes the trails (with their roles) ─▶ dropped reads, excluded KMS, stopped logging    ─┘
//! ```
//!
//! What cannot be looked at now is left as it stands: a queue that does not answer closes no alert about it.

use std::{sync::Arc, time::Duration};

use keytrail_ingest::{
    aws::Aws,
    queue::Redrive,
    worker::{Waiting, WorkerStatus, WorkerWatch},
};
use keytrail_lake::{Lake, session::SessionSettings};
use keytrail_model::{Micros, display, time};
use keytrail_rules::system::{
    self, Condition, LAKE_RULES, LiveOrHorizon, NOTIFICATIONS_NOT_UNDERSTOOD, OBJECTS_UNREADABLE, QUARANTINE,
    QUEUE_LAG, SystemSettings, TRAIL_MISCONFIGURED, lake_conditions, worker,
};
use metrics::counter;
use tokio_util::sync::CancellationToken;

use crate::commands::trails;

const LOOK_EVERY: Duration = Duration::from_secs(60);
const TRAILS_EVERY: Micros = 900 * time::SECOND;
/// A message older than this, while the queue is worked off, means that it fills faster than that.
const LAG_AFTER: Micros = 600 * time::SECOND;
/// How long a misread message is spoken of after it was last delivered.
const MISREAD_FOR: Micros = time::HOUR;

/// What is kept watch over.
pub(super) struct Watched {
    pub(super) lake: Lake,
    pub(super) session: SessionSettings,
    pub(super) settings: SystemSettings,
    pub(super) worker: Arc<WorkerWatch>,
    /// The queue's name, for sentences.
    pub(super) queue: String,
    pub(super) redrive: Redrive,
    /// Absent where the worker reads a folder.
    pub(super) aws: Option<Aws>,
    /// Who the worker is, for sentences.
    pub(super) role: String,
}

/// Looks, reports, waits; until it is told to stop.
pub(super) async fn keep(watched: Watched, stop: CancellationToken) {
    let mut lag = Lag::default();
    let mut trails_at = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let now = time::now();
        let (mut checked, mut conditions) = of_worker(&watched, &mut lag, now);
        let moment = watched.moment(now);
        match lake_conditions(&watched.lake, &watched.session, moment, &watched.settings).await {
            // With a backlog before it nobody knows who is silent: those alerts stand as they are.
            Ok(mut found) if moment == LiveOrHorizon::Horizon => {
                found.retain(|condition| condition.rule_id == QUARANTINE);
                checked.push(QUARANTINE);
                conditions.extend(found);
            }
            Ok(found) => {
                checked.extend(LAKE_RULES);
                conditions.extend(found);
            }
            Err(error) => tracing::warn!(%error, "the lake's own state could not be looked at"),
        }
        if let Some(aws) = &watched.aws
            && trails_at.is_none_or(|at| now - at >= TRAILS_EVERY)
        {
            trails_at = Some(now);
            match trails::conditions(aws, now).await {
                Ok(found) => {
                    checked.push(TRAIL_MISCONFIGURED);
                    conditions.extend(found);
                }
                // A worker without these rights is no worse a worker; `doctor` says what is missing.
                Err(error) => tracing::info!(%error, "the trails' settings could not be read"),
            }
        }
        report(&watched, &checked, &conditions, now).await;
    }
}

impl Watched {
    /// With a backlog before it, the worker is not to call silent what still lies in the queue.
    fn moment(&self, now: Micros) -> LiveOrHorizon {
        let status = self.worker.status();
        let behind = status.depth.is_some_and(|depth| depth.visible > 0) || status.in_flight.messages > 0;
        if behind { LiveOrHorizon::Horizon } else { LiveOrHorizon::Live(now) }
    }
}

async fn report(watched: &Watched, checked: &[&str], conditions: &[Condition], now: Micros) {
    let historical_after = watched.settings.historical_after;
    match system::report(&watched.lake, checked, conditions, now, historical_after).await {
        Ok(reported) => {
            for alert in &reported.raised {
                counter!("keytrail_system_alerts_raised_total", "rule" => alert.rule_id.clone()).increment(1);
                let reason = display::terminal_safe(&alert.reason);
                tracing::warn!(alert_id = %alert.alert_id, rule_id = %alert.rule_id, severity = %alert.severity, %reason, "alert raised");
            }
            for alert in &reported.closed {
                tracing::info!(alert_id = %alert.alert_id, rule_id = %alert.rule_id, "alert closed: its cause is gone");
            }
        }
        Err(error) => tracing::error!(%error, "alerts about the pipe could not be recorded; they are reported again"),
    }
}

/// Since when messages have been waiting too long.
#[derive(Debug, Default)]
struct Lag {
    since: Option<Micros>,
}

fn of_worker(watched: &Watched, lag: &mut Lag, now: Micros) -> (Vec<&'static str>, Vec<Condition>) {
    let status = watched.worker.status();
    let mut conditions = Vec::new();
    conditions.extend(lag.condition(&status, watched, now));
    conditions.extend(misread(&status, watched, now));
    conditions.extend(unreadable(&status, &watched.role));
    (vec![QUEUE_LAG, NOTIFICATIONS_NOT_UNDERSTOOD, OBJECTS_UNREADABLE], conditions)
}

impl Lag {
    fn condition(&mut self, status: &WorkerStatus, watched: &Watched, now: Micros) -> Option<Condition> {
        #[expect(clippy::cast_possible_truncation, reason = "an age in seconds")]
        let age = status.queue_age_seconds as Micros * time::SECOND;
        if age < LAG_AFTER {
            self.since = None;
            return None;
        }
        let growing_since = *self.since.get_or_insert(now - age);
        let backlog = status.depth.map_or(0, |depth| depth.visible + depth.in_flight);
        let lag = worker::QueueLag {
            queue: &watched.queue,
            oldest_age: age,
            growing_since,
            backlog: i64::try_from(backlog).unwrap_or(i64::MAX),
            usual_age: LAG_AFTER,
            retention: watched.redrive.retention.map(|kept| i64::try_from(kept.as_micros()).unwrap_or(i64::MAX)),
        };
        Some(worker::queue_lag(&lag, now))
    }
}

fn misread(status: &WorkerStatus, watched: &Watched, now: Micros) -> Option<Condition> {
    let recent: Vec<_> = status.misread.iter().filter(|seen| now - seen.at <= MISREAD_FOR).collect();
    let since = recent.iter().map(|seen| seen.at).min()?;
    let last = recent.iter().map(|seen| seen.at).max()?;
    let reasons: Vec<String> = recent.iter().flat_map(|seen| seen.reasons.iter().take(1).cloned()).collect();
    let dead = watched.redrive.dead_letter_queue.as_deref();
    let count = i64::try_from(recent.len()).unwrap_or(i64::MAX);
    Some(worker::notifications_not_understood(&watched.queue, count, since, last, &reasons, dead))
}

/// One condition for each missing permission.
fn unreadable(status: &WorkerStatus, role: &str) -> Vec<Condition> {
    let mut kinds: Vec<&'static str> =
        status.waiting.iter().filter(|waiting| waiting.needs_action).map(|waiting| waiting.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let condition = |kind: &'static str| {
        let waiting: Vec<&Waiting> = status.waiting.iter().filter(|waiting| waiting.kind == kind).collect();
        let first = waiting.first()?;
        Some(worker::objects_waiting(&worker::Unreadable {
            role,
            permission: permission(kind),
            resource: &first.object_key,
            count: i64::try_from(waiting.len()).unwrap_or(i64::MAX),
            since: waiting.iter().map(|waiting| waiting.since).min()?,
            last_at: waiting.iter().map(|waiting| waiting.at).max()?,
        }))
    };
    kinds.into_iter().filter_map(condition).collect()
}

/// The right that most likely lacks where an object cannot be read.
fn permission(kind: &str) -> &'static str {
    match kind {
        "kms_denied" => "kms:Decrypt",
        "no_such_bucket" => "s3:ListBucket",
        "archived" => "s3:RestoreObject",
        _ => "s3:GetObject",
    }
}
