//! The lake of a running worker is looked after: many small commits become few large files.
//!
//! Several workers may do it at once: one of them wins, the others find nothing left to do.

use std::time::Duration;

use keytrail_lake::Lake;
use keytrail_model::time;
use tokio_util::sync::CancellationToken;

/// How often small files are merged. At the shortest commit interval a day has some hundred of them by then.
const COMPACT_EVERY: Duration = Duration::from_secs(15 * 60);

/// Compacts again and again until it is told to stop. A failure costs speed, nothing else, and is tried again.
pub(super) async fn keep(lake: Lake, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(COMPACT_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let compacted = tokio::select! {
            compacted = lake.compact(time::now()) => compacted,
            // What it had begun to write is nobody's; the next vacuum finds it.
            () = stop.cancelled() => return,
        };
        match compacted {
            Ok(done) if done.days > 0 => {
                tracing::info!(days = done.days, before = done.files_before, after = done.files_after, "compacted");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "compaction failed; it is tried again"),
        }
    }
}
