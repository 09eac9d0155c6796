//! Records in AWS's shapes, written for these tests.

use keytrail_model::AccessEvent;
use serde_json::{Value, json};

use crate::normalize::{IgnoredReason, Normalized, RecordError, RecordPlace, Scope, may_matter, record};

pub(super) const PLACE: RecordPlace<'static> = RecordPlace {
    object_key: "s3://trail/AWSLogs/x.json.gz",
    record_index: 7,
    delivered_at: Some(5),
    account_hint: Some("999999999999"),
    region_hint: Some("ap-south-1"),
};

pub(super) const ACCOUNT: &str = "111122223333";
pub(super) const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AbCdEf";
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/team/payments/api";

/// A role's session.
pub(super) fn role() -> Value {
    json!({
        "type": "AssumedRole", "principalId": "AROAEXAMPLE:i-0abc", "accountId": ACCOUNT, "accessKeyId": "ASIAEXAMPLE",
        "arn": "arn:aws:sts::111122223333:assumed-role/api/i-0abc",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "AROAEXAMPLE", "arn": ROLE, "accountId": ACCOUNT, "userName": "api"},
            "webIdFederationData": {}, "attributes": {"creationDate": "2026-08-01T11:00:00Z", "mfaAuthenticated": "false"}
        }
    })
}

/// A successful call of a role from the internet, with members replaced or added; null takes one away.
pub(super) fn call(source: &str, name: &str, changes: Value) -> Value {
    let mut call = json!({
        "eventVersion": "1.11", "userIdentity": role(), "eventTime": "2026-08-01T12:00:00Z",
        "eventSource": format!("{source}.amazonaws.com"), "eventName": name, "awsRegion": "eu-west-1",
        "sourceIPAddress": "203.0.113.7", "userAgent": "Boto3/1.34.0", "requestParameters": null,
        "responseElements": null, "requestID": "r-1", "eventID": "e-1", "readOnly": true, "eventType": "AwsApiCall",
        "managementEvent": true, "recipientAccountId": ACCOUNT, "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3"}
    });
    if let (Value::Object(call), Value::Object(changes)) = (&mut call, changes) {
        call.extend(changes);
    }
    call
}

/// Understands a record, checks that the first look agrees, and that the bounds of every record hold.
pub(super) fn try_read(value: &Value) -> Result<Normalized, RecordError> {
    let text = value.to_string();
    let read = record(text.as_bytes(), &PLACE, Scope::Secrets)?;
    assert_eq!(read.rows.is_empty(), read.ignored.is_some(), "rows or a reason");
    assert!(read.rows.is_empty() || may_matter(text.as_bytes()), "the first look would have dropped {text}");
    assert!(read.trail_event.is_none());
    for row in &read.rows {
        assert_eq!((row.object_key.as_str(), row.record_index, row.delivered_at), (PLACE.object_key, 7, Some(5)));
        assert!(serde_json::from_str::<Value>(&row.raw).is_ok());
    }
    Ok(read)
}

pub(super) fn rows(value: &Value) -> Vec<AccessEvent> {
    try_read(value).expect("a good record").rows
}

/// The only row of a record.
pub(super) fn row(value: &Value) -> AccessEvent {
    let mut rows = rows(value);
    assert_eq!(rows.len(), 1, "{value}");
    rows.remove(0)
}

pub(super) fn ignored(value: &Value) -> Option<IgnoredReason> {
    try_read(value).expect("a good record").ignored
}
