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

/// Kills that really hit a running program: while it ingests, and while it judges.
const KILLS_OF_INGEST: usize = 160;
const KILLS_OF_DETECT: usize = 40;
/// The rules that judge.
const JUDGED: [&str; 5] = ["new_principal", "off_cidr_use", "post_rotation_access", "decoy_read", "trail_tampered"];

#[test]
#[expect(clippy::print_stderr, reason = "the figures belong to the test's record")]
fn two_hundred_kills_lose_and_double_nothing() {
    let seed = seed("two_hundred_kills_lose_and_double_nothing", 20_261_122);
    let mut random = ChaCha8Rng::seed_from_u64(seed);

    let reference = World::new();
    let bucket = reference.path("bucket");
    let bucket = bucket.to_str().expect("UTF-8").to_owned();
    reference.ok(&[
        "simulate",
        "--out",
        &bucket,
        "--days",
        "3",
        "--seed",
        "3",
        "--scale",
        "0.05",
        "--file-minutes",
        "360",
    ]);
    let config = reference.path("keytrail.toml");
    // Small batches: many commits, so many places to die at.
    let mut text = "[ingest]\nbatch_objects = 12\n".to_owned();
    // Planning all rules takes most of a short judging, and it is the lake that is looked at here.
    for pack in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules/pack")).expect("the packs") {
        let id = pack.expect("a pack").file_name().into_string().expect("UTF-8");
        if !JUDGED.contains(&id.as_str()) {
            text.push_str(&format!("[rules.{id}]\nenabled = false\n"));
        }
    }
    std::fs::write(&config, text).expect("a config file");
    let config = config.to_str().expect("UTF-8").to_owned();
    let ingest = ["ingest", &bucket, "--no-rules", "--config", &config, "--quiet"];
    let detect = ["detect", "--config", &config, "--quiet"];
    let reading = timed(&reference, &ingest);
    let judging = timed(&reference, &detect);
    let expected = contents(&reference);

    let (mut of_ingest, mut of_detect, mut lakes) = (0, 0, 0);
    while of_ingest < KILLS_OF_INGEST || of_detect < KILLS_OF_DETECT {
        let world = World::new();
        lakes += 1;
        of_ingest += kill_until_done(&world, &ingest, reading, KILLS_OF_INGEST - of_ingest, &mut random);
        of_detect += kill_until_done(&world, &detect, judging, KILLS_OF_DETECT - of_detect, &mut random);
        assert_eq!(contents(&world), expected, "lake {lakes} after {of_ingest} and {of_detect} kills, seed {seed}");
    }
    eprintln!(
        "{of_ingest} kills while ingesting, {of_detect} while judging, over {lakes} lakes; undisturbed: {reading:?} and {judging:?}"
    );
}

fn timed(world: &World, arguments: &[&str]) -> Duration {
    let started = Instant::now();
    world.ok(arguments);
    started.elapsed()
}

/// Starts the command again and again, killing it at random moments, until it comes to its end by itself or was killed
/// often enough and is let through. Returns the number of kills.
fn kill_until_done(
    world: &World,
    arguments: &[&str],
    whole_run: Duration,
    most: usize,
    random: &mut ChaCha8Rng,
) -> usize {
    let mut kills = 0;
    while kills < most {
        let mut child =
            world.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        // The wait is the fault itself: it chooses where the program dies.
        thread::sleep(whole_run.mul_f64(random.random_range(0.02..0.6)).max(Duration::from_millis(5)));
        if child.try_wait().expect("a child").is_some() {
            break;
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("a killed child");
        kills += 1;
    }
    world.ok(arguments);
    kills
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
