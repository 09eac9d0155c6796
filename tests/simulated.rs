//! On simulated organisations that nobody has seen before, every planted case is found, every look-alike stays quiet, and the whole
//! organisation has less than one false alert a day.
//!
//! The seeds are random and printed. `KEYTRAIL_TEST_SEED` repeats a run, `KEYTRAIL_TEST_ORGANISATIONS` says how many organisations
//! (2), `KEYTRAIL_TEST_FLEET` how large they are (`small`; `full` is the size that docs/DETECTION.md measures).

use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::harness::{World, seed};

const DAYS: &str = "100";

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// A seed that the rules' authors cannot have tuned for.
fn unforeseen() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::from(now.subsec_nanos()) + now.as_secs() % 100_000
}

#[test]
#[expect(clippy::print_stderr, reason = "false alerts are listed for the reader")]
fn every_planted_case_of_unforeseen_organisations_is_found_and_little_else() {
    let first = seed("every_planted_case_of_unforeseen_organisations_is_found_and_little_else", unforeseen());
    let count: u64 = setting("KEYTRAIL_TEST_ORGANISATIONS", "2").parse().expect("a number of organisations");
    let fleet = setting("KEYTRAIL_TEST_FLEET", "small");
    for seed in first..first + count {
        let world = World::new();
        let bucket = world.path("bucket");
        let bucket = bucket.to_str().expect("UTF-8");
        let text = seed.to_string();
        world.ok(&["simulate", "--out", bucket, "--days", DAYS, "--seed", &text, "--scale", "0.05", "--fleet", &fleet]);
        let ran = world.run(&["eval", bucket, "--format", "json"]);
        let report: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", ran.stdout, ran.stderr));
        for (name, what) in [
            ("missed", "planted cases that no alert tells of"),
            ("noise_on_quiet", "look-alikes that alerted"),
            ("unused_wrong", "verdicts that differ"),
        ] {
            assert_eq!(report[name], Value::Array(Vec::new()), "seed {seed}: {what}: {:#}", report[name]);
        }
        let rules = report["rules"].as_array().expect("a score for each rule");
        let planted = rules.iter().filter(|rule| rule["expected"].as_u64().is_some_and(|count| count > 0)).count();
        assert!(planted >= 29, "seed {seed}: only {planted} rules had something to find: {rules:#?}");
        let rate = report["false_per_day"].as_f64().expect("a rate");
        eprintln!(
            "seed {seed}: {} planted and found, {} alerts, {rate:.2} false a day: {:#}",
            report["expected"], report["alerts"], report["unexplained"]
        );
        assert!(rate < 1.0, "seed {seed}: {rate:.2} false alerts a day: {:#}", report["unexplained"]);
        // The simulated credentials must not be anywhere in what was stored.
        let tokens = "SELECT count(*) FROM access_events WHERE raw LIKE '%KEYTRAILFAKESESSIONTOKEN%'";
        assert_eq!(world.number(tokens), 0);
    }
}
