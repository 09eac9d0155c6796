//! The walk through a watched folder, and what it has seen.
//!
//! In: a folder. Out: an announcement in a [`MemoryQueue`] for every file that is new or has changed, once it has settled.
//! A walk goes in steps that may block, and stands still while enough messages are held. What a whole walk did not see is
//! forgotten, so memory follows the folder. See [`super`] for what is passed over.

use std::{
    collections::HashMap,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use keytrail_model::time;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use walkdir::{DirEntry, FilterEntry, IntoIter, WalkDir};

use super::{DirectoryQueueSettings, FOLDER_BUCKET};
use crate::{
    notification::encode_key,
    queue::{QueueErrorKind, memory::MemoryQueue},
};

/// Entries of the folder that one step of the walk looks at.
const STEP: usize = 5_000;
/// The longest key that a notification is read with.
const MAX_KEY_BYTES: usize = 1024;
/// How long the walk stands still before it looks whether messages were deleted.
const FULL: Duration = Duration::from_millis(50);
/// After a walk the folder is left alone for this many times as long as the walk took.
const REST: u32 = 5;

/// What a file looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

/// One file that a walk has seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    stamp: Stamp,
    /// The walk that saw it last: what the newest walk did not see is forgotten.
    walk: u64,
    /// When it was first seen like this, and whether it has been announced like this.
    since: Instant,
    announced: bool,
}

/// The first half of the SHA-256 of a file's key: what was seen costs the same whatever the names.
type Name = [u8; 16];

type Walker = FilterEntry<IntoIter, fn(&DirEntry) -> bool>;

