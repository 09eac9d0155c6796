//! One use of one secret, as it stands in the lake.
//!
//! In: what `normalize` understood of one CloudTrail record or access-log line. Out: one row of `access_events`; the
//! field names are the column names (`lake/schema.rs` holds types, docs and units).
//!
//! Invariants: `raw` is redacted before it gets here; `source_ip` is set only when the caller's own address is known;
//! rows of one record share `event_id` and `account_id` and are stored in one commit.

use serde::{Deserialize, Serialize};

use crate::{
    time::Micros,
    words::{Action, CredentialKind, Outcome, PrincipalKind, Resolution, SecretKind, VersionEvidence},
};

/// One row of `access_events`. See `product.md`, "Tables and views", for what each column means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessEvent {
    /// CloudTrail's `eventID`; for access logs the extended request id; for records that have none, a digest of the record.
    pub event_id: String,
    /// CloudTrail's `sharedEventID`.
    pub shared_event_id: Option<String>,
    /// The event that this record corrects (`addendum.originalEventID` of an `UPDATED_DATA` record).
    pub corrects_event_id: Option<String>,
    /// When the call completed.
    pub event_at: Micros,
    /// When CloudTrail delivered the object, where its key tells.
    pub delivered_at: Option<Micros>,
    pub event_source: String,
    pub event_name: String,
    pub action: Action,
    pub outcome: Outcome,
    pub secret_id: Option<String>,
    pub secret_name: Option<String>,
    pub secret_kind: Option<SecretKind>,
    pub secret_account: Option<String>,
    pub secret_region: Option<String>,
    pub secret_resolution: Resolution,
    pub version_id: Option<String>,
    pub version_stage: Option<String>,
    pub version_evidence: Option<VersionEvidence>,
    /// The caller with its sessions folded: a role's ARN with path, a user's ARN, `…:root`, `service:NAME`, `account:ID/UNIQUEID`.
    pub principal_id: String,
    pub principal_kind: PrincipalKind,
    pub principal_account: Option<String>,
    /// `AROA…`, `AIDA…`: changes when a role is deleted and made again under its old name.
    pub principal_unique_id: Option<String>,
    pub session_name: Option<String>,
    pub source_identity: Option<String>,
    pub access_key_id: Option<String>,
    pub credential_kind: Option<CredentialKind>,
    pub mfa: Option<bool>,
    /// The AWS service that called on the principal's behalf.
    pub invoked_by: Option<String>,
    /// `inScopeOf`: the function or instance that the credentials were issued to.
    pub workload: Option<String>,
    /// Set only when it is the caller's own address.
    pub source_ip: Option<String>,
    /// `public`, `private`, or `service` (an AWS service's name stood in place of an address).
    pub source_network: Option<String>,
    pub vpc_endpoint_id: Option<String>,
    pub user_agent: Option<String>,
    pub user_agent_family: Option<String>,
    pub tls_version: Option<String>,
    /// The account that the record was delivered for (`recipientAccountId`).
    pub account_id: String,
    pub region: String,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub with_decryption: Option<bool>,
    pub object_key: String,
    pub record_index: i64,
    /// The redacted record, as JSON text.
    pub raw: String,
}

/// One CloudTrail record of any kind, kept with `scope = "all"` as a row of `events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrailEvent {
    pub event_id: String,
    pub event_at: Micros,
    pub delivered_at: Option<Micros>,
    pub event_source: String,
    pub event_name: String,
    pub event_category: Option<String>,
    pub read_only: Option<bool>,
    pub account_id: String,
    pub region: String,
    pub principal_id: String,
    pub principal_kind: PrincipalKind,
    pub source_ip: Option<String>,
    pub user_agent: Option<String>,
    pub error_code: Option<String>,
    pub object_key: String,
    pub record_index: i64,
    /// The redacted record, as JSON text.
    pub raw: String,
}
