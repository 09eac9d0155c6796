//! What became of each object: the ledger's lines and the quarantine's.
//!
//! Invariant: every object ends as exactly one of committed, skipped(reason) or quarantined(reason), and the three
//! counts add up to the objects seen.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::Micros;

/// Which bytes were read: the place and, where the store gives one, the version.
///
/// Two deliveries of the same bytes to the same place are one object; an object overwritten with other bytes is another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectId {
    /// `s3://bucket/key` or the path as the lake remembers it.
    pub key: String,
    /// ETag, version id, or a SHA-256 of the bytes as delivered.
    pub version: String,
}

impl ObjectId {
    /// A short stable digest (32 hex digits) of place and version.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update((self.key.len() as u64).to_be_bytes());
        hasher.update(self.key.as_bytes());
        hasher.update(self.version.as_bytes());
        hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How an object ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum ObjectOutcome {
    /// Read to its end; single records may still be quarantined.
    Committed,
    /// Recognised and left alone, with the reason (digest, insight, empty, …).
    Skipped(String),
    /// Could not be read, with the reason.
    Quarantined(String),
}

impl ObjectOutcome {
    /// `committed`, `skipped` or `quarantined`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Skipped(_) => "skipped",
            Self::Quarantined(_) => "quarantined",
        }
    }

    /// Why it was skipped or quarantined.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Committed => None,
            Self::Skipped(reason) | Self::Quarantined(reason) => Some(reason),
        }
    }
}

/// A record that could not be understood; the rest of its object landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRecord {
    /// Position in the object, from 0; for text formats the line or item.
    pub record_index: i64,
    /// What is wrong and where, in words.
    pub reason: String,
    /// Where the record's bytes stand in the decompressed object.
    pub byte_offset: i64,
    pub byte_length: i64,
}

/// One line of the ledger: one object, everything that became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    pub object: ObjectId,
    #[serde(flatten)]
    pub outcome: ObjectOutcome,
    /// What the content was: `cloudtrail`, `eventbridge`, `cloudwatch_logs`, `apigateway_access_log`, `digest`, …
    pub content_kind: String,
    /// The account and region in the key, where it carries them.
    pub account_id: Option<String>,
    pub region: Option<String>,
    pub delivered_at: Option<Micros>,
    /// Size as delivered, and after decompression.
    pub size_bytes: i64,
    pub json_bytes: i64,
    /// Records seen = kept + ignored + quarantined.
    pub record_count: i64,
    pub kept_count: i64,
    pub ignored_count: i64,
    pub quarantined: Vec<QuarantinedRecord>,
    /// First and last `eventTime` of all records whose time was read.
    pub first_event_at: Option<Micros>,
    pub last_event_at: Option<Micros>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_place_from_version() {
        let one = ObjectId { key: "ab".into(), version: "c".into() };
        let two = ObjectId { key: "a".into(), version: "bc".into() };
        assert_ne!(one.digest(), two.digest());
        assert_eq!(one.digest().len(), 32);
    }
}
