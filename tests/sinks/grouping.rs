//! Many alerts, few messages; every alert has its line in the log.

use keytrail_model::{Alert, Severity};
use serde_json::json;

use super::stage::{Stage, alert, evidence};

const HOOK: &str = "[[sink]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"URL/\"\n";

#[test]
fn a_storm_is_one_message_and_names_every_alert() {
    let stage = Stage::new(&format!("{HOOK}[[sink]]\nname = \"siem\"\nkind = \"file\"\npath = \"alerts.jsonl\"\n"));
    let alerts: Vec<Alert> = (0..30)
        .map(|number| Alert { rule_id: "noisy".to_owned(), ..alert(&format!("n{number:02}"), Severity::High) })
        .collect();
    stage.put(&alerts);
    stage.deliver_all();
    let requests = stage.receiver.requests();
    assert_eq!((requests.len(), requests[0].change()), (1, "storm"));
    let mut told = requests[0].alerts();
    told.sort();
    assert_eq!(told, alerts.iter().map(|alert| alert.alert_id.clone()).collect::<Vec<_>>());
    let covered = stage.deliveries("sink = 'hook' AND state = 'covered'");
    assert_eq!(covered.len(), 30);
    assert!(covered.iter().all(|row| row["covered_by"] == requests[0].id()));
    // Whoever keeps alerts gets each of them.
    let lines = std::fs::read_to_string(stage.world.path("alerts.jsonl")).expect("the file of the sink");
    assert_eq!(lines.lines().count(), 30);

    // It has just been told: what joins waits, and is not lost.
    stage.put(&[Alert { rule_id: "noisy".to_owned(), ..alert("late", Severity::High) }]);
    stage.deliver_all();
    assert_eq!(stage.receiver.count(), 1);
    stage.put(&[Alert { rule_id: "noisy".to_owned(), ..alert("worse", Severity::Critical) }]);
    stage.deliver_all();
    let requests = stage.receiver.requests();
    assert_eq!((requests.len(), requests[1].change(), requests[1].alerts().len()), (2, "storm", 32));
}

#[test]
fn alerts_of_one_event_are_one_message() {
    let stage = Stage::new(HOOK);
    let grave = alert("grave", Severity::Critical);
    let shared = evidence("event-of-grave", grave.first_event_at);
    let beside = Alert { evidence: vec![shared], ..alert("beside", Severity::Medium) };
    stage.put(&[beside, grave, alert("apart", Severity::Medium)]);
    stage.deliver_all();
    let mut told: Vec<Vec<String>> = stage.receiver.requests().iter().map(super::receiver::Request::alerts).collect();
    told.sort();
    assert_eq!(told, [vec!["apart"], vec!["grave", "beside"]]);
}

#[test]
fn routes_decide_and_what_is_history_or_suppressed_is_told_to_nobody() {
    let stage = Stage::new(&format!(
        "{HOOK}[[sink]]\nname = \"all\"\nkind = \"webhook\"\nurl = \"URL/all\"\n[[route]]\nsinks = [\"all\"]\ncontinue = \
         true\n[[route]]\nmin_severity = \"high\"\nrules = [\"rule_g*\"]\nsinks = [\"hook\"]\n"
    ));
    stage.put(&[
        alert("grave", Severity::Critical),
        alert("low", Severity::Low),
        Alert { historical: true, ..alert("old", Severity::Critical) },
        Alert {
            state: keytrail_model::AlertState::Suppressed,
            suppressed_by: Some("shadow".to_owned()),
            ..alert("shadow", Severity::Critical)
        },
    ]);
    stage.deliver_all();
    let mut told: Vec<(String, Vec<String>)> =
        stage.receiver.requests().iter().map(|request| (request.head.first.clone(), request.alerts())).collect();
    told.sort();
    let line = |path: &str| format!("POST {path} HTTP/1.1");
    assert_eq!(json!(told), json!([[line("/"), ["grave"]], [line("/all"), ["grave"]], [line("/all"), ["low"]]]));
}
