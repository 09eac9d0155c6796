//! What a simulation is made from. Two equal `Options` (the folder aside) write the same bytes.

use std::path::PathBuf;

use chrono::{DateTime, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Result, SimulateError, SimulateErrorKind};

/// The end of the window when no start is given: 2026-11-01T00:00:00Z.
const DEFAULT_END: i64 = 1_793_491_200;
const DAY: i64 = 86_400;

/// Secrets of the organisation that the demo and quick tests use; about a third as many principals.
pub const SMALL_FLEET: u32 = 240;
/// Secrets of the organisation that detection is measured on; 300 principals.
pub const FULL_FLEET: u32 = 1_000;

/// What to simulate, and where to write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// The folder to write; made when missing.
    #[serde(skip)]
    pub out: PathBuf,
    /// Days of history, 3 or more.
    pub days: u32,
    /// Everything random follows from this.
    pub seed: u64,
    /// The first instant; by default the window ends at 2026-11-01T00:00:00Z.
    pub start: Option<DateTime<Utc>>,
    /// Multiplies the traffic that has nothing to do with secrets.
    pub scale: f64,
    /// Minutes of deliveries gathered in one file: 5 as AWS does, 60 to keep the number of files down.
    pub file_interval_minutes: u32,
    /// How many secrets the organisation has: [`SMALL_FLEET`], [`FULL_FLEET`], or any number; below 90 only the named ones.
    pub secrets: u32,
    /// Whether the incidents are planted. Without them nothing is expected to alert.
    pub incidents: bool,
    /// Whether API Gateway access logs are written.
    pub access_logs: bool,
}

/// The number of secrets that `small`, `full` or a number stands for.
pub fn fleet_size(text: &str) -> std::result::Result<u32, String> {
    match text {
        "small" => Ok(SMALL_FLEET),
        "full" => Ok(FULL_FLEET),
        number => number.parse().map_err(|_| "write small, full or a number of secrets".to_owned()),
    }
}

impl Options {
    /// A hundred days with everything planted.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            days: 100,
            seed: 7,
            start: None,
            scale: 1.0,
            file_interval_minutes: 60,
            secrets: SMALL_FLEET,
            incidents: true,
            access_logs: true,
        }
    }

    /// The first and the last instant, in seconds since the epoch.
    pub(crate) fn window(&self) -> (i64, i64) {
        let length = i64::from(self.days) * DAY;
        let start = self.start.map_or(DEFAULT_END - length, |start| start.timestamp());
        (start, start + length)
    }

    /// The end of the window, as labels give it.
    pub fn horizon(&self) -> DateTime<Utc> {
        Utc.timestamp_opt(self.window().1, 0).single().unwrap_or_default()
    }

    pub(crate) fn check(&self) -> Result<()> {
        let fail = |name, expected| Err(SimulateError::new(&self.out, SimulateErrorKind::Option { name, expected }));
        if !(3..=3_660).contains(&self.days) {
            return fail("days", "between 3 and 3660");
        }
        if self.secrets > 1_100 {
            return fail("secrets", "at most 1100");
        }
        if !(self.scale.is_finite() && (0.0..=1_000.0).contains(&self.scale)) {
            return fail("scale", "between 0 and 1000");
        }
        if !(1..=1_440).contains(&self.file_interval_minutes) {
            return fail("file_interval_minutes", "between 1 and 1440");
        }
        Ok(())
    }
}
