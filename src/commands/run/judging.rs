//! The rules of a running worker: judged after every commit, its own or another worker's.
//!
//! In: the lake, and a signal that something was committed. Out: alerts in the lake, a log line for each one raised, metrics,
//! and a [`JudgingWatch`] for the readiness. A judging that fails is tried again: nothing is skipped, because the position
//! is committed with the alerts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use keytrail_dashboards::Check;
use keytrail_lake::Lake;
use keytrail_model::{Alert, Micros, display, time};
use keytrail_rules::{
    pack::Packs,
    runner::{RunError, RunOptions, RunSummary, Runner},
    settings::RuleSettings,
    watch::PackWatch,
};
use metrics::{counter, gauge, histogram};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long another worker's commit may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Alerts of one judging that are logged one by one; a backfill may raise thousands.
const LOGGED_MAX: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the judging last did.
#[derive(Debug, Default)]
pub(super) struct JudgingWatch {
    state: Mutex<JudgingState>,
    /// Counts the judgings that worked: what wakes whoever tells of alerts.
    rounds: watch::Sender<u64>,
}

#[derive(Clone, Debug, Default)]
struct JudgingState {
    last_ok_at: Option<Micros>,
    failures_in_a_row: u64,
}

impl JudgingWatch {
    /// The line of the readiness.
    pub(super) fn check(&self) -> Check {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (ok, detail) = match (state.failures_in_a_row, state.last_ok_at) {
            (0, None) => (false, "the rules are being opened".to_owned()),
            (0, Some(at)) => (true, format!("last judged at {}", display::moment(at))),
            (failures, _) => (false, format!("judging has failed {failures} times in a row")),
        };
        Check { name: "rules", ok, detail }
    }

    /// Changes after every judging that worked.
    pub(super) fn rounds(&self) -> watch::Receiver<u64> {
        self.rounds.subscribe()
    }

    fn worked(&self) {
        self.rounds.send_modify(|rounds| *rounds += 1);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = JudgingState { last_ok_at: Some(time::now()), failures_in_a_row: 0 };
    }

    fn failed(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures_in_a_row += 1;
        state.failures_in_a_row
    }
}

/// Judges until it is told to stop; what is committed by then is judged before it ends.
pub(super) async fn judge(
    lake: Lake,
    settings: RuleSettings,
    watch: Arc<JudgingWatch>,
    mut committed: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    let mut runner = None;
    let mut packs = PackWatch::new(settings.packs.as_deref());
    loop {
        let last = stop.is_cancelled();
        match round(&lake, &settings, &mut packs, &mut runner).await {
            Ok(()) => {
                watch.worked();
                gauge!("keytrail_last_judging_timestamp_seconds").set(unix_seconds());
                pause = FIRST_PAUSE;
            }
            Err(error) => {
                let in_a_row = watch.failed();
                counter!("keytrail_judging_errors_total").increment(1);
                tracing::error!(%error, in_a_row, "judging failed; it is tried again");
                // Whatever it held may be the cause.
                runner = None;
                if !last {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.cancelled() => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            }
        }
        if last {
            break;
        }
        tokio::select! {
            // A closed channel means that the worker has ended; the token follows.
            changed = committed.changed() => if changed.is_err() { stop.cancelled().await },
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    if let Some(runner) = runner
        && let Err(error) = runner.close().await
    {
        tracing::warn!(%error, "the rules' state is folded again at the next start");
    }
}

/// One judging, with a runner that is opened when there is none.
async fn round(
    lake: &Lake,
    settings: &RuleSettings,
    packs: &mut PackWatch,
    runner: &mut Option<Runner>,
) -> Result<(), RunError> {
    // Looked at before loading: what is written while they are loaded is seen the next time.
    let is_changed = packs.has_changed();
    let load = || Packs::load(packs.folder());
    let runner = match runner {
        Some(runner) => {
            if is_changed {
                tracing::info!("the folder of rule packs has changed; the packs are read again");
                runner.reload(load()).await?;
            }
            runner
        }
        None => runner.insert(Runner::open(lake.clone(), load(), settings.clone()).await?),
    };
    let started = Instant::now();
    let summary = runner.run(RunOptions::default()).await?;
    if summary.rows > 0 || summary.raised > 0 || summary.updated > 0 || !summary.scheduled.is_empty() {
        tell(&summary, runner, started.elapsed());
    }
    Ok(())
}

fn tell(summary: &RunSummary, runner: &Runner, took: Duration) {
    histogram!("keytrail_judging_duration_seconds").record(took);
    counter!("keytrail_judged_rows_total").increment(summary.rows as u64);
    counter!("keytrail_alerts_raised_total").increment(summary.raised as u64);
    let raised = |alert: &&Alert| summary.raised_alerts.contains(&alert.alert_id);
    for alert in runner.engine().inbox().alerts().filter(raised).take(LOGGED_MAX) {
        let (alert_id, rule_id, historical) = (&alert.alert_id, &alert.rule_id, alert.historical);
        let title = display::terminal_safe(&alert.title);
        tracing::warn!(%alert_id, %rule_id, severity = %alert.severity, historical, %title, "alert raised");
    }
    tracing::info!(
        rows = summary.rows,
        raised = summary.raised,
        updated = summary.updated,
        seconds = took.as_secs_f64(),
        "judged"
    );
}

fn unix_seconds() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 stay below 2^52 for a century")]
    let now = time::now() as f64;
    now / 1e6
}
