//! Buckets in memory, for tests: the contract of the others, and faults on demand.
//!
//! In: what a test puts, deletes, denies or queues as faults. Out: what an [`ObjectStore`] gives. Every put makes a version; a
//! deletion hides the key and keeps the versions, as a bucket with versions does.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{ObjectBytes, ObjectError, ObjectErrorKind, ObjectRef, ObjectStore, PAGE_KEYS, Page, sha256_hex};

/// What happens instead of, or before, one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Error(ObjectErrorKind),
    /// The read takes this long, then works.
    Delay(Duration),
}

/// Buckets in memory. A clone is the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Versions, oldest first; none for a deletion.
    keys: BTreeMap<String, Vec<Option<Arc<[u8]>>>>,
    denied: HashMap<String, ObjectErrorKind>,
    faults: HashMap<String, VecDeque<Fault>>,
    reads: HashMap<String, u64>,
}

impl Bucket {
    fn newest(&self, key: &str) -> Option<&Arc<[u8]>> {
        self.keys.get(key)?.last()?.as_ref()
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the bucket too; the answer is what a notification or listing would tell.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) -> ObjectRef {
        let bytes: Arc<[u8]> = bytes.into().into();
        let mut state = self.lock();
        let versions = state.buckets.entry(bucket.to_owned()).or_default().keys.entry(key.to_owned()).or_default();
        let (etag, size) = (sha256_hex(&bytes), bytes.len() as u64);
        versions.push(Some(bytes));
        ObjectRef {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: Some(version_name(versions.len())),
            etag: Some(etag),
            size_bytes: Some(size),
            ..ObjectRef::default()
        }
    }

    pub fn delete(&self, bucket: &str, key: &str) {
        if let Some(versions) = self.lock().buckets.get_mut(bucket).and_then(|bucket| bucket.keys.get_mut(key)) {
            versions.push(None);
        }
    }

    /// Every read of the key fails so, until it is allowed again.
    pub fn deny(&self, bucket: &str, key: &str, kind: ObjectErrorKind) {
        self.lock().buckets.entry(bucket.to_owned()).or_default().denied.insert(key.to_owned(), kind);
    }

    pub fn allow(&self, bucket: &str, key: &str) {
        if let Some(bucket) = self.lock().buckets.get_mut(bucket) {
            bucket.denied.remove(key);
        }
    }

    /// Queued faults happen to the next reads of the key, one each, in order.
    pub fn fault(&self, bucket: &str, key: &str, fault: Fault) {
        let mut state = self.lock();
        state.buckets.entry(bucket.to_owned()).or_default().faults.entry(key.to_owned()).or_default().push_back(fault);
    }

