//! Findings in, alerts out: folding, life, how an alert reads.
//!
//! ```text
//! Finding (what a rule saw)          fold.rs         findings of one episode become one alert
//!    -> Alert (deterministic id)     fingerprint.rs  the id follows from rule, fold key and first event
//!    -> Alert, after a person acted  lifecycle.rs    open -> acknowledged -> closed, with verdict, note, who
//! Condition (what is wrong with the pipe)  condition.rs  holds: one alert of class `system`; gone: it closes
//!    -> text                         render.rs       what the terminal shows; order.rs says in which order
//! ```
//!
//! Invariants: judging the same rows again changes nothing; text that an attacker wrote cannot steer a terminal.
//! Nothing here reads or writes anything: the lake keeps alerts, the rules make findings.

pub mod condition;
pub mod fingerprint;
pub mod fold;
pub mod lifecycle;
pub mod order;
pub mod render;

pub use condition::{Condition, Reconciled};
pub use fingerprint::alert_id;
pub use fold::{FoldChanges, FoldMoment, Folding, Inbox, Wording};
pub use lifecycle::{Act, Change, LifecycleError, LifecycleErrorKind};
pub use order::{FindAlertError, by_urgency, find};
