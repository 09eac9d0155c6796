//! SNS and Security Hub, at the emulators.

use keytrail_model::{Alert, AlertState, Severity};
use serde_json::{Value, json};

use super::stage::{Stage, alert};
use crate::harness::{
    emulator::{Emulator, Kind},
    http::{self, Head},
    wait::{PATIENCE, block_on, until},
};

#[test]
fn sns_tells_whoever_listens_to_the_topic() {
    let emulator = Emulator::start();
    let queue = emulator.queue("listener", 100);
    let topic = emulator.topic("alerts", &queue, true);
    let stage = Stage::new(&format!(
        "[[sink]]\nname = \"topic\"\nkind = \"sns\"\ntopic_arn = \"{topic}\"\nformat = \"keytrail\"\n[aws]\nregion = \
         \"us-east-1\"\nendpoint_url = \"{}\"\n",
        emulator.url()
    ));
    stage.put(&[alert("a", Severity::High)]);
    stage.deliver_all();
    let bodies = until("a message in the queue", PATIENCE, || {
        let bodies = emulator.take_bodies(&queue.url);
        (!bodies.is_empty()).then_some(bodies)
    });
    assert_eq!(bodies.len(), 1);
    let told: Value = serde_json::from_str(&bodies[0]).expect("JSON");
    assert_eq!((&told["alerts"][0]["alert_id"], &told["change"]), (&"a".into(), &"trigger".into()));
    assert_eq!(told["delivery_id"], stage.deliveries("true")[0]["delivery_id"]);
}

#[test]
fn a_topic_that_is_not_there_is_parked() {
    let emulator = Emulator::start();
    let stage = Stage::new(&format!(
        "[[sink]]\nname = \"topic\"\nkind = \"sns\"\ntopic_arn = \"arn:aws:sns:us-east-1:000000000000:nobody\"\n[aws]\nregion \
         = \"us-east-1\"\nendpoint_url = \"{}\"\n",
        emulator.url()
    ));
    stage.put(&[alert("a", Severity::High)]);
    assert_eq!(stage.deliver().code, 1);
    let rows = stage.deliveries("alert_id = 'a'");
    assert_eq!(rows[0]["state"], "parked", "{rows:?}");
}

#[test]
fn security_hub_shows_the_finding_and_its_end() {
    let emulator = Emulator::of(Kind::Moto);
    let stage = Stage::new(&format!(
        "[[sink]]\nname = \"hub\"\nkind = \"securityhub\"\naccount_id = \"123456789012\"\nregion = \
         \"us-east-1\"\n[aws]\nendpoint_url = \"{}\"\nregion = \"us-east-1\"\n",
        emulator.url()
    ));
    let open = alert("a", Severity::High);
    stage.put(std::slice::from_ref(&open));
    stage.deliver_all();
    let findings = findings(&emulator);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let finding = &findings[0];
    for member in
        ["SchemaVersion", "Id", "ProductArn", "GeneratorId", "AwsAccountId", "CreatedAt", "UpdatedAt", "Title"]
    {
        assert!(finding[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {finding}");
    }
    assert!(finding["Resources"].as_array().is_some_and(|resources| !resources.is_empty()));
    assert_eq!(finding["Severity"]["Label"], "HIGH");
    stage.put(&[Alert { state: AlertState::Closed, ..open }]);
    stage.deliver_all();
    assert_eq!(stage.deliveries("state = 'delivered'").len(), 2);
    let known: std::collections::HashSet<String> =
        self::findings(&emulator).iter().map(|finding| finding["Id"].to_string()).collect();
    assert_eq!(known.len(), 1, "the end is told of the same finding");
}

fn findings(emulator: &Emulator) -> Vec<Value> {
    let head = Head {
        first: "POST /findings HTTP/1.1".to_owned(),
        fields: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            (
                "Authorization".to_owned(),
                "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/securityhub/aws4_request, SignedHeaders=host, \
                 Signature=00"
                    .to_owned(),
            ),
        ],
    };
    let body = json!({"MaxResults": 100}).to_string();
    let (status, answer) = block_on(http::ask(emulator.address(), &head, body.as_bytes())).expect("HTTP");
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(status, 200, "{answer}");
    answer["Findings"].as_array().cloned().unwrap_or_default()
}
