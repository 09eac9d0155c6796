//! Stored tables in memory, for tests: rows given as JSON, missing columns filled with plain values.

use std::sync::Arc;

use deltalake::{
    arrow::{datatypes::Schema, json::ReaderBuilder},
    datafusion::{
        catalog::{MemTable, TableProvider},
        prelude::SessionContext,
    },
};
use keytrail_model::time;
use serde_json::{Map, Value, json};

use super::{SessionSettings, build};
use crate::schema::{ColumnType, TableName};

pub(crate) const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AbCdEf";
pub(crate) const API: &str = "arn:aws:iam::111122223333:role/app/api";

/// One row of `access_events`: an ok read of [`SECRET`] by [`API`], but for what `changes` says.
pub(crate) fn event(at: &str, changes: Value) -> Value {
    let mut row = json!({
        "event_id": format!("e-{at}"), "event_at": at, "delivered_at": at, "ingested_at": at,
        "event_source": "secretsmanager.amazonaws.com", "event_name": "GetSecretValue", "action": "read",
        "outcome": "ok", "secret_id": SECRET, "secret_name": "app/db", "secret_kind": "secretsmanager",
        "secret_account": "111122223333", "secret_region": "eu-west-1", "secret_resolution": "arn",
        "principal_id": API, "principal_kind": "role", "principal_account": "111122223333",
        "account_id": "111122223333", "region": "eu-west-1", "object_key": "k", "record_index": 0, "raw": "{}",
        "event_date": time::utc_day(time::parse_rfc3339(at).expect("a time")), "batch_id": "b",
    });
    merge(&mut row, changes);
    row
}

/// One row of `objects`: a committed CloudTrail file delivered at `at`, its last event five minutes before.
pub(crate) fn object(at: &str, changes: Value) -> Value {
    let last = time::parse_rfc3339(at).expect("a time") - 300 * time::SECOND;
    let mut row = json!({
        "object_key": format!("k-{at}"), "object_version": "v", "object_digest": format!("d-{at}"), "outcome": "committed",
        "content_kind": "cloudtrail", "account_id": "111122223333", "region": "eu-west-1", "delivered_at": at,
        "committed_at": at, "size_bytes": 1, "json_bytes": 1, "record_count": 1, "kept_count": 1, "ignored_count": 0,
        "quarantined_count": 0, "first_event_at": time::to_rfc3339(last), "last_event_at": time::to_rfc3339(last),
        "ledger_version": 1, "object_date": "2026-01-01",
    });
    merge(&mut row, changes);
    row
}

fn merge(row: &mut Value, changes: Value) {
    let (Value::Object(row), Value::Object(changes)) = (row, changes) else { return };
    row.extend(changes);
}

/// A table of the schema that [`TableName`] gives, with these rows.
pub(crate) fn table(name: TableName, rows: &[Value]) -> (&'static str, Arc<dyn TableProvider>) {
    let spec = name.spec();
    for row in rows {
        for key in row.as_object().map(Map::keys).into_iter().flatten() {
            assert!(spec.columns.iter().any(|column| column.name == key), "{name} has no column {key}");
        }
    }
    let schema: Arc<Schema> = spec.arrow_schema();
    let filled: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut row = row.clone();
            for column in spec.columns.iter().filter(|column| !column.nullable) {
                let missing = match column.column_type {
                    ColumnType::TextList => json!([]),
                    ColumnType::Flag => json!(false),
                    ColumnType::Integer => json!(0),
                    ColumnType::Moment => json!("2026-01-01T00:00:00Z"),
                    ColumnType::Text => json!(""),
                };
                if row.get(column.name).is_none() {
                    row[column.name] = missing;
                }
            }
            row
        })
        .collect();
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).build_decoder().expect("a decoder");
    decoder.serialize(&filled).expect("rows of the schema");
    let batches: Vec<_> = decoder.flush().expect("rows of the schema").into_iter().collect();
    (name.stored(), Arc::new(MemTable::try_new(schema, vec![batches]).expect("a table")))
}

/// A session over these events and objects; everything else is empty.
pub(crate) async fn session(events: &[Value], objects: &[Value], settings: &SessionSettings) -> SessionContext {
    let tables = [
        table(TableName::AccessEvents, events),
        table(TableName::Events, &[]),
        table(TableName::Objects, objects),
        table(TableName::Quarantine, &[]),
        table(TableName::AlertLog, &[]),
        table(TableName::SuppressionLog, &[]),
        table(TableName::DeliveryLog, &[]),
    ];
    build(tables, settings).await.expect("the session builds")
}
