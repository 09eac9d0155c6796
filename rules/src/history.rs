//! Rows that were folded before, asked for by whom they concern and when they happened.
//!
//! In: a [`Wanted`]. Out: rows of `access_events`, in any order; more than was asked for does no harm, less does. What is
//! recent comes from memory ([`crate::recent`]); a [`History`] answers for what lies before that.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use keytrail_lake::{arrow::array::RecordBatch, functions::namespace_of};
use keytrail_model::Micros;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::lines::Line;

/// Whom a row concerns: what happens to one of these can change what a rule says of the others' rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    Principal(String),
    Secret(String),
    /// The first segment of the names of secrets that belong together.
    Namespace(String),
}

/// Which rows are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// By key, from when on, the moment itself included.
    pub since: BTreeMap<Key, Micros>,
    /// Whole events, by moment and id.
    pub events: BTreeSet<(Micros, String)>,
    /// Nothing before or after these moments, themselves included.
    pub within: Within,
}

/// A stretch of time with both its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    pub first: Micros,
    pub last: Micros,
}

impl Default for Within {
    fn default() -> Self {
        Self { first: Micros::MIN, last: Micros::MAX }
    }
}

/// Earlier rows that cannot be had.
#[derive(Debug, Error)]
#[error("read earlier rows: {0}")]
pub struct HistoryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Rows that are no longer in memory.
#[async_trait]
pub trait History: Send + Sync {
    /// Every row that is wanted, as it stands now. Rows that are still to be judged may be among them.
    async fn rows(&self, wanted: &Wanted) -> Result<Vec<RecordBatch>, HistoryError>;
}

/// Nothing lies before what is in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHistory;

#[async_trait]
impl History for NoHistory {
    async fn rows(&self, _wanted: &Wanted) -> Result<Vec<RecordBatch>, HistoryError> {
        Ok(Vec::new())
    }
}

impl Wanted {
    pub fn is_empty(&self) -> bool {
        self.since.is_empty() && self.events.is_empty()
    }

    /// Asks for a key's rows from a moment on.
    pub fn add(&mut self, key: Key, since: Micros) {
        let at = self.since.entry(key).or_insert(since);
        *at = since.min(*at);
    }

    /// The earliest moment that is asked for.
    pub fn earliest(&self) -> Option<Micros> {
        let keys = self.since.values().copied().min();
        let events = self.events.first().map(|(at, _)| *at);
        let first = [keys, events].into_iter().flatten().min()?;
        Some(first.max(self.within.first))
    }

    /// What of it lies at or before a moment.
    pub fn up_to(&self, last: Micros) -> Self {
        Self {
            since: self.since.iter().filter(|(_, since)| **since <= last).map(|(key, at)| (key.clone(), *at)).collect(),
            events: self.events.iter().filter(|(at, _)| *at <= last).cloned().collect(),
            within: Within { last: last.min(self.within.last), ..self.within },
        }
    }

    /// Whether a row is asked for.
    pub fn has(&self, row: &Line<'_>) -> bool {
        let at = row.event_at;
        let since = |key: Key| self.since.get(&key).is_some_and(|since| *since <= at);
        (self.within.first..=self.within.last).contains(&at) && keys_of(row).any(since)
            || self.events.contains(&(at, row.event_id.to_owned()))
    }
}

/// Whom a row concerns.
pub fn keys_of<'a>(row: &Line<'a>) -> impl Iterator<Item = Key> + use<'a> {
    let secret = row.secret_id.map(|id| Key::Secret(id.to_owned()));
    let namespace = row.secret_name.and_then(namespace_of).map(|name| Key::Namespace(name.to_owned()));
    std::iter::once(Key::Principal(row.principal_id.to_owned())).chain(secret).chain(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_the_first_of_several_segments() {
        assert_eq!(namespace_of("/prod/db"), Some("prod"));
        assert_eq!(namespace_of("prod/db/x"), Some("prod"));
        assert_eq!((namespace_of("db"), namespace_of("/db"), namespace_of("//x")), (None, None, None));
    }

    #[test]
    fn what_lies_before_a_moment_is_cut_out() {
        let mut wanted = Wanted::default();
        wanted.add(Key::Principal("a".into()), 10);
        wanted.add(Key::Principal("a".into()), 5);
        wanted.add(Key::Secret("s".into()), 20);
        assert_eq!(wanted.earliest(), Some(5));
        let early = wanted.up_to(12);
        assert_eq!(early.since, BTreeMap::from([(Key::Principal("a".into()), 5)]));
        assert_eq!(early.within.last, 12);
        assert!(Wanted::default().is_empty() && !early.is_empty());
    }
}
