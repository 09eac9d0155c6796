//! One object's bytes, within the room there is.
//!
//! In: an object as it was announced. Out: its bytes and the room that they take, or why there are none. What a
//! notification says of the size is only a guess of ours at the room needed: an object that turns out larger is asked
//! for once more with more room, so a wrong size costs a request and never memory.

use super::permits::{Permits, Room};
use crate::objects::{ObjectBytes, ObjectError, ObjectErrorKind, ObjectRef, ObjectStore};

/// Room for an object whose size nobody told. Nearly all of CloudTrail's objects are smaller.
const USUAL_BYTES: usize = 256 << 10;

pub(super) async fn fetch<O: ObjectStore>(
    store: &O,
    object: &ObjectRef,
    permits: &Permits,
    max_bytes: usize,
) -> Result<(ObjectBytes, Room), ObjectError> {
    let told = object.size_bytes.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    let mut allowance = told.unwrap_or(USUAL_BYTES).clamp(1, max_bytes.max(1));
    let mut is_first = true;
    loop {
        let room = permits.take(allowance).await;
        let error = match store.get(object, allowance).await {
            Ok(bytes) => return Ok((bytes, room)),
            Err(error) => error,
        };
        drop(room);
        let ObjectErrorKind::TooLarge { size, .. } = error.kind else {
            return Err(error);
        };
        let is = usize::try_from(size).unwrap_or(usize::MAX);
        if is > max_bytes || allowance >= max_bytes {
            let kind = ObjectErrorKind::TooLarge { size, max: max_bytes as u64 };
            return Err(ObjectError { kind, ..error });
        }
        // The second time it is told by the store; should that be wrong too, all the room there may be.
        allowance = if is_first && is > allowance { is } else { max_bytes };
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::objects::Page;

    /// An object of a fixed length, whose store may not know how long it is.
    #[derive(Clone)]
    struct Sized {
        length: usize,
        knows: bool,
        asked: Arc<Mutex<Vec<usize>>>,
    }

    impl ObjectStore for Sized {
        async fn get(&self, object: &ObjectRef, max_bytes: usize) -> Result<ObjectBytes, ObjectError> {
            self.asked.lock().expect("not poisoned").push(max_bytes);
            if self.length <= max_bytes {
                return Ok(ObjectBytes { etag: "e".to_owned(), bytes: vec![0; self.length] });
            }
            let size = if self.knows { self.length } else { max_bytes + 1 } as u64;
            let kind = ObjectErrorKind::TooLarge { size, max: max_bytes as u64 };
            Err(ObjectError { place: object.ledger_key(), kind })
        }

        async fn list(&self, _: &str, _: &str, _: Option<&str>) -> Result<Page, ObjectError> {
            Ok(Page::default())
        }

        async fn folders(&self, _: &str, _: &str) -> Result<Vec<String>, ObjectError> {
            Ok(Vec::new())
        }
    }

    async fn asked(length: usize, knows: bool, told: Option<u64>, max: usize) -> (Vec<usize>, Option<usize>) {
        let store = Sized { length, knows, asked: Arc::default() };
        let object = ObjectRef { size_bytes: told, ..ObjectRef::default() };
        let got = fetch(&store, &object, &Permits::new(1 << 20), max).await;
        let asked = store.asked.lock().expect("not poisoned").clone();
        if let Err(ObjectError { kind: ObjectErrorKind::TooLarge { max: named, .. }, .. }) = &got {
            assert_eq!(*named, max as u64, "the limit that is named is the setting's");
        }
        (asked, got.ok().map(|(bytes, _)| bytes.bytes.len()))
    }

    #[tokio::test]
    async fn a_wrong_size_costs_a_request_and_no_memory() {
        let max = 1 << 20;
        assert_eq!(asked(10, true, Some(10), max).await, (vec![10], Some(10)));
        assert_eq!(asked(10, true, None, max).await, (vec![USUAL_BYTES], Some(10)));
        assert_eq!(asked(300_000, true, Some(10), max).await, (vec![10, 300_000], Some(300_000)));
        assert_eq!(asked(300_000, false, Some(10), max).await, (vec![10, 11, max], Some(300_000)));
        assert_eq!(asked(2_000_000, true, Some(10), max).await, (vec![10], None));
        assert_eq!(asked(2_000_000, false, Some(u64::MAX), max).await, (vec![max], None));
    }
}
