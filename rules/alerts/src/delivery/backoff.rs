//! When a failed try comes again, and when no more.
//!
//! In: the step that was tried, what the sink asked for, how many tries there are. Out: the step after it. Pauses double up
//! to a longest one and differ by up to a fifth, so that many deliveries do not come back in one moment.

use keytrail_model::{DeliveryState, DeliveryStep, Micros};

use super::DeliverySettings;

/// How a try failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// No further try would do better.
    pub park: bool,
    /// The sink asked not to be tried sooner.
    pub after: Option<Micros>,
    pub status: Option<String>,
    pub detail: String,
}

/// The step after a failed try. `chance` is any number; it moves the pause a little.
pub fn after_failure(
    tried: &DeliveryStep,
    failed: Failed,
    settings: &DeliverySettings,
    now: Micros,
    chance: u64,
) -> DeliveryStep {
    let park = failed.park || tried.attempt >= settings.tries;
    let doubled = settings.first_pause.saturating_mul(1_i64 << tried.attempt.saturating_sub(1).min(40));
    let pause = doubled.min(settings.longest_pause);
    let spread = (pause / 5).max(1).unsigned_abs();
    let pause = pause.saturating_add(i64::try_from(chance % spread).unwrap_or_default());
    let pause = pause.max(failed.after.unwrap_or_default());
    DeliveryStep {
        state: if park { DeliveryState::Parked } else { DeliveryState::Failed },
        at: now,
        next_at: (!park).then(|| now.saturating_add(pause)),
        status: failed.status,
        detail: Some(failed.detail),
        ..tried.clone()
    }
}
