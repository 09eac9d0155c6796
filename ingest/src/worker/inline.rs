//! Events that came in the message itself: read like an object of one record.
//!
//! In: an EventBridge envelope and the name that the ledger gives it, `eventbridge://ACCOUNT/REGION/ID`. Out: [`Decoded`]
//! whose line carries account, region and time of the envelope. An envelope without them gives a line without them.

use keytrail_model::{ObjectId, time};
use serde::Deserialize;

use crate::{decode::Decoded, pipeline::Decoding};

/// The version of such an object: its name is all that makes it one.
pub(super) const VERSION: &str = "inline";
/// What the ledger calls the content, so that it does not count for a trail's cadence.
const CONTENT_KIND: &str = "eventbridge";

#[derive(Default, Deserialize)]
struct Envelope {
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    time: Option<String>,
}

pub(super) fn decode(decoding: &Decoding, id: &ObjectId, json: &[u8]) -> Decoded {
    let mut decoded = decoding.decode(id, json);
    let envelope: Envelope = serde_json::from_slice(json).unwrap_or_default();
    let delivered_at = envelope.time.as_deref().and_then(time::parse_rfc3339);
    let entry = &mut decoded.entry;
    entry.content_kind = CONTENT_KIND.to_owned();
    entry.account_id = envelope.account.or_else(|| entry.account_id.take());
    entry.region = envelope.region.or_else(|| entry.region.take());
    entry.delivered_at = delivered_at.or(entry.delivered_at);
    for row in &mut decoded.rows {
        row.delivered_at = row.delivered_at.or(delivered_at);
    }
    decoded
}
