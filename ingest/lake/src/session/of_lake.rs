//! A session over a lake's newest snapshot.
//!
//! In: the lake and the session's settings. Out: a session whose stored tables are each at the newest version at this
//! moment; what is committed later is not seen by it.

use deltalake::datafusion::prelude::SessionContext;

use super::{SessionSettings, build};
use crate::{Lake, LakeError, LakeErrorKind};

impl Lake {
    /// Opens a read-only session.
    ///
    /// # Errors
    /// A log cannot be read, a table has become newer than this program, or temporary files cannot be made.
    pub async fn session(&self, settings: &SessionSettings) -> Result<SessionContext, LakeError> {
        build(self.providers().await?, settings)
            .await
            .map_err(|error| LakeError::new("session", LakeErrorKind::Session(Box::new(error))))
    }
}
