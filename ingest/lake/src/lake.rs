//! The handle to one lake: cheap to clone, safe to share between tasks; several processes may hold one on the same place.
//!
//! In: the lake's location and settings. Out: the tables, opened and brought up to date (a commit whose projection was
//! cut short by a crash is projected here). What each operation does is in the file that bears its name.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use deltalake::{
    DeltaTable, Path,
    datafusion::{catalog::TableProvider, error::DataFusionError},
    kernel::Add,
};
use futures::{StreamExt, future::BoxFuture, stream};
use tokio::{sync::Mutex, task::JoinSet};
use uuid::Uuid;

use crate::{
    error::{At, LakeError, shown},
    files::FileFacts,
    identities::Identities,
    ledger::Ledger,
    location::Location,
    project::LookedAt,
    s3::S3Options,
    schema::TableName,
    table::{Table, Tables, version_of},
};

/// The longest first pause after a lost commit.
const FIRST_PAUSE: Duration = Duration::from_millis(8);

/// How a lake behaves. Every limit has a safe default.
#[derive(Clone, Debug)]
pub struct LakeSettings {
    /// How often a commit is tried when other workers are faster.
    pub commit_attempts: u32,
    /// How many objects' digests are kept in memory; days beyond that are read again when asked for.
    pub ledger_memory_objects: usize,
    /// How many secrets' names are kept to resolve names at write.
    pub identity_memory_secrets: usize,
    /// Compaction rewrites a day that has at least so many files.
    pub compact_min_files: usize,
    /// Compaction closes a file at this many bytes.
    pub compact_file_bytes: usize,
    /// Memory that compaction may use for sorting before it spills to disk.
    pub compact_memory_bytes: usize,
    /// A day this long past is settled: compaction orders its rows by secret instead of by time.
    pub settled_after_days: u32,
    /// How a lake in a bucket is reached.
    pub s3: S3Options,
}

impl Default for LakeSettings {
    fn default() -> Self {
        Self {
            commit_attempts: 100,
            ledger_memory_objects: 2_000_000,
            identity_memory_secrets: 500_000,
            compact_min_files: 4,
            compact_file_bytes: 128 * 1024 * 1024,
            compact_memory_bytes: 256 * 1024 * 1024,
            settled_after_days: 2,
            s3: S3Options::default(),
        }
    }
}

/// A lake.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) location: Location,
    pub(crate) settings: LakeSettings,
    pub(crate) tables: Tables,
    /// Held by the one commit that this handle has under way; others of the process wait instead of racing it.
    pub(crate) writing: Mutex<()>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) identities: Mutex<Option<Identities>>,
    /// What is known of each table's files.
    files: [FileFacts; TableName::ALL.len()],
    /// How far the projections have looked at the log without finding anything to write.
    pub(crate) looked_at: LookedAt,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("location", &self.inner.location).finish_non_exhaustive()
    }
}

impl Lake {
    /// Opens the lake at a location (or in a folder), making what is missing.
    ///
    /// # Errors
    /// A table of a newer format or of another program, and whatever the store refuses.
    pub async fn open(location: impl Into<Location>, settings: LakeSettings) -> Result<Self, LakeError> {
        let location = match location.into() {
            Location::Folder(path) => {
                std::fs::create_dir_all(&path).at(shown(&path))?;
                Location::Folder(path.canonicalize().at(shown(&path))?)
            }
            bucket @ Location::S3 { .. } => bucket,
        };
        let tables = Tables::open(&location, &settings.s3).await?;
        let inner = Inner {
            location,
            ledger: Mutex::new(Ledger::new(settings.ledger_memory_objects)),
            settings,
            tables,
            writing: Mutex::new(()),
            identities: Mutex::new(None),
            files: Default::default(),
            looked_at: LookedAt::default(),
        };
        let lake = Self { inner: Arc::new(inner) };
        lake.project().await?;
        Ok(lake)
    }

