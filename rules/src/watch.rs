//! Notices that a folder of rule packs has changed.
//!
//! In: a folder. Out: whether names, sizes or times of its files are other ones than at the last look. A folder that cannot be
//! read looks like an empty one; what is wrong with it is told when it is loaded.

use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};

/// Packs are folders with folders of samples; nothing deeper is read.
const DEPTH: usize = 3;
/// More files than this are no packs; the rest is not looked at.
const FILES_MAX: usize = 20_000;

/// A folder that is looked at from time to time.
#[derive(Debug)]
pub struct PackWatch {
    folder: Option<PathBuf>,
    seen: [u8; 32],
}

impl PackWatch {
    /// Looks at the folder as it is now.
    pub fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_owned), seen: folder.map(look).unwrap_or_default() }
    }

    /// Whether the folder has changed since the last look.
    pub fn has_changed(&mut self) -> bool {
        let Some(folder) = &self.folder else { return false };
        let now = look(folder);
        std::mem::replace(&mut self.seen, now) != now
    }

    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}

fn look(folder: &Path) -> [u8; 32] {
    let mut files = Vec::new();
    gather(folder, DEPTH, &mut files);
    files.sort();
    let mut hasher = Sha256::new();
    for (path, size, changed) in files {
        hasher.update(path.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update(size.to_be_bytes());
        hasher.update(changed.to_be_bytes());
    }
    hasher.finalize().into()
}

fn gather(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, u64, u128)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if files.len() >= FILES_MAX {
            return;
        }
        let path = entry.path();
        let Ok(facts) = fs::metadata(&path) else { continue };
        if facts.is_dir() && depth > 0 {
            gather(&path, depth - 1, files);
        } else if facts.is_file() {
            let changed = facts.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            files.push((path, facts.len(), changed.map_or(0, |at| at.as_nanos())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noticed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("mine/fires")).expect("a folder");
        fs::write(folder.path().join("mine/rule.toml"), "a").expect("a file");
        let mut watch = PackWatch::new(Some(folder.path()));
        assert!(!watch.has_changed());
        fs::write(folder.path().join("mine/rule.toml"), "ab").expect("a file");
        assert!(watch.has_changed() && !watch.has_changed());
        fs::write(folder.path().join("mine/fires/one.json"), "{}").expect("a file");
        assert!(watch.has_changed() && !watch.has_changed());
        fs::remove_dir_all(folder.path().join("mine")).expect("removed");
        assert!(watch.has_changed());
        assert!(!PackWatch::new(None).has_changed());
    }
}
