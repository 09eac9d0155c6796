//! Rows of the model as Arrow columns, and back.
//!
//! Columns are filled by walking the schema's own table, so a column without a value here is an error at once and not a
//! shifted row. Text is borrowed while it is copied into the column; dictionaries are the Parquet writer's work.
//!
//! Bad input: a stored word that the vocabulary does not know, or a missing column, is [`crate::LakeErrorKind::Damaged`].

use std::sync::Arc;

use deltalake::arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    error::ArrowError,
};
use keytrail_model::{AccessEvent, Micros, TrailEvent, time};

use crate::{
    error::{At, LakeError},
    schema::{Column, TableName, TableSpec},
};

mod decode;

pub use decode::decode_access_events;
pub(crate) use decode::{Texts, decode_stored_events, flags, integers, moments};

/// The folder of rows whose day lies outside the years that four digits hold.
const FIRST_DAY: &str = "0001-01-01";
const LAST_DAY: &str = "9999-12-31";
const FIRST_MOMENT: Micros = -62_135_596_800_000_000;
const LAST_MOMENT: Micros = 253_402_300_799_999_999;

/// A row as it stands in the table: the event and when it was first committed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredEvent {
    pub(crate) event: AccessEvent,
    pub(crate) ingested_at: Micros,
}

/// The folder of a moment: its UTC day. Absurd moments land in the first or last day that sorts as text.
pub(crate) fn day_of(at: Micros) -> String {
    match at {
        _ if at < FIRST_MOMENT => FIRST_DAY.to_owned(),
        _ if at > LAST_MOMENT => LAST_DAY.to_owned(),
        _ => time::utc_day(at),
    }
}

/// Whether a moment can be told as a date with four digits of year.
pub(crate) fn is_plain_moment(at: Micros) -> bool {
    (FIRST_MOMENT..=LAST_MOMENT).contains(&at)
}

/// Rows of `access_events` as columns, all of one commit, in the order given.
///
/// # Errors
/// The texts of one column together exceed 2 GiB.
pub fn encode_access_events(
    events: &[AccessEvent],
    ingested_at: Micros,
    batch_id: &str,
) -> Result<RecordBatch, LakeError> {
    let rows: Vec<(&AccessEvent, Micros)> = events.iter().map(|event| (event, ingested_at)).collect();
    encode_stored(&rows, batch_id)
}

/// Rows with the moment each was first committed.
pub(crate) fn encode_stored(rows: &[(&AccessEvent, Micros)], batch_id: &str) -> Result<RecordBatch, LakeError> {
    let spec = TableName::AccessEvents.spec();
    collect(spec, |column| {
        let text = |get: fn(&AccessEvent) -> &str| texts(rows.iter().map(|(row, _)| get(row)));
        let maybe = |get: fn(&AccessEvent) -> Option<&str>| maybe_texts(rows.iter().map(|(row, _)| get(row)));
        Some(match column {
            "event_id" => text(|row| &row.event_id),
            "shared_event_id" => maybe(|row| row.shared_event_id.as_deref()),
            "event_at" => moment_column(rows.iter().map(|(row, _)| Some(row.event_at))),
            "delivered_at" => moment_column(rows.iter().map(|(row, _)| row.delivered_at)),
            "ingested_at" => moment_column(rows.iter().map(|(_, ingested_at)| Some(*ingested_at))),
            "event_source" => text(|row| &row.event_source),
            "event_name" => text(|row| &row.event_name),
            "action" => text(|row| row.action.as_str()),
            "outcome" => text(|row| row.outcome.as_str()),
            "secret_id" => maybe(|row| row.secret_id.as_deref()),
            "secret_name" => maybe(|row| row.secret_name.as_deref()),
            "secret_kind" => maybe(|row| row.secret_kind.map(|kind| kind.as_str())),
            "secret_account" => maybe(|row| row.secret_account.as_deref()),
            "secret_region" => maybe(|row| row.secret_region.as_deref()),
            "secret_resolution" => text(|row| row.secret_resolution.as_str()),
            "version_id" => maybe(|row| row.version_id.as_deref()),
            "version_stage" => maybe(|row| row.version_stage.as_deref()),
            "version_evidence" => maybe(|row| row.version_evidence.map(|evidence| evidence.as_str())),
            "principal_id" => text(|row| &row.principal_id),
            "principal_kind" => text(|row| row.principal_kind.as_str()),
            "principal_account" => maybe(|row| row.principal_account.as_deref()),
            "principal_unique_id" => maybe(|row| row.principal_unique_id.as_deref()),
            "session_name" => maybe(|row| row.session_name.as_deref()),
            "source_identity" => maybe(|row| row.source_identity.as_deref()),
            "access_key_id" => maybe(|row| row.access_key_id.as_deref()),
            "credential_kind" => maybe(|row| row.credential_kind.map(|kind| kind.as_str())),
            "mfa" => flag_column(rows.iter().map(|(row, _)| row.mfa)),
            "invoked_by" => maybe(|row| row.invoked_by.as_deref()),
            "workload" => maybe(|row| row.workload.as_deref()),
            "source_ip" => maybe(|row| row.source_ip.as_deref()),
            "source_network" => maybe(|row| row.source_network.as_deref()),
            "vpc_endpoint_id" => maybe(|row| row.vpc_endpoint_id.as_deref()),
            "user_agent" => maybe(|row| row.user_agent.as_deref()),
            "user_agent_family" => maybe(|row| row.user_agent_family.as_deref()),
            "tls_version" => maybe(|row| row.tls_version.as_deref()),
            "account_id" => text(|row| &row.account_id),
            "region" => text(|row| &row.region),
            "error_code" => maybe(|row| row.error_code.as_deref()),
            "error_message" => maybe(|row| row.error_message.as_deref()),
            "with_decryption" => flag_column(rows.iter().map(|(row, _)| row.with_decryption)),
            "object_key" => text(|row| &row.object_key),
            "record_index" => integer_column(rows.iter().map(|(row, _)| Some(row.record_index))),
            "raw" => text(|row| &row.raw),
            "event_date" => days(rows.iter().map(|(row, _)| row.event_at)),
            "batch_id" => texts(rows.iter().map(|_| batch_id)),
            "corrects_event_id" => maybe(|row| row.corrects_event_id.as_deref()),
            _ => return None,
        })
    })
}

