//! How much one query may take.
//!
//! The defaults suit an analyst beside a running worker on a small machine; settings raise or lower them.

use std::time::Duration;

/// The caps of one query. Memory, temporary disk and join size are enforced by the session; rows and time by whoever
/// streams the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows given back; the result is cut there and says so.
    pub rows: usize,
    /// From planning to the last row.
    pub time: Duration,
    /// Bytes of memory for sorts, groups and joins; beyond it they spill.
    pub memory_bytes: usize,
    /// Bytes of temporary files for what spills.
    pub temp_disk_bytes: u64,
    /// Pairs of rows that a join without an equality may look at, as estimated before it runs.
    pub join_pairs: u64,
    /// Items that one call of `generate_series`, `range`, `repeat` and the like may make.
    pub series_items: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: 10_000,
            time: Duration::from_secs(60),
            memory_bytes: 512 << 20,
            temp_disk_bytes: 4 << 30,
            join_pairs: 2_000_000_000,
            series_items: 16_000_000,
        }
    }
}
