use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_credential_types::{Credentials, provider::error::CredentialsError};

use super::*;
use crate::sink::{
    Change,
    settings::HttpSettings,
    testing::{Reply, Server, full, outgoing},
};

fn settings(endpoint: &str) -> SecurityHubSettings {
    SecurityHubSettings {
        account_id: "999988887777".into(),
        region: "eu-central-1".into(),
        product_arn: None,
        endpoint_url: Some(endpoint.to_owned()),
        http: HttpSettings { timeout: Duration::from_secs(30), ..HttpSettings::default() },
    }
}

fn config(provider: SharedCredentialsProvider) -> SdkConfig {
    SdkConfig::builder().behavior_version(BehaviorVersion::latest()).credentials_provider(provider).build()
}

fn sink(endpoint: &str) -> SecurityHub {
    let credentials = Credentials::new("AKIDEXAMPLE", "the-secret-key", Some("the-session".into()), None, "test");
    let config = config(SharedCredentialsProvider::new(credentials));
    SecurityHub::new("hub", &settings(endpoint), &config).expect("well configured")
}

const TAKEN: &str = r#"{"FailedCount":0,"FailedFindings":[],"SuccessCount":1}"#;

#[tokio::test]
async fn findings_are_imported_signed_and_in_batches() {
    let server = Server::start(vec![Reply::ok(TAKEN), Reply::ok(TAKEN)]).await;
    let number = |number: usize| Alert { alert_id: format!("{number:016x}"), ..full() };
    let out = outgoing(Change::Storm, (0..AT_ONCE + 1).map(number).collect());
    assert_eq!(sink(&server.base).send(&out).await.expect("taken").status, Some(200));
    let requests = server.requests().await;
    assert_eq!(requests[0].path, "/findings/import");
    let count = |request: usize| {
        let body: Value = serde_json::from_str(&requests[request].body).expect("JSON");
        body["Findings"].as_array().map(Vec::len)
    };
    assert_eq!((count(0), count(1)), (Some(AT_ONCE), Some(1)));
    let authorization = &requests[0].headers["authorization"];
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-central-1/securityhub/aws4_request"), "{authorization}");
    assert!(
        authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"),
        "{authorization}"
    );
    assert_eq!(requests[0].headers["x-amz-security-token"], "the-session");
    assert!(requests[0].headers.contains_key("x-amz-date"));
}

#[tokio::test]
async fn a_finding_that_was_refused_within_a_200_is_not_taken() {
    let refused = |code: &str| {
        Reply::ok(&format!(
            r#"{{"FailedCount":1,"SuccessCount":0,"FailedFindings":[{{"Id":"x","ErrorCode":"{code}","ErrorMessage":"no"}}]}}"#
        ))
    };
    let kind = async |reply| {
        let server = Server::start(vec![reply]).await;
        let error = sink(&server.base).send(&outgoing(Change::Trigger, vec![full()])).await.expect_err("not taken");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("the-secret-key") && !text.contains("the-session"), "{text}");
        error.kind
    };
    let later = SendErrorKind::Unavailable { retry_after: None };
    assert_eq!(kind(refused("InvalidInput")).await, SendErrorKind::Refused);
    assert_eq!(kind(refused("InternalError")).await, later);
    assert_eq!(kind(Reply::ok("not JSON")).await, later);
    assert_eq!(kind(Reply::Truncated("200 OK")).await, later);
    let answered = |status, body: &str| Reply::Answer(status, &[], body.to_owned());
    assert_eq!(kind(answered("403 Forbidden", r#"{"message":"AccessDenied"}"#)).await, SendErrorKind::Refused);
    assert_eq!(kind(answered("403 Forbidden", r#"{"__type":"ExpiredTokenException"}"#)).await, later);
    assert_eq!(
        kind(answered("429 Slow", r#"{"__type":"LimitExceededException"}"#)).await,
        SendErrorKind::Throttled { retry_after: None }
    );
    assert_eq!(kind(Reply::Reset).await, SendErrorKind::Unreachable);
}

#[derive(Debug)]
struct NoCredentials;

impl aws_credential_types::provider::ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(
            "none here",
        )))
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Server::start(vec![Reply::ok(TAKEN)]).await;
    let config = config(SharedCredentialsProvider::new(NoCredentials));
    let sink = SecurityHub::new("hub", &settings(&server.base), &config).expect("well configured");
    let error = sink.send(&outgoing(Change::Trigger, vec![full()])).await.expect_err("no credentials");
    assert_eq!(error.kind, SendErrorKind::Unavailable { retry_after: None });
    assert!(server.requests().await.is_empty());
    let bare = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
    assert!(SecurityHub::new("hub", &settings(&server.base), &bare).is_err());
    let odd = SecurityHubSettings { account_id: "prod".into(), ..settings(&server.base) };
    assert!(SecurityHub::new("hub", &odd, &config).is_err());
}
