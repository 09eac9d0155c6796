//! What no notification announced: `keytrail ingest s3://…` over a span of days, and `keytrail reconcile`.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use super::{
    outcome::{Ledger, assert_equal},
    stage::{BUCKET, Stage},
};
use crate::harness::{
    Ran,
    corpus::{Corpus, Shape},
    proxy::{Fault, Operation, Plan, Rule},
    seed,
    wait::{PATIENCE, until},
};

const PREFIX: &str = "org trail/";

fn corpus(seed: u64, objects: usize) -> Corpus {
    Corpus::made(seed, &Shape { objects, days: 20, prefix: PREFIX.to_owned(), ..Shape::default() })
}

/// The objects whose key lies on one of these days of November.
fn of_days(corpus: &Corpus, days: std::ops::Range<u32>) -> Corpus {
    let inside = |key: &str| days.clone().any(|day| key.contains(&format!("/2026/11/{day:02}/")));
    Corpus { objects: corpus.objects.iter().filter(|object| inside(&object.key)).cloned().collect() }
}

fn ingest(stage: &Stage, arguments: &[&str]) -> Ran {
    let path = stage.config().write(&stage.world, "backfill", "127.0.0.1:0");
    let place = format!("s3://{BUCKET}/{PREFIX}");
    let all = [&["ingest", &place, "--no-rules", "--config", path.to_str().expect("UTF-8")], arguments].concat();
    stage.world.run_aws(&all)
}

#[test]
fn a_backfill_lists_only_the_days_that_were_asked_for_and_reads_each_object_once() {
    let stage = Stage::new(5);
    let mut corpus = corpus(91, 160);
    stage.put(&mut corpus);
    // A bucket holds more than the trail: none of it is looked at.
    stage.emulator.put(BUCKET, "elsewhere/AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/05/x.json.gz", b"no");
    let ran = ingest(&stage, &["--since", "2026-11-05", "--until", "2026-11-08"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let wanted = of_days(&corpus, 5..8);
    assert!(wanted.objects.len() > 10);
    assert_equal(&stage.world, &wanted, Ledger::committed(wanted.objects.len()));
    assert_eq!(stage.proxy.asked(Operation::Get).len(), wanted.objects.len());

    let listed: BTreeSet<String> = stage.proxy.asked(Operation::List).into_iter().collect();
    let days: BTreeSet<&str> =
        listed.iter().filter_map(|target| target.split("2026%2F11%2F").nth(1)?.get(..2)).collect();
    // One day more on either side: a folder is the day of delivery.
    let asked_for = BTreeSet::from(["05", "06", "07"]);
    let most = BTreeSet::from(["04", "05", "06", "07", "08", "09"]);
    assert!(asked_for.is_subset(&days) && days.is_subset(&most), "{listed:#?}");
    assert!(!listed.iter().any(|target| target.contains("elsewhere")), "{listed:#?}");
    // Two accounts with two regions each and three days, and the folders that lead there.
    assert!(stage.proxy.asked(Operation::List).len() <= 30, "{listed:#?}");

    // What is there already is listed, and not read again; the rest comes.
    let ran = ingest(&stage, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_equal(&stage.world, &corpus, Ledger::committed(160));
    assert_eq!(stage.proxy.asked(Operation::Get).len(), 160);
}

#[test]
fn a_backfill_that_is_killed_goes_on_where_it_was() {
    let seed = seed("a_backfill_that_is_killed_goes_on_where_it_was", 92);
    let stage = Stage::new(5);
    let mut corpus = corpus(seed, 120);
    stage.put(&mut corpus);
    stage.proxy.set(Plan::new(seed, vec![Rule::new(Operation::Get, Fault::Latency(Duration::from_millis(100)))]));
    let mut config = stage.config();
    config.more = "[ingest]\nbatch_objects = 10\n".to_owned();
    let path = config.write(&stage.world, "killed", "127.0.0.1:0");
    let place = format!("s3://{BUCKET}/{PREFIX}");
    let arguments = ["ingest", &place, "--no-rules", "--config", path.to_str().expect("UTF-8")];
    for kill in 1..=3 {
        let mut child = stage.world.aws_command(&arguments).stderr(Stdio::null()).spawn().expect("the program starts");
        until("some reads", PATIENCE, || (stage.proxy.asked(Operation::Get).len() >= kill * 30).then_some(()));
        assert!(child.try_wait().expect("a child").is_none(), "it is under way");
        child.kill().expect("SIGKILL");
        child.wait().expect("a killed child");
    }
    let before = stage.proxy.asked(Operation::Get).len();
    let ran = stage.world.run_aws(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let last = stage.proxy.asked(Operation::Get).len() - before;
    assert!(last < 120, "what was committed before the kill is not read again: {last}");
    assert_equal(&stage.world, &corpus, Ledger::committed(120));
}

#[test]
fn reconcile_takes_in_what_no_notification_announced() {
    let stage = Stage::new(5);
    let mut corpus = corpus(93, 40);
    let messages = stage.put(&mut corpus);
    // Every third notification was lost.
    let told: Vec<String> =
        messages.iter().enumerate().filter(|(n, _)| n % 3 > 0).map(|(_, body)| body.clone()).collect();
    stage.emulator.send_all(&stage.queue, &told);
    let mut config = stage.config();
    config.more =
        format!("[reconcile]\nbuckets = [\"s3://{BUCKET}/{PREFIX}\"]\nlook_back = \"400d\"\ngrace = \"0s\"\n");
    let mut worker = stage.worker(&config);
    stage.drained(&mut worker, PATIENCE);
    assert_eq!(worker.terminate(PATIENCE).0, 0);
    assert_eq!(Ledger::of(&stage.world), Ledger::committed(told.len()));

    let read_before = stage.proxy.asked(Operation::Get).len();
    let path = config.write(&stage.world, "reconcile", "127.0.0.1:0");
    let reconcile = ["reconcile", "--config", path.to_str().expect("UTF-8")];
    let ran = stage.world.run_aws(&reconcile);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert_equal(&stage.world, &corpus, Ledger::committed(40));
    assert_eq!(stage.proxy.asked(Operation::Get).len() - read_before, 40 - told.len(), "only what was missing is read");
    let again = stage.world.run_aws(&reconcile);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(stage.proxy.asked(Operation::Get).len() - read_before, 40 - told.len());
}
