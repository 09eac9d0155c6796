//! What one run reads, and what bounds it.
//!
//! Plain structs; the command line and the configuration file fill them. Every default is meant for a small machine: what is
//! read and not committed yet is bounded, except that one object is always committed whole.

use std::sync::{Arc, atomic::AtomicBool};

use keytrail_model::Micros;

use crate::{
    decode::DecodeSettings,
    normalize::{FieldMap, Scope},
    source::Source,
};

const MIB: usize = 1 << 20;

/// How a run behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestSettings {
    /// Limits of one object.
    pub decode: DecodeSettings,
    /// Keys of the access-log template in force.
    pub fields: FieldMap,
    /// Objects decoded at the same time. Default: the machine's cores.
    pub workers: usize,
    /// A commit is due at this many rows. Default 100,000.
    pub batch_rows: usize,
    /// A commit is due when the rows held take this much memory. Default 32 MiB.
    pub batch_bytes: usize,
    /// A commit is due at this many objects. Default 1,000.
    pub batch_objects: usize,
    /// Bytes that all workers together may hold of objects being read. A larger object is read alone. Default 64 MiB.
    pub reading_bytes: usize,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            decode: DecodeSettings::default(),
            fields: FieldMap::default(),
            workers: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            batch_rows: 100_000,
            batch_bytes: 32 * MIB,
            batch_objects: 1_000,
            reading_bytes: 64 * MIB,
        }
    }
}

/// A span of delivery times: objects whose key carries a time outside it are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Inclusive.
    pub since: Option<Micros>,
    /// Exclusive.
    pub until: Option<Micros>,
}

impl Window {
    /// True where the time is inside, and for objects whose key tells no time.
    pub fn holds(&self, delivered_at: Option<Micros>) -> bool {
        delivered_at
            .is_none_or(|at| self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until))
    }
}

/// What one run reads.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    pub sources: Vec<Source>,
    pub window: Window,
    pub scope: Scope,
    /// Set to end the run after the batch at hand; what was committed stays.
    pub stop: Arc<AtomicBool>,
}

impl IngestRequest {
    /// Everything in the given sources, for the scope `secrets`.
    pub fn new(sources: Vec<Source>) -> Self {
        Self { sources, window: Window::default(), scope: Scope::Secrets, stop: Arc::new(AtomicBool::new(false)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_half_open_and_unknown_times_are_inside() {
        let window = Window { since: Some(10), until: Some(20) };
        assert_eq!([9, 10, 19, 20].map(|at| window.holds(Some(at))), [false, true, true, false]);
        assert!(window.holds(None) && Window::default().holds(Some(0)));
    }
}
