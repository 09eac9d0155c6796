//! A folder that stands for a bucket.
//!
//! In: keys, as paths below the root with `/` between. Out: bytes, whole and capped; listings in the order that S3 has (bytes of
//! the whole key, not name by name). The ETag is the SHA-256 of the bytes; there are no versions.
//!
//! Invariants: nothing outside the root is read, whatever a key says (`..`, absolute paths and links that lead outside are
//! [`ObjectErrorKind::Missing`]); hidden names (a leading `.`) are not there, so a file can be written under one and renamed.
//! A file that changes while it is read is [`ObjectErrorKind::Overwritten`]. Links to folders are not followed in listings.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use keytrail_model::Micros;
use walkdir::{DirEntry, WalkDir};

use super::{ObjectBytes, ObjectError, ObjectErrorKind, ObjectRef, ObjectStore, PAGE_KEYS, Page, sha256_hex};

/// The bucket that a folder answers to.
pub const FOLDER_BUCKET: &str = "folder";

/// Bytes reserved before any are read.
const FIRST_CAPACITY: usize = 64 * 1024;

/// A folder. A clone is the same one.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: Arc<Path>,
}

impl FolderStore {
    /// The folder need not be there yet; until it is, nothing is in it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into().into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    async fn blocking<T: Send + 'static>(
        &self,
        place: String,
        bucket: &str,
        work: impl FnOnce(&Path) -> Result<T, ObjectErrorKind> + Send + 'static,
    ) -> Result<T, ObjectError> {
        if bucket != FOLDER_BUCKET {
            return Err(ObjectError::new(place, ObjectErrorKind::NoSuchBucket));
        }
        let root = Arc::clone(&self.root);
        match tokio::task::spawn_blocking(move || work(&root)).await {
            Ok(done) => done.map_err(|kind| ObjectError::new(place, kind)),
            Err(ended) => Err(ObjectError::new(place, ObjectErrorKind::Unavailable(ended.to_string()))),
        }
    }
}

