//! The analysts' SQL: named queries, parameters, limits, errors that point at the place.
//!
//! ```text
//! name or text ─▶ Library / parse ─▶ bind $params ─▶ plan (read-only) ─▶ run under limits ─▶ Rows ─▶ writer ─▶ bytes
//!                     │                  │                │                  │
//!                     └──────────────────┴── QueryError { kind, place in the SQL, hint } ──┘
//! ```
//!
//! In: a session of the lake, a query (by name or as text), parameter texts, limits. Out: a stream of batches with an
//! [`Outcome`], written as a table, JSON, CSV, Parquet or Arrow; or a [`QueryError`] that says what kind of mistake it is,
//! where in the SQL it stands and what may have been meant.
//!
//! Invariants: parameters are bound as values, never pasted into text; nothing but reading can be planned; a stream that
//! is dropped stops its work; no result is longer, slower or larger than its limits.

pub mod format;

mod error;
mod library;
mod params;
mod place;
mod run;
mod suggest;

pub use error::{LimitKind, Place, QueryError, QueryErrorKind};
pub use library::{FrontMatterError, Library, NamedQuery};
pub use params::{ParamKind, ParamSpec};
pub use run::{Checked, Outcome, QueryRuntime, QuerySource, Rows, RunOptions, check, run};

#[cfg(test)]
mod tests;
