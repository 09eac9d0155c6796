//! Twenty thousand objects wait: they are drained in few commits and in bounded memory.

use std::{collections::BTreeSet, time::Instant};

use super::{outcome::Ledger, stage::Stage};
use crate::harness::{
    corpus::{Corpus, Shape},
    seed,
    wait::PATIENCE,
};

const OBJECTS: usize = 20_000;
/// What the project promises for its memory over a backlog.
const MOST_MEMORY: u64 = 400 << 20;

#[test]
#[expect(clippy::print_stderr, reason = "the figures belong to the test's record")]
fn twenty_thousand_objects_are_drained_in_few_commits_and_bounded_memory() {
    let seed = seed("twenty_thousand_objects_are_drained_in_few_commits_and_bounded_memory", 81);
    let stage = Stage::new(50);
    let mut corpus = Corpus::made(seed, &Shape { objects: OBJECTS, reads: 1, days: 20, ..Shape::default() });
    let putting = Instant::now();
    let messages = stage.put(&mut corpus);
    stage.emulator.send_all(&stage.queue, &messages);
    let putting = putting.elapsed();

    let mut config = stage.config();
    config.endpoint = stage.emulator.url();
    config.lease = "60s";
    config.commit_after = "2s";
    let mut worker = stage.worker(&config);
    let draining = Instant::now();
    stage.drained(&mut worker, PATIENCE * 5);
    let draining = draining.elapsed();
    let peak = worker.peak_memory();
    stage.finish(worker, &corpus, Ledger::committed(OBJECTS), 0);
    let rows = stage.world.rows("SELECT DISTINCT ledger_version FROM objects");
    let commits: BTreeSet<i64> = rows.iter().filter_map(|row| row["ledger_version"].as_i64()).collect();
    eprintln!(
        "{OBJECTS} objects put in {putting:?}, drained in {draining:?} ({:.0}/s), {} commits, peak {} MiB",
        OBJECTS as f64 / draining.as_secs_f64(),
        commits.len(),
        peak >> 20
    );
    assert!(peak < MOST_MEMORY, "{} MiB", peak >> 20);
    assert!(commits.len() < OBJECTS / 50, "{} commits", commits.len());
}
