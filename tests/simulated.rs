//! On simulated organisations, every planted case of the four rules is found, and what is benign stays quiet.

use serde_json::Value;

use crate::harness::{World, seed};

#[test]
#[expect(clippy::print_stderr, reason = "false alerts are listed for the reader")]
fn every_planted_case_of_three_organisations_is_found() {
    let first = seed("every_planted_case_of_three_organisations_is_found", 101);
    for seed in [first, first + 1, first + 2] {
        let world = World::new();
        let bucket = world.path("bucket");
        let bucket = bucket.to_str().expect("UTF-8");
        let text = seed.to_string();
        world.ok(&["simulate", "--out", bucket, "--days", "100", "--seed", &text, "--scale", "0.05"]);
        let ran = world.run(&["eval", bucket, "--format", "json"]);
        let report: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", ran.stdout, ran.stderr));
        assert_eq!(report["missed"], Value::Array(Vec::new()), "seed {seed}: {:#}", report["missed"]);
        assert_eq!(report["noise_on_quiet"], Value::Array(Vec::new()), "seed {seed}: {:#}", report["noise_on_quiet"]);
        assert_eq!(report["unused_wrong"], Value::Array(Vec::new()), "seed {seed}: {:#}", report["unused_wrong"]);
        assert!(report["expected"].as_u64().is_some_and(|count| count >= 10), "labels were read: {report:#}");
        eprintln!(
            "seed {seed}: {} expected, all found; unexplained alerts: {:#}",
            report["expected"], report["unexplained"]
        );
        // The simulated credentials must not be anywhere in what was stored.
        let tokens = "SELECT count(*) FROM access_events WHERE raw LIKE '%KEYTRAILFAKESESSIONTOKEN%'";
        assert_eq!(world.number(tokens), 0);
    }
}
