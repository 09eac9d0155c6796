//! What a rule saw ([`Finding`]) and what a person is told ([`Alert`]).
//!
//! Invariants: an alert's id follows from its rule, what it is folded by and its first event, so judging the same rows
//! again gives the same alert; a finding's evidence names the object and the record it rests on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    time::Micros,
    words::{AlertClass, AlertState, Frequency, Severity, Verdict},
};

/// One dimension of why something is odd: this alert's value against what is usual, and how much that rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Odd {
    /// What is compared: `source network`, `hour of day`, `secrets in 10 minutes`.
    pub dimension: String,
    /// This alert's value.
    pub value: String,
    /// What is usual, in words with its number.
    pub usual: String,
    /// In how many of the sample's units the value was seen.
    pub seen: i64,
    /// How large the sample behind "usual" is, in units.
    pub sample: i64,
    /// What the sample counts, such as `days active`.
    pub unit: String,
    pub word: Frequency,
}

impl Frequency {
    /// The word for a value that was seen in so many of the sample's units: never, in less than 5 %, in less than 25 %, or more.
    pub const fn of(seen: i64, sample: i64) -> Self {
        match (seen, sample) {
            (..=0, _) | (_, ..=0) => Self::Unseen,
            _ if seen.saturating_mul(20) < sample => Self::Rare,
            _ if seen.saturating_mul(4) < sample => Self::Infrequent,
            _ => Self::Frequent,
        }
    }
}

/// One event that a finding rests on, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    pub event_at: Micros,
    pub event_id: String,
    pub event_name: String,
    pub secret_id: Option<String>,
    pub source_ip: Option<String>,
    pub object_key: String,
    pub record_index: i64,
}

/// One thing that one rule saw in one judging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub rule_id: String,
    pub rule_version: String,
    pub severity: Severity,
    pub class: AlertClass,
    pub title: String,
    /// One sentence: what is odd, compared with what is usual.
    pub reason: String,
    /// What findings are folded by, in the order that the rule names.
    pub fold_key: Vec<String>,
    pub principal_id: Option<String>,
    pub secret_id: Option<String>,
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub event_at: Micros,
    pub evidence: Option<Evidence>,
    /// Why it is odd; empty where the rule compares nothing.
    #[serde(default)]
    pub why: Vec<Odd>,
    /// Recorded and not alerted: the rule is in state `shadow`.
    #[serde(default)]
    pub shadow: bool,
    /// Every column that the rule's SQL gave, for the reason sentence and for the reader.
    pub columns: Map<String, Value>,
}

/// One alert as it stands: the fold of its findings and of what people did with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub alert_id: String,
    pub rule_id: String,
    pub rule_version: String,
    pub severity: Severity,
    pub class: AlertClass,
    pub state: AlertState,
    pub verdict: Option<Verdict>,
    pub title: String,
    pub reason: String,
    pub principal_id: Option<String>,
    pub secret_ids: Vec<String>,
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub first_event_at: Micros,
    pub last_event_at: Micros,
    pub event_count: i64,
    pub raised_at: Micros,
    pub updated_at: Micros,
    /// Raised from backfill and never sent.
    pub historical: bool,
    /// What its findings are folded by.
    pub fold_key: Vec<String>,
    /// What the person who changed its state last wrote, and who that was.
    #[serde(default)]
    pub note: Option<String>,
    #[serde(default)]
    pub changed_by: Option<String>,
    /// The events it rests on, oldest first, capped; `event_count` is the true number.
    pub evidence: Vec<Evidence>,
    /// The same for every episode of the same rule and fold key.
    #[serde(default)]
    pub fingerprint: String,
    /// The episode before this one, where that was closed.
    #[serde(default)]
    pub previous_alert_id: Option<String>,
    /// The episode that this one turned out to be a part of, when late events closed the gap between them.
    #[serde(default)]
    pub merged_into: Option<String>,
    /// The suppression that covers it, or `shadow`.
    #[serde(default)]
    pub suppressed_by: Option<String>,
    /// Why it is odd, by its earliest finding.
    #[serde(default)]
    pub why: Vec<Odd>,
}

/// What an alert must be like to be suppressed. Every matcher that is given must agree; globs as in `glob_match`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// A rule's id, or a glob.
    pub rule: Option<String>,
    /// A glob on the principal's id.
    pub principal: Option<String>,
    /// A glob on the ids of the secrets: every secret of the alert must match.
    pub secret: Option<String>,
    /// A network: every address of the alert's events must lie in it.
    pub network: Option<String>,
    /// The account's id.
    pub account: Option<String>,
}

/// A standing decision not to be told of some findings for a while. They are recorded all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    pub suppression_id: String,
    pub matcher: Matcher,
    /// Who answers for it.
    pub owner: String,
    pub reason: String,
    pub created_at: Micros,
    pub created_by: String,
    pub expires_at: Micros,
    /// When and by whom it was ended before its time.
    pub ended_at: Option<Micros>,
    pub ended_by: Option<String>,
}

impl Suppression {
    /// Whether it holds at a moment.
    pub fn is_active(&self, at: Micros) -> bool {
        at < self.expires_at && self.ended_at.is_none_or(|ended| at < ended)
    }
}
