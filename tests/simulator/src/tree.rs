//! Writes files under one folder and counts them. Gzip has a fixed level and no time, so equal text gives equal bytes.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use serde::Serialize;

use crate::error::{Result, SimulateError};

/// The folder being written.
pub(crate) struct Tree {
    root: PathBuf,
    made: BTreeSet<PathBuf>,
    pub(crate) files: u64,
    pub(crate) json_bytes: u64,
    pub(crate) stored_bytes: u64,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), made: BTreeSet::new(), files: 0, json_bytes: 0, stored_bytes: 0 }
    }

    /// Writes one delivered object.
    pub(crate) fn write(&mut self, path: &str, text: &str, gzip: bool) -> Result<()> {
        let full = self.root.join(path);
        let fail = |error: std::io::Error| SimulateError::new(&full, error);
        if let Some(folder) = full.parent()
            && !self.made.contains(folder)
        {
            fs::create_dir_all(folder).map_err(fail)?;
            self.made.insert(folder.to_owned());
        }
        let stored = if gzip {
            let mut encoder = GzBuilder::new().mtime(0).write(Vec::with_capacity(text.len() / 6), Compression::new(1));
            encoder.write_all(text.as_bytes()).map_err(fail)?;
            encoder.finish().map_err(fail)?
        } else {
            text.as_bytes().to_vec()
        };
        fs::write(&full, &stored).map_err(fail)?;
        self.files += 1;
        self.json_bytes += text.len() as u64;
        self.stored_bytes += stored.len() as u64;
        Ok(())
    }

    /// Writes a file about the deliveries, which is not one of them.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let full = self.root.join(name);
        let mut text = serde_json::to_string_pretty(value).map_err(|error| SimulateError::new(&full, error))?;
        text.push('\n');
        fs::write(&full, text).map_err(|error| SimulateError::new(&full, error))
    }
}

/// How many files are under a folder; none when it does not exist.
pub(crate) fn count_files(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 }).sum()
}
