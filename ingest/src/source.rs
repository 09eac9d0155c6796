//! Where objects come from: files, folder trees and standard input.
//!
//! In: what was typed. Out: the objects found, in the order of their delivery stamps, then of their keys, because the
//! rules judge in that order; and the bytes of one object, capped.
//!
//! An object's key is the same from wherever it is read: the path from its last `AWSLogs/` on, else the path below the
//! folder that was given, else the file's name. Hidden files and folders (a leading `.`) are passed over. A file that
//! cannot be read is not an error here: it is an object with a reason.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use keytrail_model::Micros;
use walkdir::WalkDir;

use crate::{
    decode::KeyHints,
    error::{IngestError, IngestErrorKind},
};

/// The file that tells a simulated bucket, and the files of such a bucket that are no deliveries.
const SIMULATION_MARKER: &str = "simulation.json";
const BESIDE_A_SIMULATION: [&str; 2] = [SIMULATION_MARKER, "labels.json"];

/// The key of what comes through standard input.
const STDIN_KEY: &str = "stdin";
const TREE: &str = "AWSLogs";

/// One thing to read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, or a folder with everything below it.
    Path(PathBuf),
    Stdin,
    /// What is below a prefix of a bucket (empty: all of it). Read by `ingest_bucket`.
    S3 {
        bucket: String,
        prefix: String,
    },
}

const S3: &str = "s3://";

impl Source {
    /// What was typed: a path, `s3://bucket/prefix`, or `-`.
    pub fn parse(text: &str) -> Result<Self, IngestError> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if let Some(place) = text.strip_prefix(S3) {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            if bucket.is_empty() {
                return Err(IngestError::new(text, IngestErrorKind::Missing));
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        Ok(Self::Path(PathBuf::from(text)))
    }
}

/// An object that was found and not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: String,
    /// Absent for standard input.
    pub(crate) path: Option<PathBuf>,
    pub(crate) delivered_at: Option<Micros>,
    pub(crate) size_bytes: u64,
    /// Why it cannot be listed, where that is so.
    pub(crate) fault: Option<String>,
}

/// Everything in the sources, in the order to be read. Each key and path once.
pub(crate) fn find(sources: &[Source]) -> Result<Vec<Found>, IngestError> {
    let mut found = Vec::new();
    for source in sources {
        match source {
            Source::Stdin => found.push(Found {
                key: STDIN_KEY.to_owned(),
                path: None,
                delivered_at: None,
                size_bytes: 0,
                fault: None,
            }),
            Source::Path(root) => walk(root, &mut found)?,
            Source::S3 { bucket, prefix } => {
                return Err(IngestError::new(format!("{S3}{bucket}/{prefix}"), IngestErrorKind::NotLocal));
            }
        }
    }
    found.sort_by(|a, b| {
        let order = |object: &Found| (object.delivered_at.is_none(), object.delivered_at);
        order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key)).then_with(|| a.path.cmp(&b.path))
    });
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

fn walk(root: &Path, found: &mut Vec<Found>) -> Result<(), IngestError> {
    if std::fs::metadata(root).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(IngestError::new(root.display().to_string(), IngestErrorKind::Missing));
    }
    // Absolute, so that a folder given from inside the tree still shows what stands above it.
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    // What `keytrail simulate` writes beside the deliveries is about them, not one of them.
    let simulated = root.join(SIMULATION_MARKER).is_file();
    let beside = |entry: &walkdir::DirEntry| {
        simulated && entry.depth() == 1 && BESIDE_A_SIMULATION.iter().any(|name| entry.file_name() == *name)
    };
    let entries = WalkDir::new(&root).follow_links(true).into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !(hidden(entry.file_name()) || beside(entry))) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => {
                let key = key_of(&root, entry.path());
                let size_bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                found.push(Found {
                    delivered_at: KeyHints::of(&key).delivered_at,
                    key,
                    path: Some(entry.into_path()),
                    size_bytes,
                    fault: None,
                });
            }
            Err(error) => {
                let path = error.path().unwrap_or(&root).to_path_buf();
                found.push(Found {
                    key: key_of(&root, &path),
                    fault: Some(format!("it cannot be listed: {}", error_text(&error, &shown(&path)))),
                    path: Some(path),
                    delivered_at: None,
                    size_bytes: 0,
                });
            }
        }
    }
    Ok(())
}

fn error_text(error: &walkdir::Error, path: &str) -> String {
    match (error.io_error(), error.loop_ancestor()) {
        (Some(io), _) => io.kind().to_string(),
        (None, Some(_)) => "a symbolic link leads back to a folder above it".to_owned(),
        (None, None) => path.to_owned(),
    }
}

