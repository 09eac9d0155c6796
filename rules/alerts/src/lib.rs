//! Findings in, alerts out: folding, life, how an alert reads.
//!
//! ```text
//! Finding (what a rule saw)          fold.rs         findings of one episode become one alert; inbox.rs, episode.rs
//!    -> Alert (deterministic id)     fingerprint.rs  the id follows from rule, fold key and first event
//!    -> Alert, after a person acted  lifecycle.rs    open -> acknowledged -> closed, with verdict, note, who
//!    -> Alert that nobody is told of suppress.rs     what somebody decided not to hear of for a while
//! Condition (what is wrong with the pipe)  condition.rs  holds: one alert of class `system`; gone: it closes
//! Alert, and what sinks were told    delivery.rs     -> what is to be told now; route.rs: to whom
//!    -> text                         render.rs       what the terminal shows; order.rs says in which order
//! ```
//!
//! Invariants: judging the same rows again changes nothing; text that an attacker wrote cannot steer a terminal.
//! Nothing here reads or writes anything: the lake keeps alerts, the rules make findings.

pub mod bundle;
pub mod condition;
pub mod delivery;
mod episode;
pub mod fingerprint;
pub mod fold;
pub mod inbox;
pub mod lifecycle;
pub mod message;
pub mod order;
pub mod page;
pub mod related;
pub mod render;
pub mod route;
pub mod sink;
pub mod suppress;

pub use condition::{Condition, Reconciled};
pub use episode::{EVIDENCE_CAP, SECRETS_CAP, SHADOW};
pub use fingerprint::{alert_id, fingerprint};
pub use fold::{FoldChanges, FoldMoment, Folding, Rejudged, Wording};
pub use inbox::{Inbox, is_withdrawn, stands};
pub use lifecycle::{Act, Change, LifecycleError, LifecycleErrorKind};
pub use message::{Links, Message, test_alert};
pub use order::{FindAlertError, by_urgency, find};