/// The walk through the folder, and what it has seen.
pub(super) struct Watch {
    root: Arc<Path>,
    settings: DirectoryQueueSettings,
    messages: MemoryQueue,
    walker: Option<Walker>,
    /// The root without links, as of the present walk.
    inside: PathBuf,
    walk: u64,
    seen: HashMap<Name, Seen>,
    /// How long the present walk has worked.
    worked: Duration,
    rest_until: Option<Instant>,
    warned: u32,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("root", &self.root).field("walk", &self.walk).finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) fn new(root: Arc<Path>, settings: DirectoryQueueSettings, messages: MemoryQueue) -> Self {
        Self {
            root,
            settings,
            messages,
            walker: None,
            inside: PathBuf::new(),
            walk: 0,
            seen: HashMap::new(),
            worked: Duration::ZERO,
            rest_until: None,
            warned: 0,
        }
    }

    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rest_until.filter(|until| *until > Instant::now())
    }

    /// Walks on, until enough entries were seen or messages are held, or the walk is through.
    pub(super) fn step(&mut self) -> Result<Instant, QueueErrorKind> {
        let start = Instant::now();
        let mut walker = match self.walker.take() {
            Some(walker) => walker,
            None => self.begin()?,
        };
        for _ in 0..STEP {
            if self.messages.len() >= self.settings.max_messages {
                self.walker = Some(walker);
                let later = Instant::now() + FULL;
                self.rest_until = Some(later);
                return Ok(later);
            }
            match walker.next() {
                None => return Ok(self.end(start)),
                Some(Ok(entry)) => self.entry(&entry),
                Some(Err(error)) => {
                    let gone = error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
                    if !gone {
                        self.warn(&error.to_string());
                    }
                }
            }
        }
        self.walker = Some(walker);
        self.worked += start.elapsed();
        Ok(Instant::now())
    }

    fn begin(&mut self) -> Result<Walker, QueueErrorKind> {
        self.rest_until = Some(Instant::now() + self.settings.every);
        let is_there = self.root.canonicalize().and_then(|inside| {
            // Reading the first entry tells at once whether the folder is one that may be read.
            inside.read_dir()?.next().transpose()?;
            Ok(inside)
        });
        self.inside = is_there.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => QueueErrorKind::Missing,
            io::ErrorKind::PermissionDenied => QueueErrorKind::Forbidden { code: error.to_string() },
            _ => QueueErrorKind::Unavailable(error.to_string()),
        })?;
        self.rest_until = None;
        self.walk += 1;
        self.worked = Duration::ZERO;
        self.warned = 0;
        let is_wanted: fn(&DirEntry) -> bool = is_wanted;
        Ok(WalkDir::new(&self.inside).into_iter().filter_entry(is_wanted))
    }

    fn end(&mut self, start: Instant) -> Instant {
        let walk = self.walk;
        self.seen.retain(|_, seen| seen.walk == walk);
        let rest = self.settings.every.max((self.worked + start.elapsed()) * REST);
        let later = Instant::now() + rest;
        self.rest_until = Some(later);
        later
    }

    fn entry(&mut self, entry: &DirEntry) {
        if entry.file_type().is_dir() {
            return;
        }
        let Some(metadata) = self.file(entry) else { return };
        let Some(key) = self.key(entry) else { return };
        let stamp = Stamp { size: metadata.len(), modified: metadata.modified().ok() };
        let name = name_of(&key);
        let now = Instant::now();
        let mut seen = Seen { stamp, walk: self.walk, since: now, announced: false };
        if let Some(before) = self.seen.get(&name).filter(|before| before.stamp == stamp) {
            seen = Seen { walk: self.walk, ..*before };
        }
        if !seen.announced && self.has_settled(&seen, now) {
            seen.announced = true;
            self.messages.send(announcement(&key, stamp));
        }
        self.seen.insert(name, seen);
    }

    /// Old enough by its own time; where that is missing or lies ahead, by how long it has looked the same.
    fn has_settled(&self, seen: &Seen, now: Instant) -> bool {
        match seen.stamp.modified.and_then(|modified| modified.elapsed().ok()) {
            Some(age) => age >= self.settings.settle,
            None => now.duration_since(seen.since) >= self.settings.settle,
        }
    }

    /// The file that an entry is or leads to, if it lies in the folder.
    fn file(&mut self, entry: &DirEntry) -> Option<Metadata> {
        if entry.file_type().is_file() {
            return entry.metadata().ok();
        }
        if !entry.path_is_symlink() {
            return None;
        }
        let target = entry.path().canonicalize().ok()?;
        let metadata = target.metadata().ok()?;
        (target.starts_with(&self.inside) && metadata.is_file()).then_some(metadata)
    }

    fn key(&mut self, entry: &DirEntry) -> Option<String> {
        let path = entry.path().strip_prefix(&self.inside).ok()?;
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let key = parts.map(|parts| parts.join("/")).filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES);
        if key.is_none() {
            self.warn(&format!(
                "{path:?} is passed over: its name is no UTF-8, or is longer than {MAX_KEY_BYTES} bytes"
            ));
        }
        key
    }

    #[cfg(test)]
    pub(super) fn files(&self) -> usize {
        self.seen.len()
    }

    /// Says what is wrong, a few times per walk.
    fn warn(&mut self, words: &str) {
        const MOST: u32 = 5;
        self.warned += 1;
        if self.warned <= MOST {
            tracing::warn!(folder = %self.root.display(), "{words}");
        }
    }
}

/// Hidden names, at any level, and files that somebody has not finished are passed over.
fn is_wanted(entry: &DirEntry) -> bool {
    if entry.depth() == 0 {
        return true;
    }
    let name = entry.file_name().to_string_lossy();
    let unfinished = !entry.file_type().is_dir() && (name.ends_with(".tmp") || name.ends_with(".part"));
    !name.starts_with('.') && !unfinished
}

fn name_of(key: &str) -> Name {
    let digest = Sha256::digest(key.as_bytes());
    let mut name = Name::default();
    name.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    name
}

/// What S3 would say. Without an ETag: the folder's is a digest of the bytes, which nobody has read yet.
fn announcement(key: &str, stamp: Stamp) -> String {
    let modified = stamp.modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let micros = modified.and_then(|since| i64::try_from(since.as_micros()).ok());
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": micros.map(time::to_rfc3339),
        "s3": {"bucket": {"name": FOLDER_BUCKET}, "object": {"key": encode_key(key), "size": stamp.size}},
    }]})
    .to_string()
}
