//! What a rule's SQL can read: `new_events`, `recent_events`, the state, the policy, the reader classes, coverage.
//!
//! In: rows and settings. Out: a session in which every table is registered once; each judging fills the tables that its
//! rules name. Names and columns are the lake's; a table that has nothing in this judging is empty, never missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use keytrail_lake::{
    arrow::{
        array::{RecordBatch, new_null_array},
        datatypes::{DataType, Field, Schema, SchemaRef},
        error::ArrowError,
    },
    datafusion::{
        catalog::MemTable, error::DataFusionError, execution::context::SessionConfig, prelude::SessionContext,
    },
    functions,
};
use keytrail_model::Micros;
use serde::{Deserialize, Serialize};

use crate::{
    habits::{self, Habits},
    recent::{conform, replaced, schema},
    settings::{NetworkPolicy, ReaderClasses},
    slot::Slot,
    state::{Scope, State, TABLE_NAMES, Touched, moment, number, table, text},
};

/// Everything one judging reads.
#[derive(Debug)]
pub struct Judging<'a> {
    pub state: &'a State,
    pub scope: Scope<'a>,
    /// The rows to judge, without their habits; empty when only scheduled rules run.
    pub new_events: Vec<RecordBatch>,
    /// What happened around them, themselves among it; when empty, they alone.
    pub recent_events: Vec<RecordBatch>,
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

/// The session of the rules and the tables in it that change.
pub struct Tables {
    session: SessionContext,
    slots: BTreeMap<&'static str, Arc<Slot>>,
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

impl Tables {
    /// A session whose tables are empty.
    pub fn new(networks_of: &[NetworkPolicy], readers: &ReaderClasses) -> Result<Self, DataFusionError> {
        // One partition: batches are small, and the other cores have other work.
        let mut config = SessionConfig::new().with_target_partitions(1);
        let options = config.options_mut();
        options.execution.time_zone = Some("UTC".to_owned());
        options.sql_parser.collect_spans = true;
        // Plans are run over little: one pass over the plan pays, three do not.
        options.optimizer.max_passes = 1;
        // Plans are kept and run again; what one run learns must not steer the next.
        options.optimizer.enable_dynamic_filter_pushdown = false;
        let session = SessionContext::new_with_config(config);
        functions::register(&session, readers.to_functions());
        let networks = networks(networks_of)?;
        session.register_table("policy_networks", Arc::new(fixed(networks)?))?;
        let classes = readers.patterns().map(|(pattern, class)| ClassRow { pattern, class }).collect::<Vec<_>>();
        let classes = table(&[text("pattern"), text("class")], &classes)?;
        session.register_table("reader_classes", Arc::new(fixed(classes)?))?;
        let nothing = Touched::default();
        let state = State::default().tables(Scope::Touched(&nothing), readers)?;
        let mut schemas: Vec<(&'static str, SchemaRef)> =
            state.into_named().map(|(name, batch)| (name, batch.schema())).collect();
        schemas.push(("new_events", new_events_schema()));
        schemas.push(("recent_events", schema()));
        schemas.push(("coverage", coverage(&[])?.schema()));
        let mut slots = BTreeMap::new();
        for (name, schema) in schemas {
            let slot = Arc::new(Slot::new(nullable(&schema)));
            session.register_table(name, slot.clone())?;
            slots.insert(name, slot);
        }
        Ok(Self { session, slots })
    }

    pub(crate) fn session(&self) -> &SessionContext {
        &self.session
    }

    /// The tables that SQL may mean: those whose names stand in it.
    pub(crate) fn named_in<'a>(sql: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'static str> {
        let mut named = BTreeSet::new();
        for text in sql {
            let all = TABLE_NAMES.into_iter().chain(["new_events", "recent_events", "coverage"]);
            named.extend(all.filter(|name| text.contains(name)));
        }
        named
    }

    /// Puts the judging's rows in place, as far as the rules name the tables.
    pub(crate) fn fill(&self, judging: &Judging<'_>, named: &BTreeSet<&'static str>) -> Result<(), ArrowError> {
        if TABLE_NAMES.iter().any(|name| named.contains(name)) {
            for (name, batch) in judging.state.tables(judging.scope, judging.readers)?.into_named() {
                self.put(name, vec![batch])?;
            }
        }
        let rows = |batches: &[RecordBatch]| -> Result<Vec<RecordBatch>, ArrowError> {
            batches.iter().map(|batch| conform(batch, &schema())).collect()
        };
        if named.contains("new_events") {
            let mut habits = Habits::new(judging.state, judging.readers);
            let judged = rows(&judging.new_events)?;
            self.put("new_events", judged.iter().map(|batch| habits.append(batch)).collect::<Result<_, _>>()?)?;
        }
        if named.contains("recent_events") {
            let recent = if judging.recent_events.is_empty() { &judging.new_events } else { &judging.recent_events };
            self.put("recent_events", rows(recent)?.iter().map(without_raw).collect::<Result<_, _>>()?)?;
        }
        self.put("coverage", judging.coverage.clone())
    }

    /// Drops the judging's rows.
    pub(crate) fn clear(&self) {
        for slot in self.slots.values() {
            slot.put(Vec::new());
        }
    }

    fn put(&self, name: &str, rows: Vec<RecordBatch>) -> Result<(), ArrowError> {
        let Some(slot) = self.slots.get(name) else { return Ok(()) };
        slot.put(rows.iter().map(|batch| conform(batch, slot.schema())).collect::<Result<_, _>>()?);
        Ok(())
    }
}

/// A session with the judging's tables, for one asking.
pub fn session(judging: &Judging<'_>) -> Result<SessionContext, DataFusionError> {
    let tables = Tables::new(judging.networks, judging.readers)?;
    tables.fill(judging, &tables.slots.keys().copied().collect())?;
    Ok(tables.session)
}

/// The columns of `new_events`: those of `access_events`, and the habits behind them.
pub(crate) fn new_events_schema() -> SchemaRef {
    let events = schema();
    let own = events.fields().iter().map(|field| field.as_ref().clone());
    Arc::new(Schema::new(own.chain(habits::fields()).collect::<Vec<_>>()))
}

/// Rows as `recent_events` shows them: without the record's JSON.
pub(crate) fn without_raw(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let batch = conform(batch, &schema())?;
    let nothing = new_null_array(&DataType::Utf8, batch.num_rows());
    replaced(&batch, "raw", nothing)
}

/// Hours as rows of `coverage`.
pub fn coverage(hours: &[CoverageHour]) -> Result<RecordBatch, ArrowError> {
    table(&[text("account_id"), text("region"), moment("hour_at"), text("state"), number("object_count")], hours)
}

fn fixed(batch: RecordBatch) -> Result<MemTable, DataFusionError> {
    MemTable::try_new(batch.schema(), vec![vec![batch]])
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

/// The lake checks what must not be null; here a null is only a null.
pub(crate) fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// A time budget as people say it.
pub(crate) fn budget_text(budget: Duration) -> String {
    keytrail_model::display::duration(i64::try_from(budget.as_micros()).unwrap_or(i64::MAX))
}
