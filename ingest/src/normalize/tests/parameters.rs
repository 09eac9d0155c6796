//! Parameter Store.

use keytrail_model::{AccessEvent, Action, Outcome, Resolution, SecretKind, VersionEvidence};
use serde_json::{Value, json};

use super::support::{ROLE, call, ignored, row, rows, try_read};
use crate::normalize::IgnoredReason;

const HOME: &str = "arn:aws:ssm:eu-west-1:111122223333:parameter";

fn ids(rows: &[AccessEvent]) -> Vec<&str> {
    rows.iter().map(|row| row.secret_id.as_deref().unwrap_or("none")).collect()
}

fn get(names: Value, resources: Value) -> Value {
    call(
        "ssm",
        "GetParameters",
        json!({"requestParameters": {"names": names, "withDecryption": true}, "resources": resources}),
    )
}

#[test]
fn one_row_for_each_name() {
    let rows = rows(&get(
        json!(["/app/a", "b", "/app/a:3", "/aws/service/x"]),
        json!([{"ARN": format!("{HOME}/b"), "accountId": "1"}]),
    ));
    assert_eq!(ids(&rows), [format!("{HOME}/app/a"), format!("{HOME}/b")]);
    assert!(
        rows.iter().all(|row| row.event_id == "e-1" && row.with_decryption == Some(true) && row.action == Action::Read)
    );
    let names: Vec<_> = rows.iter().map(|row| row.secret_name.as_deref()).collect();
    assert_eq!(names, [Some("/app/a"), Some("b")]);
    let resolutions: Vec<_> = rows.iter().map(|row| row.secret_resolution).collect();
    assert_eq!(resolutions, [Resolution::Name, Resolution::Arn]);
}

#[test]
fn every_spelling_of_a_name_leads_to_one_id() {
    let id = format!("{HOME}/app/key");
    for (typed, version, stage) in [
        ("/app/key", None, None),
        ("app/key", None, None),
        ("/app/key:3", Some("3"), None),
        ("/app/key:stable", None, Some("stable")),
        (id.as_str(), None, None),
        (&format!("{id}:12"), Some("12"), None),
    ] {
        let row =
            row(&call("ssm", "GetParameter", json!({"requestParameters": {"name": typed, "withDecryption": false}})));
        assert_eq!(row.secret_id.as_deref(), Some(id.as_str()), "{typed}");
        assert_eq!(row.secret_name.as_deref(), Some("/app/key"), "{typed}");
        assert_eq!((row.version_id.as_deref(), row.version_stage.as_deref()), (version, stage), "{typed}");
        assert_eq!(row.version_evidence, (version.is_some() || stage.is_some()).then_some(VersionEvidence::Request));
        assert_eq!((row.with_decryption, row.outcome), (Some(false), Outcome::Ok), "ciphertext is read too");
    }
}

#[test]
fn another_accounts_parameter_keeps_its_own_arn() {
    let shared = "arn:aws:ssm:us-east-1:444455556666:parameter/shared/key";
    let row = row(&get(json!([shared]), json!([])));
    assert_eq!(row.secret_id.as_deref(), Some(shared));
    assert_eq!(
        (row.secret_account.as_deref(), row.secret_region.as_deref()),
        (Some("444455556666"), Some("us-east-1"))
    );
    assert_eq!(row.account_id, "111122223333");
}

#[test]
fn a_reference_is_a_read_of_the_secret_behind_it() {
    let version = "01234567-89ab-cdef-0123-456789abcdef";
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AbCdEf";
    for (typed, id, version_id, stage) in [
        ("app/db".to_owned(), "app/db", None, None),
        (format!("app/db:{version}"), "app/db", Some(version), None),
        ("app/db:AWSPREVIOUS".to_owned(), "app/db", None, Some("AWSPREVIOUS")),
        (arn.to_owned(), arn, None, None),
        (format!("{arn}:AWSPENDING"), arn, None, Some("AWSPENDING")),
    ] {
        let name = format!("/aws/reference/secretsmanager/{typed}");
        let resources = json!([{"ARN": format!("{HOME}{name}"), "accountId": "111122223333"}]);
        let row =
            row(&call("ssm", "GetParameter", json!({"requestParameters": {"name": name}, "resources": resources})));
        assert_eq!((row.secret_kind, row.secret_resolution), (Some(SecretKind::SecretsManager), Resolution::Reference));
        assert_eq!((row.secret_id.as_deref(), row.secret_name.as_deref()), (Some(id), Some("app/db")), "{typed}");
        assert_eq!((row.version_id.as_deref(), row.version_stage.as_deref()), (version_id, stage), "{typed}");
    }
}

