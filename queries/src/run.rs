//! Running one query under its limits.
//!
//! In: a session, a query by name or text, parameter texts, limits and (optionally) a runtime of its own. Out: [`Rows`], a
//! stream of batches that ends in an [`Outcome`].
//!
//! Planning and running happen in a task on the query runtime; batches come back through a channel of two, so that a slow
//! reader holds the query and not its rows. The deadline counts from the call of [`run`] to the last row and is kept by the
//! receiving side: a query that never yields cannot delay the answer. Dropping [`Rows`] ends the task.

use std::{
    collections::BTreeMap,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use keytrail_lake::{
    arrow::{
        array::AsArray,
        array::RecordBatch,
        datatypes::{SchemaRef, TimestampMicrosecondType},
    },
    datafusion::{
        common::ParamValues,
        error::DataFusionError,
        logical_expr::{LogicalPlan, LogicalPlanBuilder},
        prelude::SessionContext,
        scalar::ScalarValue,
    },
    session::{Limits, parse_read_only, plan_statement},
};
use keytrail_model::Micros;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::Sleep,
};

use crate::{
    error::{QueryError, QueryErrorKind},
    library::{Library, NamedQuery},
    params::{self, Kinds, ParamKind},
    place::{self, Names},
    suggest,
};

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuerySource {
    /// A query of the library.
    Named(String),
    /// SQL as typed.
    Text(String),
}

/// A runtime for queries alone, so that a heavy one cannot starve what serves pages, leases and connections.
#[derive(Debug)]
pub struct QueryRuntime {
    // Taken on drop: a runtime may not be dropped inside another one otherwise.
    runtime: Option<tokio::runtime::Runtime>,
}

impl QueryRuntime {
    /// Threads of its own; `None` is one for each core.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(threads: Option<usize>) -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if let Some(threads) = threads {
            builder.worker_threads(threads.max(1));
        }
        Ok(Self { runtime: Some(builder.enable_all().thread_name("keytrail-query").build()?) })
    }

    /// For [`RunOptions::runtime`].
    pub fn handle(&self) -> Option<Handle> {
        self.runtime.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for QueryRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How to run it.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Rows and time are kept here; memory, disk and sizes by the session that was built with the same limits.
    pub limits: Limits,
    /// Where the work is done; `None` is the caller's runtime.
    pub runtime: Option<Handle>,
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub rows: usize,
    /// There were more rows than the limit.
    pub truncated: bool,
    pub elapsed: Duration,
}

/// What a query would give, without running it.
#[derive(Clone, Debug)]
pub struct Checked {
    pub schema: SchemaRef,
    /// The names of its parameters with their kinds, sorted.
    pub params: Vec<(String, ParamKind)>,
}

/// The result: a stream of batches.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, QueryError>>,
    deadline: Pin<Box<Sleep>>,
    task: AbortOnDrop,
    limits: Limits,
    begun: Instant,
    rows: usize,
    truncated: bool,
    done: bool,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Rows {
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How it ended, or how far it has come.
    pub fn outcome(&self) -> Outcome {
        Outcome { rows: self.rows, truncated: self.truncated, elapsed: self.begun.elapsed() }
    }

    /// All batches at once; the row limit bounds them.
    ///
    /// # Errors
    /// The query failed or met a limit other than that of rows.
    pub async fn collect(mut self) -> Result<(Vec<RecordBatch>, Outcome), QueryError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        let outcome = self.outcome();
        Ok((batches, outcome))
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(context).is_ready() {
            self.done = true;
            self.task.0.abort();
            return Poll::Ready(Some(Err(QueryError::time(self.limits.time))));
        }
        match std::task::ready!(self.batches.poll_recv(context)) {
            None => {
                self.done = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.done = true;
                Poll::Ready(Some(Err(error)))
            }
            Some(Ok(batch)) => {
                let left = self.limits.rows - self.rows;
                let batch = if batch.num_rows() > left {
                    self.truncated = true;
                    self.done = true;
                    self.task.0.abort();
                    batch.slice(0, left)
                } else {
                    batch
                };
                self.rows += batch.num_rows();
                Poll::Ready(Some(Ok(batch)))
            }
        }
    }
}

