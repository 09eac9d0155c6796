//! An organisation that does not exist, in CloudTrail's own shapes.
//!
//! [`simulate`] writes what an organisation's trail bucket would hold after some months: accounts, services, people and
//! rotations with all their events, API Gateway access logs, and a few incidents. `labels.json` beside them says what must be
//! found, what must not, and what is unused. [`corpus()`] writes plain volume for benchmarks.
//!
//! ```text
//! Cast (tables + seed) -> Plan (behaviour, then incidents; with a ledger of every access)
//!                           |-> labels.json
//!                           `-> delivery (noise, delays, duplicates, late files) -> AWSLogs/...
//! ```
//!
//! Invariants: equal options write equal bytes, on every run; no clock and no hash order is used. No credential in here
//! authenticates anybody: session tokens contain [`FAKE_SESSION_TOKEN_MARK`].

mod behaviour;
mod cast;
mod clock;
mod corpus;
mod delivery;
mod error;
mod identity;
mod incident;
mod json;
mod labels;
mod options;
mod plan;
mod random;
mod record;
mod run;
#[cfg(test)]
mod tests;
mod tree;

pub use corpus::{CorpusOptions, CorpusSummary, corpus};
pub use error::{Result, SimulateError, SimulateErrorKind};
pub use labels::{
    CoverageGap, Label, Labels, Policy, PolicyNetwork, RotationEntry, SecretEntry, StaleConsumers, Unused,
};
pub use options::{FULL_FLEET, Options, SMALL_FLEET, fleet_size};
pub use plan::FAKE_SESSION_TOKEN_MARK;
pub use run::{Progress, Summary, simulate};
