//! What monitoring is told about a running worker.
//!
//! In: the worker's watch, the judging's, the metrics. Out: readiness and Prometheus text. Ready means: the queue answers,
//! the lake takes commits, the rules run. Text of events never appears here.

use std::sync::Arc;

use keytrail_dashboards::{Check, Operations, Readiness};
use keytrail_ingest::worker::{Incident, WorkerStatus, WorkerWatch};
use keytrail_model::{Micros, display, time};
use metrics_exporter_prometheus::PrometheusHandle;

use super::judging::JudgingWatch;

/// A worker that has not asked its queue for this long is stuck, whatever else it says.
const RECEIVE_WITHIN: Micros = 120 * time::SECOND;

/// The running worker, as `/healthz`, `/readyz` and `/metrics` show it.
pub(super) struct RunningWorker {
    pub(super) metrics: PrometheusHandle,
    pub(super) worker: Arc<WorkerWatch>,
    /// Absent with `--no-rules`.
    pub(super) judging: Option<Arc<JudgingWatch>>,
}

impl Operations for RunningWorker {
    fn readiness(&self) -> Readiness {
        let status = self.worker.status();
        let mut checks = vec![queue(&status, time::now()), lake(&status)];
        checks.extend(self.judging.as_ref().map(|judging| judging.check()));
        Readiness { checks }
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }
}

fn queue(status: &WorkerStatus, now: Micros) -> Check {
    let check = |ok, detail| Check { name: "queue", ok, detail };
    if let Some(incident) = failing(status, "receive") {
        return check(false, format!("asking for messages has failed {} times in a row", incident.in_a_row));
    }
    match status.last_receive_at {
        None => check(false, "not asked yet".to_owned()),
        // With every lease taken it rightly asks for nothing.
        Some(at) if now - at > RECEIVE_WITHIN && status.in_flight.messages == 0 => {
            check(false, format!("last asked at {}", display::moment(at)))
        }
        Some(at) => check(true, format!("last answered at {}", display::moment(at))),
    }
}

fn lake(status: &WorkerStatus) -> Check {
    let check = |ok, detail| Check { name: "lake", ok, detail };
    match failing(status, "commit").or_else(|| failing(status, "ledger")) {
        Some(incident) => check(false, format!("it has refused {} times in a row", incident.in_a_row)),
        None => match status.last_commit_at {
            Some(at) => check(true, format!("last commit at {}", display::moment(at))),
            None => check(true, "open; nothing to commit yet".to_owned()),
        },
    }
}

fn failing<'a>(status: &'a WorkerStatus, doing: &str) -> Option<&'a Incident> {
    status.incidents.get(doing).filter(|incident| incident.in_a_row > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_hears_nothing_from_its_queue_is_not_ready() {
        let mut status = WorkerStatus::default();
        assert!(!queue(&status, 0).ok);
        status.last_receive_at = Some(0);
        assert!(queue(&status, RECEIVE_WITHIN).ok && !queue(&status, RECEIVE_WITHIN + 1).ok);
        let incident = Incident { text: "secret://x".into(), at: 0, in_a_row: 3, needs_action: true };
        status.incidents.insert("receive", incident);
        let check = queue(&status, 0);
        assert!(!check.ok && check.detail.contains("3 times") && !check.detail.contains("secret"), "{}", check.detail);
    }

    #[test]
    fn a_lake_that_refuses_makes_it_unready() {
        let mut status = WorkerStatus::default();
        assert!(lake(&status).ok);
        status.incidents.insert("commit", Incident { text: "full".into(), at: 0, in_a_row: 1, needs_action: false });
        assert!(!lake(&status).ok);
    }
}