impl ObjectStore for FolderStore {
    async fn get(&self, object: &ObjectRef, max_bytes: usize) -> Result<ObjectBytes, ObjectError> {
        let place = object.ledger_key();
        if object.version_id.is_some() && object.bucket == FOLDER_BUCKET {
            return Err(ObjectError::new(place, ObjectErrorKind::MissingVersion));
        }
        let key = object.key.clone();
        self.blocking(place, &object.bucket, move |root| read(root, &key, max_bytes)).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page, ObjectError> {
        let place = format!("s3://{bucket}/{prefix}");
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(place, bucket, move |root| list(root, &prefix, after.as_deref())).await
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let place = format!("s3://{bucket}/{prefix}");
        let prefix = prefix.to_owned();
        self.blocking(place, bucket, move |root| folders(root, &prefix)).await
    }
}

/// The path of a key, if it is one that stays below the root by its own words.
fn relative(key: &str) -> Option<PathBuf> {
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
    let path = Path::new(key);
    let stays = key.split('/').all(sound) && path.components().all(|part| matches!(part, Component::Normal(_)));
    stays.then(|| path.to_path_buf())
}

/// The path that a key really leads to, with every link followed; `None` where that is outside, or nowhere.
fn resolve(root: &Path, key: &str) -> Result<Option<PathBuf>, ObjectErrorKind> {
    let Some(relative) = relative(key) else {
        return Ok(None);
    };
    let found = root.canonicalize().and_then(|root| Ok((root.join(&relative).canonicalize()?, root)));
    match found {
        Ok((path, root)) => Ok(path.starts_with(&root).then_some(path)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn read(root: &Path, key: &str, max_bytes: usize) -> Result<ObjectBytes, ObjectErrorKind> {
    let path = resolve(root, key)?.ok_or(ObjectErrorKind::Missing)?;
    // A pipe or a device would hold the reader up, so the kind is looked at before the file is opened.
    let before = match path.metadata() {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Err(ObjectErrorKind::Missing),
        Err(error) => return Err(failed(&error)),
    };
    let too_large = |size: u64| ObjectErrorKind::TooLarge { size, max: max_bytes as u64 };
    if before.len() > max_bytes as u64 {
        return Err(too_large(before.len()));
    }
    let file = File::open(&path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::with_capacity(FIRST_CAPACITY.min(max_bytes).min(before.len() as usize));
    (&file).take(max_bytes as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() > max_bytes {
        return Err(too_large(bytes.len() as u64));
    }
    let after = file.metadata().map_err(|error| failed(&error))?;
    let stamp = |metadata: &Metadata| (metadata.len(), metadata.modified().ok());
    if stamp(&before) != stamp(&after) || after.len() != bytes.len() as u64 {
        return Err(ObjectErrorKind::Overwritten);
    }
    Ok(ObjectBytes { etag: sha256_hex(&bytes), bytes })
}

fn list(root: &Path, prefix: &str, after: Option<&str>) -> Result<Page, ObjectErrorKind> {
    let mut page = Page::default();
    let canonical = match root.canonicalize() {
        Ok(root) => root,
        Err(error) if is_absence(&error) => return Ok(page),
        Err(error) => return Err(failed(&error)),
    };
    let walk = WalkDir::new(&canonical).sort_by(|a, b| sorted_as(a).cmp(&sorted_as(b))).into_iter();
    let wanted = |entry: &DirEntry| entry.depth() == 0 || may_hold(&canonical, entry, prefix, after);
    for entry in walk.filter_entry(wanted) {
        let entry = match entry {
            Ok(entry) => entry,
            // It went away between being listed and being looked at.
            Err(error) if error.io_error().is_some_and(is_absence) => continue,
            Err(error) => return Err(ObjectErrorKind::Unavailable(error.to_string())),
        };
        let Some(key) = key_of(&canonical, &entry) else {
            continue;
        };
        let linked = entry.path_is_symlink();
        if entry.file_type().is_dir() || !key.starts_with(prefix) || after.is_some_and(|after| key.as_str() <= after) {
            continue;
        }
        let metadata = if linked {
            match resolve(&canonical, &key) {
                Ok(Some(path)) => path.metadata(),
                // A link that leads outside, nowhere, or in a circle is no object.
                Ok(None) | Err(_) => continue,
            }
        } else {
            entry.metadata().map_err(Into::into)
        };
        let metadata = match metadata {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => continue,
            Err(error) if is_absence(&error) => continue,
            Err(error) => return Err(failed(&error)),
        };
        if page.objects.len() == PAGE_KEYS {
            page.more = true;
            break;
        }
        page.objects.push(ObjectRef {
            bucket: FOLDER_BUCKET.to_owned(),
            key,
            size_bytes: Some(metadata.len()),
            announced_at: modified_at(&metadata),
            ..ObjectRef::default()
        });
    }
    Ok(page)
}

/// Whether an entry is visible and can be, or lead to, a key that is asked for.
fn may_hold(root: &Path, entry: &DirEntry, prefix: &str, after: Option<&str>) -> bool {
    if entry.file_name().as_encoded_bytes().starts_with(b".") {
        return false;
    }
    if !entry.file_type().is_dir() {
        return true;
    }
    let Some(folder) = key_of(root, entry).map(|key| key + "/") else {
        return false;
    };
    let on_the_way = folder.starts_with(prefix) || prefix.starts_with(&folder);
    on_the_way && after.is_none_or(|after| after < folder.as_str() || after.starts_with(&folder))
}

/// `None` for names that are no text: no key can say them.
fn key_of(root: &Path, entry: &DirEntry) -> Option<String> {
    let below = entry.path().strip_prefix(root).ok()?;
    let parts: Option<Vec<&str>> = below.components().map(|part| part.as_os_str().to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

/// A folder's keys go on with `/`, which sorts after `-` and `.`: `a-b/x` comes before `a/x`.
fn sorted_as(entry: &DirEntry) -> Vec<u8> {
    let mut name = entry.file_name().as_encoded_bytes().to_vec();
    if entry.file_type().is_dir() {
        name.push(b'/');
    }
    name
}

fn folders(root: &Path, prefix: &str) -> Result<Vec<String>, ObjectErrorKind> {
    let path = match prefix.strip_suffix('/') {
        Some(key) => resolve(root, key)?,
        None if prefix.is_empty() => Some(root.to_path_buf()),
        None => None,
    };
    let Some(path) = path.filter(|path| path.is_dir()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in path.read_dir().map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let Some(name) = entry.file_name().to_str()
            && is_dir
            && !name.starts_with('.')
        {
            found.push(format!("{prefix}{name}/"));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn modified_at(metadata: &Metadata) -> Option<Micros> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Micros::try_from(since.as_micros()).ok()
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidFilename)
}

fn failed(error: &io::Error) -> ObjectErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ObjectErrorKind::Missing,
        io::ErrorKind::PermissionDenied => ObjectErrorKind::Forbidden { code: "file permissions".to_owned() },
        kind => ObjectErrorKind::Unavailable(kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::contract::{self, Arrange};

    struct Files(FolderStore);

    impl Arrange for Files {
        fn bucket(&self) -> &str {
            FOLDER_BUCKET
        }

        async fn put(&self, key: &str, bytes: &[u8]) -> Option<String> {
            let path = self.0.root().join(key);
            std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
            None
        }

        async fn delete(&self, key: &str) {
            std::fs::remove_file(self.0.root().join(key)).expect("removed");
        }
    }

    fn object(key: &str) -> ObjectRef {
        ObjectRef { bucket: FOLDER_BUCKET.to_owned(), key: key.to_owned(), ..ObjectRef::default() }
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        let root = tempfile::tempdir().expect("a folder");
        let store = FolderStore::new(root.path());
        contract::check(&store, &Files(store.clone())).await;
    }

    #[tokio::test]
    async fn no_key_leads_outside() {
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("secret"), b"not yours").expect("a file");
        let root = tempfile::tempdir_in(outside.path()).expect("a folder");
        std::fs::create_dir(root.path().join("in")).expect("a folder");
        std::fs::write(root.path().join("in/x"), b"x").expect("a file");
        std::fs::write(root.path().join("in/.part"), b"x").expect("a file");
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(outside.path().join("secret"), root.path().join("link")).expect("a link");
            symlink(outside.path(), root.path().join("way")).expect("a link");
            symlink(root.path().join("in/x"), root.path().join("inside")).expect("a link");
        }
        let store = FolderStore::new(root.path());
        let absolute = outside.path().join("secret").display().to_string();
        for key in
            ["../secret", "in/../../secret", "link", "way/secret", "in", "in/", "", "/", "in//x", "./in/x", &absolute]
        {
            let error = store.get(&object(key), 100).await.expect_err(key);
            assert!(matches!(error.kind, ObjectErrorKind::Missing), "{key}: {error}");
        }
        assert!(store.get(&object("in/.part"), 100).await.is_err());
        let keys: Vec<String> =
            store.list(FOLDER_BUCKET, "", None).await.expect("a page").objects.into_iter().map(|it| it.key).collect();
        let wanted: &[&str] = if cfg!(unix) { &["in/x", "inside"] } else { &["in/x"] };
        assert_eq!(keys, wanted);
        for key in wanted {
            assert_eq!(store.get(&object(key), 100).await.expect("read").bytes, b"x");
        }
        assert_eq!(store.folders(FOLDER_BUCKET, "../").await.expect("none"), Vec::<String>::new());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_pipe_holds_nobody_up() {
        let root = tempfile::tempdir().expect("a folder");
        let made = std::process::Command::new("mkfifo").arg(root.path().join("pipe")).status();
        if !made.is_ok_and(|status| status.success()) {
            // No mkfifo here.
            return;
        }
        let error = FolderStore::new(root.path()).get(&object("pipe"), 100).await.expect_err("no file");
        assert!(matches!(error.kind, ObjectErrorKind::Missing), "{error}");
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_empty() {
        let root = tempfile::tempdir().expect("a folder");
        let store = FolderStore::new(root.path().join("not-yet"));
        assert_eq!(store.list(FOLDER_BUCKET, "", None).await.expect("a page"), Page::default());
        assert!(store.folders(FOLDER_BUCKET, "").await.expect("none").is_empty());
    }
}
