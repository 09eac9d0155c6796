//! Named states that can be rebuilt from the tables, kept as files under `_keytrail/` so that a start need not.
//!
//! In and out: a name and its bytes. A file carries a checksum; one that is damaged, or of another layout, reads as
//! absent, because whoever needs it can rebuild it. In a folder it is written beside its place and moved there, so a crash
//! leaves the old state, and what it leaves beside is swept up later; in a bucket a put is whole or not at all.

use std::{
    fs,
    io::ErrorKind,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use deltalake::{ObjectStore, ObjectStoreError, Path};
use sha2::{Digest, Sha256};

use crate::{
    error::{At, LakeError, LakeErrorKind, shown},
    lake::Lake,
    schema::TableName,
};

const FOLDER: &str = "_keytrail";
/// What a file starts with: its layout.
const MAGIC: &[u8; 16] = b"keytrail-state-1";
const DIGEST_BYTES: usize = 32;
const LONGEST_NAME: usize = 100;

/// Where a state is kept.
enum Place {
    File(PathBuf),
    Object(Arc<dyn ObjectStore>, Path),
}

impl Lake {
    /// Stores a state under a name, in place of what was there.
    ///
    /// # Errors
    /// The name may not be a file's name, or the file cannot be written.
    pub async fn put_state(&self, name: &str, bytes: Vec<u8>) -> Result<(), LakeError> {
        let mut file = Vec::with_capacity(MAGIC.len() + DIGEST_BYTES + bytes.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&Sha256::digest(&bytes));
        file.extend_from_slice(&bytes);
        match self.state_place(name).await? {
            Place::File(path) => put_file(name, path, file).await,
            Place::Object(store, path) => {
                store.put_opts(&path, file.into(), Default::default()).await.at(&path)?;
                Ok(())
            }
        }
    }

    /// The state under a name; `None` where there is none that can be trusted.
    ///
    /// # Errors
    /// The name may not be a file's name, or the file is there and cannot be read.
    pub async fn get_state(&self, name: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let read = match self.state_place(name).await? {
            Place::File(path) => get_file(path).await?,
            Place::Object(store, path) => match store.get_opts(&path, Default::default()).await {
                Ok(found) => Some(found.bytes().await.at(&path)?.to_vec()),
                Err(ObjectStoreError::NotFound { .. }) => None,
                Err(error) => return Err(LakeError::new(&path, error)),
            },
        };
        let Some(mut file) = read else { return Ok(None) };
        let head = MAGIC.len() + DIGEST_BYTES;
        let sound = file.starts_with(MAGIC)
            && file.len() >= head
            && Sha256::digest(file.get(head..).unwrap_or_default()).as_slice()
                == file.get(MAGIC.len()..head).unwrap_or_default();
        if !sound {
            tracing::warn!(name, "state is damaged and will be rebuilt");
            return Ok(None);
        }
        Ok(Some(file.split_off(head)))
    }

    async fn state_place(&self, name: &str) -> Result<Place, LakeError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let sound = !name.is_empty() && name.len() <= LONGEST_NAME && !name.starts_with('.') && name.bytes().all(plain);
        if !sound {
            return Err(LakeError::new(FOLDER, LakeErrorKind::BadName(name.to_owned())));
        }
        let location = &self.inner.location;
        match location.folder() {
            Some(root) => Ok(Place::File(root.join(FOLDER).join(name))),
            None => {
                let table = self.inner.tables.get(TableName::AccessEvents).seen().await;
                let path = Path::from(location.key(&format!("{FOLDER}/{name}")));
                Ok(Place::Object(table.log_store().root_object_store(None), path))
            }
        }
    }
}

async fn put_file(name: &str, place: PathBuf, file: Vec<u8>) -> Result<(), LakeError> {
    // Each writer has a file of its own: two processes must not write into one.
    let beside = place.with_file_name(format!(".{name}.{}.tmp", uuid::Uuid::new_v4().simple()));
    let shown_place = shown(&place);
    let written = tokio::task::spawn_blocking(move || {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
            sweep(folder);
        }
        fs::write(&beside, file)?;
        fs::rename(&beside, &place)
    });
    written.await.at(&shown_place)?.at(&shown_place)
}

async fn get_file(place: PathBuf) -> Result<Option<Vec<u8>>, LakeError> {
    let shown_place = shown(&place);
    match tokio::task::spawn_blocking(move || fs::read(place)).await.at(&shown_place)? {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LakeError::new(shown_place, error)),
    }
}

/// Removes what crashes left behind an hour ago or longer.
fn sweep(folder: &FilePath) {
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
