//! What a rule saw ([`Finding`]) and what a person is told ([`Alert`]).
//!
//! Invariants: an alert's id follows from its rule, what it is folded by and its first event, so judging the same rows
//! again gives the same alert; a finding's evidence names the object and the record it rests on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    time::Micros,
    words::{AlertClass, AlertState, Severity, Verdict},
};

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
}
