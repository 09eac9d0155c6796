//! The sinks of a running worker: told after every judging, by this worker or another one.
//!
//! In: the lake, and the number of judgings done. Out: messages, and steps in the delivery log. A round that fails is done
//! again: what is due follows from the lake alone.
//!
//! Its end: asked to stop, it goes on until nothing is due; told to hurry, it finishes what is being sent and gives the rest of its
//! claims back.

use std::time::Duration;

use keytrail_lake::Lake;
use metrics::counter;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{commands::sinks::deliverer::Deliverer, output::Output, settings::Settings};

/// How long what another process wrote may go unnoticed, and how late a retry may come.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the rest of what was claimed may take to be given back.
const HURRY: Duration = Duration::from_secs(2);

/// The task that tells the sinks.
pub(super) struct Delivering {
    task: JoinHandle<()>,
    stop: CancellationToken,
    hurry: CancellationToken,
}

impl Delivering {
    /// Starts it; nothing where no sink is configured.
    pub(super) async fn start(
        lake: Lake,
        settings: &Settings,
        judged: watch::Receiver<u64>,
        output: Output,
    ) -> anyhow::Result<Option<Self>> {
        if settings.file.delivery.sink.is_empty() {
            return Ok(None);
        }
        let deliverer = Deliverer::open(lake, settings, output).await?;
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(keep(deliverer, judged, stop.clone(), hurry.clone()));
        Ok(Some(Self { task, stop, hurry }))
    }

    /// Ends it: what is due is sent, as far as `patience` allows.
    pub(super) async fn end(mut self, patience: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(patience, &mut self.task).await.is_ok() {
            return;
        }
        self.hurry.cancel();
        if tokio::time::timeout(HURRY, &mut self.task).await.is_err() {
            tracing::warn!("what was being sent is sent again by the next worker, with the same delivery id");
        }
    }
}

async fn keep(
    mut deliverer: Deliverer,
    mut judged: watch::Receiver<u64>,
    stop: CancellationToken,
    hurry: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let last = stop.is_cancelled();
        judged.mark_unchanged();
        match deliverer.round(&hurry).await {
            Ok(round) => {
                pause = FIRST_PAUSE;
                if !round.idle {
                    continue;
                }
            }
            Err(error) => {
                counter!("keytrail_delivery_errors_total").increment(1);
                tracing::error!(%error, "telling the sinks failed; it is tried again");
                deliverer.forget();
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
            return;
        }
        tokio::select! {
            // A closed channel means that the judging has ended; the token follows.
            changed = judged.changed() => if changed.is_err() { stop.cancelled().await },
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}
