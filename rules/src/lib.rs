//! Lake in, findings out: rule packs in SQL, their state and schedule.
//!
//! ```text
//! pack/<id>/{rule.toml, detect.sql, guide.md, *.sql}   what a rule is            manifest, pack, embedded, param, bind
//!    + configuration  ─▶ Rule                          what runs                 rule, settings, watch
//! lake.changes ─▶ State, Recent                        what it remembers         runner, state, recent, lake_rows
//!    ─▶ late? ─▶ rows that mean something else now     what is judged            judging, late, history, lines
//!    ─▶ tables                                         what it sees              tables, slot, habits, when
//!    ─▶ SQL ─▶ Finding ─▶ Alert                        what it says              evaluate, finding, odd, engine
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

pub mod backtest;
pub mod bind;
pub mod check;
mod columns;
pub mod diff;
mod embedded;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod explain;
mod finding;
mod follow;
pub mod habits;
pub mod history;
pub mod judging;
mod lake_rows;
mod late;
mod lines;
pub mod manifest;
pub mod odd;
pub mod pack;
pub mod param;
pub mod recent;
pub mod rule;
pub mod runner;
pub mod sample;
pub mod samples;
pub mod settings;
mod slot;
pub mod source;
pub mod state;
pub mod system;
pub mod tables;
pub mod template;
mod troubles;
pub mod watch;
mod when;