    /// Whether there is a lake at a location; nothing is made.
    ///
    /// # Errors
    /// The store does not answer, or does not let us look.
    pub async fn exists(location: &Location, settings: &LakeSettings) -> Result<bool, LakeError> {
        let folder = TableName::AccessEvents.folder();
        match location {
            Location::Folder(path) => Ok(path.join(folder).is_dir()),
            Location::S3 { .. } => Table::exists(location, &settings.s3, TableName::AccessEvents).await,
        }
    }

    /// Where the lake lies.
    pub fn location(&self) -> &Location {
        &self.inner.location
    }

    /// Where the lake lies: another word for [`Lake::location`].
    pub fn root(&self) -> &Location {
        self.location()
    }

    /// The newest version of `access_events`: what `changes` and `judged` count in.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn version(&self) -> Result<u64, LakeError> {
        let table = self.inner.tables.get(TableName::AccessEvents).latest().await?;
        Ok(version_of(&table))
    }

    /// The stored tables for a session, each at its newest snapshot, under their raw names ([`TableName::stored`]).
    ///
    /// # Errors
    /// A log cannot be read, or a table has become newer than this program.
    pub async fn providers(&self) -> Result<Vec<(&'static str, Arc<dyn TableProvider>)>, LakeError> {
        let mut providers = Vec::with_capacity(TableName::ALL.len());
        for name in TableName::ALL {
            let table = self.inner.tables.get(name).latest().await?;
            let scan =
                table.table_provider().build().await.map_err(|error: DataFusionError| LakeError::new(name, error))?;
            providers.push((name.stored(), Arc::new(scan) as Arc<dyn TableProvider>));
        }
        Ok(providers)
    }

    /// What is known of a table's files.
    pub(crate) fn files(&self, name: TableName) -> &FileFacts {
        let [access_events, events, objects, quarantine, alert_log, suppression_log, delivery_log] = &self.inner.files;
        match name {
            TableName::AccessEvents => access_events,
            TableName::Events => events,
            TableName::Objects => objects,
            TableName::Quarantine => quarantine,
            TableName::AlertLog => alert_log,
            TableName::SuppressionLog => suppression_log,
            TableName::DeliveryLog => delivery_log,
        }
    }

    /// Waits a little before a commit is tried again: longer each time, and never the same as another worker.
    pub(crate) async fn pause(&self, attempt: u32) {
        let longest = FIRST_PAUSE.saturating_mul(1 << attempt.min(6));
        let (share, _) = Uuid::new_v4().as_u64_pair();
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
        tokio::time::sleep(Duration::from_millis(share % millis)).await;
    }

    /// Deletes the files of a commit that certainly did not land. What stays behind is `vacuum`'s to find.
    pub(crate) async fn discard(&self, snapshot: &DeltaTable, adds: &[Add]) {
        let paths: Vec<_> = adds.iter().map(|add| Ok(Path::from(add.path.as_str()))).collect();
        let store = snapshot.log_store().object_store(None);
        let mut deleted = store.delete_stream(stream::iter(paths).boxed());
        while let Some(deleted) = deleted.next().await {
            if let Err(error) = deleted {
                tracing::debug!(%error, "a file of a lost commit stays until vacuum");
            }
        }
    }
}

/// Runs jobs on every core and gives their results in the jobs' order; the first error ends them all, and so does
/// dropping the future.
pub(crate) async fn in_parallel<T: Send + 'static>(
    place: TableName,
    jobs: Vec<BoxFuture<'static, Result<T, LakeError>>>,
) -> Result<Vec<T>, LakeError> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut results = BTreeMap::new();
    let mut waiting = jobs.into_iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < cores
            && let Some((number, job)) = waiting.next()
        {
            running.spawn(async move { job.await.map(|result| (number, result)) });
        }
        match running.join_next().await {
            None => return Ok(results.into_values().collect()),
            Some(result) => {
                let (number, result) = result.at(place)??;
                results.insert(number, result);
            }
        }
    }
}
