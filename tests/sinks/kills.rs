//! `kill -9` of a worker that tells its sinks, again and again: every alert is told, and an id stands for one thing.
//!
//! Alerts are raised, grow, are acknowledged and closed while a worker runs, is killed at a random moment of its sending, and
//! is started again. Storms and alerts of one event happen too. In the end a worker that nobody kills tells the rest.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use keytrail_model::{Alert, AlertState, Severity};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::stage::{Running, Stage, alert, evidence};
use crate::harness::{
    seed,
    wait::{PATIENCE, until},
};

const KILLS: usize = 50;
const CONFIG: &str = "[delivery]\nstorm_alerts = 6\nstorm_window = \"5s\"\nstorm_every = \"1s\"\nclaim = \"5s\"\nfirst_pause \
                      = \"100ms\"\nlongest_pause = \"1s\"\ntries = 1000\n[http]\nlisten = \"127.0.0.1:0\"\n[[sink]]\nname = \
                      \"hook\"\nkind = \"webhook\"\nurl = \"URL/hook\"\nmax_body = \"4 MiB\"\n";

struct Lane {
    stage: Stage,
    random: ChaCha8Rng,
    alerts: Vec<Alert>,
}

impl Lane {
    /// New alerts, and changes of old ones that somebody was told of.
    fn change_the_world(&mut self) {
        let told: HashSet<String> =
            self.stage.receiver.requests().iter().flat_map(super::receiver::Request::alerts).collect();
        let mut changed = Vec::new();
        for old in self.alerts.iter_mut().filter(|old| told.contains(&old.alert_id) && old.state != AlertState::Closed)
        {
            match self.random.random_range(0..8) {
                0 => old.state = AlertState::Closed,
                1 => old.state = AlertState::Acknowledged,
                2 => old.severity = Severity::Critical,
                3 => old.event_count = old.event_count.saturating_mul(10),
                _ => continue,
            }
            changed.push(old.clone());
        }
        for _ in 0..self.random.random_range(3..10) {
            let id = format!("alert-{:04}", self.alerts.len());
            let severities = [Severity::Medium, Severity::High, Severity::Critical];
            let severity = *severities.choose(&mut self.random).expect("some");
            let mut new = alert(&id, severity);
            new.rule_id = format!("rule_{}", self.random.random_range(0..3));
            if self.random.random_bool(0.3)
                && let Some(before) = changed.last()
            {
                new.evidence.push(evidence(&before.evidence[0].event_id, new.first_event_at));
            }
            changed.push(new.clone());
            self.alerts.push(new);
        }
        self.stage.put(&changed);
    }

    fn worker(&self, folder: &str) -> Running {
        let arguments = ["run", "--folder", folder, "--no-rules", "--config", self.stage.config()];
        let mut command = self.stage.world.command(&arguments);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts"))
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures belong to the test's record")]
fn fifty_kills_lose_nothing_and_no_id_means_two_things() {
    let seed = seed("fifty_kills_lose_nothing_and_no_id_means_two_things", 20_261_122);
    let started = Instant::now();
    let stage = Stage::with(CONFIG);
    // Each message takes a while, so that most kills hit the sending.
    stage.receiver.slow(Duration::from_millis(15));
    let folder = stage.world.path("trail");
    std::fs::create_dir_all(&folder).expect("a folder");
    let folder = folder.to_str().expect("UTF-8").to_owned();
    let mut lane = Lane { stage, random: ChaCha8Rng::seed_from_u64(seed), alerts: Vec::new() };

    let mut kills = 0;
    while kills < KILLS {
        lane.change_the_world();
        let before = lane.stage.receiver.count();
        let mut worker = lane.worker(&folder);
        let more = lane.random.random_range(1..5);
        until("a worker that sends", PATIENCE, || {
            assert!(worker.0.try_wait().expect("a child").is_none(), "it ended by itself");
            (lane.stage.receiver.count() >= before + more).then_some(())
        });
        // The wait is the fault itself: it chooses where the worker dies.
        thread::sleep(Duration::from_millis(lane.random.random_range(0..60)));
        worker.0.kill().expect("SIGKILL");
        worker.0.wait().expect("a killed child");
        kills += 1;
    }
    let by_the_killed = lane.stage.receiver.count();

    // Nobody disturbs it any more: whatever was claimed passes on, and storms come to rest.
    let mut worker = lane.worker(&folder);
    let waiting = Instant::now();
    until("a log in which every alert is told", 2 * PATIENCE, || {
        assert!(worker.0.try_wait().expect("a child").is_none(), "it ended by itself; seed {seed}");
        if waiting.elapsed() > PATIENCE {
            let rest = lane.stage.deliveries("state NOT IN ('delivered', 'covered')");
            panic!("still waiting: {rest:?}; seed {seed}");
        }
        let parked = lane.stage.deliveries("state = 'parked'");
        assert!(parked.is_empty(), "{parked:?}; seed {seed}");
        let open: BTreeSet<String> = lane
            .stage
            .world
            .rows("SELECT alert_id FROM alerts WHERE alert_id NOT IN (SELECT alert_id FROM alert_deliveries WHERE alert_id IS NOT NULL)")
            .iter()
            .map(ToString::to_string)
            .collect();
        (open.is_empty() && lane.stage.all_delivered()).then_some(())
    });
    let told = Command::new("kill").args(["-TERM", &worker.0.id().to_string()]).status().expect("kill");
    assert!(told.success() && worker.0.wait().expect("a child").success(), "SIGTERM ends it in order");
    until("the last of what it gave back", PATIENCE, || {
        lane.stage.deliver_all();
        lane.stage.all_delivered().then_some(())
    });

    let requests = lane.stage.receiver.requests();
    let mut meaning: HashMap<&str, (&str, Vec<String>)> = HashMap::new();
    let mut triggers: HashMap<String, BTreeSet<&str>> = HashMap::new();
    for request in &requests {
        assert!(request.taken);
        let said = (request.change(), request.alerts());
        let known = meaning.entry(request.id()).or_insert_with(|| said.clone());
        assert_eq!(*known, said, "one id, one change of the same alerts; seed {seed}");
        if request.change() == "trigger" {
            triggers.entry(said.1[0].clone()).or_default().insert(request.id());
        }
    }
    for (alert, ids) in &triggers {
        assert_eq!(ids.len(), 1, "{alert} was triggered under {ids:?}; seed {seed}");
    }
    let told: HashSet<String> = requests.iter().flat_map(super::receiver::Request::alerts).collect();
    for alert in &lane.alerts {
        assert!(told.contains(&alert.alert_id), "{} was told to nobody; seed {seed}", alert.alert_id);
    }
    // The log knows every message that was sent, and says of each that it arrived.
    let rows = lane.stage.deliveries("state = 'delivered'");
    let recorded: HashSet<&str> = rows.iter().filter_map(|row| row["delivery_id"].as_str()).collect();
    assert_eq!(recorded, meaning.keys().copied().collect(), "seed {seed}");
    let changes: BTreeSet<&str> = meaning.values().map(|(change, _)| *change).collect();
    assert!(
        ["trigger", "update", "acknowledge", "resolve", "storm"].iter().all(|change| changes.contains(change)),
        "{changes:?}"
    );
    eprintln!(
        "{kills} kills, {} alerts, {} messages of {} deliveries ({} by workers that were killed), {:?}",
        lane.alerts.len(),
        requests.len(),
        meaning.len(),
        by_the_killed,
        started.elapsed()
    );
}
