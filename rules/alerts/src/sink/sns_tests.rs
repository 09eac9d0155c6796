use aws_config::BehaviorVersion;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use proptest::prelude::*;
use std::time::Duration;

use super::*;
use crate::sink::{
    Change, Format,
    testing::{Reply, Server, full, hostile_outgoing, outgoing},
};

const TOPIC: &str = "arn:aws:sns:eu-central-1:111122223333:alerts";

fn sink(topic: &str, endpoint: &str, timeout: Duration) -> Result<Sns, SendError> {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKID",
            "secret-key",
            None,
            None,
            "test",
        )))
        .build();
    let settings = SnsSettings { endpoint_url: Some(endpoint.to_owned()), timeout, ..SnsSettings::new(topic) };
    Sns::new("topic", &settings, &config)
}

fn published() -> Reply {
    Reply::ok(
        "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>m-1</MessageId>\
         </PublishResult></PublishResponse>",
    )
}

fn failed(status: &'static str, code: &str) -> Reply {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    );
    Reply::Answer(status, &[], body)
}

fn form(body: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn a_message_is_published_once_with_what_subscriptions_filter_by() {
    let server = Server::start(vec![published()]).await;
    let sink = sink(TOPIC, &server.base, Duration::from_secs(30)).expect("well configured");
    let out = outgoing(Change::Trigger, vec![full()]);
    let receipt = sink.send(&out).await.expect("taken");
    assert_eq!((receipt.status, receipt.detail.as_deref()), (Some(200), Some("m-1")));
    let form = form(&server.requests().await[0].body);
    assert_eq!(form["TopicArn"], TOPIC);
    assert_eq!(form["Subject"], "HIGH: Bulk read of <prod> by role/app/billing");
    assert_eq!(form["Message"], out.message.text(MESSAGE));
    assert!(!form.contains_key("MessageGroupId"));
    let names: Vec<&String> = form.iter().filter(|(name, _)| name.ends_with(".Name")).map(|(_, value)| value).collect();
    for name in ["change", "severity", "delivery_id", "rule", "class", "account", "alert_id"] {
        assert!(names.iter().any(|it| *it == name), "{name} is not among {names:?}");
    }
}

#[tokio::test]
async fn a_fifo_topic_can_tell_a_repetition() {
    let server = Server::start(vec![published()]).await;
    let sink = sink(&format!("{TOPIC}.fifo"), &server.base, Duration::from_secs(30)).expect("well configured");
    let out = outgoing(Change::Trigger, vec![full()]);
    sink.send(&out).await.expect("taken");
    let form = form(&server.requests().await[0].body);
    assert_eq!(form["MessageGroupId"], full().fingerprint);
    assert_eq!(form["MessageDeduplicationId"], out.delivery_id);
}

#[tokio::test]
async fn each_failure_is_one_try_and_is_understood() {
    let kind = async |reply| {
        let server = Server::start(vec![reply]).await;
        let sink = sink(TOPIC, &server.base, Duration::from_secs(30)).expect("well configured");
        let error = sink.send(&outgoing(Change::Trigger, vec![full()])).await.expect_err("failed");
        assert_eq!(server.requests().await.len(), 1);
        assert!(!format!("{error} {error:?}").contains("secret-key"));
        error.kind
    };
    assert_eq!(kind(failed("403 Forbidden", "AuthorizationError")).await, SendErrorKind::Refused);
    assert_eq!(kind(failed("404 Not Found", "NotFound")).await, SendErrorKind::Refused);
    assert_eq!(kind(failed("400 Bad Request", "Throttling")).await, SendErrorKind::Throttled { retry_after: None });
    assert_eq!(kind(failed("403 Forbidden", "ExpiredToken")).await, SendErrorKind::Unavailable { retry_after: None });
    assert_eq!(kind(failed("500 Oops", "InternalError")).await, SendErrorKind::Unavailable { retry_after: None });
    assert_eq!(kind(Reply::Reset).await, SendErrorKind::Unreachable);
    assert_eq!(kind(Reply::Truncated("200 OK")).await, SendErrorKind::Unreachable);
}

#[tokio::test]
async fn a_topic_that_says_nothing_is_left_in_time() {
    let server = Server::start(vec![Reply::Slow]).await;
    let sink = sink(TOPIC, &server.base, Duration::from_millis(300)).expect("well configured");
    let error = sink.send(&outgoing(Change::Trigger, vec![full()])).await.expect_err("no answer");
    assert_eq!(error.kind, SendErrorKind::Timeout);
}

#[test]
fn only_a_topic_is_a_topic() {
    for text in ["alerts", "arn:aws:sqs:eu-central-1:111122223333:alerts", "arn:aws:sns::111122223333:alerts"] {
        assert!(sink(text, "http://127.0.0.1:1", Duration::from_secs(1)).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn whatever_an_alert_holds_sns_takes_it(outgoing in hostile_outgoing()) {
        let subject = subject(&outgoing);
        prop_assert!((1..100).contains(&subject.len()) && subject.bytes().all(|it| (0x20..0x7f).contains(&it)), "{subject:?}");
        let attributes = attributes(&outgoing, outgoing.delivery_id.clone());
        prop_assert!(attributes.len() <= 10 && attributes.values().all(|value| !value.is_empty()));
        let extra: usize = attributes.iter().map(|(name, value)| name.len() + value.len() + "String".len()).sum();
        for format in [SnsFormat::Text, SnsFormat::Json(Format::Keytrail), SnsFormat::Json(Format::Ocsf)] {
            for body in bodies(&outgoing, format).expect("fits") {
                prop_assert!(!body.is_empty() && body.len() + extra <= 262_144);
            }
        }
    }
}
