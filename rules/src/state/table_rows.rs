//! The rows of the state's tables: field names are column names.

use keytrail_model::Micros;
use serde::Serialize;

use super::EventId;

#[derive(Serialize)]
pub(super) struct PairRow<'a> {
    pub(super) principal_id: &'a str,
    pub(super) secret_id: &'a str,
    pub(super) secret_kind: Option<&'a str>,
    pub(super) first_read_at: Micros,
    pub(super) last_read_at: Micros,
    pub(super) read_count: i64,
    pub(super) days_active: i64,
    pub(super) first_event_id: &'a EventId,
    /// `consumer`, `upkeep` or `sync_agent`, as in the lake's view.
    pub(super) reader_class: &'a str,
    pub(super) known_before: bool,
}

#[derive(Serialize)]
pub(super) struct PairDayRow<'a> {
    pub(super) principal_id: &'a str,
    pub(super) secret_id: &'a str,
    pub(super) day_at: Micros,
    pub(super) read_count: i64,
}

#[derive(Serialize)]
pub(super) struct PairIdentityRow<'a> {
    pub(super) principal_id: &'a str,
    pub(super) secret_id: &'a str,
    pub(super) unique_id: &'a str,
    pub(super) first_read_at: Micros,
    pub(super) first_event_id: &'a EventId,
}

#[derive(Serialize)]
pub(super) struct SecretRow<'a> {
    pub(super) secret_id: &'a str,
    pub(super) secret_name: Option<&'a str>,
    pub(super) secret_kind: Option<&'a str>,
    pub(super) secret_account: Option<&'a str>,
    pub(super) secret_region: Option<&'a str>,
    pub(super) first_seen_at: Micros,
    pub(super) created_at: Option<Micros>,
    pub(super) deleted_at: Option<Micros>,
    pub(super) first_read_at: Option<Micros>,
    pub(super) last_read_at: Option<Micros>,
    pub(super) last_use_at: Option<Micros>,
    pub(super) last_sync_at: Option<Micros>,
    pub(super) reader_count: i64,
    pub(super) read_count: i64,
    pub(super) rotation_count: i64,
    pub(super) last_rotation_at: Option<Micros>,
    pub(super) owner: Option<&'a str>,
    pub(super) known_by: &'a str,
    pub(super) consumer_count: i64,
    pub(super) use_count: i64,
    pub(super) last_evidence_at: Option<Micros>,
    pub(super) rotation_cancelled_at: Option<Micros>,
}

#[derive(Serialize)]
pub(super) struct RotationRow<'a> {
    pub(super) secret_id: &'a str,
    pub(super) rotated_at: Micros,
    pub(super) version_id: Option<&'a str>,
    pub(super) previous_version_id: Option<&'a str>,
    pub(super) known_by: String,
    pub(super) principal_id: &'a str,
}

#[derive(Serialize)]
pub(super) struct VersionRow<'a> {
    pub(super) secret_id: &'a str,
    pub(super) version_id: &'a str,
    pub(super) current_from: Micros,
    pub(super) superseded_at: Option<Micros>,
}

#[derive(Serialize)]
pub(super) struct AttemptRow<'a> {
    pub(super) secret_id: &'a str,
    pub(super) started_at: Micros,
    pub(super) finished_at: Option<Micros>,
    pub(super) outcome: Option<&'a str>,
    pub(super) event_id: &'a str,
    pub(super) event_name: &'a str,
    pub(super) principal_id: &'a str,
    pub(super) account_id: &'a str,
    pub(super) region: &'a str,
    pub(super) object_key: &'a str,
    pub(super) record_index: i64,
}

#[derive(Serialize)]
pub(super) struct PrincipalRow<'a> {
    pub(super) principal_id: &'a str,
    pub(super) principal_kind: &'a str,
    pub(super) principal_account: Option<&'a str>,
    pub(super) first_seen_at: Micros,
    pub(super) last_seen_at: Micros,
    pub(super) unique_ids: &'a [String],
    pub(super) secret_count: i64,
    pub(super) read_count: i64,
    /// `consumer`, `upkeep` or `sync_agent`; a rotation function of any secret is upkeep.
    pub(super) reader_class: &'a str,
}
