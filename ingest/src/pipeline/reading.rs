//! Fetching and decoding within bounds: what the worker and the reading of buckets share.
//!
//! In: announced or listed objects. Out: their bytes, then what they decode to, each with the room that it takes. Objects
//! are fetched on the async side and decoded on the blocking pool, no more at once than the settings say.
//!
//! Invariant: whoever waits for room to decode holds room of the other pool only, so nobody waits for ever.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    decoding::Decoding,
    fetch::fetch,
    permits::{Permits, Room},
};
use crate::{
    decode::Decoded,
    normalize::Scope,
    objects::{ObjectBytes, ObjectError, ObjectRef, ObjectStore},
    settings::IngestSettings,
};

/// Fetches and decodes. A clone has the same bounds.
#[derive(Clone)]
pub(crate) struct Reading {
    decoding: Arc<Decoding>,
    /// Bytes as delivered, and unpacked: half of the setting each.
    delivered: Permits,
    unpacked: Permits,
    decoders: Arc<Semaphore>,
}

impl Reading {
    pub(crate) fn new(settings: &IngestSettings, scope: Scope) -> Self {
        Self {
            decoding: Arc::new(Decoding::new(settings.clone(), scope)),
            delivered: Permits::new(settings.reading_bytes / 2),
            unpacked: Permits::new(settings.reading_bytes / 2),
            decoders: Arc::new(Semaphore::new(settings.workers.max(1))),
        }
    }

    /// One object's bytes, with the room that they take.
    pub(crate) async fn fetch<O: ObjectStore>(
        &self,
        store: &O,
        object: &ObjectRef,
    ) -> Result<(ObjectBytes, Room), ObjectError> {
        fetch(store, object, &self.delivered, self.decoding.settings.decode.max_object_bytes).await
    }

    /// Decodes bytes that take `delivered`. The room in the answer is for what came out; `None` where decoding ended in a
    /// panic.
    pub(crate) async fn decode(
        &self,
        bytes: Vec<u8>,
        delivered: Room,
        decode: impl FnOnce(&Decoding, &[u8]) -> Decoded + Send + 'static,
    ) -> (Option<Box<Decoded>>, Room) {
        let room = self.unpacked.take(self.decoding.unpacked(bytes.len())).await;
        let turn = Arc::clone(&self.decoders).acquire_owned().await;
        let decoding = Arc::clone(&self.decoding);
        let decoded = tokio::task::spawn_blocking(move || {
            let decoded = decode(&decoding, &bytes);
            drop((bytes, delivered, turn));
            Box::new(decoded)
        });
        (decoded.await.ok(), room)
    }
}
