//! Named states that can be rebuilt from the tables, kept as files under `_keytrail/` so that a start need not.
//!
//! In and out: a name and its bytes. A file carries a checksum; one that is damaged, or of another layout, reads as
//! absent, because whoever needs it can rebuild it. It is written beside its place and moved there, so a crash leaves
//! the old state; what it leaves beside is overwritten by the next write.

use std::{fs, io::ErrorKind, path::PathBuf};

use sha2::{Digest, Sha256};

use crate::{
    error::{At, LakeError, LakeErrorKind, shown},
    lake::Lake,
};

const FOLDER: &str = "_keytrail";
/// What a file starts with: its layout.
const MAGIC: &[u8; 16] = b"keytrail-state-1";
const DIGEST_BYTES: usize = 32;
const LONGEST_NAME: usize = 100;

impl Lake {
    /// Stores a state under a name, in place of what was there.
    ///
    /// # Errors
    /// The name may not be a file's name, or the file cannot be written.
    pub async fn put_state(&self, name: &str, bytes: Vec<u8>) -> Result<(), LakeError> {
        let place = self.state_path(name)?;
        // Each writer has a file of its own: two processes must not write into one.
        let beside = place.with_file_name(format!(".{name}.{}.tmp", uuid::Uuid::new_v4().simple()));
        let shown_place = shown(&place);
        let written = tokio::task::spawn_blocking(move || {
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder)?;
                sweep(folder);
            }
            let mut file = Vec::with_capacity(MAGIC.len() + DIGEST_BYTES + bytes.len());
            file.extend_from_slice(MAGIC);
            file.extend_from_slice(&Sha256::digest(&bytes));
            file.extend_from_slice(&bytes);
            fs::write(&beside, file)?;
            fs::rename(&beside, &place)
        });
        written.await.at(&shown_place)?.at(&shown_place)
    }

    /// The state under a name; `None` where there is none that can be trusted.
    ///
    /// # Errors
    /// The name may not be a file's name, or the file is there and cannot be read.
    pub async fn get_state(&self, name: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let place = self.state_path(name)?;
        let shown_place = shown(&place);
        let read = tokio::task::spawn_blocking(move || fs::read(place)).await.at(&shown_place)?;
        let mut file = match read {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LakeError::new(shown_place, error)),
        };
        let head = MAGIC.len() + DIGEST_BYTES;
        let sound = file.starts_with(MAGIC)
            && file.len() >= head
            && Sha256::digest(file.get(head..).unwrap_or_default()).as_slice()
                == file.get(MAGIC.len()..head).unwrap_or_default();
        if !sound {
            tracing::warn!(place = %shown_place, "state is damaged and will be rebuilt");
            return Ok(None);
        }
        Ok(Some(file.split_off(head)))
    }

    fn state_path(&self, name: &str) -> Result<PathBuf, LakeError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let sound = !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.') && name.bytes().all(plain);
        if sound {
            Ok(self.inner.root.join(FOLDER).join(name))
        } else {
            Err(LakeError::new(FOLDER, LakeErrorKind::BadName(name.to_owned())))
        }
    }
}

/// Removes what crashes left behind an hour ago or longer.
fn sweep(folder: &std::path::Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let stale = entry.file_name().to_string_lossy().ends_with(".tmp")
            && entry
                .metadata()
                .and_then(|data| data.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() > 3_600));
        if stale && let Err(error) = fs::remove_file(entry.path()) {
            tracing::debug!(%error, "a stale temporary file stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lake;

    #[tokio::test]
    async fn a_state_comes_back_and_a_damaged_one_does_not() {
        let (folder, lake) = lake().await;
        assert_eq!(lake.get_state("rules-1").await.expect("no state"), None);
        lake.put_state("rules-1", vec![1, 2, 3]).await.expect("a state");
        lake.put_state("rules-1", b"newer".to_vec()).await.expect("a state");
        assert_eq!(lake.get_state("rules-1").await.expect("a state").as_deref(), Some(&b"newer"[..]));
        let path = folder.path().join(FOLDER).join("rules-1");
        let mut bytes = fs::read(&path).expect("the file");
        *bytes.last_mut().expect("a byte") ^= 1;
        fs::write(&path, &bytes).expect("damaged");
        assert_eq!(lake.get_state("rules-1").await.expect("no state"), None);
        for cut in [0, 10, 20, 47] {
            fs::write(&path, &bytes[..cut]).expect("cut short");
            assert_eq!(lake.get_state("rules-1").await.expect("no state"), None);
        }
    }

    #[tokio::test]
    async fn a_name_stays_in_its_folder() {
        let (_folder, lake) = lake().await;
        for name in ["", "..", "../x", "a/b", ".hidden", "a\0b", &"x".repeat(101), "é"] {
            assert!(lake.put_state(name, Vec::new()).await.is_err(), "{name:?}");
            assert!(lake.get_state(name).await.is_err(), "{name:?}");
        }
    }
}
