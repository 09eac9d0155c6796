//! Arrow columns back to rows of the model.
//!
//! In: batches of `access_events` in any of Arrow's text types (a session reads views, a file reads plain text). Out:
//! rows. A missing column reads as null, so files from before a column existed still decode; a null where the model
//! needs a value, or an unknown word, is [`LakeErrorKind::Damaged`].

use std::str::FromStr;

use deltalake::arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
    },
    compute::cast,
    datatypes::{DataType, TimeUnit},
};
use keytrail_model::{AccessEvent, Micros};

use super::StoredEvent;
use crate::{
    error::{At, LakeError, LakeErrorKind},
    schema::TableName,
};

const PLACE: TableName = TableName::AccessEvents;

/// One column of texts.
pub(crate) struct Texts {
    name: &'static str,
    values: StringArray,
}

impl Texts {
    /// The column of this name; all null where the batch has none.
    pub(crate) fn of(batch: &RecordBatch, name: &'static str) -> Result<Self, LakeError> {
        let column = typed(batch, name, &DataType::Utf8)?;
        let values = column.as_any().downcast_ref::<StringArray>().ok_or_else(|| odd(name))?.clone();
        Ok(Self { name, values })
    }

    /// The column itself.
    pub(crate) fn array(&self) -> &StringArray {
        &self.values
    }

    /// The text, where there is one.
    pub(crate) fn maybe(&self, row: usize) -> Option<&str> {
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    /// The text that cannot be missing.
    pub(crate) fn always(&self, row: usize) -> Result<&str, LakeError> {
        self.maybe(row).ok_or_else(|| missing(self.name))
    }

    /// A word of a vocabulary, where there is one.
    pub(crate) fn maybe_word<T: FromStr>(&self, row: usize) -> Result<Option<T>, LakeError>
    where
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.maybe(row) else { return Ok(None) };
        match text.parse() {
            Ok(word) => Ok(Some(word)),
            Err(error) => Err(LakeError::new(PLACE, LakeErrorKind::Damaged(format!("{}: {error}", self.name)))),
        }
    }

    /// A word that cannot be missing.
    pub(crate) fn word<T: FromStr>(&self, row: usize) -> Result<T, LakeError>
    where
        T::Err: std::fmt::Display,
    {
        self.maybe_word(row)?.ok_or_else(|| missing(self.name))
    }

    fn owned(&self, row: usize) -> Option<String> {
        self.maybe(row).map(str::to_owned)
    }

    fn must(&self, row: usize) -> Result<String, LakeError> {
        self.always(row).map(str::to_owned)
    }
}