/// Plans a query without running it: its columns and parameters, or the mistake in it.
///
/// # Errors
/// What [`run`] would say before the first row; missing parameters are not an error here.
pub async fn check(session: &SessionContext, library: &Library, source: &QuerySource) -> Result<Checked, QueryError> {
    let query = Query::new(library, source)?;
    let names = Names::of(session);
    let (plan, params) = query.plan(session, &names).await?;
    // Types are settled by the analyser, so that what cannot run is not called sound.
    let samples = params.iter().map(|(name, kind)| Ok((name.clone(), null_of(*kind)?))).collect::<Result<Vec<_>, _>>();
    let samples = samples.map_err(|error| place::of_engine(error, &query.sql, &names))?;
    let bound = bind(plan, samples).map_err(|error| place::of_engine(error, &query.sql, &names))?;
    let schema = SchemaRef::clone(bound.schema().inner());
    session.state().optimize(&bound).map_err(|error| place::of_engine(error, &query.sql, &names))?;
    Ok(Checked { schema, params: params.into_iter().collect() })
}

fn null_of(kind: ParamKind) -> Result<ScalarValue, DataFusionError> {
    ScalarValue::try_from(&kind.data_type())
}

/// Runs a query. Must be called inside a tokio runtime.
///
/// # Errors
/// The query cannot be found, parsed, planned or begun, a parameter does not fit, or planning alone takes too long.
pub async fn run(
    session: &SessionContext,
    library: &Library,
    source: &QuerySource,
    params: &BTreeMap<String, String>,
    options: &RunOptions,
) -> Result<Rows, QueryError> {
    let begun = Instant::now();
    let limits = options.limits;
    let query = Query::new(library, source)?;
    let mut deadline = Box::pin(tokio::time::sleep(limits.time));
    let (give, batches) = mpsc::channel(2);
    let (ready, started) = oneshot::channel();
    let work = work(session.clone(), query, params.clone(), limits, ready, give);
    let task = match &options.runtime {
        Some(runtime) => runtime.spawn(work),
        None => tokio::spawn(work),
    };
    let task = AbortOnDrop(task.abort_handle());
    let schema = tokio::select! {
        () = deadline.as_mut() => return Err(QueryError::time(limits.time)),
        started = started => started.map_err(|_| lost())??,
    };
    Ok(Rows { schema, batches, deadline, task, limits, begun, rows: 0, truncated: false, done: false })
}

fn lost() -> QueryError {
    QueryError::new(QueryErrorKind::Internal, "the query's task ended without an answer")
}

type Ready = oneshot::Sender<Result<SchemaRef, QueryError>>;
type Give = mpsc::Sender<Result<RecordBatch, QueryError>>;

/// The task: plans, says what the columns are, then sends batches until nobody wants them. A send that fails means that
/// the receiver is gone, which ends the work.
async fn work(
    session: SessionContext,
    query: Query,
    params: BTreeMap<String, String>,
    limits: Limits,
    ready: Ready,
    give: Give,
) {
    let names = Names::of(&session);
    let begun = async {
        let plan = query.bound(&session, &names, &params).await?;
        let plan = at_most(plan, limits.rows).map_err(|error| place::of_engine(error, &query.sql, &names))?;
        let rows = session.execute_logical_plan(plan).await;
        let stream = match rows {
            Ok(rows) => rows.execute_stream().await,
            Err(error) => Err(error),
        };
        stream.map_err(|error| place::of_engine(error, &query.sql, &names))
    };
    let mut stream = match begun.await {
        Ok(stream) => {
            if ready.send(Ok(stream.schema())).is_err() {
                return;
            }
            stream
        }
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| place::of_engine(error, &query.sql, &names));
        let failed = batch.is_err();
        if give.send(batch).await.is_err() || failed {
            return;
        }
    }
}

/// The engine counts rows in 64 bits with a sign.
const MOST_ROWS: usize = usize::MAX >> 2;

/// One row more than the limit is enough to know that there are more.
fn at_most(plan: LogicalPlan, rows: usize) -> Result<LogicalPlan, DataFusionError> {
    match plan {
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => Ok(plan),
        plan => LogicalPlanBuilder::from(plan).limit(0, Some(rows.min(MOST_ROWS).saturating_add(1)))?.build(),
    }
}

