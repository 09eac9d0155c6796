//! What one commit will do on one snapshot: the rows to write and the files to rewrite.
//!
//! A stored row that changes or goes is taken out of its file by copying the file without it (readers of Delta without
//! deletion vectors are many); changed rows are written with the batch's own rows, so that they carry its `batch_id`.
//! A file is streamed while it is copied, never held whole.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use deltalake::{
    DeltaTable, ObjectStore,
    arrow::{
        array::{BooleanArray, RecordBatch},
        compute::filter_record_batch,
    },
    kernel::{Add, Remove},
};
use futures::{FutureExt, StreamExt};
use keytrail_model::{AccessEvent, Micros};
use tokio::runtime::Handle;

use crate::{
    encode::{StoredEvent, Texts, decode_stored_events},
    error::{At, LakeError, LakeErrorKind},
    files::FileFact,
    lake::{Lake, in_parallel},
    read,
    schema::TableName,
    settle::{Change, Facts, Fate, Origin, RowKey, settle},
    write::{EncodedFile, FileWriter, Purpose},
};

const NAME: TableName = TableName::AccessEvents;
/// A copy of a file with at least so many rows is worth compressing well.
const LARGE_ROWS: u64 = 50_000;

/// What a commit will do.
pub(super) struct Plan<'a> {
    /// Rows to write, new and changed, with the moment each was first committed.
    pub(super) rows: Vec<(Cow<'a, AccessEvent>, Micros)>,
    /// Files that leave the table.
    pub(super) removes: Vec<Remove>,
    /// What is left of them, already stored.
    pub(super) kept_files: Vec<Add>,
    pub(super) rows_written: u64,
    pub(super) rows_changed: u64,
    pub(super) duplicate_events: u64,
}

/// The rows of one file that do not stay as they are.
struct Rewrite {
    file: Arc<FileFact>,
    rows: HashMap<RowKey, Option<Change>>,
}

impl Lake {
    /// Plans a commit of these rows on this snapshot.
    pub(super) async fn plan<'a>(
        &self,
        snapshot: &DeltaTable,
        rows: &'a [AccessEvent],
        now: Micros,
    ) -> Result<Plan<'a>, LakeError> {
        let incoming = incoming_facts(rows);
        let neighbours = if rows.is_empty() { Vec::new() } else { self.neighbours(snapshot, &incoming).await? };
        let (mut facts, files): (Vec<Facts>, Vec<_>) =
            neighbours.into_iter().map(|neighbour| (neighbour.facts, neighbour.file)).unzip();
        facts.extend(incoming);
        let fates = settle(&facts);
        let (stored, fresh) = fates.split_at(files.len());

        let mut plan = Plan {
            rows: Vec::with_capacity(rows.len()),
            removes: Vec::new(),
            kept_files: Vec::new(),
            rows_written: 0,
            rows_changed: 0,
            duplicate_events: 0,
        };
        let mut taken = HashSet::new();
        let mut all = HashSet::new();
        for ((row, fate), facts) in rows.iter().zip(fresh).zip(facts.iter().skip(files.len())) {
            all.insert(facts.origin);
            let row = match fate {
                Fate::Goes => continue,
                Fate::Stays => Cow::Borrowed(row),
                Fate::Changes(change) => {
                    let mut row = row.clone();
                    change.apply(&mut row);
                    Cow::Owned(row)
                }
            };
            taken.insert(facts.origin);
            plan.rows.push((row, now));
        }
        plan.rows_written = plan.rows.len() as u64;
        plan.duplicate_events = (all.len() - taken.len()) as u64;

        let mut rewrites: BTreeMap<&str, Rewrite> = BTreeMap::new();
        for ((fate, facts), file) in stored.iter().zip(&facts).zip(&files) {
            let change = match fate {
                Fate::Stays => continue,
                Fate::Goes => None,
                Fate::Changes(change) => Some(change.clone()),
            };
            let rewrite =
                rewrites.entry(&file.path).or_insert_with(|| Rewrite { file: file.clone(), rows: HashMap::new() });
            rewrite.rows.insert(facts.row_key(), change);
        }
        let store = snapshot.log_store().object_store(None);
        let jobs = rewrites.into_values().map(|rewrite| {
            plan.rows_changed += rewrite.rows.len() as u64;
            plan.removes.push(rewrite.file.remove(NAME.spec(), true));
            let store = store.clone();
            let job = async move {
                let (kept, changed) = copy(store.clone(), rewrite).await?;
                let kept = match kept {
                    Some(kept) => Some(kept.store(store.as_ref()).await?),
                    None => None,
                };
                Ok((kept, changed))
            };
            job.boxed()
        });
        for (kept, changed) in in_parallel(NAME, jobs.collect()).await? {
            plan.kept_files.extend(kept);
            plan.rows.extend(changed.into_iter().map(|row| (Cow::Owned(row.event), row.ingested_at)));
        }
        Ok(plan)
    }
}

