//! A few objects read by one worker in one go.
//!
//! In: objects found. Out: for each, in order, that it is known already or what it decoded to. Small objects share a group so
//! that the question whether they are known is asked once for many; a large one is a group of its own.
//!
//! Invariant: the bytes that groups under way may take, as far as sizes tell before reading, stay within the permits;
//! a group that needs more than all permits waits for all of them, and so runs alone.

use std::sync::Arc;

use keytrail_model::ObjectId;
use sha2::{Digest, Sha256};

use super::{
    Store,
    decoding::{Decoding, quarantined},
    permits::Permits,
    worker_ended,
};
use crate::{
    decode::Decoded,
    error::{IngestError, IngestErrorKind},
    normalize::Scope,
    settings::IngestSettings,
    source::{self, Found},
};

/// A group closes at this many objects, or this many bytes as delivered.
const GROUP_OBJECTS: usize = 32;
const GROUP_BYTES: u64 = 2 << 20;

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
    decoding: Decoding,
    permits: Permits,
}

/// One object after reading: its id and bytes, or the reason why there are none.
type Delivered = (ObjectId, Result<Vec<u8>, String>, u64);

impl GroupReader {
    pub(super) fn new(settings: IngestSettings, scope: Scope) -> Self {
        let permits = Permits::new(settings.reading_bytes);
        Self { decoding: Decoding::new(settings, scope), permits }
    }

    /// Reads, asks, decodes.
    pub(super) async fn read<S: Store>(
        self: Arc<Self>,
        store: S,
        group: Vec<Found>,
    ) -> Result<Vec<Outcome>, IngestError> {
        let held = self.permits.take(self.bytes_of(&group)).await;
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
    fn bytes_of(&self, group: &[Found]) -> usize {
        let max = self.decoding.settings.decode.max_object_bytes;
        let cap = |object: &Found| usize::try_from(object.size_bytes).unwrap_or(usize::MAX).min(max);
        let delivered: usize = group.iter().map(cap).sum();
        let unpacked = group.iter().map(|object| self.decoding.unpacked(cap(object))).max().unwrap_or(0);
        delivered.saturating_add(unpacked)
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
        source::read(object, self.decoding.settings.decode.max_object_bytes)
    }

    fn decode(&self, (object, bytes, size): Delivered) -> Outcome {
        let decoded = match bytes {
            Ok(bytes) => self.decoding.decode(&object, &bytes),
            Err(reason) => quarantined(&object, Some(size), reason),
        };
        Outcome::Decoded(Box::new(decoded))
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
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
    fn a_group_is_reckoned_by_its_largest_and_within_the_limit() {
        let reader = GroupReader::new(IngestSettings::default(), Scope::Secrets);
        let max = reader.decoding.settings.decode.max_object_bytes;
        assert_eq!(reader.bytes_of(&[found(0)]), 0);
        assert_eq!(reader.bytes_of(&[found(10), found(20)]), 30 + 20 * 16);
        assert_eq!(reader.bytes_of(&[found(u64::MAX)]), 2 * max);
    }
}
