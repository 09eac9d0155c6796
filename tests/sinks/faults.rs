//! What goes wrong on the way: errors, resets, silence, refusals. The same id on every try, and nothing lost.

use keytrail_model::{AlertState, Severity};

use super::{
    receiver::Fault,
    stage::{Stage, alert},
};
use crate::harness::{
    python,
    wait::{PATIENCE, until},
};

const KEY: &str = "a key that nobody guesses";

fn webhook() -> String {
    format!(
        "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"URL/hook\"\nsigning_key = \"{KEY}\"\ntimeout = \"1s\"\n"
    )
}

#[test]
fn every_try_of_a_webhook_is_the_same_signed_message() {
    let stage = Stage::new(&webhook());
    stage.receiver.fail([
        Fault::Status(500, ""),
        Fault::Reset,
        Fault::Silent,
        Fault::Status(429, "Retry-After: 1\r\n"),
        Fault::Status(503, ""),
    ]);
    stage.put(&[alert("a", Severity::High)]);
    until("a message that arrives after five faults", PATIENCE, || {
        stage.deliver();
        stage.all_delivered().then_some(())
    });
    let requests = stage.receiver.requests();
    assert_eq!(requests.len(), 6);
    let first = &requests[0];
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sinks/verify.py");
    for (position, request) in requests.iter().enumerate() {
        assert_eq!((request.id(), request.change()), (first.id(), "trigger"));
        assert_eq!(request.body, first.body, "the same bytes on every try");
        assert_eq!(request.field("keytrail-attempt"), (position + 1).to_string());
        let (timestamp, signature) = (request.field("keytrail-timestamp"), request.field("keytrail-signature"));
        let body = String::from_utf8(request.body.clone()).expect("UTF-8");
        assert_eq!(python::run(&script, &[KEY, timestamp, request.id(), &body, signature]).trim(), "valid");
        let bent = body.replace("billing", "building");
        assert_eq!(python::run(&script, &[KEY, timestamp, request.id(), &bent, signature]).trim(), "forged");
    }
    assert_eq!(stage.deliveries("true")[0]["attempt"], 6);
    // What has arrived is not sent again.
    stage.deliver_all();
    assert_eq!(stage.receiver.count(), 6);
}

#[test]
fn who_asks_for_patience_gets_it() {
    let stage = Stage::new(&webhook());
    stage.receiver.fail([Fault::Status(429, "Retry-After: 3600\r\n")]);
    stage.put(&[alert("a", Severity::High), alert("b", Severity::Medium)]);
    assert_eq!(stage.deliver().code, 1);
    stage.deliver();
    let mut tries: Vec<i64> =
        stage.deliveries("state = 'failed'").iter().filter_map(|row| row["attempt"].as_i64()).collect();
    tries.sort_unstable();
    assert_eq!(tries, [0, 1], "the other one is not tried at a sink that asked for patience");
    assert_eq!(stage.receiver.count(), 1);
    // A person may be less patient.
    assert_eq!(stage.run(&["sinks", "retry", "--all"]).code, 0);
    stage.deliver_all();
    assert!(stage.all_delivered());
}

#[test]
fn what_is_refused_is_parked_told_elsewhere_and_taken_up_again() {
    let stage = Stage::new(&format!(
        "{}[[sink]]\nname = \"other\"\nkind = \"webhook\"\nurl = \"URL/other\"\n[[route]]\nrules = \
         [\"rule_*\"]\nsinks = [\"hook\"]\n[[route]]\nclasses = [\"system\"]\nsinks = [\"hook\", \"other\"]\n",
        webhook()
    ));
    stage.receiver.fail([Fault::Status(400, "")]);
    stage.put(&[alert("a", Severity::High)]);
    assert_eq!(stage.deliver().code, 1);

    let listed = stage.run(&["sinks", "list", "--format", "json"]);
    let sinks: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!((&sinks[0]["sink"], &sinks[0]["parked"]), (&"hook".into(), &1.into()));
    assert_eq!(sinks[0]["parked_deliveries"][0]["alert_ids"][0], "a");
    assert!(!listed.stdout.contains("/hook"), "an address is a secret: {}", listed.stdout);

    // The sink that works is told that the other one does not.
    let told = until("an alert about the sink", PATIENCE, || {
        stage.deliver();
        stage.receiver.requests().into_iter().find(|request| request.head.first.contains("/other"))
    });
    assert_eq!(told.json()["alerts"][0]["rule_id"], "sink_failing");
    let about_itself = |request: &super::receiver::Request| {
        request.head.first.contains("/hook") && request.json()["alerts"][0]["rule_id"] == "sink_failing"
    };
    assert!(!stage.receiver.requests().iter().any(about_itself));

    assert_eq!(stage.run(&["sinks", "retry", "--all"]).code, 0);
    stage.deliver_all();
    let to_hook: Vec<_> =
        stage.receiver.requests().into_iter().filter(|request| request.head.first.contains("/hook")).collect();
    assert_eq!((to_hook.len(), to_hook[0].id()), (2, to_hook[1].id()), "the same delivery");
    until("the end of the alert about the sink", PATIENCE, || {
        stage.deliver();
        let closed = stage.world.rows("SELECT state FROM alerts WHERE rule_id = 'sink_failing'");
        (closed[0]["state"] == AlertState::Closed.as_str()).then_some(())
    });
}

#[test]
fn doctor_and_test_tell_of_a_sink_that_is_not_there() {
    let stage = Stage::new(
        "[[sink]]\nname = \"gone\"\nkind = \"slack\"\nurl = \"http://127.0.0.1:1/secret-path\"\n[[sink]]\nname = \
         \"unset\"\nkind = \"slack\"\nurl = { env = \"KEYTRAIL_TEST_NOT_SET\" }\n[[sink]]\nname = \"there\"\nkind = \
         \"webhook\"\nurl = \"URL/secret-path\"\n",
    );
    let doctor = stage.run(&["doctor", "--format", "json"]);
    let lines: serde_json::Value = serde_json::from_str(&doctor.stdout).expect("JSON");
    let of_sinks: Vec<&serde_json::Value> =
        lines.as_array().expect("lines").iter().filter(|line| line["check"] == "sink").collect();
    let states: Vec<&str> = of_sinks.iter().filter_map(|line| line["state"].as_str()).collect();
    assert_eq!(states, ["fail", "fail", "ok"], "{of_sinks:?}");
    assert!(of_sinks[1]["found"].as_str().is_some_and(|found| found.contains("KEYTRAIL_TEST_NOT_SET")));
    assert_eq!(stage.receiver.count(), 0, "doctor sends nothing");

    let tested = stage.run(&["sinks", "test"]);
    assert_eq!(tested.code, 1);
    let requests = stage.receiver.requests();
    assert_eq!((requests.len(), requests[0].change()), (1, "test"));
    assert_eq!(stage.run(&["sinks", "test", "there"]).code, 0);
    assert_eq!(stage.run(&["sinks", "test", "nobody"]).code, 4);
    let shown = stage.run(&["config", "show"]);
    for text in [&doctor.stdout, &tested.stdout, &tested.stderr, &shown.stdout] {
        assert!(!text.contains("secret-path"), "{text}");
    }
}
