//! What every object store promises, as checks to run over each.
//!
//! In: a store, and an [`Arrange`] that puts objects where the store finds them. A promise that is broken panics with its name.
//! Keys are written below `contract/`; nothing else in the bucket is touched.

use std::future::Future;

use super::{ObjectErrorKind, ObjectRef, ObjectStore, PAGE_KEYS, Response};

/// Writes what a store under test reads.
pub trait Arrange: Send + Sync {
    fn bucket(&self) -> &str;

    /// The version's id, where the store keeps versions.
    fn put(&self, key: &str, bytes: &[u8]) -> impl Future<Output = Option<String>> + Send;

    fn delete(&self, key: &str) -> impl Future<Output = ()> + Send;
}

/// Every promise, one after the other.
pub async fn check<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    bytes_come_whole_under_a_stable_etag(store, arrange).await;
    what_is_not_there_is_missing(store, arrange).await;
    sizes_are_capped(store, arrange).await;
    every_key_is_taken_as_it_stands(store, arrange).await;
    versions_are_kept_apart(store, arrange).await;
    listings_are_in_key_order(store, arrange).await;
    listings_go_on_after_a_page(store, arrange).await;
    folders_are_the_next_level(store, arrange).await;
    an_unknown_bucket_is_told(store).await;
}

fn object<A: Arrange>(arrange: &A, key: &str) -> ObjectRef {
    ObjectRef { bucket: arrange.bucket().to_owned(), key: key.to_owned(), ..ObjectRef::default() }
}

/// The ETag is the same at every read, has no quotes, and changes with the bytes; another announced one is no error.
pub async fn bytes_come_whole_under_a_stable_etag<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    let key = "contract/whole";
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    arrange.put(key, &bytes).await;
    let first = store.get(&object(arrange, key), 200_000).await.expect("it was put");
    assert!(first.bytes == bytes, "bytes came back changed");
    assert!(!first.etag.is_empty() && !first.etag.contains('"'), "etag {:?}", first.etag);
    let stale = ObjectRef { etag: Some("announced".to_owned()), ..object(arrange, key) };
    assert_eq!(store.get(&stale, 200_000).await.expect("an old ETag is no error").etag, first.etag);
    arrange.put(key, b"other").await;
    let second = store.get(&object(arrange, key), 200_000).await.expect("it was put again");
    assert_eq!(second.bytes, b"other");
    assert_ne!(second.etag, first.etag, "other bytes, same ETag");
}

/// Deleted and never written are the same, and so is every key that cannot be one.
pub async fn what_is_not_there_is_missing<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    arrange.put("contract/gone", b"x").await;
    arrange.delete("contract/gone").await;
    for key in ["contract/gone", "contract/never", "contract/gone/below", "contract", ""] {
        let error = store.get(&object(arrange, key), 10).await.expect_err("nothing is there");
        assert!(matches!(error.kind, ObjectErrorKind::Missing), "{key:?}: {error}");
        assert_eq!(error.kind.response(), Response::Quarantine);
        assert_eq!(error.place, format!("s3://{}/{key}", arrange.bucket()));
    }
}

/// Exactly the cap is read, one byte more is not; no bytes at all are bytes too.
pub async fn sizes_are_capped<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    arrange.put("contract/sized", &[7; 1_000]).await;
    let sized = object(arrange, "contract/sized");
    assert_eq!(store.get(&sized, 1_000).await.expect("it fits").bytes.len(), 1_000);
    let error = store.get(&sized, 999).await.expect_err("too large");
    assert_eq!(error.kind, ObjectErrorKind::TooLarge { size: 1_000, max: 999 });
    arrange.put("contract/empty", b"").await;
    assert_eq!(store.get(&object(arrange, "contract/empty"), 0).await.expect("nothing fits").bytes, b"");
}

/// No character of a key is decoded, encoded or lost on the way.
pub async fn every_key_is_taken_as_it_stands<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    let keys = ["a b", "a+b", "a%20b", "a%2Fb", "a=1&b=2", "é/ü", "#?", "x'(y)!*~", "日本", "o-x/AWSLogs/o-x"];
    for key in keys {
        arrange.put(&format!("contract/keys/{key}"), key.as_bytes()).await;
    }
    for key in keys {
        let full = format!("contract/keys/{key}");
        let read = store.get(&object(arrange, &full), 100).await;
        assert_eq!(read.expect(key).bytes, key.as_bytes(), "{key}");
        let page = store.list(arrange.bucket(), &full, None).await.expect(key);
        assert!(page.objects.iter().any(|object| object.key == full), "{key} is not listed: {page:?}");
    }
}

