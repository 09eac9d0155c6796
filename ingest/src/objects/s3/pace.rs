//! When to try again, and when to stop.
//!
//! In: how an attempt failed. Out: a pause, or the error back. Pauses double up to a limit and are drawn evenly between zero and
//! that (full jitter), so that readers who failed together do not come back together. Attempts and time are both limited.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::{RETRIES, ReadSettings};
use crate::objects::{ObjectErrorKind, Response};

pub(super) struct Pace {
    upper: ExponentialBackoff,
    /// The same, plus up to as much again.
    jittered: ExponentialBackoff,
    attempts_left: u32,
    give_up_at: Instant,
}

impl Pace {
    pub(super) fn new(settings: &ReadSettings) -> Self {
        let upper = ExponentialBuilder::new()
            .with_factor(2.0)
            .with_min_delay(settings.first_pause)
            .with_max_delay(settings.longest_pause)
            .without_max_times();
        Self {
            upper: upper.build(),
            // Built without its feature `std`, the crate draws the same numbers for everybody unless it is given a seed.
            jittered: upper.with_jitter().with_jitter_seed(RandomState::new().build_hasher().finish()).build(),
            attempts_left: settings.attempts.saturating_sub(1),
            give_up_at: Instant::now() + settings.retry_for,
        }
    }

    /// The pause before the next attempt; the error where time cannot help, or has had its chance.
    pub(super) fn after(&mut self, kind: ObjectErrorKind) -> Result<Duration, ObjectErrorKind> {
        if kind.response() != Response::Retry || self.attempts_left == 0 {
            return Err(kind);
        }
        self.attempts_left -= 1;
        let (Some(upper), Some(jittered)) = (self.upper.next(), self.jittered.next()) else {
            return Err(kind);
        };
        // Between zero and `upper`.
        let pause = jittered.saturating_sub(upper);
        if Instant::now() + pause > self.give_up_at {
            return Err(kind);
        }
        metrics::counter!(RETRIES, "reason" => kind.as_str()).increment(1);
        tracing::debug!(error = %kind, pause_ms = pause.as_millis(), "trying S3 again");
        Ok(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ReadSettings {
        ReadSettings {
            attempts: 9,
            retry_for: Duration::from_secs(60),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(4),
            ..ReadSettings::default()
        }
    }

    #[test]
    fn pauses_double_to_a_limit_and_are_spread_from_zero() {
        let limits = [1, 2, 4, 4, 4, 4, 4, 4].map(Duration::from_secs);
        let (mut early, mut late) = (0, 0);
        for _ in 0..50 {
            let mut pace = Pace::new(&settings());
            for limit in limits {
                let pause = pace.after(ObjectErrorKind::Throttled).expect("attempts are left");
                assert!(pause <= limit, "{pause:?} of {limit:?}");
                early += u32::from(pause < limit / 4);
                late += u32::from(pause > limit * 3 / 4);
            }
            assert_eq!(pace.after(ObjectErrorKind::Throttled), Err(ObjectErrorKind::Throttled));
        }
        // A quarter of 400 each; a chance under one in a billion of fewer than 40.
        assert!(early > 40 && late > 40, "{early} early, {late} late");
    }

    #[test]
    fn the_time_is_limited_too() {
        let mut pace = Pace::new(&ReadSettings { retry_for: Duration::ZERO, ..settings() });
        assert_eq!(pace.after(ObjectErrorKind::Overwritten), Err(ObjectErrorKind::Overwritten));
    }

    #[test]
    fn what_time_cannot_help_comes_back_at_once() {
        let mut pace = Pace::new(&settings());
        for kind in [ObjectErrorKind::Missing, ObjectErrorKind::NoSuchBucket] {
            assert_eq!(pace.after(kind.clone()), Err(kind));
        }
        assert_eq!(pace.attempts_left, 8);
    }
}