fn bind(plan: LogicalPlan, values: Vec<(String, ScalarValue)>) -> Result<LogicalPlan, DataFusionError> {
    if values.is_empty() {
        return Ok(plan);
    }
    plan.with_param_values(ParamValues::from(values))
}

/// A query's text and what it declares.
struct Query {
    sql: String,
    named: Option<NamedQuery>,
}

impl Query {
    fn new(library: &Library, source: &QuerySource) -> Result<Self, QueryError> {
        Ok(match source {
            QuerySource::Text(sql) => Self { sql: sql.clone(), named: None },
            QuerySource::Named(name) => {
                let named = library.get(name)?.clone();
                Self { sql: named.sql.clone(), named: Some(named) }
            }
        })
    }

    /// The plan with its parameters unbound but typed, and these with their kinds: declared ones as declared, others as the
    /// engine infers from where they stand.
    async fn plan(&self, session: &SessionContext, names: &Names) -> Result<(LogicalPlan, Kinds), QueryError> {
        let refuse = |error| place::of_plan(error, &self.sql, names);
        let mut statement = parse_read_only(&self.sql).map_err(refuse)?;
        let mut kinds: Kinds =
            self.named.iter().flat_map(|named| &named.params).map(|spec| (spec.name.clone(), spec.kind)).collect();
        if self.named.is_none() {
            let untyped = plan_statement(session, statement.clone()).await.map_err(refuse)?;
            kinds = params::infer(&untyped).map_err(|error| refuse(error.into()))?;
            if kinds.is_empty() {
                return Ok((untyped, kinds));
            }
        }
        params::declare(&mut statement, &kinds);
        Ok((plan_statement(session, statement).await.map_err(refuse)?, kinds))
    }

    async fn bound(
        &self,
        session: &SessionContext,
        names: &Names,
        given: &BTreeMap<String, String>,
    ) -> Result<LogicalPlan, QueryError> {
        let (plan, params) = self.plan(session, names).await?;
        for name in given.keys() {
            if !params.contains_key(name) {
                let known: Vec<&str> = params.keys().map(String::as_str).collect();
                let hint = suggest::did_you_mean(name, known.iter().copied());
                let all =
                    if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
                return Err(QueryError::new(QueryErrorKind::Parameter, format!("the query has no parameter `{name}`"))
                    .hint(Some(hint.unwrap_or(all))));
            }
        }
        let horizon = self.horizon(session, names, given).await?;
        let mut values = Vec::with_capacity(params.len());
        for (name, kind) in params {
            let declared = self.named.iter().flat_map(|named| &named.params).find(|spec| spec.name == name).cloned();
            let spec = declared.unwrap_or_else(|| params::ParamSpec {
                doc: kind.example().to_owned(),
                name: name.clone(),
                kind,
                default: None,
            });
            values.push((name.clone(), spec.value(given.get(&name).map(String::as_str), horizon)?));
        }
        bind(plan, values).map_err(|error| place::of_engine(error, &self.sql, names))
    }

    /// The lake's horizon, if a parameter asks for it; asked first, so that it is a constant that skips files.
    async fn horizon(
        &self,
        session: &SessionContext,
        names: &Names,
        given: &BTreeMap<String, String>,
    ) -> Result<Option<Micros>, QueryError> {
        let declared = self.named.iter().flat_map(|named| &named.params);
        let defaults =
            declared.filter(|spec| !given.contains_key(&spec.name)).filter_map(|spec| spec.default.as_deref());
        if !given.values().map(String::as_str).chain(defaults).any(|text| text.trim() == params::HORIZON) {
            return Ok(None);
        }
        let asked = async { session.table("horizon").await?.collect().await };
        let batches = asked.await.map_err(|error| place::of_engine(error, &self.sql, names))?;
        let column = batches.iter().find(|batch| batch.num_rows() > 0).map(|batch| batch.column(0));
        let moments = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        Ok(moments.and_then(|moments| moments.iter().next().flatten()))
    }
}
