//! Secrets Manager and the KMS calls behind it.

use keytrail_model::{Action, Outcome, PrincipalKind, Resolution, SecretKind, VersionEvidence};
use serde_json::{Value, json};

use super::support::{ACCOUNT, PLACE, ROLE, SECRET, call, ignored, row};
use crate::normalize::{IgnoredReason, secret_label_updated};

const VERSION: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn read(changes: Value) -> Value {
    call("secretsmanager", "GetSecretValue", changes)
}

#[test]
fn a_read_says_who_what_and_from_where() {
    let row = row(&read(json!({"requestParameters": {"secretId": SECRET}, "vpcEndpointId": "vpce-1"})));
    assert_eq!((row.action, row.outcome), (Action::Read, Outcome::Ok));
    assert_eq!(row.secret_id.as_deref(), Some(SECRET));
    assert_eq!(row.secret_name.as_deref(), Some("app/db"));
    assert_eq!(row.secret_kind, Some(SecretKind::SecretsManager));
    assert_eq!((row.secret_account.as_deref(), row.secret_region.as_deref()), (Some(ACCOUNT), Some("eu-west-1")));
    assert_eq!(row.secret_resolution, Resolution::Arn);
    assert_eq!((row.version_id, row.version_stage, row.version_evidence), (None, None, None));
    assert_eq!(row.principal_id, ROLE);
    assert_eq!(row.session_name.as_deref(), Some("i-0abc"));
    assert_eq!((row.source_ip.as_deref(), row.source_network.as_deref()), (Some("203.0.113.7"), Some("public")));
    assert_eq!(row.vpc_endpoint_id.as_deref(), Some("vpce-1"));
    assert_eq!(row.user_agent_family.as_deref(), Some("boto3"));
    assert_eq!(row.tls_version.as_deref(), Some("TLSv1.3"));
    assert_eq!((row.account_id.as_str(), row.region.as_str(), row.event_id.as_str()), (ACCOUNT, "eu-west-1", "e-1"));
    assert_eq!(row.event_at, 1_785_585_600_000_000);
}

#[test]
fn names_and_partial_arns_wait_for_an_identity() {
    let other = "arn:aws:secretsmanager:us-east-1:444455556666:secret:app/db";
    for (typed, name, account) in [("app/db", "app/db", ACCOUNT), (other, "app/db", "444455556666")] {
        let row = row(&read(json!({"requestParameters": {"secretId": typed}})));
        assert_eq!(row.secret_id.as_deref(), Some(typed));
        assert_eq!(row.secret_name.as_deref(), Some(name));
        assert_eq!(row.secret_account.as_deref(), Some(account));
        assert_eq!(row.secret_resolution, Resolution::Unresolved);
    }
}

