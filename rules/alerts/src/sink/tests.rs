//! What all sinks have in common: the two formats, the file, how sinks are built.

use keytrail_model::Alert;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::sink::{
    settings::{FileSettings, HttpSettings, PagerDutySettings, SecurityHubSettings, SlackSettings, SnsSettings},
    testing::{closed, full, hostile_outgoing, huge, outgoing},
};

fn read(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn our_own_format_reads_like_this() {
    let alert = Alert { evidence: full().evidence, ..full() };
    insta::assert_json_snapshot!(read(&render_json(&outgoing(Change::Trigger, vec![alert]), Format::Keytrail)));
}

#[test]
fn ocsf_reads_like_this() {
    let lines = render_json(&outgoing(Change::Trigger, vec![full()]), Format::Ocsf);
    let mut event = read(&lines);
    event["metadata"]["product"]["version"] = "(version)".into();
    insta::assert_json_snapshot!(event);
}

#[test]
fn ocsf_follows_an_alert_through_its_life() {
    let of = |change, alert| read(&render_json(&outgoing(change, vec![alert]), Format::Ocsf));
    let (new, more, end) = (of(Change::Trigger, full()), of(Change::Update, full()), of(Change::Resolve, closed()));
    let ids =
        [&new, &more, &end].map(|it| (it["type_uid"].as_u64(), it["status_id"].as_u64(), it["is_alert"].as_bool()));
    assert_eq!(
        ids,
        [
            (Some(200_401), Some(1), Some(true)),
            (Some(200_402), Some(1), Some(true)),
            (Some(200_403), Some(4), Some(false))
        ]
    );
    assert_eq!(new["finding_info"]["uid"], end["finding_info"]["uid"]);
    assert_eq!(end["comment"], "the billing deploy");
    let storm = render_json(&outgoing(Change::Storm, vec![full(), closed()]), Format::Ocsf);
    let lines: Vec<Value> = storm.lines().map(read).collect();
    assert_eq!(lines.len(), 2);
    assert_ne!(lines[0]["metadata"]["uid"], lines[1]["metadata"]["uid"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn whatever_an_alert_holds_every_line_is_json_and_nothing_is_lost(outgoing in hostile_outgoing()) {
        let line = render_json(&outgoing, Format::Keytrail);
        prop_assert!(!line.contains('\n') && !line.chars().any(text::is_hostile));
        let back: Vec<Alert> = serde_json::from_value(read(&line)["alerts"].clone()).expect("alerts");
        prop_assert_eq!(&back, &outgoing.alerts);
        let lines = render_json(&outgoing, Format::Ocsf);
        prop_assert_eq!(lines.lines().count(), outgoing.alerts.len());
        for (line, alert) in lines.lines().zip(&outgoing.alerts) {
            let event = read(line);
            for required in ["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"] {
                prop_assert!(!event[required].is_null(), "{}", required);
            }
            prop_assert_eq!(event["type_uid"].as_u64(), event["activity_id"].as_u64().map(|activity| 200_400 + activity));
            prop_assert_eq!(event["finding_info"]["uid"].as_str(), Some(alert.alert_id.as_str()));
            for evidence in event["evidences"].as_array().expect("a list") {
                prop_assert!(evidence["api"]["operation"].is_string());
            }
        }
    }
}

#[test]
fn the_largest_alert_there_can_be_stays_within_every_limit() {
    let out = outgoing(Change::Trigger, vec![huge()]);
    for format in [Format::Keytrail, Format::Ocsf] {
        let bodies = webhook::bodies(&out, format, json::LEAST_ROOM).expect("fits the least room");
        let [body] = bodies.as_slice() else { panic!("one alert, one body") };
        assert!((1_000..=json::LEAST_ROOM).contains(&body.len()), "{}", body.len());
        serde_json::from_str::<Value>(body).expect("valid");
    }
    let published = sns::bodies(&out, settings::SnsFormat::Json(Format::Keytrail)).expect("fits");
    assert!(published.iter().all(|body| body.len() <= 256 * 1024));
    assert!(slack::payload(&out.message).to_string().len() < 40_000);
    assert!(Value::Object(pagerduty::event(&out, "keytrail")).to_string().len() < 512 * 1024);
    assert!(out.message.text(usize::MAX).len() < 20_000);
}

fn folder() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("keytrail-sink-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).expect("a folder");
    folder
}

#[tokio::test]
async fn a_file_gets_whole_lines_whatever_was_in_it() {
    let folder = folder();
    let path = folder.join("alerts.ndjson");
    let settings = SinkSettings::File(FileSettings { path: path.clone(), format: Format::Keytrail });
    let sink = open("archive", &settings, None).expect("well configured");
    let out = outgoing(Change::Trigger, vec![full()]);
    sink.send(&out).await.expect("written");
    // A crash in the middle of a line, then the same delivery again.
    let whole = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, format!("{whole}{{\"schema\":\"keytr")).expect("writable");
    sink.send(&out).await.expect("written");
    let text = std::fs::read_to_string(&path).expect("readable");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, lines[2]));
    assert!(text.ends_with('\n') && read(lines[2])["delivery_id"] == out.delivery_id.as_str());
    // Moved away by a rotation: a new one begins.
    std::fs::rename(&path, folder.join("alerts.1")).expect("movable");
    sink.send(&out).await.expect("written");
    assert_eq!(std::fs::read_to_string(&path).expect("readable").lines().count(), 1);
    std::fs::remove_dir_all(&folder).expect("removable");
    let error = sink.send(&out).await.expect_err("the folder is gone");
    assert_eq!(error.response(), Response::Retry { after: None });
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let path = folder.join("alerts.ndjson");
    let settings = SinkSettings::File(FileSettings { path: path.clone(), format: Format::Ocsf });
    let sink = open("archive", &settings, None).expect("well configured");
    sink.send(&outgoing(Change::Trigger, vec![full()])).await.expect("written");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    std::fs::remove_dir_all(&folder).expect("removable");
}

