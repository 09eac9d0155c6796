//! The state as bytes, so that a restart does not read the whole lake.
//!
//! Layout: a line `keytrail-rules-state VERSION SHA256`, then JSON. Bytes of another version, cut short or flipped are
//! an error; the caller then folds the lake again. Nothing is ever read from a snapshot that is not exactly what was
//! written.

use std::collections::{BTreeMap, BTreeSet};

use keytrail_model::Micros;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    Id, Ids, Pair, Principal, Secret, State,
    habit::{Habit, Keys},
};

/// Grows with every change of the layout or of what a fold means.
pub const VERSION: u32 = 2;

const MAGIC: &str = "keytrail-rules-state";

/// A snapshot that cannot be used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("read the rules' state: it is not a snapshot of ours")]
    NotASnapshot,
    #[error("read the rules' state: it has version {found}, this program understands {VERSION}")]
    OtherVersion { found: String },
    #[error("read the rules' state: the checksum does not match")]
    Damaged,
    #[error("read or write the rules' state: {0}")]
    Json(#[from] serde_json::Error),
}

type Name = (String, String, String);

#[derive(Serialize)]
struct Written<'a> {
    ids: Vec<&'a str>,
    pairs: Vec<(Id, Id, &'a Pair)>,
    secrets: Vec<(Id, &'a Secret)>,
    principals: Vec<(Id, &'a Principal)>,
    staged: &'a BTreeMap<Id, BTreeSet<Id>>,
    names: Vec<(&'a Name, Id)>,
    unresolved: Vec<(&'a Name, &'a BTreeSet<Id>)>,
    values: Vec<&'a str>,
    habits: &'a BTreeMap<Id, Habit>,
    keys: &'a Keys,
    namespace_readers: Vec<(Id, Id, i32)>,
    newest_event_at: Option<Micros>,
    newest_delivered_at: Option<Micros>,
    folded_to: Option<u64>,
    commits: &'a BTreeSet<Micros>,
    commits_before: Option<Micros>,
    scheduled: &'a BTreeMap<String, Micros>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    ids: Vec<String>,
    pairs: Vec<(Id, Id, Pair)>,
    secrets: Vec<(Id, Secret)>,
    principals: Vec<(Id, Principal)>,
    staged: BTreeMap<Id, BTreeSet<Id>>,
    names: Vec<(Name, Id)>,
    unresolved: Vec<(Name, BTreeSet<Id>)>,
    values: Vec<String>,
    habits: BTreeMap<Id, Habit>,
    keys: Keys,
    namespace_readers: Vec<(Id, Id, i32)>,
    newest_event_at: Option<Micros>,
    newest_delivered_at: Option<Micros>,
    folded_to: Option<u64>,
    commits: BTreeSet<Micros>,
    #[serde(default)]
    commits_before: Option<Micros>,
    scheduled: BTreeMap<String, Micros>,
}

impl State {
    /// The state as bytes.
    pub fn to_snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let json = serde_json::to_vec(&Written {
            ids: self.ids.texts().collect(),
            pairs: self.pairs.iter().map(|(key, pair)| (key.0, key.1, pair)).collect(),
            secrets: self.secrets.iter().map(|(id, secret)| (*id, secret)).collect(),
            principals: self.principals.iter().map(|(id, principal)| (*id, principal)).collect(),
            staged: &self.staged,
            names: self.names.iter().map(|(name, id)| (name, *id)).collect(),
            unresolved: self.unresolved.iter().collect(),
            values: self.values.texts().collect(),
            habits: &self.habits,
            keys: &self.keys,
            namespace_readers: self.namespace_readers.iter().map(|(key, day)| (key.0, key.1, *day)).collect(),
            newest_event_at: self.newest_event_at,
            newest_delivered_at: self.newest_delivered_at,
            folded_to: self.folded_to,
            commits: &self.commits,
            commits_before: self.commits_before,
            scheduled: &self.scheduled,
        })?;
        let mut bytes = format!("{MAGIC} {VERSION} {}\n", digest(&json)).into_bytes();
        bytes.extend_from_slice(&json);
        Ok(bytes)
    }

    /// The state that the bytes hold.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let end = bytes.iter().take(200).position(|&byte| byte == b'\n').ok_or(SnapshotError::NotASnapshot)?;
        let (head, body) = bytes.split_at(end);
        let head = std::str::from_utf8(head).map_err(|_| SnapshotError::NotASnapshot)?;
        let body = body.get(1..).unwrap_or_default();
        let mut words = head.split(' ');
        let (Some(MAGIC), Some(version), Some(checksum)) = (words.next(), words.next(), words.next()) else {
            return Err(SnapshotError::NotASnapshot);
        };
        if version != VERSION.to_string() {
            return Err(SnapshotError::OtherVersion { found: version.to_owned() });
        }
        if digest(body) != checksum {
            return Err(SnapshotError::Damaged);
        }
        let read: Read = serde_json::from_slice(body)?;
        Ok(Self {
            ids: ids(&read.ids),
            pairs_by_principal: read.pairs.iter().map(|(secret, principal, _)| (*principal, *secret)).collect(),
            pairs: read.pairs.into_iter().map(|(secret, principal, pair)| ((secret, principal), pair)).collect(),
            secrets: read.secrets.into_iter().collect(),
            principals: read.principals.into_iter().collect(),
            staged: read.staged,
            names: read.names.into_iter().collect(),
            unresolved: read.unresolved.into_iter().collect(),
            values: ids(&read.values),
            habits: read.habits,
            keys: read.keys,
            namespace_readers: read.namespace_readers.into_iter().map(|(a, b, day)| ((a, b), day)).collect(),
            newest_event_at: read.newest_event_at,
            newest_delivered_at: read.newest_delivered_at,
            folded_to: read.folded_to,
            commits: read.commits,
            commits_before: read.commits_before,
            scheduled: read.scheduled,
        })
    }
}

fn ids(texts: &[String]) -> Ids {
    let mut ids = Ids::default();
    for text in texts {
        ids.of(text);
    }
    ids
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
