//! One sink's share of a round: its messages, one after the other.
//!
//! In: claims with their messages, the gravest first. Out: the step after each, and until when the sink is to be left alone. Every
//! claim comes back as a step: delivered, failed, parked, or given back untried where the sink cannot take more now, the claim is about
//! to end, or the process is in a hurry.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Instant,
};

use keytrail_alerts::{
    delivery::{DeliverySettings, Failed, after_failure},
    sink::{Outgoing, Response, SendError, SendErrorKind, Sink},
};
use keytrail_model::{DeliveryState, DeliveryStep, Micros, display, time};
use metrics::{counter, histogram};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One sink's messages, one after the other.
pub(super) struct Sender {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) delivery: DeliverySettings,
    pub(super) hurry: CancellationToken,
}

impl Sender {
    /// Sends what is claimed; until when the sink is to be left alone, where it cannot take more now.
    pub(super) async fn run(
        self,
        queue: Vec<(DeliveryStep, Option<Outgoing>)>,
        outcomes: mpsc::Sender<DeliveryStep>,
    ) -> Option<(String, Micros)> {
        let mut hold: Option<Micros> = None;
        for (claim, outgoing) in queue {
            let step = match (outgoing, hold) {
                (None, _) => parked(claim, "the alert is not in the log any more"),
                (Some(_), Some(until)) => given_back(claim, until),
                (Some(outgoing), None) if self.may_send(&claim) => {
                    let sent = self.one(claim, outgoing).await;
                    hold = sent.hold;
                    sent.step
                }
                (Some(_), None) => given_back(claim, time::now()),
            };
            // The receiver goes only when nothing can be recorded; the claims end by themselves.
            if outcomes.send(step).await.is_err() {
                break;
            }
        }
        hold.map(|until| (self.sink.name().to_owned(), until))
    }

    /// A quarter of the claim must be left: what takes longer is another worker's.
    fn may_send(&self, claim: &DeliveryStep) -> bool {
        !self.hurry.is_cancelled() && claim.next_at.is_some_and(|ends| time::now() <= ends - self.delivery.claim / 4)
    }

    async fn one(&self, claim: DeliveryStep, outgoing: Outgoing) -> Sent {
        let started = Instant::now();
        let sent = self.sink.send(&outgoing).await;
        let now = time::now();
        let sink = claim.sink.clone();
        histogram!("keytrail_delivery_duration_seconds", "sink" => sink.clone()).record(started.elapsed());
        let outcome = |word: &'static str| {
            counter!("keytrail_deliveries_total", "sink" => sink.clone(), "outcome" => word).increment(1);
        };
        match sent {
            Ok(receipt) => {
                outcome("delivered");
                tracing::info!(%sink, delivery_id = %claim.delivery_id, change = %claim.change, "alert sent");
                let status = receipt.status.map(|status| status.to_string());
                let state = DeliveryState::Delivered;
                let step = DeliveryStep { state, at: now, next_at: None, status, detail: receipt.detail, ..claim };
                Sent { step, hold: None }
            }
            Err(error) => {
                let step = after_failure(&claim, failed(&error), &self.delivery, now, chance());
                let parked = step.state == DeliveryState::Parked;
                outcome(if parked { "parked" } else { "failed" });
                let reason = display::terminal_safe(&error.to_string());
                tracing::warn!(%sink, delivery_id = %claim.delivery_id, attempt = claim.attempt, parked, %reason, "alert not sent");
                let rests = matches!(
                    error.kind,
                    SendErrorKind::Throttled { .. } | SendErrorKind::Unreachable | SendErrorKind::Timeout
                );
                Sent { hold: step.next_at.filter(|_| rests), step }
            }
        }
    }
}

struct Sent {
    step: DeliveryStep,
    hold: Option<Micros>,
}

/// A number that nobody can tell before: the hash maps' own randomness.
pub(super) fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

fn failed(error: &SendError) -> Failed {
    let (park, after) = match error.response() {
        Response::Park => (true, None),
        Response::Retry { after } => (false, after.map(|after| i64::try_from(after.as_micros()).unwrap_or(i64::MAX))),
    };
    Failed { park, after, status: error.status.map(|status| status.to_string()), detail: error.to_string() }
}

/// A claim that was not used: it does not count as a try.
fn given_back(claim: DeliveryStep, next_at: Micros) -> DeliveryStep {
    DeliveryStep {
        state: DeliveryState::Failed,
        attempt: claim.attempt.saturating_sub(1),
        at: time::now(),
        next_at: Some(next_at),
        detail: Some("given back before it was tried".to_owned()),
        ..claim
    }
}

fn parked(claim: DeliveryStep, reason: &str) -> DeliveryStep {
    DeliveryStep {
        state: DeliveryState::Parked,
        at: time::now(),
        next_at: None,
        detail: Some(reason.to_owned()),
        ..claim
    }
}
