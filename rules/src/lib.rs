//! Lake in, findings out: rule packs in SQL, their state and schedule.
//!
//! ```text
//! pack/<id>/{rule.toml, detect.sql, guide.md, *.sql}   what a rule is            manifest, pack, embedded, param, bind
//!    + configuration  ─▶ Rule                          what runs                 rule, settings
//! lake.changes ─▶ State ─▶ tables                      what it sees              runner, state, tables
//!    ─▶ SQL ─▶ Finding ─▶ Alert                        what it says              evaluate, columns, template, engine
//! lake, worker ─▶ Condition* ─▶ Alert of class system   what is wrong with the pipe   system
//! fires/*.json, quiet/*.json                           how it is tested          sample, samples, check
//! ```
//!
//! [`Runner`](runner::Runner) is the whole: it tails one lake. [`Engine`](engine::Engine) is the same without a lake.
//! Arrow and DataFusion are named through what the lake re-exports.

#![expect(
    clippy::result_large_err,
    reason = "a rule error is made once per mistake and shown to a person; its place is worth its size"
)]

pub mod bind;
pub mod check;
mod columns;
mod embedded;
pub mod engine;
pub mod error;
pub mod evaluate;
mod follow;
pub mod manifest;
pub mod pack;
pub mod param;
pub mod rule;
pub mod runner;
pub mod sample;
pub mod samples;
pub mod settings;
pub mod state;
pub mod system;
pub mod tables;
pub mod template;
