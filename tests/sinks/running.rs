//! A running worker tells its sinks: what its rules find, what others wrote into the lake, and what monitoring sees of it.

use std::{collections::BTreeSet, fs, process::Stdio};

use keytrail_model::Severity;
use serde_json::Value;

use super::stage::{Running, Stage, alert};
use crate::harness::{
    emulator::free_port,
    http,
    wait::{PATIENCE, block_on, until},
};

#[test]
fn what_the_rules_find_is_told_before_the_worker_ends() {
    let stage = Stage::with(
        "[alerts]\nhistorical_after = \"36500d\"\n[http]\nlisten = \"127.0.0.1:0\"\n[[sink]]\nname = \"archive\"\nkind = \
         \"file\"\npath = \"alerts.jsonl\"\n[[route]]\nmin_severity = \"low\"\nsinks = [\"archive\"]\n",
    );
    let bucket = stage.world.path("bucket");
    let bucket = bucket.to_str().expect("UTF-8");
    let options = ["--days", "12", "--seed", "3", "--scale", "0.05", "--file-minutes", "360"];
    stage.world.ok(&[&["simulate", "--out", bucket][..], &options].concat());
    let ran = stage.run(&["run", "--folder", bucket, "--until-idle", "1s"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);

    let wanted: BTreeSet<String> = stage
        .world
        .rows("SELECT alert_id FROM alerts WHERE state = 'open' AND NOT historical AND severity <> 'info'")
        .iter()
        .map(|row| row["alert_id"].as_str().expect("an id").to_owned())
        .collect();
    assert!(!wanted.is_empty(), "the simulated days hold incidents");
    let lines = fs::read_to_string(stage.world.path("alerts.jsonl")).expect("the sink's file");
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let triggers: Vec<String> = told
        .iter()
        .filter(|line| line["change"] == "trigger")
        .map(|line| line["alerts"][0]["alert_id"].as_str().expect("an id").to_owned())
        .collect();
    assert!(wanted.is_subset(&triggers.iter().cloned().collect()), "{wanted:?} but {triggers:?}");
    assert_eq!(triggers.iter().collect::<BTreeSet<_>>().len(), triggers.len(), "each once");
    let guided = |line: &&Value| line["message"]["first_step"].is_string();
    assert!(told.iter().filter(guided).count() > 0, "the guide's first step is told");
}

#[test]
fn monitoring_sees_what_arrived_and_what_did_not() {
    let port = free_port();
    let stage = Stage::with(&format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"URL/\"\n"
    ));
    stage.put(&[alert("a", Severity::High), alert("b", Severity::High)]);
    stage.receiver.fail([super::receiver::Fault::Status(400, "")]);
    let folder = stage.world.path("trail");
    fs::create_dir_all(&folder).expect("a folder");
    let arguments = ["run", "--no-rules", "--folder", folder.to_str().expect("UTF-8"), "--config", stage.config()];
    let mut command = stage.world.command(&arguments);
    let worker = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut worker = Running(worker);
    let metric = |name: &str, label: &str| {
        let (_, page) = block_on(http::get(&format!("127.0.0.1:{port}"), "/metrics")).ok()?;
        let is_it = |line: &&str| line.starts_with(name) && line.contains("sink=\"hook\"") && line.contains(label);
        page.lines().find(is_it)?.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let is = |name: &str, label: &str, number: f64| metric(name, label).is_some_and(|found| found == number);
    until("the numbers on /metrics", PATIENCE, || {
        assert!(worker.0.try_wait().expect("a child").is_none(), "it ended by itself");
        let all = is("keytrail_deliveries_total", "outcome=\"delivered\"", 1.0)
            && is("keytrail_deliveries_total", "outcome=\"parked\"", 1.0)
            && is("keytrail_deliveries_parked", "", 1.0)
            && is("keytrail_deliveries_oldest_undelivered_seconds", "", 0.0);
        all.then_some(())
    });
}