    /// How often the key was asked for.
    pub fn reads(&self, bucket: &str, key: &str) -> u64 {
        self.lock().buckets.get(bucket).and_then(|bucket| bucket.reads.get(key)).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a read and takes the next fault of the key.
    fn begin(&self, object: &ObjectRef) -> Result<Option<Fault>, ObjectErrorKind> {
        let mut state = self.lock();
        let bucket = state.buckets.get_mut(&object.bucket).ok_or(ObjectErrorKind::NoSuchBucket)?;
        *bucket.reads.entry(object.key.clone()).or_default() += 1;
        if let Some(kind) = bucket.denied.get(&object.key) {
            return Err(kind.clone());
        }
        Ok(bucket.faults.get_mut(&object.key).and_then(VecDeque::pop_front))
    }

    fn read(&self, object: &ObjectRef, max_bytes: usize) -> Result<ObjectBytes, ObjectErrorKind> {
        let state = self.lock();
        let bucket = state.buckets.get(&object.bucket).ok_or(ObjectErrorKind::NoSuchBucket)?;
        let bytes = match &object.version_id {
            None => bucket.newest(&object.key).ok_or(ObjectErrorKind::Missing)?,
            Some(id) => {
                let versions = bucket.keys.get(&object.key).map(Vec::as_slice).unwrap_or_default();
                let found = versions.iter().enumerate().find(|(index, _)| version_name(index + 1) == *id);
                found.and_then(|(_, bytes)| bytes.as_ref()).ok_or(ObjectErrorKind::MissingVersion)?
            }
        };
        if bytes.len() > max_bytes {
            return Err(ObjectErrorKind::TooLarge { size: bytes.len() as u64, max: max_bytes as u64 });
        }
        Ok(ObjectBytes { etag: sha256_hex(bytes), bytes: bytes.to_vec() })
    }

    fn page(&self, name: &str, prefix: &str, after: Option<&str>) -> Result<Page, ObjectErrorKind> {
        let state = self.lock();
        let bucket = state.buckets.get(name).ok_or(ObjectErrorKind::NoSuchBucket)?;
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = bucket.keys.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        let mut page = Page::default();
        for (key, versions) in keys {
            let Some(Some(bytes)) = versions.last() else {
                continue;
            };
            if page.objects.len() == PAGE_KEYS {
                page.more = true;
                break;
            }
            page.objects.push(ObjectRef {
                bucket: name.to_owned(),
                key: key.clone(),
                etag: Some(sha256_hex(bytes)),
                size_bytes: Some(bytes.len() as u64),
                ..ObjectRef::default()
            });
        }
        Ok(page)
    }

    fn below(&self, name: &str, prefix: &str) -> Result<Vec<String>, ObjectErrorKind> {
        let state = self.lock();
        let bucket = state.buckets.get(name).ok_or(ObjectErrorKind::NoSuchBucket)?;
        let mut found: Vec<String> = Vec::new();
        for (key, versions) in &bucket.keys {
            if let Some((folder, _)) = key.strip_prefix(prefix).and_then(|rest| rest.split_once('/'))
                && matches!(versions.last(), Some(Some(_)))
            {
                found.push(format!("{prefix}{folder}/"));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

fn version_name(number: usize) -> String {
    format!("v{number}")
}

impl ObjectStore for MemoryStore {
    async fn get(&self, object: &ObjectRef, max_bytes: usize) -> Result<ObjectBytes, ObjectError> {
        let failed = |kind| ObjectError::new(object.ledger_key(), kind);
        match self.begin(object).map_err(failed)? {
            Some(Fault::Error(kind)) => return Err(failed(kind)),
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            None => {}
        }
        self.read(object, max_bytes).map_err(failed)
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page, ObjectError> {
        self.page(bucket, prefix, after).map_err(|kind| ObjectError::new(format!("s3://{bucket}/{prefix}"), kind))
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ObjectError> {
        self.below(bucket, prefix).map_err(|kind| ObjectError::new(format!("s3://{bucket}/{prefix}"), kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::contract::{self, Arrange};

    const BUCKET: &str = "trail";

    impl Arrange for MemoryStore {
        fn bucket(&self) -> &str {
            BUCKET
        }

        async fn put(&self, key: &str, bytes: &[u8]) -> Option<String> {
            Self::put(self, BUCKET, key, bytes).version_id
        }

        async fn delete(&self, key: &str) {
            Self::delete(self, BUCKET, key);
        }
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        let store = MemoryStore::new();
        contract::check(&store, &store).await;
    }

    #[tokio::test]
    async fn faults_happen_once_each_and_denials_until_they_end() {
        let store = MemoryStore::new();
        let object = store.put(BUCKET, "x", b"x");
        store.fault(BUCKET, "x", Fault::Error(ObjectErrorKind::Throttled));
        store.fault(BUCKET, "x", Fault::Delay(Duration::from_millis(30)));
        assert_eq!(store.get(&object, 1).await.expect_err("a fault").kind, ObjectErrorKind::Throttled);
        let began = std::time::Instant::now();
        assert!(store.get(&object, 1).await.is_ok());
        assert!(began.elapsed() >= Duration::from_millis(30));
        store.deny(BUCKET, "x", ObjectErrorKind::Forbidden { code: "AccessDenied".to_owned() });
        for _ in 0..2 {
            assert_eq!(store.get(&object, 1).await.expect_err("denied").kind.as_str(), "forbidden");
        }
        store.allow(BUCKET, "x");
        assert!(store.get(&object, 1).await.is_ok());
        assert_eq!(store.reads(BUCKET, "x"), 5);
    }
}
