//! Read-only SQL over the lake: one session a query.
//!
//! ```text
//! table providers ─┐
//! settings ────────┼─▶ build ─▶ SessionContext { views, functions, limits } ─▶ plan_read_only ─▶ plan
//! views/*.sql ─────┘
//! ```
//!
//! In: the stored tables of one snapshot and [`SessionSettings`]. Out: a session whose tables are the views of
//! `views/*.sql`, with our functions, `information_schema`, UTC, a bounded memory pool that spills to a bounded folder.
//!
//! Invariants: the session shares nothing with another (a setting, a temporary name or a limit cannot leak); no
//! table reaches a file that the caller did not give; joins yield to the scheduler, so that dropping a stream ends it;
//! a nested-loop join of more than [`Limits::join_pairs`] estimated pairs is refused. [`plan_read_only`] is the one way
//! from text to plan: it allows queries, EXPLAIN, SHOW and DESCRIBE, and nothing else.
//!
//! What it does not do: count rows and time (`keytrail-queries` does, while it streams).

mod build;
mod configured;
mod guard;
mod joins;
mod limits;
mod newest;
mod of_lake;
mod series;
mod views;

pub use build::{SessionError, SessionErrorKind, SessionSettings, build};
pub use configured::{PolicyNetwork, ReaderClass};
pub use guard::{Forbidden, PlanError, SECOND_STATEMENT, parse_read_only, plan_read_only, plan_statement};
pub use joins::JoinTooLarge;
pub use limits::Limits;
pub use series::SeriesTooLong;
pub use views::{VIEWS, View};

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
