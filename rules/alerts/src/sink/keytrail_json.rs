//! Keytrail's own format: the delivery, the message and the alerts, for programs.
//!
//! The body says nothing of the try, so every try of a delivery carries the same bytes. Fields may be added; those that
//! docs/SINKS.md lists keep their meaning while `schema` ends in `/1`.

use serde_json::{Value, json};

use super::Outgoing;

/// The message as text, for whoever only passes it on.
const TEXT: usize = 16 * 1024;
const SCHEMA: &str = "keytrail.delivery/1";

/// One object for the whole delivery.
pub(crate) fn delivery(outgoing: &Outgoing) -> Value {
    let count = outgoing.message.storm.as_ref().map_or(outgoing.alerts.len(), |storm| storm.alert_count);
    json!({
        "schema": SCHEMA,
        "delivery_id": outgoing.delivery_id,
        "change": outgoing.change,
        "alert_count": count,
        "message": outgoing.message,
        "text": outgoing.message.text(TEXT),
        "alerts": outgoing.alerts,
        "truncated": false,
    })
}
