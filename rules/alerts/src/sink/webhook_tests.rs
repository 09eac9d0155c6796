use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::sink::{
    Change, Hidden,
    settings::HttpSettings,
    testing::{Reply, Server, full, hostile_outgoing, outgoing},
};

fn settings(url: &str) -> WebhookSettings {
    WebhookSettings {
        signing_key: Some(Hidden::new("0123456789abcdef0123456789abcdef")),
        authorization: Some(Hidden::new("Bearer of-a-token")),
        ..WebhookSettings::new(Hidden::new(url))
    }
}

#[tokio::test]
async fn a_webhook_gets_the_same_signed_bytes_on_every_try() {
    let server = Server::start(vec![Reply::ok(""), Reply::ok("")]).await;
    let sink = Webhook::new("soc", &settings(&format!("{}/in", server.base))).expect("well configured");
    let first = outgoing(Change::Trigger, vec![full()]);
    let second = Outgoing { attempt: 3, at: first.at + 60_000_000, ..first.clone() };
    assert_eq!(sink.send(&first).await.expect("taken").status, Some(200));
    sink.send(&second).await.expect("taken");
    let requests = server.requests().await;
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[0].path, "/in");
    let header = |request: usize, name: &str| requests[request].headers[name].as_str();
    assert_eq!(header(0, "keytrail-delivery"), header(1, "keytrail-delivery"));
    assert_eq!((header(0, "keytrail-attempt"), header(1, "keytrail-attempt")), ("2", "3"));
    assert_eq!(header(0, "keytrail-timestamp"), "1785585600");
    assert_eq!(header(0, "authorization"), "Bearer of-a-token");
    assert_eq!(header(0, "content-type"), "application/json");
    for (request, sent) in requests.iter().zip([&first, &second]) {
        let signed =
            format!("{}.{}.{}", request.headers["keytrail-timestamp"], sent.delivery_id, request.body).into_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        let hex = request.headers["keytrail-signature"].strip_prefix("v1=").expect("a version");
        let tag: Vec<u8> = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
            .collect();
        hmac::verify(&key, &signed, &tag).expect("the signature fits");
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_signed() {
    let server = Server::start(vec![Reply::ok("")]).await;
    let plain = WebhookSettings::new(Hidden::new(&server.base));
    let sink = Webhook::new("soc", &plain).expect("well configured");
    sink.send(&outgoing(Change::Trigger, vec![full()])).await.expect("taken");
    let headers = &server.requests().await[0].headers;
    assert!(!headers.contains_key("keytrail-signature") && !headers.contains_key("authorization"));
}

/// The same numbers as the worked example in docs/SINKS.md, computed there by Python.
#[test]
fn the_signature_is_the_documented_one() {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"correct horse battery staple");
    assert_eq!(
        signature(&key, "1785585600", "6f9619ff-8b86-5d01-b42d-00cf4fc964ff", "{\"a\":1}"),
        "v1=62432c7c50f994d5cb00387f0daa5fb29cec4a311a8e6631c642a5f31e8791f8"
    );
}

#[tokio::test]
async fn a_storm_in_ocsf_comes_in_parts_that_a_receiver_keeps_all() {
    let out = outgoing(Change::Storm, vec![full(); 40]);
    let parts = bodies(&out, Format::Ocsf, json::LEAST_ROOM).expect("fits").len();
    assert!(parts > 1);
    let server = Server::start(vec![Reply::ok(""); parts]).await;
    let small = WebhookSettings { format: Format::Ocsf, max_body_bytes: json::LEAST_ROOM, ..settings(&server.base) };
    Webhook::new("siem", &small).expect("well configured").send(&out).await.expect("taken");
    let requests = server.requests().await;
    let ids: std::collections::BTreeSet<&str> =
        requests.iter().map(|it| it.headers["keytrail-delivery"].as_str()).collect();
    assert_eq!(ids.len(), parts);
    assert!(ids.contains(out.delivery_id.as_str()) && ids.iter().all(|id| id.starts_with(&out.delivery_id)));
    let events: usize =
        requests.iter().map(|it| serde_json::from_str::<Vec<Value>>(&it.body).expect("a list").len()).sum();
    assert_eq!(events, 40);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_sent() {
    let why = |settings: WebhookSettings| match Webhook::new("soc", &settings).err().expect("refused").kind {
        SendErrorKind::Misconfigured(why) => why,
        other => panic!("{other}"),
    };
    let base = || settings("https://example.org/in");
    assert!(why(WebhookSettings { max_body_bytes: 100, ..base() }).contains("64 KiB"));
    assert!(why(WebhookSettings { signing_key: Some(Hidden::new("short")), ..base() }).contains("16 bytes"));
    assert!(why(WebhookSettings { authorization: Some(Hidden::new("a\nb")), ..base() }).contains("authorization"));
    let proxied = HttpSettings { proxy: Some(Hidden::new("::")), ..HttpSettings::default() };
    assert!(why(WebhookSettings { http: proxied, ..base() }).contains("proxy"));
}

#[test]
fn settings_do_not_show_their_secrets() {
    let text = format!("{:?}", settings("https://example.org/secret-path"));
    assert!(!text.contains("secret-path") && !text.contains("of-a-token") && !text.contains("0123"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn whatever_an_alert_holds_the_body_is_json_within_the_limit(outgoing in hostile_outgoing()) {
        for format in [Format::Keytrail, Format::Ocsf] {
            let bodies = bodies(&outgoing, format, json::LEAST_ROOM).expect("fits the least room");
            let mut findings = 0;
            for body in bodies {
                prop_assert!(body.len() <= json::LEAST_ROOM);
                prop_assert!(!body.chars().any(crate::sink::text::is_hostile));
                let read: Value = serde_json::from_str(&body).expect("valid");
                findings += read.as_array().map_or(0, Vec::len);
                let alert = if format == Format::Ocsf { &read[0]["finding_info"]["uid"] } else { &read["alerts"][0]["alert_id"] };
                prop_assert_eq!(alert.as_str(), Some("0123456789abcdef"));
            }
            prop_assert_eq!(findings, if format == Format::Ocsf { outgoing.alerts.len() } else { 0 });
        }
    }
}
