//! One Delta table of the lake: made or opened, refreshed, committed to.
//!
//! A commit here lands at exactly the version after the snapshot it was planned on, or not at all ([`Landed::Lost`]):
//! the caller then refreshes, checks its plan against what came in between and tries again. Nothing is ever rebased
//! silently, so what was checked on the snapshot (the ledger, the duplicates, the files to rewrite) still holds when
//! the commit lands, whoever else writes to the table. (deltalake's own conflict check lets a commit pass beside a
//! compaction that rewrote the same files, which would double rows.)
//!
//! Bad input: a table that Keytrail did not make or of a newer format is refused before anything is written.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use deltalake::{
    DeltaTable, DeltaTableBuilder, DeltaTableError,
    checkpoints::create_checkpoint,
    kernel::{
        Action, MetadataExt, StructType, Transaction, new_metadata,
        transaction::{CommitData, TransactionError},
    },
    logstore::CommitOrBytes,
    protocol::{DeltaOperation, SaveMode},
    table::config::TablePropertiesExt,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    error::{At, LakeError, LakeErrorKind, shown},
    location::Location,
    s3::S3Options,
    schema::{FORMAT, FORMAT_PROPERTY, FormatVersion, STATISTICS_PROPERTY, TableName, TableSpec},
};

/// How often making a table is tried when others make it at the same moment.
const OPEN_ATTEMPTS: u32 = 5;

/// One table and the newest snapshot of it that this process has seen.
pub(crate) struct Table {
    pub(crate) name: TableName,
    newest: Mutex<DeltaTable>,
}

/// What a commit holds besides its data files.
pub(crate) struct Draft {
    pub(crate) actions: Vec<Action>,
    /// What rides in `commitInfo`.
    pub(crate) metadata: HashMap<String, Value>,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) operation: DeltaOperation,
}

/// How a commit ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Landed {
    /// It is this version of the table.
    At(u64),
    /// Another commit took the version.
    Lost,
    /// The store's answer got lost; the next look at the log will tell.
    Unknown,
}

impl Table {
    /// Opens the table at the lake's location; makes it first where there is none.
    pub(crate) async fn open(location: &Location, s3: &S3Options, name: TableName) -> Result<Self, LakeError> {
        let spec = name.spec();
        if let Some(root) = location.folder() {
            let folder = root.join(name.folder());
            std::fs::create_dir_all(&folder).at(shown(&folder))?;
        }
        let mut last = None;
        for _ in 0..OPEN_ATTEMPTS {
            let mut table = handle(location, s3, name)?;
            match table.load().await {
                Ok(()) => {
                    check_format(&table, spec)?;
                    match grow(table, spec).await {
                        Ok(table) => return Ok(Self { name, newest: Mutex::new(table) }),
                        // Another process may add the same columns; then the next round finds them.
                        Err(error) => last = Some(error),
                    }
                    continue;
                }
                Err(DeltaTableError::NotATable(_) | DeltaTableError::InvalidVersion(_)) => {}
                Err(error) if table.verify_deltatable_existence().await.at(name)? => {
                    return Err(LakeError::new(name, error));
                }
                Err(_) => {}
            }
            // Another process may make it at the same moment; then the next round opens it.
            last = create(&table, spec).await.err().or(last);
        }
        Err(last.unwrap_or_else(|| LakeError::new(name, LakeErrorKind::Contended { attempts: OPEN_ATTEMPTS })))
    }

    /// Whether there is such a table; nothing is made.
    pub(crate) async fn exists(location: &Location, s3: &S3Options, name: TableName) -> Result<bool, LakeError> {
        handle(location, s3, name)?.verify_deltatable_existence().await.at(name)
    }

