//! Puts a session together.
//!
//! In: table providers under their stored names and the settings. Out: the session, or which view or table stood in the
//! way. A provider registers the object store that it reads from when it is scanned (Delta's does).

use std::sync::Arc;

use deltalake::{
    arrow::datatypes::SchemaRef,
    datafusion::{
        catalog::{MemTable, TableProvider},
        error::DataFusionError,
        execution::{
            SessionStateBuilder,
            disk_manager::{DiskManagerBuilder, DiskManagerMode},
            memory_pool::{FairSpillPool, TrackConsumersPool},
            runtime_env::RuntimeEnvBuilder,
        },
        prelude::{SessionConfig, SessionContext},
    },
};
use thiserror::Error;

use super::{
    configured::{self, PolicyNetwork, ReaderClass},
    joins::StoppableJoins,
    limits::Limits,
    newest, series, views,
};
use crate::functions::{self, ReaderClasses};

/// The catalog and the schema that clients see.
const CATALOG: &str = "keytrail";
const SCHEMA: &str = "public";

/// The table of identities, and the views below which it lies.
const IDENTITIES: &str = "secret_identities_stored";
const UNRESOLVED: &str = "unresolved_events";

/// Known identities of the names that unresolved rows mention: each full ARN that answered a call. A refused call proves
/// nothing about a name, whatever ARN it guessed.
const IDENTITIES_OF_NAMES: &str = "SELECT secret_id, secret_account, secret_region, secret_name, min(event_at) AS first_seen_at \
    FROM access_events_stored \
    WHERE secret_kind = 'secretsmanager' AND secret_resolution = 'arn' AND outcome = 'ok' \
        AND secret_name IN (SELECT typed_name FROM unresolved_events) \
    GROUP BY secret_id, secret_account, secret_region, secret_name";

/// What a sort sets aside for merging what it spilled.
const SORT_RESERVATION_BYTES: usize = 1 << 20;

/// What a session is made with.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    pub limits: Limits,
    /// The globs of `[readers]`, in order.
    pub reader_classes: Vec<ReaderClass>,
    /// The `[[policy.network]]` entries.
    pub policy_networks: Vec<PolicyNetwork>,
    /// Analysts' sessions join by sorting, which spills to disk; trusted SQL whose joins are known to fit may hash.
    pub prefer_hash_join: bool,
    /// How many cores one query may use; `None` is all of them.
    pub partitions: Option<usize>,
}

/// Why there is no session.
#[derive(Debug, Error)]
#[error("{place}: {kind}")]
pub struct SessionError {
    /// The table, view or part.
    pub place: String,
    #[source]
    pub kind: SessionErrorKind,
}

/// What stood in the way.
#[derive(Debug, Error)]
pub enum SessionErrorKind {
    #[error("the memory pool or the temporary folder cannot be set up: {0}")]
    Runtime(#[source] DataFusionError),
    #[error("the table cannot be registered: {0}")]
    Table(#[source] DataFusionError),
    #[error("the view cannot be planned: {0}")]
    View(#[source] DataFusionError),
}

trait At<T> {
    fn at(self, place: &str, kind: fn(DataFusionError) -> SessionErrorKind) -> Result<T, SessionError>;
}

impl<T> At<T> for Result<T, DataFusionError> {
    fn at(self, place: &str, kind: fn(DataFusionError) -> SessionErrorKind) -> Result<T, SessionError> {
        self.map_err(|error| SessionError { place: place.to_owned(), kind: kind(error) })
    }
}

/// Builds a session over the stored tables (see [`TableName::stored`](crate::schema::TableName::stored)).
///
/// A provider named `secret_identities_stored` (secret_id, secret_account, secret_region, secret_name, first_seen_at)
/// is used to repair names that were unresolved when written. Without it the stored rows are asked here and now, if any row
/// is unresolved; and so are the objects that were read again. So this may read, and belongs where queries run.
///
/// # Errors
/// A stored table is missing, or temporary files cannot be made.
pub async fn build<N: AsRef<str>>(
    tables: impl IntoIterator<Item = (N, Arc<dyn TableProvider>)>,
    settings: &SessionSettings,
) -> Result<SessionContext, SessionError> {
    let session = empty(settings)?;
    let classes = settings.reader_classes.iter().map(|class| (class.pattern.clone(), class.class.clone()));
    functions::register(&session, ReaderClasses::new(classes));
    series::guard(&session, settings.limits.series_items).at("functions", SessionErrorKind::Table)?;

    for (name, provider) in tables {
        session.register_table(name.as_ref(), provider).at(name.as_ref(), SessionErrorKind::Table)?;
    }
    let classes = configured::reader_classes(&settings.reader_classes).at("reader_classes", SessionErrorKind::Table)?;
    session.register_table("reader_classes", Arc::new(classes)).at("reader_classes", SessionErrorKind::Table)?;
    let networks =
        configured::policy_networks(&settings.policy_networks).at("policy_networks", SessionErrorKind::Table)?;
    session.register_table("policy_networks", Arc::new(networks)).at("policy_networks", SessionErrorKind::Table)?;

    newest::register(&session).await.at("objects", SessionErrorKind::View)?;
    for view in views::VIEWS {
        views::register(&session, view).await.at(view.name, SessionErrorKind::View)?;
        if view.name == UNRESOLVED && !session.table_exist(IDENTITIES).at(IDENTITIES, SessionErrorKind::Table)? {
            let identities = identities(&session).await.at(IDENTITIES, SessionErrorKind::View)?;
            session.register_table(IDENTITIES, Arc::new(identities)).at(IDENTITIES, SessionErrorKind::Table)?;
        }
    }
    Ok(session)
}

/// Looks up the names of unresolved rows, once, so that the views need not read the whole lake's identities each time they
/// name `access_events`. Where nothing is unresolved nothing is read but what finds that out.
async fn identities(session: &SessionContext) -> Result<MemTable, DataFusionError> {
    let rows = session.sql(IDENTITIES_OF_NAMES).await?;
    let schema = SchemaRef::clone(rows.schema().inner());
    let unresolved = session.table(UNRESOLVED).await?.limit(0, Some(1))?.count().await?;
    let batches = if unresolved == 0 { Vec::new() } else { rows.collect().await? };
    MemTable::try_new(schema, vec![batches])
}

/// A session without tables, with its own memory pool and temporary folder.
fn empty(settings: &SessionSettings) -> Result<SessionContext, SessionError> {
    let limits = &settings.limits;
    let top = std::num::NonZeroUsize::MIN.saturating_add(2);
    let pool = TrackConsumersPool::new(FairSpillPool::new(limits.memory_bytes), top);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::OsTmpDirectory)
        .with_max_temp_directory_size(limits.temp_disk_bytes);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .build_arc()
        .at("session", SessionErrorKind::Runtime)?;
    let mut config =
        SessionConfig::new().with_default_catalog_and_schema(CATALOG, SCHEMA).with_information_schema(true);
    if let Some(partitions) = settings.partitions {
        config = config.with_target_partitions(partitions);
    }
    let options = config.options_mut();
    options.execution.time_zone = Some("UTC".to_owned());
    options.optimizer.prefer_hash_join = settings.prefer_hash_join;
    // Every sort sets this aside before its first row. A view over views has dozens of sorts: at the engine's own 10 MB
    // they would use up the pool between them.
    options.execution.sort_spill_reservation_bytes = SORT_RESERVATION_BYTES.min(limits.memory_bytes / 256);
    options.sql_parser.collect_spans = true;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(StoppableJoins { join_pairs: limits.join_pairs }))
        .build();
    Ok(SessionContext::new_with_state(state))
}