/// The key that stays the same from wherever the object is read.
fn key_of(root: &Path, path: &Path) -> String {
    let parts: Vec<_> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        })
        .collect();
    // The file's own name is never the tree.
    let folders = parts.len().saturating_sub(1);
    let tree = parts.iter().take(folders).rposition(|part| part == TREE);
    let below = path.strip_prefix(root).map_or(0, |below| below.components().count());
    let from = tree.unwrap_or_else(|| parts.len() - below.max(1).min(parts.len()));
    parts.get(from..).unwrap_or_default().join("/")
}

/// An object's bytes as delivered, or why they cannot be had.
pub(crate) fn read(object: &Found, max_bytes: usize) -> Result<Vec<u8>, String> {
    if let Some(fault) = &object.fault {
        return Err(fault.clone());
    }
    match &object.path {
        None => capped(io::stdin().lock(), 0, max_bytes),
        Some(path) => match File::open(path) {
            Ok(file) => capped(file, object.size_bytes as usize, max_bytes),
            Err(error) => Err(format!("it cannot be opened: {}", error.kind())),
        },
    }
}

fn capped(from: impl Read, expected: usize, max_bytes: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(expected.min(max_bytes));
    match from.take(max_bytes as u64 + 1).read_to_end(&mut bytes) {
        Err(error) => Err(format!("it cannot be read: {}", error.kind())),
        Ok(length) if length > max_bytes => {
            Err(format!("it holds more than {max_bytes} bytes (setting `max_object_bytes`)"))
        }
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "111122223333_CloudTrail_us-east-1_20260801T1205Z_AbCdEfGhIjKlMnOp.json.gz";

    fn write(root: &Path, path: &str) -> PathBuf {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        std::fs::write(&path, b"{}").expect("a file");
        path
    }

    fn keys(sources: &[Source]) -> Vec<String> {
        find(sources).expect("found").into_iter().map(|object| object.key).collect()
    }

    #[test]
    fn one_key_from_wherever_it_is_read() {
        let root = tempfile::tempdir().expect("a folder");
        let tree = format!("AWSLogs/111122223333/CloudTrail/us-east-1/2026/08/01/{NAME}");
        let file = write(root.path(), &format!("some/copy/{tree}"));
        for given in [root.path().to_path_buf(), root.path().join("some/copy/AWSLogs/111122223333"), file] {
            assert_eq!(keys(&[Source::Path(given)]), std::slice::from_ref(&tree));
        }
        let loose = write(root.path(), "loose/folder/x.json");
        assert_eq!(keys(&[Source::Path(root.path().join("loose"))]), ["folder/x.json"]);
        assert_eq!(keys(&[Source::Path(loose)]), ["x.json"]);
    }

    #[test]
    fn in_order_of_delivery_and_each_once() {
        let root = tempfile::tempdir().expect("a folder");
        write(root.path(), "b/111122223333_CloudTrail_us-east-1_20260802T1205Z_a.json");
        write(root.path(), "c/111122223333_CloudTrail_us-east-1_20260801T1205Z_a.json");
        write(root.path(), "a/no-stamp.json");
        write(root.path(), ".hidden/x.json");
        write(root.path(), "simulation.json");
        write(root.path(), "labels.json");
        let path = root.path().to_path_buf();
        let found = keys(&[Source::Path(path.clone()), Source::Path(path)]);
        let wanted = [
            "c/111122223333_CloudTrail_us-east-1_20260801T1205Z_a.json",
            "b/111122223333_CloudTrail_us-east-1_20260802T1205Z_a.json",
            "a/no-stamp.json",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_not_there_is_an_error_and_what_is_too_long_a_reason() {
        let root = tempfile::tempdir().expect("a folder");
        let error = find(&[Source::Path(root.path().join("nothing"))]).expect_err("missing");
        assert!(matches!(error.kind, IngestErrorKind::Missing), "{error}");
        assert!(Source::parse("s3://").is_err());
        let bucket = Source::parse("s3://bucket/some/prefix").expect("a bucket");
        assert_eq!(bucket, Source::S3 { bucket: "bucket".to_owned(), prefix: "some/prefix".to_owned() });
        let error = find(&[bucket]).expect_err("not local");
        assert!(matches!(error.kind, IngestErrorKind::NotLocal), "{error}");
        assert_eq!(Source::parse("-").expect("standard input"), Source::Stdin);
        let path = write(root.path(), "x.json");
        let found = find(&[Source::Path(path.clone())]).expect("found").remove(0);
        assert_eq!(read(&found, 2), Ok(b"{}".to_vec()));
        assert!(read(&found, 1).expect_err("too long").contains("max_object_bytes"));
        std::fs::remove_file(path).expect("removed");
        assert!(read(&found, 2).expect_err("vanished").contains("opened"));
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_ends() {
        let root = tempfile::tempdir().expect("a folder");
        write(root.path(), "a/x.json");
        std::os::unix::fs::symlink(root.path(), root.path().join("a/back")).expect("a link");
        let found = find(&[Source::Path(root.path().to_path_buf())]).expect("found");
        assert_eq!(found.iter().filter(|object| object.fault.is_some()).count(), 1);
        assert_eq!(found.len(), 2);
    }
}