    /// What the table holds and how it is laid out.
    pub(crate) fn spec(&self) -> &'static TableSpec {
        self.name.spec()
    }

    /// The newest snapshot, as the log has it now.
    pub(crate) async fn latest(&self) -> Result<DeltaTable, LakeError> {
        let mut newest = self.newest.lock().await;
        newest.update_state().await.at(self.name)?;
        check_format(&newest, self.spec())?;
        Ok(newest.clone())
    }

    /// The newest snapshot that this process has seen, without asking the log.
    pub(crate) async fn seen(&self) -> DeltaTable {
        self.newest.lock().await.clone()
    }

    /// Commits at exactly the version after the snapshot's.
    pub(crate) async fn land(&self, snapshot: &DeltaTable, draft: Draft) -> Result<Landed, LakeError> {
        let mut metadata = draft.metadata;
        // No two commits are the same bytes, so a commit that is there can be told to be this one.
        metadata.insert("keytrail.commitId".to_owned(), Value::from(Uuid::new_v4().simple().to_string()));
        let data = CommitData::new(draft.actions, draft.operation, metadata, draft.transactions);
        let bytes = data.get_bytes().map_err(DeltaTableError::from).at(self.name)?;
        self.put(snapshot, bytes).await
    }

    /// Puts a commit after the snapshot.
    async fn put(&self, snapshot: &DeltaTable, bytes: Bytes) -> Result<Landed, LakeError> {
        let version = version_of(snapshot) + 1;
        let log = snapshot.log_store();
        match log.write_commit_entry(version, CommitOrBytes::LogBytes(bytes.clone()), Uuid::new_v4()).await {
            Ok(()) => {}
            // The store tries again after an answer that was an error or got lost, and may meet what its first try put there.
            Err(TransactionError::VersionAlreadyExists(_)) => match log.read_commit_entry(version).await {
                Ok(Some(found)) if found == bytes => {}
                Ok(Some(_)) => return Ok(Landed::Lost),
                Ok(None) => return Ok(Landed::Unknown),
                Err(error) => {
                    tracing::warn!(table = %self.name, version, %error, "whose commit it is was not read");
                    return Ok(Landed::Unknown);
                }
            },
            Err(error) => {
                tracing::warn!(table = %self.name, version, %error, "commit not confirmed");
                return Ok(Landed::Unknown);
            }
        }
        self.checkpoint_if_due(version).await;
        Ok(Landed::At(version))
    }

    /// Writes a checkpoint every so often. Its failure costs time at the next opening, nothing else.
    async fn checkpoint_if_due(&self, version: u64) {
        let mut newest = self.newest.lock().await;
        let due = match newest.update_state().await {
            Ok(()) => newest.snapshot().map(|state| state.table_config().checkpoint_interval().get()),
            Err(error) => Err(error),
        };
        let written = match due {
            Ok(interval) if (version + 1).is_multiple_of(interval) => create_checkpoint(&newest, None).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(table = %self.name, version, %error, "checkpoint not written");
        }
    }
}

/// A table that is not loaded yet.
fn handle(location: &Location, s3: &S3Options, name: TableName) -> Result<DeltaTable, LakeError> {
    let builder = DeltaTableBuilder::from_url(location.url(name.folder())?).at(name)?;
    builder.with_storage_options(s3.storage_options(location)).build().at(name)
}

/// The version of a loaded snapshot.
pub(crate) fn version_of(snapshot: &DeltaTable) -> u64 {
    snapshot.version().unwrap_or_default()
}

/// The version that an application last wrote into a table, as of this snapshot.
pub(crate) async fn transaction_version(
    snapshot: &DeltaTable,
    app: &str,
    place: TableName,
) -> Result<Option<i64>, LakeError> {
    let log = snapshot.log_store();
    snapshot.snapshot().at(place)?.transaction_version(log.as_ref(), app).await.at(place)
}

/// A transaction that the table may forget once its retention has passed.
pub(crate) fn transaction(app: &str, version: i64) -> Transaction {
    Transaction::new_with_last_update(app, version, Some(keytrail_model::time::now() / 1_000))
}

fn format_of(table: &DeltaTable, place: TableName) -> Result<Option<FormatVersion>, LakeError> {
    let metadata = table.snapshot().at(place)?.metadata();
    match metadata.configuration().get(FORMAT_PROPERTY) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(FormatVersion(number))),
            Err(_) => Err(LakeError::new(place, LakeErrorKind::Damaged(format!("{FORMAT_PROPERTY} is `{text}`")))),
        },
    }
}

fn check_format(table: &DeltaTable, spec: &TableSpec) -> Result<(), LakeError> {
    match format_of(table, spec.name)? {
        None => {
            let kind = LakeErrorKind::Foreign(format!("it has no property {FORMAT_PROPERTY}"));
            Err(LakeError::new(table.table_url(), kind))
        }
        Some(found) if found > FORMAT => {
            Err(LakeError::new(spec.name, LakeErrorKind::NewerFormat { found: found.0, known: FORMAT.0 }))
        }
        Some(_) => Ok(()),
    }
}

