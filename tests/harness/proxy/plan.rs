//! Which requests go wrong, how, and how often.
//!
//! A [`Plan`] is a list of rules; the first one that takes a request decides. What is random comes from the seed, in the
//! order in which requests arrive. Every rule counts what it did: a test asserts that its faults really happened.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// GET of one object.
    Get,
    Put,
    List,
    OtherS3,
    Receive,
    Delete,
    ChangeVisibility,
    OtherQueue,
    Other,
}

/// What is done to a request or to its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The request waits so long before it is passed on.
    Latency(Duration),
    /// Answered by the proxy: status and AWS error code. The emulator never sees it.
    Answer(u16, &'static str),
    /// The connection is reset; the emulator never sees the request.
    ResetBefore,
    /// The connection is reset after the emulator has done what was asked.
    ResetAfter,
    /// Half of the body comes, then the connection is reset.
    Truncated,
    /// One bit of the body is the other way round.
    FlippedBit,
    /// The whole body, so many bytes at a time with so long between them.
    Trickle(usize, Duration),
}

impl Fault {
    /// A clock that is an hour off, as S3 and SQS tell of it.
    pub(crate) const CLOCK_SKEW: Self = Self::Answer(403, "RequestTimeTooSkewed");
    pub(crate) const SLOW_DOWN: Self = Self::Answer(503, "SlowDown");
}

/// One way for requests to go wrong.
#[derive(Debug)]
pub(crate) struct Rule {
    on: Operation,
    /// Part of the target; empty for every target.
    matching: String,
    fault: Fault,
    chance: f64,
    at_most: u64,
    applied: AtomicU64,
}

impl Rule {
    pub(crate) fn new(on: Operation, fault: Fault) -> Self {
        Self { on, matching: String::new(), fault, chance: 1.0, at_most: u64::MAX, applied: AtomicU64::new(0) }
    }

    /// Only requests whose target holds this text.
    pub(crate) fn matching(mut self, part: &str) -> Self {
        part.clone_into(&mut self.matching);
        self
    }

    /// Only this share of them.
    pub(crate) fn chance(mut self, chance: f64) -> Self {
        self.chance = chance;
        self
    }

    /// Only the first so many.
    pub(crate) fn at_most(mut self, count: u64) -> Self {
        self.at_most = count;
        self
    }
}

/// The rules in force.
#[derive(Debug)]
pub(crate) struct Plan {
    rules: Vec<Rule>,
    random: Mutex<ChaCha8Rng>,
}

impl Plan {
    pub(crate) fn new(seed: u64, rules: Vec<Rule>) -> Self {
        Self { rules, random: Mutex::new(ChaCha8Rng::seed_from_u64(seed)) }
    }

    /// Nothing goes wrong.
    pub(crate) fn clean() -> Self {
        Self::new(0, Vec::new())
    }

    /// What happens to this request; counted.
    pub(super) fn fault(&self, operation: Operation, target: &str) -> Option<Fault> {
        let mut random = self.random.lock().expect("no panic while it is held");
        self.rules
            .iter()
            .filter(|rule| rule.on == operation && target.contains(&rule.matching))
            .find(|rule| {
                random.random_bool(rule.chance)
                    && rule
                        .applied
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                            (count < rule.at_most).then_some(count + 1)
                        })
                        .is_ok()
            })
            .map(|rule| rule.fault)
    }

    /// A number below `bound`, for the place of a flipped bit.
    pub(super) fn below(&self, bound: usize) -> usize {
        self.random.lock().expect("no panic while it is held").random_range(0..bound)
    }

    /// How often each rule acted, in order.
    pub(crate) fn applied(&self) -> Vec<u64> {
        self.rules.iter().map(|rule| rule.applied.load(Ordering::Relaxed)).collect()
    }
}
