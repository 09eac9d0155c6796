//! Telling a sink of an alert, step by step: one [`DeliveryStep`] is one row of the delivery log.
//!
//! Invariants: a delivery's id is the same on every try and on every host; its newest step says how it stands; what is
//! `covered` is told by another delivery, whose id is in `detail`.

use serde::{Deserialize, Serialize};

use crate::{
    time::Micros,
    words::{DeliveryChange, DeliveryState, Severity},
};

/// One step of a delivery, with all that is known of it after the step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryStep {
    pub delivery_id: String,
    /// The sink's name in the configuration.
    pub sink: String,
    /// The alerts that are told of; the first is what the message is about.
    pub alert_ids: Vec<String>,
    pub change: DeliveryChange,
    pub state: DeliveryState,
    /// How often it was tried, the try under way included.
    pub attempt: u32,
    pub at: Micros,
    /// When it is tried again, or when the claim ends.
    pub next_at: Option<Micros>,
    /// Which process did the step.
    pub worker: String,
    /// What the sink answered, such as an HTTP status.
    pub status: Option<String>,
    /// What went wrong, or which delivery covers it.
    pub detail: Option<String>,
    /// What was said, in a few words.
    pub title: String,
    /// The gravest severity that was told.
    pub severity: Severity,
    /// How many events and secrets the alert rested on when it was told.
    pub event_count: i64,
    pub secret_count: i64,
}

/// A delivery as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When its first step was written.
    pub first_at: Micros,
    /// The position of its newest step in the log.
    pub sequence: i64,
    /// Its newest step.
    pub step: DeliveryStep,
}
