//! The one owner of the Delta tables: rows, ledger, views, sessions.
//!
//! ```text
//! Batch ─▶ commit ─▶ access_events (rows + ledger line of every object: ONE Delta commit)
//!            │            │ tail of the log
//!            │            ├─▶ objects, quarantine   exactly-once projections (project)
//!            │            ├─▶ changes(after)        what the rules judge
//!            │            └─▶ providers ─▶ session  SQL over the views
//!            └─▶ events (scope = "all")
//! ```
//!
//! In: rows of the model and the ledger lines of the objects they came from. Out: tables that any Delta reader opens,
//! and SQL sessions over them. This crate alone names deltalake and parquet; rules and queries get [`arrow`] and
//! [`datafusion`] from here, so that one line of one manifest sets their versions.
//!
//! Invariants: rows of `access_events` are unique by (account, event id, secret); an object's rows and its ledger line
//! are one commit; a table of a newer format is never written.

mod alert_log;
mod changes;
mod commit;
mod compact;
mod delivery_log;
mod encode;
mod error;
mod files;
mod identities;
mod lake;
mod ledger;
mod location;
mod neighbours;
mod project;
mod read;
mod retention;
mod s3;
mod settle;
mod snapshot_files;
mod suppression_log;
mod table;
#[cfg(test)]
mod testing;
mod troubles;
mod write;

pub mod functions;
pub mod schema;
pub mod session;

pub use deltalake::{arrow, datafusion};

pub use changes::Changes;
pub use commit::{Batch, Committed};
pub use compact::Compaction;
pub use delivery_log::{Deliveries, LogVersions};
pub use encode::{decode_access_events, encode_access_events, encode_trail_events};
pub use error::{LakeError, LakeErrorKind, Response};
pub use lake::{Lake, LakeSettings};
pub use location::Location;
pub use retention::{LEAST_RETENTION_DAYS, Retired};
pub use s3::S3Options;
pub use schema::TableName;
pub use troubles::Trouble;
