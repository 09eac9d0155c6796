//! API Gateway access logs.

use std::borrow::Cow;

use keytrail_model::{AccessEvent, Action, CredentialKind, Outcome, PrincipalKind, SecretKind};
use serde_json::{Value, json};

use super::support::PLACE;
use crate::normalize::{FieldMap, access_log_line};

fn invoke(changes: Value) -> AccessEvent {
    let mut line = json!({"v": 1, "src": "apigw-rest", "extId": "ext-1", "reqId": "req-1", "t": "1785585600000", "owner": "111122223333",
        "api": "a1b2c3", "stage": "prod", "method": "GET", "res": "/pets/{id}", "path": "/prod/pets/7", "status": "200",
        "errType": "-", "userArn": "arn:aws:sts::111122223333:assumed-role/api/i-0abc", "caller": "AROAEXAMPLE:i-0abc",
        "acct": "111122223333", "cognito": "-", "keyId": "-", "ip": "203.0.113.7", "vpce": "-", "tls": "TLSv1.3",
        "dom": "a1b2c3.execute-api.eu-west-1.amazonaws.com", "ua": "Boto3/1.34.0"});
    if let (Value::Object(line), Value::Object(changes)) = (&mut line, changes) {
        line.extend(changes);
    }
    let members = line
        .as_object()
        .expect("an object")
        .iter()
        .filter_map(|(key, value)| Some((key, Cow::Borrowed(value.as_str()?))));
    let fields = FieldMap::default().collect(members);
    let mut read = access_log_line(&fields, &line.to_string(), &PLACE).expect("a good line");
    assert_eq!(read.rows.len(), 1);
    read.rows.remove(0)
}

#[test]
fn an_invocation_is_a_use_of_the_api() {
    let row = invoke(json!({}));
    assert_eq!(row.secret_id.as_deref(), Some("arn:aws:execute-api:ap-south-1:111122223333:a1b2c3/prod/GET/pets/{id}"));
    assert_eq!((row.secret_kind, row.action, row.outcome), (Some(SecretKind::Api), Action::Invoke, Outcome::Ok));
    assert_eq!((row.event_source.as_str(), row.event_name.as_str()), ("execute-api.amazonaws.com", "Invoke"));
    assert_eq!(
        (row.principal_id.as_str(), row.principal_kind),
        ("arn:aws:iam::111122223333:role/api", PrincipalKind::Role)
    );
    assert_eq!(
        (row.principal_unique_id.as_deref(), row.session_name.as_deref()),
        (Some("AROAEXAMPLE"), Some("i-0abc"))
    );
    assert_eq!((row.credential_kind, row.event_id.as_str()), (Some(CredentialKind::Role), "ext-1"));
    assert_eq!((row.event_at, row.source_ip.as_deref()), (1_785_585_600_000_000, Some("203.0.113.7")));
    assert_eq!((row.error_code, row.vpc_endpoint_id), (None, None), "a dash is nothing");
}

#[test]
fn an_http_api_has_routes() {
    for (changes, end) in [
        (json!({"res": null, "route": "GET /pets/{id}"}), "prod/GET/pets/{id}"),
        (json!({"res": null, "route": "ANY /pets/{proxy+}", "method": "POST"}), "prod/POST/pets/{proxy+}"),
        (json!({"res": null, "route": "$default"}), "prod/GET/$default"),
        (json!({"res": null, "path": "/prod/pets/7?x=1"}), "prod/GET/pets/7"),
        (json!({"res": null, "path": "/product", "stage": "prod"}), "prod/GET/product"),
        (json!({"res": "/"}), "prod/GET/"),
    ] {
        let row = invoke(changes);
        let id = row.secret_id.unwrap_or_default();
        assert!(id.ends_with(&format!(":a1b2c3/{end}")), "{id} {end}");
    }
}

#[test]
fn the_status_is_the_outcome() {
    for (status, outcome) in [
        ("204", Outcome::Ok),
        ("302", Outcome::Ok),
        ("401", Outcome::Denied),
        ("403", Outcome::Denied),
        ("429", Outcome::Error),
        ("500", Outcome::Error),
        ("-", Outcome::Error),
    ] {
        assert_eq!(invoke(json!({"status": status})).outcome, outcome, "{status}");
    }
    assert_eq!(
        invoke(json!({"status": "403", "errType": "ACCESS_DENIED"})).error_code.as_deref(),
        Some("ACCESS_DENIED")
    );
}

#[test]
fn a_caller_cannot_choose_the_events_id() {
    let rest = invoke(json!({"extId": "-"}));
    assert!(rest.event_id.starts_with("sha256:"), "a REST request id is the caller's to choose");
    let http = invoke(json!({"extId": "-", "res": null, "route": "GET /pets"}));
    assert_eq!(http.event_id, "req-1");
}

#[test]
fn callers_without_an_arn_are_told_apart() {
    for (changes, id) in [
        (json!({"userArn": "-", "caller": "-", "acct": "-"}), "unknown"),
        (json!({"userArn": "-"}), "account:111122223333/AROAEXAMPLE"),
        (json!({"userArn": "-", "caller": "-", "authPrincipal": "kim"}), "federated:kim"),
        (json!({"userArn": "-", "caller": "-", "keyId": "k1"}), "api-key:k1"),
        (json!({"userArn": "arn:aws:iam::111122223333:user/team/kim"}), "arn:aws:iam::111122223333:user/team/kim"),
    ] {
        assert_eq!(invoke(changes).principal_id, id);
    }
}

#[test]
fn what_a_line_lacks_is_said_by_name_and_hostile_text_is_kept_as_text() {
    let fields = FieldMap::default()
        .collect([("t", Cow::Borrowed("1785585600000")), ("ua", Cow::Borrowed("x\"},{password=hunter2"))]);
    let error = access_log_line(&fields, "{", &PLACE).expect_err("no api");
    assert_eq!(error.to_string(), "`api_id` is missing");
    let mut fields = fields;
    fields.api_id = Some(Cow::Borrowed("a"));
    let read = access_log_line(&fields, r#"{"ua":"x"},{password=hunter2"}"#, &PLACE).expect("rebuilt");
    let row = &read.rows[0];
    assert!(serde_json::from_str::<Value>(&row.raw).is_ok() && !row.raw.contains("hunter2"), "{}", row.raw);
}
