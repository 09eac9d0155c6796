//! A lake in memory: tables of the lake's own schema with rows given as JSON; columns not given are plain or null.

use std::{collections::BTreeMap, sync::Arc};

use keytrail_lake::{
    arrow::{json::ReaderBuilder, util::pretty::pretty_format_batches},
    datafusion::{
        catalog::{MemTable, TableProvider},
        prelude::SessionContext,
    },
    schema::{ColumnType, TableName},
    session::{Limits, PolicyNetwork, SessionSettings, build},
};
use keytrail_model::time;
use serde_json::{Value, json};

use crate::{Library, Outcome, QueryError, QuerySource, RunOptions, run};

pub(crate) const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AbCdEf";
pub(crate) const API: &str = "arn:aws:iam::111122223333:role/app/api";

pub(crate) fn event(at: &str, changes: Value) -> Value {
    let mut row = json!({
        "event_id": format!("e-{at}"), "event_at": at, "delivered_at": at, "event_source": "secretsmanager.amazonaws.com",
        "event_name": "GetSecretValue", "action": "read", "outcome": "ok", "secret_id": SECRET, "secret_name": "app/db",
        "secret_kind": "secretsmanager", "secret_account": "111122223333", "secret_region": "eu-west-1",
        "secret_resolution": "arn", "principal_id": API, "principal_kind": "role", "credential_kind": "role",
        "source_ip": "10.0.0.1", "account_id": "111122223333", "region": "eu-west-1", "raw": "{}",
        "event_date": time::utc_day(time::parse_rfc3339(at).expect("a time")),
    });
    let (Value::Object(into), Value::Object(changes)) = (&mut row, changes) else { return row };
    into.extend(changes);
    row
}

fn table(name: TableName, rows: &[Value]) -> (&'static str, Arc<dyn TableProvider>) {
    let spec = name.spec();
    let schema = spec.arrow_schema();
    let mut filled = rows.to_vec();
    for row in &mut filled {
        for column in spec.columns.iter().filter(|column| !column.nullable) {
            if row.get(column.name).is_none() {
                row[column.name] = match column.column_type {
                    ColumnType::TextList => json!([]),
                    ColumnType::Flag => json!(false),
                    ColumnType::Integer => json!(0),
                    ColumnType::Moment => json!("2026-01-01T00:00:00Z"),
                    ColumnType::Text => json!(""),
                };
            }
        }
    }
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).build_decoder().expect("a decoder");
    decoder.serialize(&filled).expect("rows of the schema");
    let batches = decoder.flush().expect("rows of the schema").into_iter().collect();
    (name.stored(), Arc::new(MemTable::try_new(schema, vec![batches]).expect("a table")))
}

pub(crate) async fn lake(events: &[Value], limits: Limits) -> SessionContext {
    let object = |at: &str| {
        json!({
            "object_key": at, "object_digest": at, "outcome": "committed", "content_kind": "cloudtrail", "account_id": "111122223333",
            "region": "eu-west-1", "delivered_at": at, "last_event_at": at,
        })
    };
    // Four files a day for ten days, then none for three weeks.
    let start = time::parse_rfc3339("2026-01-01T00:00:00Z").expect("a time");
    let mut objects: Vec<Value> =
        (0..40).map(|number| object(&time::to_rfc3339(start + number * 6 * time::HOUR))).collect();
    objects.push(object("2026-01-31T00:00:00Z"));
    let quarantined =
        json!({ "object_key": "k", "reason": "no eventTime", "content_kind": "cloudtrail", "record_index": 3 });
    let alert = json!({ "alert_id": "a1", "principal_id": API, "secret_ids": [SECRET], "state": "open", "sequence": 1,
        "first_event_at": "2026-01-20T00:00:00Z", "last_event_at": "2026-01-20T00:00:00Z" });
    let tables = [
        table(TableName::AccessEvents, events),
        table(TableName::Events, &[]),
        table(TableName::Objects, &objects),
        table(TableName::Quarantine, &[quarantined]),
        table(TableName::AlertLog, &[alert]),
        table(TableName::SuppressionLog, &[]),
        table(TableName::DeliveryLog, &[]),
    ];
    let policy =
        PolicyNetwork { secrets: vec!["app/*".into()], cidrs: vec!["10.0.0.0/8".into()], ..PolicyNetwork::default() };
    let settings = SessionSettings { limits, policy_networks: vec![policy], ..SessionSettings::default() };
    build(tables, &settings).await.expect("the session builds")
}

/// A month in which something happens for every query of the library.
pub(crate) fn month() -> Vec<Value> {
    vec![
        event("2026-01-01T00:00:00Z", json!({ "event_name": "CreateSecret", "action": "create", "version_id": "v1" })),
        event("2026-01-02T00:00:00Z", json!({ "version_id": "v1", "version_evidence": "kms" })),
        event("2026-01-10T00:00:00Z", json!({ "event_name": "PutSecretValue", "action": "write", "version_id": "v2" })),
        event(
            "2026-01-12T00:00:00Z",
            json!({ "version_id": "v1", "version_evidence": "request", "principal_id": "arn:aws:iam::111122223333:user/kim",
            "credential_kind": "long_term_key", "access_key_id": "AKIAX", "source_ip": "203.0.113.7" }),
        ),
        event("2026-01-20T00:00:00Z", json!({ "version_id": "v2", "version_evidence": "kms" })),
        event(
            "2026-01-21T00:00:00Z",
            json!({ "outcome": "denied", "error_code": "AccessDenied", "principal_id": "arn:aws:iam::111122223333:role/stranger" }),
        ),
        event(
            "2026-01-22T00:00:00Z",
            json!({ "event_name": "BatchGetSecretValue", "action": "list", "secret_id": null, "secret_resolution": "none" }),
        ),
        event(
            "2026-01-23T00:00:00Z",
            json!({ "event_name": "Invoke", "action": "invoke", "secret_kind": "api",
            "secret_id": "arn:aws:execute-api:eu-west-1:111122223333:abc/prod/GET/orders", "secret_name": "abc/prod/GET/orders" }),
        ),
        event(
            "2026-01-24T00:00:00Z",
            json!({ "event_name": "StopLogging", "action": "other", "secret_id": null, "secret_resolution": "none" }),
        ),
        event(
            "2025-10-01T00:00:00Z",
            json!({ "secret_id": SECRET.replace("app/db-AbCdEf", "old/key-AbCdEf"), "secret_name": "old/key" }),
        ),
        event("2026-01-05T12:00:00Z", json!({ "principal_id": "arn:aws:iam::111122223333:role/forgotten" })),
        event(
            "2026-01-11T00:00:00Z",
            json!({ "principal_id": "arn:aws:iam::111122223333:role/reader", "event_id": "twice" }),
        ),
    ]
}

pub(crate) fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Runs a query and gives its result as lines of cells.
pub(crate) async fn ask(
    session: &SessionContext,
    source: QuerySource,
    given: &[(&str, &str)],
    options: &RunOptions,
) -> Result<(Vec<String>, Outcome), QueryError> {
    let rows = run(session, &Library::embedded(), &source, &params(given), options).await?;
    let (batches, outcome) = rows.collect().await?;
    let table = pretty_format_batches(&batches).expect("printable").to_string();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    let cells = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" | ");
    Ok((lines.map(cells).collect(), outcome))
}

pub(crate) async fn sql(session: &SessionContext, text: &str) -> Result<(Vec<String>, Outcome), QueryError> {
    ask(session, QuerySource::Text(text.to_owned()), &[], &RunOptions::default()).await
}