/// Makes the table as its version 0, or not at all. (deltalake's own builder commits a second, other table over the
/// first when two processes race.)
async fn create(table: &DeltaTable, spec: &TableSpec) -> Result<(), LakeError> {
    let schema = StructType::try_new(spec.delta_fields()).map_err(DeltaTableError::from).at(spec.name)?;
    let properties = spec.properties().into_iter().filter_map(|(key, value)| Some((key, value?)));
    let metadata = new_metadata(&schema, spec.partition, properties)
        .and_then(|metadata| metadata.with_name(spec.name.folder().to_owned()))
        .and_then(|metadata| metadata.with_description(spec.doc.to_owned()))
        .map_err(DeltaTableError::from)
        .at(spec.name)?;
    // The oldest protocol that has table properties: every reader and writer knows it.
    let protocol: Action =
        serde_json::from_value(json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }))
            .map_err(|error| LakeErrorKind::Damaged(format!("protocol: {error}")))
            .at(spec.name)?;
    let Action::Protocol(stated) = &protocol else {
        return Err(LakeError::new(spec.name, LakeErrorKind::Damaged("protocol".to_owned())));
    };
    let operation = DeltaOperation::Create {
        mode: SaveMode::ErrorIfExists,
        location: table.table_url().clone(),
        protocol: stated.clone(),
        metadata: metadata.clone(),
    };
    let data = CommitData::new(vec![protocol, Action::Metadata(metadata)], operation, HashMap::new(), Vec::new());
    let bytes = data.get_bytes().map_err(DeltaTableError::from).at(spec.name)?;
    match table.log_store().write_commit_entry(0, CommitOrBytes::LogBytes(bytes), Uuid::new_v4()).await {
        Ok(()) | Err(TransactionError::VersionAlreadyExists(_)) => Ok(()),
        Err(error) => Err(DeltaTableError::from(error)).at(spec.name),
    }
}

/// Adds the columns that an older program did not know, then raises the format's version.
async fn grow(table: DeltaTable, spec: &TableSpec) -> Result<DeltaTable, LakeError> {
    let schema = table.snapshot().at(spec.name)?.schema();
    let missing: Vec<_> = spec
        .columns
        .iter()
        .filter(|column| schema.field(column.name).is_none())
        .map(|column| column.delta_field())
        .collect();
    let mut table = table;
    if !missing.is_empty() {
        tracing::info!(table = %spec.name, columns = missing.len(), "adding columns to an older table");
        table = table.add_columns().with_fields(missing).await.at(spec.name)?;
    }
    if format_of(&table, spec.name)?.is_some_and(|found| found < FORMAT) {
        // Other writers keep the statistics that the table asks for.
        let stated = [FORMAT_PROPERTY, STATISTICS_PROPERTY];
        let wanted = spec.properties().into_iter().filter(|(key, _)| stated.contains(&key.as_str()));
        let properties = wanted.filter_map(|(key, value)| Some((key, value?))).collect();
        table = table
            .set_tbl_properties()
            .with_properties(properties)
            .with_raise_if_not_exists(false)
            .await
            .at(spec.name)?;
    }
    Ok(table)
}

/// The tables of one lake.
pub(crate) struct Tables {
    tables: [Arc<Table>; 7],
}

impl Tables {
    /// Opens all tables.
    pub(crate) async fn open(location: &Location, s3: &S3Options) -> Result<Self, LakeError> {
        let [a, b, c, d, e, f, g] = TableName::ALL;
        let tables = tokio::try_join!(
            Table::open(location, s3, a),
            Table::open(location, s3, b),
            Table::open(location, s3, c),
            Table::open(location, s3, d),
            Table::open(location, s3, e),
            Table::open(location, s3, f),
            Table::open(location, s3, g),
        )?;
        let (a, b, c, d, e, f, g) = tables;
        Ok(Self { tables: [a, b, c, d, e, f, g].map(Arc::new) })
    }

    /// One of them.
    pub(crate) fn get(&self, name: TableName) -> &Arc<Table> {
        let [access_events, events, objects, quarantine, alert_log, suppression_log, delivery_log] = &self.tables;
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
}

#[cfg(test)]
mod tests;
