//! Hostile text: nothing panics, nothing relevant is dropped by the first look, no secret survives.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{ACCOUNT, PLACE, SECRET, role};
use crate::normalize::{Scope, may_matter, record, secret_label_updated};

const MARKER: &str = "pl4nted-m4rker";

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".{0,20}",
        Just(SECRET.to_owned()),
        Just("arn:aws:ssm:eu-west-1:111122223333:parameter/a:b".to_owned()),
        Just("/aws/reference/secretsmanager/arn:é:1".to_owned()),
        Just("on resource: arn:aws:sts::1:assumed-role/é/".to_owned()),
        Just("2026-08-01T12:00:00Z".to_owned()),
        Just("Rotation-arn:aws:secretsmanager:é".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text.prop_map(Value::from)
    ];
    let keys = [
        "type",
        "arn",
        "principalId",
        "accountId",
        "sessionContext",
        "sessionIssuer",
        "names",
        "name",
        "path",
        "secretId",
        "SecretARN",
        "encryptionContext",
        "ARN",
        "resourceArn",
        "resourceType",
        "resourceId",
        "invokedBy",
        "versionStages",
        "x",
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(proptest::sample::select(keys.to_vec()), inner, 0..6).prop_map(|map| map
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

fn any_record() -> impl Strategy<Value = Value> {
    let source = proptest::sample::select(vec!["secretsmanager", "ssm", "kms", "sts", "execute-api", "iam", "ec2"]);
    let name = proptest::sample::select(vec![
        "GetSecretValue",
        "GetParameters",
        "GetParametersByPath",
        "Decrypt",
        "AssumeRole",
        "PutParameter",
        "AddTagsToResource",
        "RotationSucceeded",
        "CreateAccessKey",
        "CreateSecret",
    ]);
    let members = [
        "userIdentity",
        "requestParameters",
        "responseElements",
        "additionalEventData",
        "resources",
        "errorCode",
        "errorMessage",
        "userAgent",
        "sourceIPAddress",
        "eventID",
        "eventTime",
        "eventVersion",
        "eventType",
        "addendum",
        "serviceEventDetails",
        "tlsDetails",
        "requestID",
        "recipientAccountId",
        "awsRegion",
        "eventCategory",
        "vpcEndpointId",
    ];
    let changes = prop::collection::vec((proptest::sample::select(members.to_vec()), any_json()), 0..6);
    (source, name, changes).prop_map(|(source, name, changes)| {
        let mut event = super::support::call(source, name, json!({"userIdentity": role()}));
        for (member, value) in changes {
            event[member] = value;
        }
        event
    })
}

/// Writes some letters of a text's keys and words as escapes, as a producer may.
fn with_escapes(text: &str, letter: char) -> String {
    text.replace(&format!("{letter}v"), &format!("\\u{:04x}v", u32::from(letter)))
        .replace(&format!("{letter}c"), &format!("\\u{:04x}c", u32::from(letter)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_json_is_read_or_refused(value in any_json()) {
        let text = value.to_string();
        for scope in [Scope::Secrets, Scope::All] {
            if let Err(error) = record(text.as_bytes(), &PLACE, scope) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
        if let Ok(read) = secret_label_updated(text.as_bytes(), &PLACE) {
            prop_assert_eq!(read.rows.len(), 1);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(record(&bytes, &PLACE, Scope::All).is_err());
        prop_assert!(may_matter(&bytes), "what has no eventSource is looked at");
    }

    #[test]
    fn the_first_look_never_drops_a_row(value in any_record(), pretty in any::<bool>(), letter in "[a-z]") {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.expect("prints");
        let text = with_escapes(&text, letter.chars().next().unwrap_or('e'));
        if let Ok(read) = record(text.as_bytes(), &PLACE, Scope::Secrets) {
            prop_assert_eq!(read.rows.is_empty(), read.ignored.is_some());
            prop_assert!(read.rows.is_empty() || may_matter(text.as_bytes()), "{}", text);
            for row in &read.rows {
                prop_assert!(!row.principal_id.is_empty() && !row.event_id.is_empty());
                prop_assert!(row.secret_id.is_some() == row.secret_kind.is_some());
            }
        }
    }

    #[test]
    fn no_planted_value_survives_in_any_column(
        key in proptest::sample::select(vec!["sessionToken", "secretAccessKey", "value", "SecretString", "nextToken", "x-api-key"]),
        depth in 0_usize..20,
        name in proptest::sample::select(vec!["GetSecretValue", "PutSecretValue", "CreateSecret"]),
    ) {
        let mut planted = json!({key: {"deep": [MARKER]}, "also": {key: MARKER}});
        for _ in 0..depth {
            planted = json!([{ "n": planted }]);
        }
        let event = super::support::call("secretsmanager", name, json!({"requestParameters": {"secretId": "s", key: MARKER, "p": planted},
            "responseElements": planted, "errorMessage": format!("{{\"{key}\":\"{MARKER}\"}} and {key}={MARKER}"),
            "userAgent": format!("tool {key}={MARKER}")}));
        let read = record(event.to_string().as_bytes(), &PLACE, Scope::All).expect("a good record");
        let stored = format!("{:?}{:?}", read.rows, read.trail_event);
        prop_assert!(!stored.contains(MARKER), "{}", stored);
    }
}

#[test]
fn depth_and_numbers_and_repeats_are_no_danger() {
    let event =
        super::support::call("secretsmanager", "GetSecretValue", json!({"requestParameters": {"secretId": SECRET}}))
            .to_string();
    let huge = event.replacen('{', r#"{"n":1e99999,"m":123456789012345678901234567890,"#, 1);
    let read = record(huge.as_bytes(), &PLACE, Scope::Secrets).expect("numbers stay text");
    assert!(read.rows[0].raw.contains("1e99999") && read.rows[0].raw.contains("123456789012345678901234567890"));
    let deep = event.replacen('{', &format!(r#"{{"d":{}{},"#, "[".repeat(50_000), "]".repeat(50_000)), 1);
    let error = record(deep.as_bytes(), &PLACE, Scope::Secrets).expect_err("too deep");
    assert_eq!(error.to_string(), "the record nests deeper than 64 levels");
    let twice = event.replacen('{', r#"{"eventSource":"ec2.amazonaws.com","#, 1);
    assert!(may_matter(twice.as_bytes()));
    let error = record(twice.as_bytes(), &PLACE, Scope::Secrets).expect_err("two readers would differ");
    assert_eq!(error.to_string(), "`eventSource` is there twice");
    let nested = event.replacen(r#""secretId":"#, r#""secretId":"decoy","secretId":"#, 1);
    let read = record(nested.as_bytes(), &PLACE, Scope::Secrets).expect("the last one counts");
    assert_eq!(read.rows[0].secret_id.as_deref(), Some(SECRET));
    assert_eq!(read.rows[0].account_id, ACCOUNT);
}
