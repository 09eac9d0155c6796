//! What must hold after everything that a suite did.
//!
//! In: a lake, the corpus, and what became of the messages. The rows are asked from the program's own query; the reference
//! comes from the corpus, which knows its rows without the program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::{
    World,
    corpus::{Corpus, RowKey},
};

/// How the objects of the ledger ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) committed: i64,
    pub(super) skipped: i64,
    pub(super) quarantined: i64,
}

impl Ledger {
    pub(super) fn committed(count: usize) -> Self {
        Self { committed: i64::try_from(count).expect("few objects"), ..Self::default() }
    }

    pub(super) fn of(world: &World) -> Self {
        let mut counts: BTreeMap<String, i64> = world
            .rows("SELECT outcome, count(*) AS n FROM objects GROUP BY outcome")
            .iter()
            .map(|row| (text(row, "outcome"), row["n"].as_i64().unwrap_or_default()))
            .collect();
        let mut take = |name| counts.remove(name).unwrap_or_default();
        let ledger = Self { committed: take("committed"), skipped: take("skipped"), quarantined: take("quarantined") };
        assert!(counts.is_empty(), "an outcome that is none of the three: {counts:?}");
        ledger
    }
}

/// The rows are those of the corpus, each once, and nothing else; the ledger says so too.
pub(super) fn assert_equal(world: &World, corpus: &Corpus, ledger: Ledger) {
    assert_rows(world, &corpus.rows());
    assert_eq!(Ledger::of(world), ledger, "committed, skipped and quarantined objects");
    let sums = world.rows(
        "SELECT count(*) AS objects, count(DISTINCT object_key) AS keys, sum(record_count) AS records, \
         sum(record_count - kept_count - ignored_count - quarantined_count) AS rest FROM objects",
    );
    let sums = sums.first().expect("one row");
    assert_eq!(sums["rest"], 0, "records = kept + ignored + quarantined: {sums}");
    assert_eq!(sums["objects"], sums["keys"], "an object has one line: {sums}");
    if ledger.quarantined == 0 {
        assert_eq!(sums["records"].as_u64(), Some(corpus.records()), "records seen: {sums}");
    }
}

/// The rows are these, each once, and nothing else.
pub(super) fn assert_rows(world: &World, expected: &BTreeSet<RowKey>) {
    let rows = world.rows("SELECT account_id, event_id, secret_id FROM access_events");
    let found: Vec<RowKey> =
        rows.iter().map(|row| (text(row, "account_id"), text(row, "event_id"), text(row, "secret_id"))).collect();
    let distinct: BTreeSet<RowKey> = found.iter().cloned().collect();
    let missing: Vec<&RowKey> = expected.difference(&distinct).take(3).collect();
    let foreign: Vec<&RowKey> = distinct.difference(expected).take(3).collect();
    let is_whole = missing.is_empty() && foreign.is_empty();
    let bad = "SELECT object_key, reason FROM objects WHERE outcome <> 'committed' LIMIT 10";
    assert!(
        is_whole,
        "{} of {} rows; missing {missing:?}; not expected {foreign:?}; {:#?}",
        distinct.len(),
        expected.len(),
        world.rows(bad)
    );
    assert_eq!(found.len(), distinct.len(), "each row once");
}

pub(super) fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}