/// Where versions are kept, the one that is asked for is read, even after a deletion.
pub async fn versions_are_kept_apart<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    let key = "contract/versions";
    let Some(first) = arrange.put(key, b"first").await else {
        return;
    };
    arrange.put(key, b"second").await;
    let version = |id: &str| ObjectRef { version_id: Some(id.to_owned()), ..object(arrange, key) };
    assert_eq!(store.get(&version(&first), 10).await.expect("the first version").bytes, b"first");
    assert_eq!(store.get(&object(arrange, key), 10).await.expect("the newest").bytes, b"second");
    arrange.delete(key).await;
    let error = store.get(&object(arrange, key), 10).await.expect_err("deleted");
    assert!(matches!(error.kind, ObjectErrorKind::Missing), "{error}");
    assert_eq!(store.get(&version(&first), 10).await.expect("still there").bytes, b"first");
}

/// The order is that of the keys' bytes; a prefix is text, not a folder; `after` is left out itself.
pub async fn listings_are_in_key_order<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    let sorted = ["a-b/x", "a.b", "a/x", "a/y/z", "ab"].map(|key| format!("contract/order/{key}"));
    for key in sorted.iter().rev() {
        arrange.put(key, b"12345").await;
    }
    let keys = async |prefix: &str, after: Option<&str>| {
        let page = store.list(arrange.bucket(), prefix, after).await.expect("a page");
        assert!(!page.more);
        page.objects.into_iter().map(|object| object.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("contract/order/", None).await, sorted);
    assert_eq!(keys("contract/order/a/", None).await, sorted[2..4]);
    assert_eq!(keys("contract/order/a", Some(&sorted[1])).await, sorted[2..]);
    assert_eq!(keys("contract/order/a", Some("contract/order/a/")).await, sorted[2..]);
    assert_eq!(keys("contract/order/ab", Some(&sorted[4])).await, [""; 0]);
    assert_eq!(keys("contract/nothing/", None).await, [""; 0]);
    let page = store.list(arrange.bucket(), "contract/order/a/x", None).await.expect("a page");
    let listed = page.objects.first().expect("one object");
    let read = store.get(listed, 10).await.expect("what is listed can be read");
    assert_eq!((listed.size_bytes, listed.bucket.as_str()), (Some(5), arrange.bucket()));
    assert!(listed.etag.as_ref().is_none_or(|etag| *etag == read.etag), "{listed:?} was read as {}", read.etag);
}

/// Every key comes once, over as many pages as it takes.
pub async fn listings_go_on_after_a_page<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    let keys: Vec<String> = (0..PAGE_KEYS + 3).map(|n| format!("contract/pages/{:02}/{n:05}", n % 7)).collect();
    for key in &keys {
        arrange.put(key, b"x").await;
    }
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let page = store.list(arrange.bucket(), "contract/pages/", after.as_deref()).await.expect("a page");
        assert!(page.objects.len() <= PAGE_KEYS && (!page.more || !page.objects.is_empty()));
        found.extend(page.objects.into_iter().map(|object| object.key));
        pages += 1;
        after = found.last().cloned();
        if !page.more {
            break;
        }
    }
    let mut wanted = keys;
    wanted.sort_unstable();
    assert!(found == wanted, "{} keys found of {}", found.len(), wanted.len());
    assert_eq!(pages, 2);
}

/// Only the next level, each once, in order, with its `/`; files are no folders.
pub async fn folders_are_the_next_level<S: ObjectStore, A: Arrange>(store: &S, arrange: &A) {
    for key in ["b/x/1", "b/x/2", "a/1", "c", "a-b/y"] {
        arrange.put(&format!("contract/folders/{key}"), b"x").await;
    }
    let below = async |prefix: &str| store.folders(arrange.bucket(), prefix).await.expect("folders");
    let wanted = ["a-b/", "a/", "b/"].map(|folder| format!("contract/folders/{folder}"));
    assert_eq!(below("contract/folders/").await, wanted);
    assert_eq!(below("contract/folders/b/").await, ["contract/folders/b/x/"]);
    assert_eq!(below("contract/folders/b/x/").await, [""; 0]);
    assert_eq!(below("contract/none/").await, [""; 0]);
    assert!(below("").await.contains(&"contract/".to_owned()));
}

pub async fn an_unknown_bucket_is_told<S: ObjectStore>(store: &S) {
    let bucket = "contract-no-such-bucket";
    let object = ObjectRef { bucket: bucket.to_owned(), key: "x".to_owned(), ..ObjectRef::default() };
    let errors = [
        store.get(&object, 10).await.expect_err("no bucket"),
        store.list(bucket, "x", None).await.expect_err("no bucket"),
        store.folders(bucket, "").await.expect_err("no bucket"),
    ];
    for error in errors {
        assert!(matches!(error.kind, ObjectErrorKind::NoSuchBucket), "{error}");
    }
}
