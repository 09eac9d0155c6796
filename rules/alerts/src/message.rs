//! The one message, designed for a phone: what every sink tells, before it is escaped and cut for its target.
//!
//! In: a change, its alerts, the rule's guide filled for the first of them, where links lead. Out: a [`Message`]: the
//! severity in a word, the reason sentence, three facts (who, which secrets, from where), what is unusual against what
//! is usual, the guide's first step, a link; of related alerts only their number and titles.
//!
//! Invariants: every text is one line without control characters and of bounded length, whatever an attacker wrote, and
//! is plain text: a sink escapes it for its target. No link is ever taken from an alert.

mod build;
mod links;
mod storm;
mod text;

use keytrail_model::{Frequency, Severity};
use serde::Serialize;

pub use build::test_alert;
pub use links::{Link, Links};
pub use storm::{Storm, StormLine};

use crate::sink::Change;

/// What is told of one change, part by part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    pub change: Change,
    pub severity: Severity,
    /// The subject: severity or what happened, then the title.
    pub headline: String,
    /// What is odd, as the rule words it.
    pub reason: String,
    /// Who, which secrets, from where; fewer where there is nothing to say.
    pub facts: Vec<Fact>,
    /// The oddest first. Empty where the rule compares nothing.
    pub unusual: Vec<Unusual>,
    /// What to do first, from the guide.
    pub first_step: Option<String>,
    /// Who acknowledged or closed it, and what they wrote.
    pub by: Option<String>,
    /// That there was an alert of this before.
    pub before: Option<String>,
    /// How many related alerts stand behind this message, and the first titles.
    pub also: Option<String>,
    pub storm: Option<Storm>,
    /// When, how often, which rule: the small print.
    pub about: String,
    pub link: Link,
}

/// One fact: `who`, `role/app/billing in account 111122223333`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// One comparison of now with usual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unusual {
    pub dimension: String,
    pub value: String,
    pub word: Frequency,
    /// `0 of 30 days active`, or `no history`.
    pub sample: String,
    pub usual: String,
}
