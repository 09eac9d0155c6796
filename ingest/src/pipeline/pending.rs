//! What is decoded and not committed yet.
//!
//! In: decoded objects. Out: one [`Batch`], once it is due. Invariant: an object's rows and its ledger line leave together.

use keytrail_lake::Batch;
use keytrail_model::ObjectEntry;

use crate::{decode::Decoded, settings::IngestSettings};

/// What a row takes in memory besides its `raw`: some forty columns, most of them texts of their own. Measured as resident
/// memory, the copy for a second attempt included.
const ROW_BYTES: usize = 4_096;

/// A batch that grows.
#[derive(Default)]
pub(crate) struct Pending {
    batch: Batch,
    bytes: usize,
}

impl Pending {
    pub(crate) fn add(&mut self, decoded: Decoded) {
        let rows = decoded.rows.iter().map(|row| row.raw.len() + ROW_BYTES).sum::<usize>();
        let events = decoded.events.iter().map(|event| event.raw.len() + ROW_BYTES / 4).sum::<usize>();
        self.bytes += rows + events + entry_bytes(&decoded.entry);
        self.batch.rows.extend(decoded.rows);
        self.batch.events.extend(decoded.events);
        self.batch.objects.push(decoded.entry);
    }

    pub(crate) fn is_due(&self, settings: &IngestSettings) -> bool {
        self.rows() >= settings.batch_rows
            || self.bytes >= settings.batch_bytes
            || self.batch.objects.len() >= settings.batch_objects
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.rows.len() + self.batch.events.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A batch whose lines take the place of earlier ones that ended badly.
    pub(crate) fn again() -> Self {
        Self { batch: Batch { again: true, ..Batch::default() }, bytes: 0 }
    }

    /// What has gathered; nothing is left. `None` where there was nothing.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        let emptied = if self.batch.again { Self::again() } else { Self::default() };
        let Self { batch, .. } = std::mem::replace(self, emptied);
        (!batch.objects.is_empty()).then_some(batch)
    }
}

fn entry_bytes(entry: &ObjectEntry) -> usize {
    512 + entry.quarantined.len() * 256
}