#[test]
fn a_path_is_one_row() {
    for (path, id) in [("/app/", "/app/*"), ("/app", "/app/*"), ("/", "/*")] {
        let row =
            row(&call("ssm", "GetParametersByPath", json!({"requestParameters": {"path": path, "recursive": true}})));
        assert_eq!(row.secret_id, Some(format!("{HOME}{id}")));
        assert_eq!((row.secret_resolution, row.action), (Resolution::Path, Action::Read));
        assert_eq!(
            row.secret_name.as_deref(),
            Some(id.trim_end_matches('*').trim_end_matches('/')).filter(|name| !name.is_empty()).or(Some("/"))
        );
    }
    let public = call(
        "ssm",
        "GetParametersByPath",
        json!({"requestParameters": {"path": "/aws/service/ami-amazon-linux-latest"}}),
    );
    assert_eq!(ignored(&public), Some(IgnoredReason::PublicParameter));
}

#[test]
fn public_parameters_are_no_secrets() {
    let public = "arn:aws:ssm:eu-west-1::parameter/aws/service/ecs/ami";
    for name in ["/aws/service/ecs/ami", public] {
        let event =
            call("ssm", "GetParameter", json!({"requestParameters": {"name": name}, "resources": [{"ARN": public}]}));
        assert_eq!(ignored(&event), Some(IgnoredReason::PublicParameter), "{name}");
    }
}

#[test]
fn denied_and_throttled_calls_are_attempts() {
    let denied = |resources: &str| {
        json!({"errorCode": "AccessDeniedException", "errorMessage":
        format!("User: {ROLE} is not authorized to perform: ssm:GetParameters on resource: {resources} because no identity-based policy")})
    };
    let two = rows(&call("ssm", "GetParameters", denied(&format!("{HOME}/a, {HOME}/app/b"))));
    assert_eq!(ids(&two), [format!("{HOME}/a"), format!("{HOME}/app/b")]);
    assert!(two.iter().all(|row| row.secret_resolution == Resolution::ErrorMessage && row.outcome == Outcome::Denied));
    let path = row(&call("ssm", "GetParametersByPath", denied(&format!("{HOME}/app/"))));
    assert_eq!(path.secret_id, Some(format!("{HOME}/app/*")));
    let throttled = row(&call(
        "ssm",
        "GetParameters",
        json!({"errorCode": "ThrottlingException", "errorMessage": "Rate exceeded"}),
    ));
    assert_eq!((throttled.secret_id, throttled.outcome), (None, Outcome::Throttled));
}

#[test]
fn writes_tell_their_version_and_never_their_value() {
    let put = row(&call(
        "ssm",
        "PutParameter",
        json!({"requestParameters": {"name": "/app/key", "value": "hunter2", "type": "String"},
        "responseElements": {"version": 4, "tier": "Standard"}}),
    ));
    assert_eq!(
        (put.action, put.version_id.as_deref(), put.version_evidence),
        (Action::Write, Some("4"), Some(VersionEvidence::Event))
    );
    assert!(!put.raw.contains("hunter2"), "{}", put.raw);
    let label = row(&call(
        "ssm",
        "LabelParameterVersion",
        json!({"requestParameters": {"name": "/app/key", "parameterVersion": 4, "labels": ["a", "b"]}}),
    ));
    assert_eq!(
        (label.action, label.version_id.as_deref(), label.version_stage.as_deref()),
        (Action::Stage, Some("4"), Some("a,b"))
    );
    let deleted = rows(&call("ssm", "DeleteParameters", json!({"requestParameters": {"names": ["a", "b"]}})));
    assert_eq!(deleted.iter().map(|row| row.action).collect::<Vec<_>>(), [Action::Delete, Action::Delete]);
}

#[test]
fn only_what_is_about_parameters_is_kept() {
    let tags = |sort: &str| {
        call("ssm", "AddTagsToResource", json!({"requestParameters": {"resourceType": sort, "resourceId": "/app/key"}}))
    };
    assert_eq!(row(&tags("Parameter")).secret_id, Some(format!("{HOME}/app/key")));
    assert_eq!(ignored(&tags("Document")), Some(IgnoredReason::NotAboutSecrets));
    let policy = |arn: &str| call("ssm", "PutResourcePolicy", json!({"requestParameters": {"resourceArn": arn}}));
    assert_eq!(row(&policy(&format!("{HOME}/app/key"))).action, Action::Policy);
    assert_eq!(ignored(&policy("arn:aws:ssm:eu-west-1:1:opsitemgroup/default")), Some(IgnoredReason::NotAboutSecrets));
    assert_eq!(ignored(&call("ssm", "SendCommand", json!({}))), Some(IgnoredReason::NotAboutSecrets));
    assert_eq!(row(&call("ssm", "DescribeParameters", json!({}))).action, Action::List);
}

#[test]
fn a_forged_list_cannot_fill_the_memory() {
    let names: Vec<String> = (0..51).map(|number| format!("n{number}")).collect();
    let error = try_read(&get(json!(names), json!([]))).expect_err("AWS allows ten");
    assert_eq!(error.to_string(), "`requestParameters.names` has 51 entries, more than the 50 that are read");
}
