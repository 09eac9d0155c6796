//! A crash between any two steps loses and doubles nothing.
//!
//! The real program is killed (SIGKILL) at random moments while it ingests and judges, and started again on the same lake,
//! at least 200 times; the lake that comes out must equal that of a run that nobody disturbed: rows, ledger and alerts.

use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::harness::{World, seed};

/// Kills that really hit a running program.
const KILLS: usize = 200;

#[test]
#[expect(clippy::print_stderr, reason = "the figures belong to the test's record")]
fn two_hundred_kills_lose_and_double_nothing() {
    let seed = seed("two_hundred_kills_lose_and_double_nothing", 20_261_122);
    let mut random = ChaCha8Rng::seed_from_u64(seed);

    let reference = World::new();
    let bucket = reference.path("bucket");
    let bucket = bucket.to_str().expect("UTF-8").to_owned();
    reference.ok(&["simulate", "--out", &bucket, "--days", "4", "--seed", "3", "--scale", "0.1", "--file-minutes", "360"]);
    let config = reference.path("keytrail.toml");
    // Small batches: many commits, so many places to die at.
    std::fs::write(&config, "[ingest]\nbatch_objects = 8\n").expect("a config file");
    let config = config.to_str().expect("UTF-8").to_owned();
    let started = Instant::now();
    reference.run(&["ingest", &bucket, "--config", &config]);
    let whole_run = started.elapsed();
    let expected = contents(&reference);

    let (mut kills, mut lakes) = (0, 0);
    while kills < KILLS {
        let world = World::new();
        lakes += 1;
        loop {
            let mut child = world
                .command(&["ingest", &bucket, "--config", &config, "--quiet"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            // The wait is the fault itself: it chooses where the program dies.
            thread::sleep(whole_run.mul_f64(random.random_range(0.02..0.9)).max(Duration::from_millis(5)));
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            child.kill().expect("SIGKILL");
            child.wait().expect("a killed child");
            kills += 1;
            if kills >= KILLS {
                break;
            }
        }
        world.run(&["ingest", &bucket, "--config", &config]);
        assert_eq!(contents(&world), expected, "lake {lakes} after {kills} kills, seed {seed}");
    }
    eprintln!("{kills} kills over {lakes} lakes; an undisturbed run took {whole_run:?}");
}

/// Everything that must come out the same, whatever happened on the way.
fn contents(world: &World) -> Vec<Value> {
    let mut all = world.rows(
        "SELECT account_id, event_id, secret_id, action, version_id, principal_id, object_key, record_index \
         FROM access_events ORDER BY 1, 2, 3, 4, 5",
    );
    all.extend(world.rows("SELECT object_key, outcome, record_count, kept_count FROM objects ORDER BY 1"));
    let mut alerts = world.alerts();
    for alert in &mut alerts {
        if let Some(fields) = alert.as_object_mut() {
            // When it was written down differs from run to run; what it says may not.
            fields.retain(|name, _| !matches!(name.as_str(), "raised_at" | "updated_at"));
        }
    }
    alerts.sort_by_key(ToString::to_string);
    all.extend(alerts);
    assert!(all.len() > 100, "the simulated world is not empty");
    all
}
