//! What bounds the reading of one object.
//!
//! Every limit has a safe default; going over one is a clear error that names the setting.

use super::{gunzip::GunzipLimits, split::ScanLimits};

const MIB: usize = 1 << 20;

/// The limits of decoding, per object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeSettings {
    /// Bytes of an object after decompression. Default 192 MiB: AWS writes trail files well below it, exports of many days do not.
    pub max_object_bytes: usize,
    /// How many times its own size an object may unpack to (from 1 MiB on). Default 300.
    pub max_gzip_ratio: usize,
    /// Bytes of one record. Default 1 MiB, the most that CloudTrail writes.
    pub max_record_bytes: usize,
    /// Brackets open at once in one record. Default 96.
    pub max_json_depth: usize,
    /// Records of one object that are quarantined one by one; past it the rest of the object is one entry. Default 1,000.
    pub max_quarantined: usize,
}

impl Default for DecodeSettings {
    fn default() -> Self {
        Self {
            max_object_bytes: 192 * MIB,
            max_gzip_ratio: 300,
            max_record_bytes: MIB,
            max_json_depth: 96,
            max_quarantined: 1_000,
        }
    }
}

impl DecodeSettings {
    pub(super) fn gunzip_limits(&self) -> GunzipLimits {
        GunzipLimits { max_bytes: self.max_object_bytes, max_ratio: self.max_gzip_ratio }
    }

    pub(super) fn record_limits(&self) -> ScanLimits {
        ScanLimits { max_depth: self.max_json_depth, max_bytes: self.max_record_bytes }
    }

    /// An envelope may hold many records.
    pub(super) fn envelope_limits(&self) -> ScanLimits {
        ScanLimits { max_depth: self.max_json_depth, max_bytes: self.max_object_bytes.min(16 * MIB) }
    }
}
