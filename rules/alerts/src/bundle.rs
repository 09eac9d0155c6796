//! The manifest of an evidence bundle: which files belong to it, and the SHA-256 of each.
//!
//! In: the files of a bundle by their path in it. Out: the manifest's text, and of a bundle that was kept, what does not agree with it
//! any more. The manifest does not name itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The manifest's name in a bundle.
pub const MANIFEST: &str = "manifest.json";

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The alert that the bundle is about.
    pub alert_id: String,
    /// The program that wrote it.
    pub made_by: String,
    pub made_at: String,
    /// Path in the bundle, `/` between folders, to its size and SHA-256.
    pub files: BTreeMap<String, Entry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub bytes: u64,
    pub sha256: String,
}

impl Entry {
    pub fn of(content: &[u8]) -> Self {
        let digest = Sha256::digest(content);
        Self { bytes: content.len() as u64, sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

impl Manifest {
    pub fn new(alert_id: &str, made_by: &str, made_at: &str, files: &BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            alert_id: alert_id.to_owned(),
            made_by: made_by.to_owned(),
            made_at: made_at.to_owned(),
            files: files.iter().map(|(path, content)| (path.clone(), Entry::of(content))).collect(),
        }
    }

    /// What differs from the manifest, in words; nothing where all of it is as it was.
    pub fn differences(&self, files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let mut found = Vec::new();
        for (path, entry) in &self.files {
            match files.get(path) {
                None => found.push(format!("{path} is missing")),
                Some(content) if Entry::of(content) != *entry => found.push(format!("{path} was changed")),
                Some(_) => {}
            }
        }
        let added = files.keys().filter(|path| *path != MANIFEST && !self.files.contains_key(*path));
        found.extend(added.map(|path| format!("{path} was added")));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_seen() {
        let file = |text: &str| text.as_bytes().to_vec();
        let files = BTreeMap::from([("a".to_owned(), file("abc")), ("b/c".to_owned(), file(""))]);
        let manifest = Manifest::new("id", "keytrail", "now", &files);
        // FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(manifest.files["a"].sha256, known);
        assert_eq!(manifest.differences(&files), Vec::<String>::new());
        let mut changed = files.clone();
        changed.insert("a".to_owned(), file("abd"));
        changed.remove("b/c");
        changed.insert("d".to_owned(), file(""));
        assert_eq!(manifest.differences(&changed), ["a was changed", "b/c is missing", "d was added"]);
    }
}
