//! What a run plants, in the form `labels.json` has.
//!
//! A label names its events; a label one of whose events was never delivered is not written, so every expected label can be
//! found in the files. `principal_id` is null only where no principal is behind the finding (a rotation that failed).

use serde::{Deserialize, Serialize};

use crate::options::Options;

/// One finding that must, or must not, be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The rule's id: the name of its pack.
    pub rule_id: String,
    /// Whether the rule must raise it.
    pub must_fire: bool,
    /// The folded principal: a role's ARN with its path, a user's ARN, `service:NAME`.
    pub principal_id: Option<String>,
    /// Canonical ids.
    pub secret_ids: Vec<String>,
    /// RFC 3339.
    pub first_event_at: String,
    /// RFC 3339, where the finding belongs to a longer time than its first moment (a rotation that does not come).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_at: Option<String>,
    /// The account of a finding that has neither principal nor secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The region of such a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The `eventID` of each event it rests on.
    pub event_ids: Vec<String>,
    /// Rules that may report these events all the same: an alert of theirs on one of them is explained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// One sentence for the person who reads a miss.
    pub why: String,
}

/// The verdict of the unused report on every secret that has one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// Nobody but upkeep read it for 90 days.
    pub unused: Vec<String>,
    /// Only sync agents did.
    pub sync_only: Vec<String>,
    /// A hole in the log, or a path read, leaves it open.
    pub cannot_tell: Vec<String>,
    /// Read once, by a task that may still run.
    pub start_time_reader: Vec<String>,
    /// Read by somebody.
    pub used: Vec<String>,
    /// Why the lists are empty, when they are.
    pub note: Option<String>,
}

/// A secret of the organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretEntry {
    /// The canonical id.
    pub secret_id: String,
    /// The name without ARN and suffix.
    pub name: String,
    /// `secretsmanager`, `parameter` or `api`.
    pub kind: String,
    /// The owner's account.
    pub account: String,
    /// The region it lives in.
    pub region: String,
    /// When it was made, for those made inside the window.
    pub created_at: Option<String>,
    /// When it was deleted, for those deleted inside the window.
    pub deleted_at: Option<String>,
    /// Whether its reads leave KMS evidence.
    pub kms_evidence: bool,
}

/// A change of a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationEntry {
    /// The secret.
    pub secret_id: String,
    /// When the new value became current.
    pub rotation_at: String,
    /// The version that became current; absent for parameters.
    pub version_id: Option<String>,
    /// `rotation`, `put_secret_value` or `put_parameter`.
    pub how: String,
}

/// Readers of the old value that have not fetched the new one by the horizon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleConsumers {
    /// The secret.
    pub secret_id: String,
    /// When its value changed.
    pub rotation_at: String,
    /// Those who still hold the value from before.
    pub principal_ids: Vec<String>,
}

/// A hole in the deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageGap {
    /// The account without files.
    pub account: String,
    /// The region without files.
    pub region: String,
    /// Its first second.
    pub from: String,
    /// The second after its last.
    pub until: String,
}

/// One entry of the network policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyNetwork {
    /// Globs over secret id or name.
    pub secrets: Vec<String>,
    /// Globs over principal id.
    pub principals: Vec<String>,
    /// Allowed networks.
    pub cidrs: Vec<String>,
    /// Allowed VPC endpoints.
    pub vpc_endpoints: Vec<String>,
}

/// The policy as data; `config_toml` says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// In order; the first match decides.
    pub network: Vec<PolicyNetwork>,
    /// Globs over principal id.
    pub upkeep: Vec<String>,
    /// Globs over principal id.
    pub sync_agents: Vec<String>,
}

/// The whole of `labels.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// What made it (the folder is not part of it).
    pub options: Options,
    /// The end of the window.
    pub horizon: String,
    /// What must be found.
    pub expected: Vec<Label>,
    /// What looks alike and must not alert.
    pub quiet: Vec<Label>,
    /// The unused report.
    pub unused: Unused,
    /// Rule 4(c).
    pub stale_consumers: Vec<StaleConsumers>,
    /// Every change of a value.
    pub rotations: Vec<RotationEntry>,
    /// Every hole in the deliveries.
    pub gaps: Vec<CoverageGap>,
    /// Every secret.
    pub secrets: Vec<SecretEntry>,
    /// The network policy and the reader classes.
    pub policy: Policy,
    /// The same as a configuration fragment.
    pub config_toml: String,
}
