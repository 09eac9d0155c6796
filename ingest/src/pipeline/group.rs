//! A few objects read by one worker in one go.
//!
//! In: objects found. Out: for each, in order, that it is known already or what it decoded to. Small objects share a group so
//! that the question whether they are known is asked once for many; a large one is a group of its own.
//!
//! Invariant: the bytes that groups under way may take, as far as sizes tell before reading, stay within the permits;
//! a group that needs more than all permits waits for all of them, and so runs alone.

use std::sync::{Arc, Mutex, PoisonError};

use keytrail_model::{ObjectId, ObjectOutcome};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Store, worker_ended};
use crate::{
    decode::{Buffers, Decoded, decode_object, unread},
    error::{IngestError, IngestErrorKind},
    normalize::Scope,
    settings::IngestSettings,
    source::{self, Found},
};

/// A group closes at this many objects, or this many bytes as delivered.
const GROUP_OBJECTS: usize = 32;
const GROUP_BYTES: u64 = 2 << 20;
/// A permit stands for this many bytes.
const PERMIT: usize = 1 << 16;
/// What a packed object may well unpack to, times its size.
const USUAL_RATIO: usize = 16;

/// What became of one object.
pub(super) enum Outcome {
    Known,
    Decoded(Box<Decoded>),
}

/// Cuts the objects into groups, keeping their order.
pub(super) fn groups(found: Vec<Found>) -> impl Iterator<Item = Vec<Found>> {
    let mut found = found.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut group = vec![found.next()?];
        let mut bytes = group.first().map_or(0, |first| first.size_bytes);
        while let Some(next) =
            found.next_if(|next| group.len() < GROUP_OBJECTS && bytes + next.size_bytes <= GROUP_BYTES)
        {
            bytes += next.size_bytes;
            group.push(next);
        }
        Some(group)
    })
}

/// Reads groups; shared by all workers.
pub(super) struct GroupReader {
    settings: IngestSettings,
    scope: Scope,
    permits: Arc<Semaphore>,
    permits_total: u32,
    buffers: Mutex<Vec<Buffers>>,
}

/// One object after reading: its id and bytes, or the reason why there are none.
type Delivered = (ObjectId, Result<Vec<u8>, String>, u64);

impl GroupReader {
    pub(super) fn new(settings: IngestSettings, scope: Scope) -> Self {
        let permits_total = u32::try_from((settings.reading_bytes / PERMIT).max(1)).unwrap_or(u32::MAX >> 4);
        let permits = Arc::new(Semaphore::new(permits_total as usize));
        Self { settings, scope, permits, permits_total, buffers: Mutex::default() }
    }

    /// Reads, asks, decodes.
    pub(super) async fn read<S: Store>(
        self: Arc<Self>,
        store: S,
        group: Vec<Found>,
    ) -> Result<Vec<Outcome>, IngestError> {
        let permits = Arc::clone(&self.permits).acquire_many_owned(self.permits_for(&group)).await;
        let held = permits.map_err(|_closed| IngestError::new("reading", IngestErrorKind::Worker))?;
        let reader = Arc::clone(&self);
        let delivered = tokio::task::spawn_blocking(move || reader.deliver(&group)).await.map_err(worker_ended)?;
        let ids: Vec<ObjectId> = delivered.iter().map(|(id, ..)| id.clone()).collect();
        let known = store
            .committed(&ids)
            .await
            .map_err(|error| IngestError::new("asking what the lake has", IngestErrorKind::Store(Box::new(error))))?;
        tokio::task::spawn_blocking(move || {
            let outcomes = delivered
                .into_iter()
                .map(|delivered| if known.contains(&delivered.0) { Outcome::Known } else { self.decode(delivered) })
                .collect();
            drop(held);
            outcomes
        })
        .await
        .map_err(worker_ended)
    }

    /// A guess at what the group's largest object takes unpacked, and all of it as delivered.
    fn permits_for(&self, group: &[Found]) -> u32 {
        let max = self.settings.decode.max_object_bytes;
        let cap = |object: &Found| usize::try_from(object.size_bytes).unwrap_or(usize::MAX).min(max);
        let delivered: usize = group.iter().map(cap).sum();
        let unpacked = group.iter().map(|object| cap(object).saturating_mul(USUAL_RATIO).min(max)).max().unwrap_or(0);
        let permits = delivered.saturating_add(unpacked) / PERMIT + 1;
        u32::try_from(permits).unwrap_or(u32::MAX).min(self.permits_total)
    }

    fn deliver(&self, group: &[Found]) -> Vec<Delivered> {
        group
            .iter()
            .map(|object| {
                let bytes = self.bytes(object);
                let version = match &bytes {
                    Ok(bytes) => hex(&Sha256::digest(bytes)),
                    // So that the same file is read again once the limit or the file has changed.
                    Err(reason) => hex(&Sha256::digest(format!("unread:{}:{reason}", object.size_bytes))),
                };
                (ObjectId { key: object.key.clone(), version }, bytes, object.size_bytes)
            })
            .collect()
    }

    fn bytes(&self, object: &Found) -> Result<Vec<u8>, String> {
        source::read(object, self.settings.decode.max_object_bytes)
    }

    fn decode(&self, (object, bytes, size): Delivered) -> Outcome {
        let decoded = match bytes {
            Ok(bytes) => {
                let mut buffers = self.pool().pop().unwrap_or_default();
                let settings = &self.settings;
                let decoded =
                    decode_object(&bytes, &object, &settings.decode, self.scope, &settings.fields, &mut buffers);
                self.pool().push(buffers);
                decoded
            }
            Err(reason) => unread(&object, size.cast_signed(), ObjectOutcome::Quarantined(reason)),
        };
        Outcome::Decoded(Box::new(decoded))
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<Buffers>> {
        // A worker that panicked never held the lock while it worked.
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(size_bytes: u64) -> Found {
        Found { key: size_bytes.to_string(), path: None, delivered_at: None, size_bytes, fault: None }
    }

    #[test]
    fn groups_keep_order_and_part_the_large_from_the_small() {
        let sizes: Vec<u64> = (0..40).chain([GROUP_BYTES * 2, 1, 2]).collect();
        let cut: Vec<Vec<Found>> = groups(sizes.iter().copied().map(found).collect()).collect();
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [32, 8, 1, 2]);
        assert_eq!(cut.into_iter().flatten().map(|object| object.size_bytes).collect::<Vec<_>>(), sizes);
    }

    #[test]
    fn permits_never_exceed_what_there_is() {
        let reader = GroupReader::new(IngestSettings::default(), Scope::Secrets);
        assert_eq!(reader.permits_for(&[found(u64::MAX), found(u64::MAX)]), reader.permits_total);
        assert_eq!(reader.permits_for(&[found(0)]), 1);
        assert!(reader.permits_for(&[found(64 << 20)]) > reader.permits_total / 2);
    }
}
