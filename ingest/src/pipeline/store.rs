//! What the pipeline asks of a lake.
//!
//! A trait so that the loop can be tested against faults that a real lake makes only once a year. The one implementation
//! outside tests is [`Lake`].

use std::{collections::HashSet, error::Error, future::Future};

use keytrail_lake::{Batch, Committed, Lake, LakeError};
use keytrail_model::ObjectId;

/// Takes batches, each in one atomic commit, and remembers their objects. A clone is the same store.
pub trait Store: Clone + Send + Sync + 'static {
    type Error: Error + Send + Sync + 'static;

    /// Those of the objects that are in the ledger already.
    fn committed(&self, objects: &[ObjectId]) -> impl Future<Output = Result<HashSet<ObjectId>, Self::Error>> + Send;

    /// Rows and ledger lines in one commit; what is there already is dropped.
    fn commit(&self, batch: Batch) -> impl Future<Output = Result<Committed, Self::Error>> + Send;
}

impl Store for Lake {
    type Error = LakeError;

    async fn committed(&self, objects: &[ObjectId]) -> Result<HashSet<ObjectId>, LakeError> {
        Lake::committed(self, objects).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, LakeError> {
        Lake::commit(self, batch).await
    }
}
