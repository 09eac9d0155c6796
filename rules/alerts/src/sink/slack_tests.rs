use proptest::prelude::*;

use super::*;
use crate::{
    message::{Links, test_alert},
    sink::{
        Hidden, SendErrorKind,
        settings::HttpSettings,
        testing::{Reply, Server, closed, full, hostile_outgoing, outgoing},
    },
};

#[test]
fn a_new_alert_is_a_message_in_blocks() {
    insta::assert_json_snapshot!(payload(&outgoing(Change::Trigger, vec![full(), full()]).message));
}

#[test]
fn what_follows_is_short() {
    insta::assert_json_snapshot!(payload(&outgoing(Change::Resolve, vec![closed()]).message));
}

#[test]
fn a_storm_is_one_message() {
    insta::assert_json_snapshot!(payload(&outgoing(Change::Storm, vec![full(), closed()]).message));
}

#[test]
fn without_an_address_a_command_is_shown() {
    let message = Message::new(Change::Test, &[test_alert(0)], None, &Links::default());
    let text = payload(&message).to_string();
    assert!(text.contains("`keytrail alerts list`") && !text.contains("|Open"), "{text}");
}

#[tokio::test]
async fn slack_is_obeyed_when_it_says_to_wait() {
    let replies = vec![
        Reply::Answer("429 Too Many Requests", &["Retry-After: 30"], "rate_limited".into()),
        Reply::Answer("404 Not Found", &[], "no_service".into()),
        Reply::ok("ok"),
    ];
    let server = Server::start(replies).await;
    let settings = SlackSettings {
        url: Hidden::new(format!("{}/services/T00000000/B00000000", server.base)),
        http: HttpSettings::default(),
    };
    let sink = Slack::new("ops", &settings).expect("well configured");
    let out = outgoing(Change::Trigger, vec![full()]);
    let error = sink.send(&out).await.expect_err("throttled");
    assert_eq!(error.kind, SendErrorKind::Throttled { retry_after: Some(std::time::Duration::from_secs(30)) });
    let error = sink.send(&out).await.expect_err("gone");
    assert_eq!((error.kind.clone(), error.detail.as_deref()), (SendErrorKind::Refused, Some("no_service")));
    assert!(!error.to_string().contains("T00000000"), "{error}");
    sink.send(&out).await.expect("taken");
    let requests = server.requests().await;
    assert_eq!(requests[0].body, requests[2].body);
    assert_eq!((sink.name(), sink.kind()), ("ops", "slack"));
}

/// Every text object with the limit of where it stands.
fn check(payload: &Value) -> Result<(), TestCaseError> {
    let blocks = payload["blocks"].as_array().expect("blocks");
    prop_assert!(blocks.len() <= 50);
    let length = |text: &Value| text["text"].as_str().expect("a text").chars().count();
    let fits = |text: &Value, limit: usize| {
        let content = text["text"].as_str().expect("a text");
        prop_assert!((1..=limit).contains(&length(text)), "{} of {limit}: {content:?}", length(text));
        // The only link, and the only thing in angle brackets, is the one we make.
        let own = content
            .strip_prefix("<https://keytrail.example.org/alerts")
            .and_then(|it| it.strip_suffix("|Open in Keytrail>"));
        prop_assert!(!own.unwrap_or(content).contains(['<', '>']), "{content:?}");
        prop_assert!(!content.chars().any(|it| it != '\n' && crate::sink::text::is_hostile(it)), "{content:?}");
        Ok(())
    };
    for block in blocks {
        match block["type"].as_str() {
            Some("header") => fits(&block["text"], 150)?,
            Some("section") if block["fields"].is_array() => {
                let fields = block["fields"].as_array().expect("fields");
                prop_assert!((1..=10).contains(&fields.len()));
                for field in fields {
                    fits(field, 2_000)?;
                }
            }
            Some("section") => fits(&block["text"], 3_000)?,
            Some("context") => {
                let elements = block["elements"].as_array().expect("elements");
                prop_assert!((1..=10).contains(&elements.len()));
                for element in elements {
                    fits(element, 2_000)?;
                }
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
    prop_assert!(payload["unfurl_links"] == false && payload["unfurl_media"] == false);
    prop_assert!(!payload["text"].as_str().expect("a text").contains(['<', '>']));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn whatever_an_alert_holds_slack_takes_it(outgoing in hostile_outgoing()) {
        check(&payload(&outgoing.message))?;
    }
}