/// The facts of a batch's rows; rows of one record share their origin.
fn incoming_facts(rows: &[AccessEvent]) -> Vec<Facts> {
    let mut records: HashMap<(&str, i64, &str), usize> = HashMap::with_capacity(rows.len());
    rows.iter()
        .map(|row| {
            let next = records.len();
            let record = *records.entry((&row.object_key, row.record_index, &row.event_id)).or_insert(next);
            Facts::of(row, Origin::Incoming(record))
        })
        .collect()
}

/// Copies a file without the rows that leave it. Gives the copy, if anything is left, and the rows that changed.
async fn copy(
    store: Arc<dyn ObjectStore>,
    rewrite: Rewrite,
) -> Result<(Option<EncodedFile>, Vec<StoredEvent>), LakeError> {
    let runtime = Handle::current();
    let place = rewrite.file.path.clone();
    // Decoding and encoding are work for a core, so they leave the runtime's own threads alone.
    tokio::task::spawn_blocking(move || runtime.block_on(copy_rows(store, rewrite))).await.at(place)?
}

async fn copy_rows(
    store: Arc<dyn ObjectStore>,
    mut rewrite: Rewrite,
) -> Result<(Option<EncodedFile>, Vec<StoredEvent>), LakeError> {
    let file = rewrite.file.clone();
    let purpose = match file.rows {
        // What is left of an ordered file is in order.
        _ if file.is_settled() => Purpose::Settled,
        Some(rows) if rows < LARGE_ROWS => Purpose::Fresh,
        _ => Purpose::Compacted,
    };
    let mut stream = read::open(store, &file, None, None).await?;
    let mut writer = FileWriter::new(NAME.spec(), file.partition.clone(), stream.schema(), purpose)?;
    let mut changed = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.at(&file.path)?;
        let (stays, leaving) = part(&batch, &rewrite.rows)?;
        writer.write(&filter_record_batch(&batch, &stays).at(&file.path)?)?;
        for mut row in leaving {
            let key = (row.event.account_id.clone(), row.event.event_id.clone(), row.event.secret_id.clone());
            if let Some(Some(change)) = rewrite.rows.remove(&key) {
                change.apply(&mut row.event);
                changed.push(row);
            }
        }
    }
    if rewrite.rows.values().any(Option::is_some) {
        let kind = LakeErrorKind::Damaged("a row that was just read is no longer in the file".to_owned());
        return Err(LakeError::new(&file.path, kind));
    }
    let kept = if writer.rows() == 0 { None } else { Some(writer.finish(true)?) };
    Ok((kept, changed))
}

/// Parts a batch into a mask of the rows that stay and the rows that leave.
fn part(
    batch: &RecordBatch,
    leaving: &HashMap<RowKey, Option<Change>>,
) -> Result<(BooleanArray, Vec<StoredEvent>), LakeError> {
    let (accounts, events) = (Texts::of(batch, "account_id")?, Texts::of(batch, "event_id")?);
    let secrets = Texts::of(batch, "secret_id")?;
    let ids: HashSet<&str> = leaving.keys().map(|(_, event_id, _)| event_id.as_str()).collect();
    let mut stays = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let event_id = events.always(row)?;
        let leaves = ids.contains(event_id) && {
            let key = (accounts.always(row)?.to_owned(), event_id.to_owned(), secrets.maybe(row).map(str::to_owned));
            leaving.contains_key(&key)
        };
        stays.push(!leaves);
    }
    let leaves: BooleanArray = stays.iter().map(|stays| Some(!stays)).collect();
    let rows = if leaves.true_count() == 0 {
        Vec::new()
    } else {
        decode_stored_events(&filter_record_batch(batch, &leaves).at(NAME)?)?
    };
    debug_assert_eq!(leaves.len(), batch.num_rows());
    Ok((BooleanArray::from(stays), rows))
}
