use proptest::prelude::*;

use super::*;
use crate::sink::{
    Hidden, Response,
    testing::{Reply, Server, closed, full, hostile_outgoing, outgoing},
};

#[test]
fn a_new_alert_triggers_and_what_follows_names_the_same_incident() {
    insta::assert_json_snapshot!(event(&outgoing(Change::Trigger, vec![full()]), "keytrail"));
    insta::assert_json_snapshot!(event(&outgoing(Change::Resolve, vec![closed()]), "keytrail"), @r#"
    {
      "dedup_key": "keytrail/89abcdef01234567/0123456789abcdef",
      "event_action": "resolve"
    }
    "#);
    let action = |change| event(&outgoing(change, vec![full()]), "keytrail")["event_action"].clone();
    assert_eq!(action(Change::Update), "trigger");
    assert_eq!(action(Change::Acknowledge), "acknowledge");
}

#[test]
fn every_episode_and_every_storm_is_an_incident_of_its_own() {
    let key = |change, alert| dedup_key(&outgoing(change, vec![alert]));
    let later = keytrail_model::Alert { alert_id: "fedcba9876543210".into(), ..full() };
    assert_eq!(key(Change::Trigger, full()), key(Change::Resolve, closed()));
    assert_ne!(key(Change::Trigger, full()), key(Change::Trigger, later));
    assert_ne!(key(Change::Trigger, full()), key(Change::Storm, full()));
    // A storm grows and ends under one key.
    let grown = dedup_key(&Outgoing { delivery_id: "d2".into(), ..outgoing(Change::Storm, vec![full(), closed()]) });
    assert_eq!((key(Change::Storm, full()), grown.clone()), (grown, key(Change::StormOver, closed())));
    let long = keytrail_model::Alert { fingerprint: "f".repeat(300), ..full() };
    assert_eq!(key(Change::Trigger, long).len(), "keytrail/".len() + 64);
}

#[tokio::test]
async fn what_pagerduty_refuses_is_parked_and_what_it_cannot_take_now_waits_a_minute() {
    let refusal =
        r#"{"status":"invalid event","errors":["Length of 'routing_key' 0123456789abcdef0123456789abcdef is wrong"]}"#;
    let replies = vec![
        Reply::Answer("202 Accepted", &[], r#"{"status":"success"}"#.into()),
        Reply::Answer("400 Bad Request", &[], refusal.into()),
        Reply::Answer("429 Too Many Requests", &[], String::new()),
        Reply::Answer("500 Oops", &["Retry-After: 5"], String::new()),
    ];
    let server = Server::start(replies).await;
    let settings = PagerDutySettings {
        endpoint: format!("{}/v2/enqueue", server.base),
        ..PagerDutySettings::new(Hidden::new("0123456789abcdef0123456789abcdef"))
    };
    let sink = PagerDuty::new("pager", &settings).expect("well configured");
    let out = outgoing(Change::Trigger, vec![full()]);
    let receipt = sink.send(&out).await.expect("taken");
    assert_eq!((receipt.status, receipt.detail), (Some(202), Some(dedup_key(&out))));
    let error = sink.send(&out).await.expect_err("refused");
    assert_eq!(error.response(), Response::Park);
    let text = format!("{error} {error:?}");
    assert!(text.contains("invalid event") && !text.contains("0123456789abcdef0123456789abcdef"), "{text}");
    let wait = async || sink.send(&out).await.expect_err("later").response();
    assert_eq!(wait().await, Response::Retry { after: Some(PATIENCE) });
    assert_eq!(wait().await, Response::Retry { after: Some(Duration::from_secs(5)) });
    let requests = server.requests().await;
    let body: Value = serde_json::from_str(&requests[0].body).expect("JSON");
    assert_eq!(body["routing_key"], "0123456789abcdef0123456789abcdef");
    assert_eq!(requests[0].path, "/v2/enqueue");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn whatever_an_alert_holds_pagerduty_takes_it(outgoing in hostile_outgoing()) {
        let event = Value::Object(event(&outgoing, "keytrail"));
        let body = bounded::fit(&event, BODY).expect("fits");
        prop_assert!(body.len() <= 512 * 1024);
        let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
        prop_assert!((1..=DEDUP_KEY).contains(&length(&event["dedup_key"])));
        if event["event_action"] == "trigger" {
            prop_assert!((1..=SUMMARY).contains(&length(&event["payload"]["summary"])));
            prop_assert!(["critical", "error", "warning", "info"].contains(&event["payload"]["severity"].as_str().expect("a word")));
        }
    }
}
