//! What the rules remember, so that judging a batch costs what the batch costs.
//!
//! In: rows of `access_events`, in any order. Out: tables of pairs, secrets, rotations, versions and principals, for
//! the keys that a batch touched or for all; and, for single rows, what was usual by then ([`crate::habits`]).
//!
//! Every fold is a minimum, a maximum, a count or a set, so the order of rows does not matter. Counts are not
//! idempotent: a row that comes again because the lake changed it must say so ([`Row::changed`]) and is not counted
//! again. A name that was not resolved when its row was written is folded under the id that it resolves to as soon as
//! that is known, earlier rows included.
//!
//! The state is a cache: lost or unreadable, it is folded again from the lake.

mod day_counts;
mod days;
mod event_id;
mod fold;
pub mod habit;
mod ids;
mod namespaces;
pub mod rotation;
mod rows;
mod snapshot;
mod table_rows;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use keytrail_model::Micros;
use serde::{Deserialize, Serialize};

pub use day_counts::DayCounts;
pub use days::Days;
pub use event_id::EventId;
pub use fold::Touched;
pub use ids::{Id, Ids};
pub use rows::{Row, Rows, RowsError};
pub use snapshot::{SnapshotError, VERSION as SNAPSHOT_VERSION};
pub use tables::{Scope, StateTables, TABLE_NAMES};
pub(crate) use tables::{moment, number, table, text};

use habit::{Habit, Keys};
use rotation::Signal;

/// Commits that are remembered one by one: two days of one every two seconds. A worker that commits is never as far behind.
const COMMITS_KEPT: usize = 100_000;

/// One principal's use of one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub first_read_at: Micros,
    /// The event of the first read; of several in one second, the least id.
    pub first_event_id: EventId,
    pub last_read_at: Micros,
    pub read_count: i64,
    /// UTC days with reads, as days since 1970, and how many.
    pub days: DayCounts,
    /// The unique ids (`AROA…`) that the principal had, with the first read of each; sorted.
    pub identities: Vec<PairIdentity>,
}

/// A pair's first read under one unique id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairIdentity {
    pub unique_id: Id,
    pub first_read_at: Micros,
    pub first_event_id: EventId,
}

/// One secret, as its events tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub account: Option<String>,
    pub region: Option<String>,
    /// The first successful call on it; null while only failed ones name it.
    pub first_seen_at: Option<Micros>,
    pub created_at: Option<Micros>,
    /// The last deletion, and the last create or restore: the later one says whether it lives.
    pub deletion_at: Option<Micros>,
    pub revival_at: Option<Micros>,
    pub was_changed: bool,
    /// When its schedule was last set or a rotation asked for, and when that was last cancelled: the later one holds.
    pub scheduled_at: Option<Micros>,
    pub cancelled_at: Option<Micros>,
    /// A path that was read as a whole: no secret of its own.
    pub is_path: bool,
    /// What tells of values and rotations, by time.
    pub signals: BTreeSet<Signal>,
    /// The first read of each version that KMS says was read as the current one.
    pub versions: BTreeMap<String, Micros>,
    /// Parameters: the last KMS decrypt that a service made for each principal. It names what a path read returned.
    pub evidenced: BTreeMap<Id, Micros>,
    /// Who staged new values (a value put under `AWSPENDING`, a stage moved), and how often.
    pub stagers: BTreeMap<Id, u32>,
}

/// One principal, as its events tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    pub kind: String,
    pub account: Option<String>,
    pub first_seen_at: Micros,
    pub last_seen_at: Micros,
    /// Sorted.
    pub unique_ids: Vec<String>,
}

/// Everything the rules remember.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub(crate) ids: Ids,
    /// By (secret, principal).
    pub(crate) pairs: BTreeMap<(Id, Id), Pair>,
    /// The same keys as (principal, secret).
    pub(crate) pairs_by_principal: BTreeSet<(Id, Id)>,
    pub(crate) secrets: BTreeMap<Id, Secret>,
    pub(crate) principals: BTreeMap<Id, Principal>,
    /// Secrets of which a principal staged values: where to look for rotation functions.
    pub(crate) staged: BTreeMap<Id, BTreeSet<Id>>,
    /// Which id a name has: (account, region, name).
    pub(crate) names: BTreeMap<(String, String, String), Id>,
    /// Names that no id is known for, as typed: what to merge when one is learned.
    pub(crate) unresolved: BTreeMap<(String, String, String), BTreeSet<Id>>,
    /// Networks, agents, regions, namespaces and unique ids, each text once.
    pub(crate) values: Ids,
    pub(crate) habits: BTreeMap<Id, Habit>,
    pub(crate) keys: Keys,
    /// The first day of use by (namespace, principal).
    pub(crate) namespace_readers: BTreeMap<(Id, Id), i32>,
    pub(crate) newest_event_at: Option<Micros>,
    pub(crate) newest_delivered_at: Option<Micros>,
    /// The table version up to which rows are folded.
    pub(crate) folded_to: Option<u64>,
    /// When the commits whose rows are folded were made: a row first committed then was seen before. The oldest are
    /// forgotten one by one.
    pub(crate) commits: BTreeSet<Micros>,
    /// Every commit up to this moment was seen before.
    pub(crate) commits_before: Option<Micros>,
    /// When each scheduled rule last ran, in judging time.
    pub(crate) scheduled: BTreeMap<String, Micros>,
}

impl State {
    /// The newest moment that the rows tell of: delivery where known, else the newest event.
    pub fn horizon(&self) -> Option<Micros> {
        self.newest_delivered_at.max(self.newest_event_at)
    }

    /// The table version up to which rows are folded.
    pub fn folded_to(&self) -> Option<u64> {
        self.folded_to
    }

    pub fn set_folded_to(&mut self, version: u64) {
        self.folded_to = Some(version);
    }

    /// Notes commits whose rows are folded.
    pub fn remember_commits(&mut self, commits: &BTreeSet<Micros>) {
        self.commits.extend(commits);
        while self.commits.len() > COMMITS_KEPT {
            self.commits_before = self.commits_before.max(self.commits.pop_first());
        }
    }

    /// Whether rows first committed at this moment were folded by an earlier run.
    pub fn knows_commit(&self, ingested_at: Micros) -> bool {
        self.commits_before.is_some_and(|before| ingested_at <= before) || self.commits.contains(&ingested_at)
    }

    /// The text of an id.
    pub fn text(&self, id: Id) -> &str {
        self.ids.text(id)
    }

    /// How many pairs are remembered: what the state's memory goes with.
    pub fn pair_count(&self) -> usize {
        self.pairs.len()
    }
}

#[cfg(test)]
pub(crate) mod tests;
