//! One object's bytes to rows, with memory that is kept from one object to the next.
//!
//! In: an id and the bytes, or the reason why there are none. Out: [`Decoded`], always. Shared by all who read objects;
//! it blocks, so it is called on the blocking pool.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keytrail_model::{ObjectId, ObjectOutcome};

use crate::{
    decode::{Buffers, Decoded, decode_object, unread},
    normalize::Scope,
    settings::IngestSettings,
};

/// What a packed object may well unpack to, times its size.
const USUAL_RATIO: usize = 16;

/// Decodes; shared by all workers.
pub(crate) struct Decoding {
    pub(crate) settings: IngestSettings,
    scope: Scope,
    buffers: Mutex<Vec<Buffers>>,
}

impl Decoding {
    pub(crate) fn new(settings: IngestSettings, scope: Scope) -> Self {
        Self { settings, scope, buffers: Mutex::default() }
    }

    /// Decodes one object.
    pub(crate) fn decode(&self, object: &ObjectId, bytes: &[u8]) -> Decoded {
        let mut buffers = self.pool().pop().unwrap_or_default();
        let settings = &self.settings;
        let decoded = decode_object(bytes, object, &settings.decode, self.scope, &settings.fields, &mut buffers);
        self.pool().push(buffers);
        decoded
    }

    /// A guess at what an object of this size takes while it is decoded.
    pub(crate) fn unpacked(&self, size_bytes: usize) -> usize {
        let max = self.settings.decode.max_object_bytes;
        size_bytes.saturating_mul(USUAL_RATIO).min(max)
    }

    fn pool(&self) -> MutexGuard<'_, Vec<Buffers>> {
        // A worker that panicked never held the lock while it worked.
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger's line for an object that was not read.
pub(crate) fn quarantined(object: &ObjectId, size_bytes: Option<u64>, reason: String) -> Decoded {
    let size = i64::try_from(size_bytes.unwrap_or_default()).unwrap_or(i64::MAX);
    unread(object, size, ObjectOutcome::Quarantined(reason))
}

/// Whether something of it could not be understood. Bytes that came over a network are read a second time then: a flipped
/// bit that no checksum caught must not pass for a broken object.
pub(crate) fn is_damaged(decoded: &Decoded) -> bool {
    matches!(decoded.entry.outcome, ObjectOutcome::Quarantined(_)) || !decoded.entry.quarantined.is_empty()
}

/// The line for an object at which decoding ended in a panic. A defect of ours must stop neither queue nor run: the object
/// is named, and can be read again after an update.
pub(crate) fn panicked(object: &ObjectId) -> Decoded {
    quarantined(object, None, "reading it ended in a panic; this is a defect, retry it after an update".to_owned())
}