#[test]
fn what_aws_wrote_wins_over_what_was_typed() {
    let resources = json!([{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": "arn:aws:kms:eu-west-1:1:key/k"},
        {"accountId": ACCOUNT, "type": "AWS::SecretsManager::Secret", "ARN": SECRET}]);
    let with_resources = row(&read(json!({"requestParameters": {"secretId": "app/db"}, "resources": resources})));
    assert_eq!(
        (with_resources.secret_id.as_deref(), with_resources.secret_resolution),
        (Some(SECRET), Resolution::Arn)
    );
    for key in ["arn", "aRN", "ARN"] {
        let response = json!({"requestParameters": {"secretId": "app/db"}, "responseElements": {key: SECRET}});
        let row = row(&call("secretsmanager", "DeleteSecret", response));
        assert_eq!((row.secret_id.as_deref(), row.action), (Some(SECRET), Action::Delete));
    }
    let made = row(&call(
        "secretsmanager",
        "CreateSecret",
        json!({"requestParameters": {"name": "app/db", "clientRequestToken": VERSION}, "responseElements": {"arn": SECRET}}),
    ));
    assert_eq!((made.secret_id.as_deref(), made.action, made.version_id), (Some(SECRET), Action::Create, None));
}

#[test]
fn a_denied_call_names_its_target_in_its_message() {
    let message = |resource: &str| {
        json!({"errorCode": "AccessDeniedException", "errorMessage": format!("User: {ROLE} is not authorized to perform: \
            secretsmanager:GetSecretValue on resource: {resource} because no identity-based policy allows it")})
    };
    let by_arn = row(&read(message(SECRET)));
    assert_eq!((by_arn.secret_id.as_deref(), by_arn.outcome), (Some(SECRET), Outcome::Denied));
    assert_eq!(by_arn.secret_resolution, Resolution::ErrorMessage);
    let by_name = row(&read(message("app/db")));
    assert_eq!((by_name.secret_id.as_deref(), by_name.secret_resolution), (Some("app/db"), Resolution::Unresolved));
    let nowhere = row(&read(json!({"errorCode": "ThrottlingException", "errorMessage": "Rate exceeded"})));
    assert_eq!((nowhere.secret_id, nowhere.outcome), (None, Outcome::Throttled));
    assert_eq!((nowhere.secret_kind, nowhere.secret_resolution), (None, Resolution::None));
    let omitted = row(&read(json!({"requestParameters": {"omitted": true}})));
    assert_eq!((omitted.secret_id, omitted.action), (None, Action::Read));
}

#[test]
fn a_batch_is_a_signal_and_no_read() {
    for changes in [
        json!({"requestParameters": {"secretIdList": [SECRET]}, "resources": [{"ARN": SECRET}]}),
        json!({"requestParameters": {"filters": [{"key": "name", "values": ["app"]}]}}),
        json!({"errorCode": "AccessDeniedException", "errorMessage": format!("User: u is not authorized to perform: \
            secretsmanager:BatchGetSecretValue on resource: {SECRET} because no")}),
    ] {
        let row = row(&call("secretsmanager", "BatchGetSecretValue", changes));
        assert_eq!((row.action, row.secret_id), (Action::Other, None));
    }
}

#[test]
fn versions_come_with_their_evidence() {
    for (name, changes, id, stage, evidence) in [
        (
            "GetSecretValue",
            json!({"requestParameters": {"secretId": SECRET, "versionId": VERSION}}),
            Some(VERSION),
            None,
            VersionEvidence::Request,
        ),
        (
            "GetSecretValue",
            json!({"requestParameters": {"secretId": SECRET, "versionStage": "AWSPREVIOUS"}}),
            None,
            Some("AWSPREVIOUS"),
            VersionEvidence::Request,
        ),
        (
            "PutSecretValue",
            json!({"requestParameters": {"secretId": SECRET, "clientRequestToken": VERSION}}),
            Some(VERSION),
            None,
            VersionEvidence::Event,
        ),
        (
            "PutSecretValue",
            json!({"requestParameters": {"secretId": SECRET, "clientRequestToken": VERSION, "versionStages": ["AWSPENDING"]}}),
            Some(VERSION),
            Some("AWSPENDING"),
            VersionEvidence::Event,
        ),
        (
            "PutSecretValue",
            json!({"errorCode": "ResourceExistsException", "requestParameters": {"secretId": SECRET, "clientRequestToken": VERSION}}),
            Some(VERSION),
            None,
            VersionEvidence::Request,
        ),
        (
            "RotateSecret",
            json!({"requestParameters": {"secretId": SECRET}, "responseElements": {"aRN": SECRET, "versionId": VERSION}}),
            Some(VERSION),
            None,
            VersionEvidence::Event,
        ),
        (
            "UpdateSecretVersionStage",
            json!({"requestParameters": {"secretId": SECRET, "versionStage": "AWSCURRENT", "moveToVersionId": VERSION, "removeFromVersionId": "x"}}),
            Some(VERSION),
            Some("AWSCURRENT"),
            VersionEvidence::Event,
        ),
    ] {
        let row = row(&call("secretsmanager", name, changes));
        assert_eq!((row.version_id.as_deref(), row.version_stage.as_deref()), (id, stage), "{name}");
        assert_eq!(row.version_evidence, Some(evidence), "{name}");
    }
    let quiet = row(&call(
        "secretsmanager",
        "UpdateSecret",
        json!({"requestParameters": {"secretId": SECRET, "clientRequestToken": VERSION}}),
    ));
    assert_eq!((quiet.version_id, quiet.version_evidence), (None, None), "an update may change the description only");
}

fn service_event(name: &str, changes: Value) -> Value {
    let mut event = call(
        "secretsmanager",
        name,
        json!({
            "userIdentity": {"accountId": ACCOUNT, "invokedBy": "secretsmanager.amazonaws.com"}, "eventType": "AwsServiceEvent",
            "sourceIPAddress": "secretsmanager.amazonaws.com", "userAgent": "secretsmanager.amazonaws.com",
        }),
    );
    if let (Value::Object(event), Value::Object(changes)) = (&mut event, changes) {
        event.extend(changes);
    }
    event
}

#[test]
fn service_events_tell_of_rotations_and_deletions() {
    let request_id = format!("Rotation-{SECRET}-{VERSION}");
    for changes in [
        json!({"additionalEventData": {"SecretId": SECRET}, "requestID": request_id}),
        json!({"serviceEventDetails": {"secretId": SECRET}, "requestID": request_id}),
        json!({"requestID": request_id}),
    ] {
        let row = row(&service_event("RotationSucceeded", changes));
        assert_eq!((row.secret_id.as_deref(), row.version_id.as_deref()), (Some(SECRET), Some(VERSION)));
        assert_eq!(
            (row.action, row.outcome, row.version_evidence),
            (Action::Rotate, Outcome::Ok, Some(VersionEvidence::Event))
        );
        assert_eq!(
            (row.principal_id.as_str(), row.principal_kind),
            ("service:secretsmanager.amazonaws.com", PrincipalKind::Service)
        );
        assert_eq!((row.source_ip, row.source_network.as_deref()), (None, Some("service")));
    }
    let failed = service_event(
        "RotationFailed",
        json!({"additionalEventData": {"SecretId": SECRET}, "errorMessage": "step failed"}),
    );
    assert_eq!(row(&failed).outcome, Outcome::Error);
    let abandoned = service_event("RotationAbandoned", json!({"additionalEventData": {"SecretId": SECRET}}));
    assert_eq!(row(&abandoned).outcome, Outcome::Error);
    let deleted =
        service_event("EndSecretVersionDelete", json!({"additionalEventData": {"ARN": SECRET, "Name": "app/db"}}));
    assert_eq!((row(&deleted).action, row(&deleted).secret_id.as_deref()), (Action::Delete, Some(SECRET)));
}

#[test]
fn kms_is_evidence() {
    let by_service = |context: Value, name: &str| {
        let mut identity = super::support::role();
        identity["invokedBy"] = json!("secretsmanager.amazonaws.com");
        call(
            "kms",
            name,
            json!({"userIdentity": identity, "sourceIPAddress": "secretsmanager.amazonaws.com",
            "vpcEndpointId": "vpce-of-aws", "requestParameters": {"encryptionAlgorithm": "SYMMETRIC_DEFAULT", "encryptionContext": context}}),
        )
    };
    let context = json!({"SecretARN": SECRET, "SecretVersionId": VERSION});
    let decrypt = row(&by_service(context.clone(), "Decrypt"));
    assert_eq!((decrypt.action, decrypt.secret_id.as_deref()), (Action::Decrypt, Some(SECRET)));
    assert_eq!((decrypt.version_id.as_deref(), decrypt.version_evidence), (Some(VERSION), Some(VersionEvidence::Kms)));
    assert_eq!(
        (decrypt.principal_id.as_str(), decrypt.invoked_by.as_deref()),
        (ROLE, Some("secretsmanager.amazonaws.com"))
    );
    assert_eq!((decrypt.source_ip, decrypt.vpc_endpoint_id), (None, None), "the endpoint is AWS's own");
    assert_eq!(row(&by_service(context, "GenerateDataKey")).action, Action::Other);
    let probe =
        row(&by_service(json!({"SecretARN": SECRET, "SecretVersionId": "RequestToValidateKeyAccess"}), "Decrypt"));
    assert_eq!((probe.action, probe.version_id), (Action::Other, None));
    for written in
        ["arn:aws:ssm:eu-west-1:111122223333:parameter/app/key", "arn:aws:ssm:eu-west-1:111122223333:parameterapp/key"]
    {
        let parameter = row(&by_service(json!({"PARAMETER_ARN": written}), "Decrypt"));
        assert_eq!(parameter.secret_id.as_deref(), Some("arn:aws:ssm:eu-west-1:111122223333:parameter/app/key"));
        assert_eq!(
            (parameter.secret_kind, parameter.secret_resolution),
            (Some(SecretKind::Parameter), Resolution::Arn)
        );
    }
    assert_eq!(
        ignored(&by_service(json!({"aws:s3:arn": "arn:aws:s3:::b"}), "Decrypt")),
        Some(IgnoredReason::NotAboutSecrets)
    );
}

#[test]
fn what_takes_a_key_out_of_use_is_kept_without_a_secret() {
    let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for name in ["ScheduleKeyDeletion", "CancelKeyDeletion", "DisableKey", "EnableKey", "PutKeyPolicy"] {
        let row = row(&call("kms", name, json!({"readOnly": false, "requestParameters": {"keyId": key}})));
        assert_eq!((row.action, row.secret_id.as_deref()), (Action::Other, None), "{name}");
        assert_eq!(row.event_name, name);
        assert!(row.raw.contains(key), "the key is named by the record");
    }
    let described = call("kms", "DescribeKey", json!({"requestParameters": {"keyId": key}}));
    assert_eq!(ignored(&described), Some(IgnoredReason::NotAboutSecrets));
}

#[test]
fn the_native_label_event_is_a_change_of_value() {
    let envelope = json!({"version": "0", "id": "eb-1", "detail-type": "Secret Label Updated", "source": "aws.secretsmanager",
        "account": ACCOUNT, "time": "2026-08-01T12:00:00Z", "region": "eu-west-1", "resources": [SECRET],
        "detail": {"name": "app/db", "labelUpdated": "AWSCURRENT", "versionId": VERSION}});
    let read = secret_label_updated(envelope.to_string().as_bytes(), &PLACE).expect("an envelope");
    let [row] = read.rows.as_slice() else { panic!("one row") };
    assert_eq!(
        (row.event_id.as_str(), row.action, row.version_evidence),
        ("eb-1", Action::Stage, Some(VersionEvidence::Event))
    );
    assert_eq!((row.version_id.as_deref(), row.version_stage.as_deref()), (Some(VERSION), Some("AWSCURRENT")));
    assert_eq!((row.secret_id.as_deref(), row.account_id.as_str()), (Some(SECRET), ACCOUNT));
    let broken = secret_label_updated(br#"{"time":"2026-08-01T12:00:00Z"}"#, &PLACE).expect_err("no secret");
    assert_eq!(broken.to_string(), "`resources` is missing");
}