/// Rows of `events` as columns, all of one commit, in the order given.
///
/// # Errors
/// The texts of one column together exceed 2 GiB.
pub fn encode_trail_events(
    events: &[&TrailEvent],
    ingested_at: Micros,
    batch_id: &str,
) -> Result<RecordBatch, LakeError> {
    let spec = TableName::Events.spec();
    collect(spec, |column| {
        let text = |get: fn(&TrailEvent) -> &str| texts(events.iter().map(|row| get(row)));
        let maybe = |get: fn(&TrailEvent) -> Option<&str>| maybe_texts(events.iter().map(|row| get(row)));
        Some(match column {
            "event_id" => text(|row| &row.event_id),
            "event_at" => moment_column(events.iter().map(|row| Some(row.event_at))),
            "delivered_at" => moment_column(events.iter().map(|row| row.delivered_at)),
            "ingested_at" => moment_column(events.iter().map(|_| Some(ingested_at))),
            "event_source" => text(|row| &row.event_source),
            "event_name" => text(|row| &row.event_name),
            "event_category" => maybe(|row| row.event_category.as_deref()),
            "read_only" => flag_column(events.iter().map(|row| row.read_only)),
            "account_id" => text(|row| &row.account_id),
            "region" => text(|row| &row.region),
            "principal_id" => text(|row| &row.principal_id),
            "principal_kind" => text(|row| row.principal_kind.as_str()),
            "source_ip" => maybe(|row| row.source_ip.as_deref()),
            "user_agent" => maybe(|row| row.user_agent.as_deref()),
            "error_code" => maybe(|row| row.error_code.as_deref()),
            "object_key" => text(|row| &row.object_key),
            "record_index" => integer_column(events.iter().map(|row| Some(row.record_index))),
            "raw" => text(|row| &row.raw),
            "event_date" => days(events.iter().map(|row| row.event_at)),
            "batch_id" => texts(events.iter().map(|_| batch_id)),
            _ => return None,
        })
    })
}

/// Fills every column of a table's schema.
pub(crate) fn collect(
    spec: &TableSpec,
    mut fill: impl FnMut(&'static str) -> Option<ArrayRef>,
) -> Result<RecordBatch, LakeError> {
    let columns = spec
        .columns
        .iter()
        .map(|Column { name, .. }| {
            fill(name).ok_or_else(|| ArrowError::SchemaError(format!("nothing fills the column {name}"))).at(spec.name)
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(spec.arrow_schema(), columns).at(spec.name)
}

/// A column of texts.
pub(crate) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// A column of texts that may be missing.
pub(crate) fn maybe_texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// A column of moments.
pub(crate) fn moment_column(values: impl Iterator<Item = Option<Micros>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// A column of numbers.
pub(crate) fn integer_column(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

/// A column of flags.
pub(crate) fn flag_column(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.collect::<BooleanArray>())
}

fn days(moments: impl Iterator<Item = Micros>) -> ArrayRef {
    // Rows come sorted by time, so the day seldom changes from one to the next.
    let mut last: Option<(Micros, String)> = None;
    let mut days = Vec::new();
    for at in moments {
        let number = at.div_euclid(time::DAY);
        match &last {
            Some((day, text)) if *day == number => days.push(text.clone()),
            _ => {
                let text = day_of(at);
                days.push(text.clone());
                last = Some((number, text));
            }
        }
    }
    Arc::new(StringArray::from_iter_values(days))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let mut full = testing::read("e-1", "app/db", 5);
        full.shared_event_id = Some("s".into());
        full.mfa = Some(true);
        full.version_evidence = Some(keytrail_model::VersionEvidence::Kms);
        full.error_message = Some("\u{202e}'; drop table \"x\" --\0".into());
        let bare = testing::bare("e-2", -1);
        let events = vec![full, bare];
        let batch = encode_access_events(&events, 7, "b").expect("columns");
        assert_eq!(decode_access_events(&batch).expect("rows"), events);
        assert!(decode_stored_events(&batch).expect("rows").iter().all(|row| row.ingested_at == 7));
    }

    #[test]
    fn absurd_moments_have_a_folder_that_sorts() {
        assert_eq!(day_of(i64::MIN), FIRST_DAY);
        assert_eq!(day_of(i64::MAX), LAST_DAY);
        assert_eq!(day_of(FIRST_MOMENT), FIRST_DAY);
        assert_eq!(day_of(LAST_MOMENT), LAST_DAY);
        assert_eq!(day_of(0), "1970-01-01");
        let rows = [testing::bare("a", i64::MIN), testing::bare("b", i64::MAX)];
        assert!(encode_access_events(&rows, 0, "b").is_ok());
    }

    #[test]
    fn an_unknown_word_is_damage_and_no_panic() {
        let batch = encode_access_events(&[testing::bare("a", 0)], 0, "b").expect("columns");
        let at = batch.schema().index_of("action").expect("a column");
        let mut columns = batch.columns().to_vec();
        columns[at] = texts(["explode"].into_iter());
        let batch = RecordBatch::try_new(batch.schema(), columns).expect("columns");
        let error = decode_access_events(&batch).expect_err("no such action");
        assert!(error.to_string().contains("explode"), "{error}");
    }
}
