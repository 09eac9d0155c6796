//! The words that every part of Keytrail shares.
//!
//! An [`AccessEvent`] is one use of one secret, as a row of the lake; an [`ObjectEntry`] is one line of the ledger
//! (what became of one object); a [`Finding`] is what a rule saw, an [`Alert`] what a person is told. The crate holds
//! their types, their spelling ([`words`]) and how they are printed ([`display`]).
//!
//! Invariants: no I/O, no async, no Arrow; no type here has room for a secret's value.

pub mod access_event;
pub mod alert;
pub mod arn;
pub mod delivery;
pub mod display;
pub mod glob;
pub mod ledger;
pub mod time;
pub mod words;

pub use access_event::{AccessEvent, TrailEvent};
pub use alert::{Alert, Evidence, Finding, Matcher, Odd, Suppression};
pub use delivery::{Delivery, DeliveryStep};
pub use ledger::{ObjectEntry, ObjectId, ObjectOutcome, QuarantinedRecord};
pub use time::Micros;
pub use words::{
    Action, AlertClass, AlertState, CredentialKind, DeliveryChange, DeliveryState, Frequency, Outcome, PrincipalKind,
    Resolution, SecretKind, Severity, Verdict, VersionEvidence,
};