/// A column of moments.
pub(crate) fn moments(batch: &RecordBatch, name: &'static str) -> Result<TimestampMicrosecondArray, LakeError> {
    let column = typed(batch, name, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
    column.as_any().downcast_ref().cloned().ok_or_else(|| odd(name))
}

/// A column of numbers.
pub(crate) fn integers(batch: &RecordBatch, name: &'static str) -> Result<Int64Array, LakeError> {
    typed(batch, name, &DataType::Int64)?.as_any().downcast_ref().cloned().ok_or_else(|| odd(name))
}

/// A column of flags.
pub(crate) fn flags(batch: &RecordBatch, name: &'static str) -> Result<BooleanArray, LakeError> {
    typed(batch, name, &DataType::Boolean)?.as_any().downcast_ref().cloned().ok_or_else(|| odd(name))
}

fn typed(batch: &RecordBatch, name: &str, wanted: &DataType) -> Result<ArrayRef, LakeError> {
    match batch.column_by_name(name) {
        None => Ok(new_null_array(wanted, batch.num_rows())),
        Some(column) if column.data_type() == wanted => Ok(column.clone()),
        Some(column) => cast(column, wanted).at(name),
    }
}

fn odd(name: &str) -> LakeError {
    LakeError::new(name, LakeErrorKind::Damaged("not of the column's type".to_owned()))
}

fn missing(name: &str) -> LakeError {
    LakeError::new(name, LakeErrorKind::Damaged("a value is missing".to_owned()))
}

/// Rows of `access_events`.
///
/// # Errors
/// The columns do not hold what the schema says.
pub fn decode_access_events(batch: &RecordBatch) -> Result<Vec<AccessEvent>, LakeError> {
    Ok(decode_stored_events(batch)?.into_iter().map(|row| row.event).collect())
}

/// Rows of `access_events`, with the moment each was first committed.
pub(crate) fn decode_stored_events(batch: &RecordBatch) -> Result<Vec<StoredEvent>, LakeError> {
    let text = |name| Texts::of(batch, name);
    let moment = |name| moments(batch, name);
    let event_id = text("event_id")?;
    let shared_event_id = text("shared_event_id")?;
    let corrects_event_id = text("corrects_event_id")?;
    let (event_at, delivered_at, ingested_at) = (moment("event_at")?, moment("delivered_at")?, moment("ingested_at")?);
    let (event_source, event_name) = (text("event_source")?, text("event_name")?);
    let (action, outcome) = (text("action")?, text("outcome")?);
    let (secret_id, secret_name, secret_kind) = (text("secret_id")?, text("secret_name")?, text("secret_kind")?);
    let (secret_account, secret_region) = (text("secret_account")?, text("secret_region")?);
    let secret_resolution = text("secret_resolution")?;
    let (version_id, version_stage) = (text("version_id")?, text("version_stage")?);
    let version_evidence = text("version_evidence")?;
    let (principal_id, principal_kind) = (text("principal_id")?, text("principal_kind")?);
    let (principal_account, principal_unique_id) = (text("principal_account")?, text("principal_unique_id")?);
    let (session_name, source_identity) = (text("session_name")?, text("source_identity")?);
    let (access_key_id, credential_kind) = (text("access_key_id")?, text("credential_kind")?);
    let mfa = flags(batch, "mfa")?;
    let (invoked_by, workload) = (text("invoked_by")?, text("workload")?);
    let (source_ip, source_network) = (text("source_ip")?, text("source_network")?);
    let vpc_endpoint_id = text("vpc_endpoint_id")?;
    let (user_agent, user_agent_family) = (text("user_agent")?, text("user_agent_family")?);
    let tls_version = text("tls_version")?;
    let (account_id, region) = (text("account_id")?, text("region")?);
    let (error_code, error_message) = (text("error_code")?, text("error_message")?);
    let with_decryption = flags(batch, "with_decryption")?;
    let object_key = text("object_key")?;
    let record_index = integers(batch, "record_index")?;
    let raw = text("raw")?;

    (0..batch.num_rows())
        .map(|row| {
            let event = AccessEvent {
                event_id: event_id.must(row)?,
                shared_event_id: shared_event_id.owned(row),
                corrects_event_id: corrects_event_id.owned(row),
                event_at: micros(&event_at, row).ok_or_else(|| missing("event_at"))?,
                delivered_at: micros(&delivered_at, row),
                event_source: event_source.must(row)?,
                event_name: event_name.must(row)?,
                action: action.word(row)?,
                outcome: outcome.word(row)?,
                secret_id: secret_id.owned(row),
                secret_name: secret_name.owned(row),
                secret_kind: secret_kind.maybe_word(row)?,
                secret_account: secret_account.owned(row),
                secret_region: secret_region.owned(row),
                secret_resolution: secret_resolution.word(row)?,
                version_id: version_id.owned(row),
                version_stage: version_stage.owned(row),
                version_evidence: version_evidence.maybe_word(row)?,
                principal_id: principal_id.must(row)?,
                principal_kind: principal_kind.word(row)?,
                principal_account: principal_account.owned(row),
                principal_unique_id: principal_unique_id.owned(row),
                session_name: session_name.owned(row),
                source_identity: source_identity.owned(row),
                access_key_id: access_key_id.owned(row),
                credential_kind: credential_kind.maybe_word(row)?,
                mfa: flag(&mfa, row),
                invoked_by: invoked_by.owned(row),
                workload: workload.owned(row),
                source_ip: source_ip.owned(row),
                source_network: source_network.owned(row),
                vpc_endpoint_id: vpc_endpoint_id.owned(row),
                user_agent: user_agent.owned(row),
                user_agent_family: user_agent_family.owned(row),
                tls_version: tls_version.owned(row),
                account_id: account_id.must(row)?,
                region: region.must(row)?,
                error_code: error_code.owned(row),
                error_message: error_message.owned(row),
                with_decryption: flag(&with_decryption, row),
                object_key: object_key.must(row)?,
                record_index: if record_index.is_valid(row) { record_index.value(row) } else { 0 },
                raw: raw.must(row)?,
            };
            let ingested_at = micros(&ingested_at, row).ok_or_else(|| missing("ingested_at"))?;
            Ok(StoredEvent { event, ingested_at })
        })
        .collect()
}

fn micros(column: &TimestampMicrosecondArray, row: usize) -> Option<Micros> {
    column.is_valid(row).then(|| column.value(row))
}

fn flag(column: &BooleanArray, row: usize) -> Option<bool> {
    column.is_valid(row).then(|| column.value(row))
}
