//! What each kind of HTTP sink is sent, as its target must find it.

use keytrail_model::{Alert, AlertState, Severity, Verdict};
use serde_json::Value;

use super::stage::{Stage, alert};

#[test]
fn slack_gets_blocks_that_nobody_can_bend() {
    let stage = Stage::new("[[sink]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"URL/services/T0/B0/x\"\n");
    let title = "<!channel> & <https://evil.example|here>".to_owned();
    stage.put(&[Alert { title: title.clone(), reason: title, ..alert("a", Severity::High) }]);
    stage.deliver_all();
    let requests = stage.receiver.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].head.first.starts_with("POST /services/T0/B0/x "));
    let body = requests[0].json();
    let blocks = body["blocks"].as_array().expect("blocks");
    assert!((1..=50).contains(&blocks.len()));
    let text = body.to_string();
    assert!(!text.contains("<!channel>") && !text.contains("<https://evil"), "{text}");
    assert!(text.contains("&lt;!channel&gt; &amp; "), "{text}");
}

#[test]
fn pagerduty_opens_acknowledges_and_resolves_one_incident() {
    let key = "0123456789abcdef0123456789abcdef";
    let stage = Stage::new(&format!(
        "[[sink]]\nname = \"pager\"\nkind = \"pagerduty\"\nrouting_key = \"{key}\"\nendpoint_url = \"URL/v2/enqueue\"\n"
    ));
    let open = alert("a", Severity::Critical);
    stage.put(std::slice::from_ref(&open));
    stage.deliver_all();
    stage.put(&[Alert { state: AlertState::Acknowledged, ..open.clone() }]);
    stage.deliver_all();
    stage.put(&[Alert { state: AlertState::Closed, verdict: Some(Verdict::Expected), ..open }]);
    stage.deliver_all();
    let events: Vec<Value> = stage.receiver.requests().iter().map(super::receiver::Request::json).collect();
    let actions: Vec<&str> = events.iter().filter_map(|event| event["event_action"].as_str()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve"]);
    for event in &events {
        assert_eq!((&event["routing_key"], &event["dedup_key"]), (&Value::from(key), &events[0]["dedup_key"]));
    }
    assert!(events[0]["dedup_key"].as_str().is_some_and(|key| key.len() <= 255));
    let payload = &events[0]["payload"];
    assert_eq!((&payload["severity"], &payload["source"]), (&"critical".into(), &"keytrail".into()));
    assert!(payload["summary"].as_str().is_some_and(|summary| !summary.is_empty() && summary.len() <= 1024));
}

#[test]
fn a_storm_of_pagerduty_is_one_incident_too() {
    let stage = Stage::with(
        "[delivery]\nstorm_alerts = 2\nstorm_every = \"1s\"\n[[sink]]\nname = \"pager\"\nkind = \
         \"pagerduty\"\nrouting_key = \"0123456789abcdef0123456789abcdef\"\nendpoint_url = \"URL/v2/enqueue\"\n",
    );
    let of_one_rule = |id: &str| Alert { rule_id: "noisy".to_owned(), ..alert(id, Severity::High) };
    let mut alerts: Vec<Alert> = ["a", "b", "c"].map(of_one_rule).to_vec();
    stage.put(&alerts);
    stage.deliver_all();
    for alert in &mut alerts {
        alert.state = AlertState::Closed;
    }
    stage.put(&alerts);
    stage.deliver_all();
    let events: Vec<Value> = stage.receiver.requests().iter().map(super::receiver::Request::json).collect();
    let actions: Vec<&str> = events.iter().filter_map(|event| event["event_action"].as_str()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(events[0]["dedup_key"], events[1]["dedup_key"]);
}

#[test]
fn ocsf_has_every_member_that_its_class_requires() {
    let stage = Stage::new("[[sink]]\nname = \"siem\"\nkind = \"webhook\"\nurl = \"URL/\"\nformat = \"ocsf\"\n");
    let open = alert("a", Severity::High);
    stage.put(std::slice::from_ref(&open));
    stage.deliver_all();
    stage.put(&[Alert { state: AlertState::Closed, ..open }]);
    stage.deliver_all();
    let mut activities = Vec::new();
    for request in stage.receiver.requests() {
        for event in request.json().as_array().expect("a list of events") {
            assert_eq!((&event["class_uid"], &event["category_uid"]), (&2004.into(), &2.into()));
            let activity = event["activity_id"].as_i64().expect("activity_id");
            assert_eq!(event["type_uid"].as_i64(), Some(200_400 + activity));
            assert_eq!(event["severity_id"], 4);
            assert!(event["time"].as_i64().is_some_and(|at| at > 1_700_000_000_000), "milliseconds");
            assert!(event["metadata"]["version"].is_string() && event["metadata"]["product"].is_object());
            assert_eq!(event["finding_info"]["uid"], "a");
            for evidence in event["evidences"].as_array().into_iter().flatten() {
                let known = ["actor", "api", "src_endpoint", "resources"];
                assert!(known.iter().any(|member| evidence.get(member).is_some()), "{evidence}");
            }
            activities.push(activity);
        }
    }
    assert_eq!(activities, [1, 3], "create, then close");
}
