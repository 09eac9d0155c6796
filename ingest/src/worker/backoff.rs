//! Pauses between tries: growing, capped, with jitter.
//!
//! Invariant: a pause is between half and the whole of `first` doubled once per failure in a row, never above `most`.
//! Jitter only keeps workers from asking in step; it needs no good randomness.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Counts failures in a row and tells how long to wait.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// It worked: the next failure waits little again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed once more: how long to wait.
    pub(super) fn pause(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        jittered(self.first.saturating_mul(factor).min(self.most))
    }
}

/// Between half and the whole.
pub(super) fn jittered(pause: Duration) -> Duration {
    // Every `RandomState` has keys of its own, so its hash of nothing is a number nobody foresees.
    let share = RandomState::new().hash_one(()) % 512 + 512;
    pause / 1_024 * u32::try_from(share).unwrap_or(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_stay_in_their_bounds_and_start_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for whole in [100, 200, 400, 800, 1_000, 1_000] {
            let pause = backoff.pause().as_millis();
            assert!((whole / 2 - 1..=whole).contains(&pause), "{pause} of {whole}");
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
        for _ in 0..100 {
            assert!(backoff.pause() <= Duration::from_secs(1));
        }
    }
}
