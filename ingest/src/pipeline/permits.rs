//! How many bytes may be held at once.
//!
//! In: a number of bytes that somebody is about to hold. Out: a permit, as soon as there is room; dropping it gives the
//! room back. Whoever needs more than there is in all waits for everything, and so is alone.
//!
//! Invariant: whoever holds permits of one pool never waits for more of the same pool, so nobody waits for ever.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A permit stands for this many bytes.
const PERMIT: usize = 1 << 10;

/// A pool of bytes. A clone is the same pool.
#[derive(Clone)]
pub(crate) struct Permits {
    free: Arc<Semaphore>,
    total: u32,
}

/// Room for some bytes, until it is dropped. `None` only where the pool was closed, which nobody does.
pub(crate) type Room = Option<OwnedSemaphorePermit>;

impl Permits {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = u32::try_from((bytes / PERMIT).max(1)).unwrap_or(u32::MAX >> 4);
        Self { free: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits for room for so many bytes.
    pub(crate) async fn take(&self, bytes: usize) -> Room {
        Arc::clone(&self.free).acquire_many_owned(self.count(bytes)).await.ok()
    }

    /// Waits for more room for the same holder. Only where a single task of the pool ever does so: two that hold and wait
    /// could wait for each other.
    pub(crate) async fn widen(&self, room: &mut Room, bytes: usize) {
        let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let left = self.total.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if let (Some(room), Ok(more)) =
            (room.as_mut(), Arc::clone(&self.free).acquire_many_owned(self.count(bytes).min(left)).await)
        {
            room.merge(more);
        }
    }

    fn count(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / PERMIT + 1).unwrap_or(u32::MAX).min(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn permits_never_exceed_what_there_is() {
        let permits = Permits::new(64 << 20);
        assert_eq!(permits.count(usize::MAX), permits.total);
        assert_eq!(permits.count(0), 1);
        assert!(permits.count(40 << 20) > permits.total / 2);
        let all = permits.take(usize::MAX).await;
        assert!(all.is_some());
        assert_eq!(permits.free.available_permits(), 0);
        drop(all);
        let mut some = permits.take(1 << 20).await;
        permits.widen(&mut some, usize::MAX).await;
        assert_eq!(permits.free.available_permits(), 0, "the holder's own room counts");
        drop(some);
        assert_eq!(permits.free.available_permits(), permits.total as usize);
    }
}