#[test]
fn every_kind_is_built_by_its_settings() {
    use aws_config::BehaviorVersion;
    use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
    let credentials = SharedCredentialsProvider::new(Credentials::new("AKID", "key", None, None, "test"));
    let aws =
        SdkConfig::builder().behavior_version(BehaviorVersion::latest()).credentials_provider(credentials).build();
    let http = HttpSettings::default;
    let slack = SlackSettings { url: Hidden::new("https://hooks.slack.com/services/T0/B0/secret"), http: http() };
    let hub = SecurityHubSettings {
        account_id: "111122223333".into(),
        region: "cn-north-1".into(),
        product_arn: None,
        endpoint_url: None,
        http: http(),
    };
    let topic = "arn:aws:sns:eu-central-1:111122223333:alerts";
    let built = |settings: SinkSettings| {
        let sink = open("x", &settings, Some(&aws)).expect("well configured");
        (sink.kind(), sink.place().to_owned())
    };
    assert_eq!(built(SinkSettings::Slack(slack)), ("slack", "hooks.slack.com".into()));
    assert_eq!(
        built(SinkSettings::PagerDuty(PagerDutySettings::new(Hidden::new("k".repeat(32))))),
        ("pagerduty", "events.pagerduty.com".into())
    );
    assert_eq!(
        built(SinkSettings::SecurityHub(hub)),
        ("securityhub", "securityhub.cn-north-1.amazonaws.com.cn".into())
    );
    assert_eq!(built(SinkSettings::Sns(SnsSettings::new(topic))), ("sns", topic.into()));
    assert!(open("x", &SinkSettings::Sns(SnsSettings::new(topic)), None).is_err());
    let empty = SinkSettings::PagerDuty(PagerDutySettings::new(Hidden::default()));
    assert!(open("x", &empty, None).is_err());
}
