//! What a rule's SQL can read, besides the state: `new_events`, the policy, the reader classes, coverage.
//!
//! In: rows and settings. Out: a session with every table registered, made for one judging and dropped after it. Names
//! and columns are the lake's; a table that has nothing in this judging is empty, never missing.

use std::{sync::Arc, time::Duration};

use keytrail_lake::{
    arrow::{
        array::RecordBatch,
        datatypes::{Field, Schema, SchemaRef},
        error::ArrowError,
    },
    datafusion::{
        catalog::MemTable, error::DataFusionError, execution::context::SessionConfig, prelude::SessionContext,
    },
    functions,
    schema::TableName,
};
use keytrail_model::Micros;
use serde::{Deserialize, Serialize};

use crate::{
    settings::{NetworkPolicy, ReaderClasses},
    state::{Scope, State, moment, number, table, text},
};

/// Everything one judging reads.
#[derive(Debug)]
pub struct Judging<'a> {
    pub state: &'a State,
    pub scope: Scope<'a>,
    /// New and changed rows; empty when only scheduled rules run.
    pub new_events: Vec<RecordBatch>,
    /// Rows of the lake's view `coverage`; empty for batch rules.
    pub coverage: Vec<RecordBatch>,
    pub networks: &'a [NetworkPolicy],
    pub readers: &'a ReaderClasses,
}

/// One hour of one account and region, as in the lake's view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageHour {
    pub account_id: String,
    pub region: String,
    pub hour_at: Micros,
    pub state: String,
    pub object_count: i64,
}

#[derive(Serialize)]
struct NetworkRow<'a> {
    policy: i64,
    secret_pattern: &'a str,
    principal_pattern: &'a str,
    cidr: Option<&'a str>,
    vpc_endpoint_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ClassRow<'a> {
    pattern: &'a str,
    class: &'a str,
}

/// A session with the judging's tables.
pub fn session(judging: &Judging<'_>) -> Result<SessionContext, DataFusionError> {
    // One partition: batches are small, and the other cores have other work.
    let mut config = SessionConfig::new().with_target_partitions(1);
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.sql_parser.collect_spans = true;
    // Plans are made for every batch and run over little: one pass over the plan pays, three do not.
    options.optimizer.max_passes = 1;
    let session = SessionContext::new_with_config(config);
    functions::register(&session, judging.readers.to_functions());
    for (name, batch) in judging.state.tables(judging.scope, judging.readers)?.into_named() {
        register(&session, name, batch.schema(), vec![batch])?;
    }
    let events = nullable(&TableName::AccessEvents.spec().arrow_schema());
    let new_events = judging.new_events.iter().map(|batch| conform(batch, &events)).collect::<Result<_, _>>()?;
    register(&session, "new_events", events, new_events)?;
    let networks = networks(judging.networks)?;
    register(&session, "policy_networks", networks.schema(), vec![networks])?;
    let classes = judging.readers.patterns().map(|(pattern, class)| ClassRow { pattern, class }).collect::<Vec<_>>();
    let classes = table(&[text("pattern"), text("class")], &classes)?;
    register(&session, "reader_classes", classes.schema(), vec![classes])?;
    let empty = coverage(&[])?;
    let hours = if judging.coverage.is_empty() { vec![empty.clone()] } else { judging.coverage.clone() };
    let schema = hours.first().map_or_else(|| empty.schema(), RecordBatch::schema);
    register(&session, "coverage", schema, hours)?;
    Ok(session)
}

/// Hours as rows of `coverage`.
pub fn coverage(hours: &[CoverageHour]) -> Result<RecordBatch, ArrowError> {
    table(&[text("account_id"), text("region"), moment("hour_at"), text("state"), number("object_count")], hours)
}

fn register(
    session: &SessionContext,
    name: &str,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> Result<(), DataFusionError> {
    session.register_table(name, Arc::new(MemTable::try_new(schema, vec![batches])?))?;
    Ok(())
}

/// The policy as rows, one for each (entry, secret glob, principal glob, allowed network or endpoint), as in the lake's
/// sessions. An entry that allows nothing is one row with both null: it still decides.
fn networks(policies: &[NetworkPolicy]) -> Result<RecordBatch, ArrowError> {
    let any = ["*".to_owned()];
    let or_any = |globs: &'_ [String]| if globs.is_empty() { any.to_vec() } else { globs.to_vec() };
    let expanded: Vec<_> =
        (1_i64..).zip(policies).map(|(at, it)| (at, or_any(&it.secrets), or_any(&it.principals), it)).collect();
    let mut rows = Vec::new();
    for (policy, secrets, principals, entry) in &expanded {
        let mut allowed: Vec<(Option<&str>, Option<&str>)> =
            entry.cidrs.iter().map(|cidr| (Some(cidr.as_str()), None)).collect();
        allowed.extend(entry.vpc_endpoints.iter().map(|endpoint| (None, Some(endpoint.as_str()))));
        if allowed.is_empty() {
            allowed.push((None, None));
        }
        for secret_pattern in secrets {
            for principal_pattern in principals {
                rows.extend(allowed.iter().map(|&(cidr, vpc_endpoint_id)| NetworkRow {
                    policy: *policy,
                    secret_pattern,
                    principal_pattern,
                    cidr,
                    vpc_endpoint_id,
                }));
            }
        }
    }
    table(
        &[number("policy"), text("secret_pattern"), text("principal_pattern"), text("cidr"), text("vpc_endpoint_id")],
        &rows,
    )
}

/// The batch with the columns of `access_events`, in their order and types.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| ArrowError::SchemaError(format!("the new rows have no column `{}`", field.name())))?;
            keytrail_lake::arrow::compute::cast(column, field.data_type())
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

/// The lake checks what must not be null; here a null is only a null.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// A time budget as people say it.
pub(crate) fn budget_text(budget: Duration) -> String {
    keytrail_model::display::duration(i64::try_from(budget.as_micros()).unwrap_or(i64::MAX))
}
