//! The buckets of a running worker are compared with the ledger now and then.
//!
//! In: the configuration's buckets. Out: what no notification announced is in the lake, with a warning that names it. Several
//! workers may do it at once: the ledger keeps each object once.

use keytrail_ingest::{Silent, aws::Aws};
use keytrail_lake::Lake;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use crate::{
    commands::{connect, ingest, reconcile},
    settings::Settings,
};

/// Compares every bucket each time `reconcile.every` has passed, until it is told to stop.
pub(super) async fn keep(lake: Lake, aws: Aws, settings: Settings, stop: CancellationToken) {
    let section = &settings.file.reconcile;
    if section.buckets.is_empty() {
        return;
    }
    let Ok(ingest_settings) = ingest::ingest_settings(&settings) else { return };
    let store = connect::buckets(&aws, &settings);
    loop {
        tokio::select! {
            () = tokio::time::sleep(section.every.0) => {}
            () = stop.cancelled() => return,
        }
        for place in &section.buckets {
            let request = reconcile::request(place, &settings);
            let compared = tokio::select! {
                compared = keytrail_ingest::reconcile(&store, &lake, &request, &ingest_settings, &Silent) => compared,
                // What it has committed stays; the rest is found the next time.
                () = stop.cancelled() => return,
            };
            match compared {
                Ok(found) => {
                    counter!("keytrail_reconciled_objects_total", "outcome" => "known").increment(found.known);
                    counter!("keytrail_reconciled_objects_total", "outcome" => "missing").increment(found.missing);
                    tracing::info!(bucket = %place, listed = found.listed, missing = found.missing, "bucket compared with the ledger");
                }
                Err(error) => {
                    tracing::warn!(bucket = %place, %error, "the bucket could not be compared; it is tried again")
                }
            }
        }
    }
}
