//! Quarantined objects, read once more.
//!
//! In: ids as the ledger has them. Out: new lines that take the place of the old ones (`Batch::again`), with the rows that
//! can be read now. An object in a bucket is read from there under its announced version; a local one from a root that the
//! user names, since the ledger keeps only the path below it. What came inside a message is nowhere to be read again.
//!
//! An object whose bytes have changed since gets a line of its own, and the old line says what took its place.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt, stream};
use keytrail_model::{ObjectId, ObjectOutcome};
use sha2::{Digest, Sha256};

use super::{
    Pending, Reading, Store,
    bucket::{ReadObject, Run, read},
    commit,
    group::hex,
    panicked, quarantined, worker_ended,
};
use crate::{
    decode::{Decoded, unread},
    error::BucketError,
    normalize::Scope,
    objects::{ObjectRef, ObjectStore},
    progress::{Progress, Summary, Trouble},
    settings::IngestSettings,
    source::{self, Found, Source},
};

/// Objects read at the same time.
const READS: usize = 8;
const S3: &str = "s3://";

/// What to read again.
#[derive(Clone, Debug)]
pub struct RetryRequest {
    pub objects: Vec<ObjectId>,
    /// Where files of earlier `ingest` runs are, for keys without a bucket.
    pub root: Option<PathBuf>,
    pub scope: Scope,
    pub stop: Arc<AtomicBool>,
}

impl RetryRequest {
    pub fn new(objects: Vec<ObjectId>) -> Self {
        Self { objects, root: None, scope: Scope::Secrets, stop: Arc::default() }
    }
}

/// What came of it. Asked for = mended + still bad + out of reach, unless it was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Read without a fault this time.
    pub mended: u64,
    /// Quarantined again, wholly or in part.
    pub still_bad: u64,
    /// Nothing was written about these: they cannot be read from here.
    pub out_of_reach: Vec<Trouble>,
    pub summary: Summary,
}

/// Where an object can be read.
enum Place {
    Bucket(ObjectRef),
    File(Found),
}

/// Reads objects again and replaces their ledger lines.
///
/// # Errors
/// The root is not there, the bucket refuses object after object, or the lake refuses. What was replaced before stays.
pub async fn retry<O: ObjectStore, S: Store>(
    objects: &O,
    store: &S,
    request: &RetryRequest,
    settings: &IngestSettings,
    progress: &dyn Progress,
) -> Result<Retried, BucketError> {
    let mut retried = Retried::default();
    let mut run = Run { store, settings, progress, summary: Summary::default(), pending: Pending::again(), refused: 0 };
    let mut places = Vec::new();
    let files = local(request).await?;
    for id in &request.objects {
        match place(id, &files, request.root.is_some()) {
            Ok(place) => places.push((id.clone(), place)),
            Err(reason) => retried.out_of_reach.push(Trouble {
                object_key: id.key.clone(),
                record_index: None,
                reason: reason.to_owned(),
            }),
        }
    }
    run.summary.counts.objects_found = places.len() as u64;
    progress.started(&run.summary.counts);
    let reading = Reading::new(settings, request.scope);
    let mut reads = std::pin::pin!(
        stream::iter(places)
            .map(|(id, place)| {
                let (objects, reading, max) = (objects.clone(), reading.clone(), settings.decode.max_object_bytes);
                tokio::spawn(async move {
                    let read = match place {
                        Place::Bucket(object) => read(objects, reading, object).await,
                        Place::File(found) => read_file(reading, found, max).await,
                    };
                    (id, read)
                })
            })
            .buffered(READS)
    );
    while let Some(answer) = reads.next().await {
        let (asked, read) = answer.map_err(worker_ended)?;
        let entry = &read.decoded.entry;
        let is_bad = matches!(entry.outcome, ObjectOutcome::Quarantined(_)) || !entry.quarantined.is_empty();
        *(if is_bad { &mut retried.still_bad } else { &mut retried.mended }) += 1;
        let superseded = superseded(&asked, &read);
        run.take(read).await?;
        if let Some(line) = superseded {
            // Not counted: it is the same object.
            run.pending.add(line);
        }
        progress.advanced(&run.summary.counts);
        if request.stop.load(Ordering::Relaxed) {
            run.summary.stopped = true;
            break;
        }
    }
    commit(&mut run.pending, store, &mut run.summary, progress).await?;
    retried.summary = run.summary;
    Ok(retried)
}

/// The files below the root by their ledger keys.
async fn local(request: &RetryRequest) -> Result<HashMap<String, Found>, BucketError> {
    let Some(root) = request.root.clone() else {
        return Ok(HashMap::new());
    };
    let found =
        tokio::task::spawn_blocking(move || source::find(&[Source::Path(root)])).await.map_err(worker_ended)??;
    Ok(found.into_iter().map(|found| (found.key.clone(), found)).collect())
}

fn place(id: &ObjectId, files: &HashMap<String, Found>, has_root: bool) -> Result<Place, &'static str> {
    if let Some((bucket, key)) = id.key.strip_prefix(S3).and_then(|place| place.split_once('/')) {
        let etag = Some(id.version.clone()).filter(|version| !version.is_empty());
        return Ok(Place::Bucket(ObjectRef {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            etag,
            ..ObjectRef::default()
        }));
    }
    if id.key.contains("://") {
        return Err("it came inside a message and is kept nowhere else");
    }
    if !has_root {
        return Err("it was read from a local folder: name that folder as the root");
    }
    files.get(&id.key).cloned().map(Place::File).ok_or("there is no such file below the root")
}

async fn read_file(reading: Reading, found: Found, max_bytes: usize) -> ReadObject {
    let (key, size) = (found.key.clone(), found.size_bytes);
    let bytes = tokio::task::spawn_blocking(move || source::read(&found, max_bytes)).await;
    let decoded = match bytes.unwrap_or_else(|_panicked| Err("it cannot be read".to_owned())) {
        Ok(bytes) => {
            let id = ObjectId { key, version: hex(&Sha256::digest(&bytes)) };
            let decoded_id = id.clone();
            let decode = reading.decode(bytes, None, move |decoding, bytes| decoding.decode(&decoded_id, bytes));
            decode.await.0.unwrap_or_else(|| Box::new(panicked(&id)))
        }
        Err(reason) => {
            let version = hex(&Sha256::digest(format!("unread:{size}:{reason}")));
            Box::new(quarantined(&ObjectId { key, version }, Some(size), reason))
        }
    };
    ReadObject { decoded, error: None }
}

/// The old line's successor, where the object was read under another version than the old line has. A line without a
/// version is superseded by any other of its key, without words.
fn superseded(asked: &ObjectId, read: &ReadObject) -> Option<Decoded> {
    let now = &read.decoded.entry;
    let is_read = !matches!(now.outcome, ObjectOutcome::Quarantined(_));
    (is_read && now.object != *asked && !asked.version.is_empty()).then(|| {
        let reason = format!("superseded: read again as version {}", now.object.version);
        unread(asked, 0, ObjectOutcome::Skipped(reason))
    })
}
