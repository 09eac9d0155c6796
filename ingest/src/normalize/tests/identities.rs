//! Every type of `userIdentity`, and the services that are kept for who took up what.

use keytrail_model::{Action, CredentialKind, PrincipalKind};
use serde_json::{Value, json};

use super::support::{ACCOUNT, ROLE, SECRET, call, ignored, role, row, try_read};
use crate::normalize::{IgnoredReason, RecordError, RecordPlace, Scope, record};

fn by(identity: Value) -> Value {
    call(
        "secretsmanager",
        "GetSecretValue",
        json!({"userIdentity": identity, "requestParameters": {"secretId": SECRET}}),
    )
}

#[test]
fn sessions_fold_to_who_is_behind_them() {
    use {CredentialKind as C, PrincipalKind as P};
    let user = "arn:aws:iam::111122223333:user/team/kim";
    let root = "arn:aws:iam::111122223333:root";
    let attributes = json!({"mfaAuthenticated": "true"});
    for (identity, id, kind, session, unique, credential, mfa) in [
        (role(), ROLE, P::Role, Some("i-0abc"), Some("AROAEXAMPLE"), Some(C::Role), Some(false)),
        (
            json!({"type": "AssumedRole", "principalId": "AROAX:s", "arn": "arn:aws:sts::111122223333:assumed-role/api/s", "sessionContext": {"sessionIssuer": {}}}),
            "arn:aws:iam::111122223333:role/api",
            P::Role,
            Some("s"),
            Some("AROAX"),
            Some(C::Role),
            None,
        ),
        (
            json!({"type": "Role", "principalId": "AROAX:s", "arn": ROLE}),
            ROLE,
            P::Role,
            Some("s"),
            Some("AROAX"),
            Some(C::Role),
            None,
        ),
        (
            json!({"type": "IAMUser", "principalId": "AIDAX", "arn": user, "accountId": ACCOUNT, "accessKeyId": "AKIAX", "userName": "kim"}),
            user,
            P::User,
            None,
            Some("AIDAX"),
            Some(C::LongTermKey),
            None,
        ),
        (
            json!({"type": "IAMUser", "principalId": "AIDAX", "arn": user, "accessKeyId": "ASIAX", "sessionContext": {"sessionIssuer": {}, "attributes": attributes}}),
            user,
            P::User,
            None,
            Some("AIDAX"),
            Some(C::SessionToken),
            Some(true),
        ),
        (
            json!({"type": "IAMUser", "principalId": "AIDAX", "arn": user, "accessKeyId": "ASIAX", "invokedBy": "secretsmanager.amazonaws.com"}),
            user,
            P::User,
            None,
            Some("AIDAX"),
            None,
            None,
        ),
        (
            json!({"type": "IAMUser", "principalId": "AIDAX", "accountId": ACCOUNT, "userName": "kim", "accessKeyId": ""}),
            "arn:aws:iam::111122223333:user/kim",
            P::User,
            None,
            Some("AIDAX"),
            None,
            None,
        ),
        (
            json!({"type": "Root", "principalId": ACCOUNT, "arn": root, "accountId": ACCOUNT, "accessKeyId": "AKIAX"}),
            root,
            P::Root,
            None,
            Some(ACCOUNT),
            Some(C::Root),
            None,
        ),
        (json!({"type": "Root", "principalId": ACCOUNT}), root, P::Root, None, Some(ACCOUNT), Some(C::Root), None),
        (
            json!({"type": "FederatedUser", "principalId": "111122223333:bob", "arn": "arn:aws:sts::111122223333:federated-user/bob", "accessKeyId": "ASIAX",
            "sessionContext": {"sessionIssuer": {"type": "IAMUser", "principalId": "AIDAX", "arn": user}}}),
            user,
            P::User,
            Some("bob"),
            Some("AIDAX"),
            Some(C::Federated),
            None,
        ),
        (
            json!({"type": "FederatedUser", "principalId": "111122223333:bob", "arn": "arn:aws:sts::111122223333:federated-user/bob"}),
            "arn:aws:sts::111122223333:federated-user/bob",
            P::Federated,
            Some("bob"),
            Some("111122223333"),
            Some(C::Federated),
            None,
        ),
        (
            json!({"type": "AWSAccount", "principalId": "AROAX:s", "accountId": "444455556666"}),
            "account:444455556666/AROAX",
            P::Account,
            Some("s"),
            Some("AROAX"),
            Some(C::Role),
            None,
        ),
        (
            json!({"type": "AWSService", "invokedBy": "rds.amazonaws.com"}),
            "service:rds.amazonaws.com",
            P::Service,
            None,
            None,
            Some(C::Service),
            None,
        ),
        (
            json!({"accountId": ACCOUNT, "invokedBy": "AWS Internal"}),
            "service:AWS Internal",
            P::Service,
            None,
            None,
            Some(C::Service),
            None,
        ),
        (
            json!({"type": "IdentityCenterUser", "accountId": ACCOUNT, "onBehalfOf": {"userId": "u-1", "identityStoreArn": "a"}, "credentialId": "c"}),
            "IdentityCenter:u-1",
            P::IdentityCenter,
            None,
            Some("u-1"),
            Some(C::Federated),
            None,
        ),
        (
            json!({"type": "WebIdentityUser", "principalId": "accounts.google.com:app:sub", "userName": "sub", "identityProvider": "accounts.google.com"}),
            "federated:accounts.google.com:app:sub",
            P::Federated,
            Some("sub"),
            Some("accounts.google.com:app:sub"),
            Some(C::Federated),
            None,
        ),
        (
            json!({"type": "SAMLUser", "userName": "kim", "identityProvider": "idp"}),
            "federated:idp/kim",
            P::Federated,
            Some("kim"),
            None,
            Some(C::Federated),
            None,
        ),
        (
            json!({"type": "Unknown", "principalId": "x", "accountId": ACCOUNT}),
            "account:111122223333/x",
            P::Unknown,
            None,
            Some("x"),
            None,
            None,
        ),
        (json!({"type": "Directory"}), "unknown", P::Unknown, None, None, None, None),
        (json!(null), "unknown", P::Unknown, None, None, None, None),
    ] {
        let row = row(&by(identity.clone()));
        assert_eq!((row.principal_id.as_str(), row.principal_kind), (id, kind), "{identity}");
        assert_eq!((row.session_name.as_deref(), row.principal_unique_id.as_deref()), (session, unique), "{identity}");
        assert_eq!((row.credential_kind, row.mfa), (credential, mfa), "{identity}");
    }
    let console = call("secretsmanager", "GetSecretValue", json!({"sessionCredentialFromConsole": "true"}));
    assert_eq!(row(&console).credential_kind, Some(CredentialKind::Console));
}

#[test]
fn the_workload_and_the_source_identity_are_kept() {
    let function = "arn:aws:lambda:eu-west-1:111122223333:function:f";
    let mut identity = role();
    identity["inScopeOf"] = json!({"sourceArn": function, "issuerType": "AWS::Lambda::Function"});
    identity["sessionContext"]["sourceIdentity"] = json!("kim@example.com");
    let row = row(&by(identity));
    assert_eq!((row.workload.as_deref(), row.source_identity.as_deref()), (Some(function), Some("kim@example.com")));
    assert_eq!((row.principal_account.as_deref(), row.access_key_id.as_deref()), (Some(ACCOUNT), Some("ASIAEXAMPLE")));
}

#[test]
fn who_took_up_which_session_is_kept_without_its_token() {
    let token = "FwoGZXIvYXdzEXAMPLEEXAMPLEEXAMPLE==";
    let assume = json!({"requestParameters": {"roleArn": ROLE, "roleSessionName": "s"}, "responseElements": {
        "credentials": {"accessKeyId": "ASIANEW", "sessionToken": token, "expiration": "x"}, "note": format!("got {token}")}});
    let row = row(&call("sts", "AssumeRole", assume));
    assert_eq!((row.action, row.secret_id.as_deref()), (Action::Other, None));
    assert!(!row.raw.contains(token) && row.raw.contains("ASIANEW"), "{}", row.raw);
    let service =
        call("sts", "AssumeRole", json!({"userIdentity": {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}}));
    assert_eq!(ignored(&service), Some(IgnoredReason::ServiceOwnSession));
    assert_eq!(ignored(&call("sts", "GetCallerIdentity", json!({}))), Some(IgnoredReason::NotAboutSecrets));
    for (source, name) in [("iam", "CreateAccessKey"), ("cloudtrail", "StopLogging"), ("apigateway", "UpdateStage")] {
        assert_eq!(super::support::row(&call(source, name, json!({}))).action, Action::Other);
    }
}

#[test]
fn what_a_record_lacks_is_said_by_name() {
    for (changes, reason) in [
        (json!({"eventTime": null}), "`eventTime` is missing"),
        (json!({"eventTime": "yesterday"}), "`eventTime` is not an RFC 3339 time"),
        (json!({"eventTime": 1}), "`eventTime` is not text"),
        (json!({"eventSource": {}}), "`eventSource` is not text"),
        (json!({"eventName": null}), "`eventName` is missing"),
        (json!({"userIdentity": "kim"}), "`userIdentity` is not an object"),
        (json!({"eventVersion": "2.0"}), "`eventVersion` 2.0 is not of the 1.x format that this program reads"),
        (json!({"eventVersion": "1.x"}), "`eventVersion` is not a version like 1.08"),
        (json!({"eventType": null}), "`eventType` is missing"),
    ] {
        let error = try_read(&call("secretsmanager", "GetSecretValue", changes)).expect_err(reason);
        assert_eq!(error.to_string(), reason);
    }
    for (version, event_type) in
        [(json!("1.01"), json!(null)), (json!("1.12"), json!("AwsApiCall")), (json!(1.08), json!("AwsApiCall"))]
    {
        assert!(
            try_read(&call(
                "secretsmanager",
                "GetSecretValue",
                json!({"eventVersion": version, "eventType": event_type})
            ))
            .is_ok()
        );
    }
}

#[test]
fn old_records_get_an_id_and_a_home() {
    let old = call(
        "secretsmanager",
        "ListSecrets",
        json!({"eventVersion": "1.0", "eventID": null, "recipientAccountId": null,
        "userIdentity": {"type": "AWSService", "invokedBy": "x"}, "awsRegion": null}),
    );
    let read = row(&old);
    assert!(read.event_id.starts_with("sha256:") && read.event_id.len() == 71);
    assert_eq!(row(&old).event_id, read.event_id, "the same text has the same id");
    assert_eq!((read.account_id.as_str(), read.region.as_str()), ("999999999999", "ap-south-1"));
    let nowhere = RecordPlace { account_hint: None, ..super::support::PLACE };
    let error = record(old.to_string().as_bytes(), &nowhere, Scope::Secrets).expect_err("no account anywhere");
    assert_eq!(error, RecordError::Missing { field: "recipientAccountId" });
}

#[test]
fn records_that_are_no_call_are_left_out_with_the_reason() {
    for (changes, reason) in [
        (json!({"eventCategory": "NetworkActivity", "eventType": "AwsVpceEvent"}), IgnoredReason::NetworkActivity),
        (json!({"eventCategory": null, "eventType": "AwsVpceEvents"}), IgnoredReason::NetworkActivity),
        (
            json!({"eventCategory": "Insight", "eventType": "AwsCloudTrailInsight", "eventSource": null, "eventName": null,
            "insightDetails": {"eventSource": "ssm.amazonaws.com", "eventName": "GetParameter"}}),
            IgnoredReason::Insight,
        ),
        (json!({"eventCategory": "Aggregated", "eventVersion": "7", "eventTime": null}), IgnoredReason::Aggregated),
    ] {
        let event = call("secretsmanager", "GetSecretValue", changes);
        assert_eq!(ignored(&event), Some(reason));
        let all = record(event.to_string().as_bytes(), &super::support::PLACE, Scope::All).expect("a good record");
        assert_eq!(all.trail_event.is_some(), all.event_at.is_some());
        assert!(all.rows.is_empty());
    }
}

#[test]
fn copies_and_corrections_say_so() {
    let addendum =
        |reason: &str| json!({"sharedEventID": "s-1", "addendum": {"reason": reason, "originalEventID": "e-0"}});
    let corrected = row(&call("secretsmanager", "GetSecretValue", addendum("UPDATED_DATA")));
    assert_eq!(
        (corrected.corrects_event_id.as_deref(), corrected.shared_event_id.as_deref()),
        (Some("e-0"), Some("s-1"))
    );
    assert_eq!(row(&call("secretsmanager", "GetSecretValue", addendum("DELIVERY_DELAY"))).corrects_event_id, None);
}

#[test]
fn with_everything_in_scope_every_record_is_kept() {
    let event = call("ec2", "DescribeInstances", json!({"requestParameters": {"password": "hunter2"}}));
    let all = record(event.to_string().as_bytes(), &super::support::PLACE, Scope::All).expect("a good record");
    assert_eq!((all.rows.len(), all.ignored), (0, Some(IgnoredReason::NotAboutSecrets)));
    let kept = all.trail_event.expect("kept");
    assert_eq!(
        (kept.event_name.as_str(), kept.principal_id.as_str(), kept.read_only),
        ("DescribeInstances", ROLE, Some(true))
    );
    assert!(!kept.raw.contains("hunter2"));
    let both = record(by(role()).to_string().as_bytes(), &super::support::PLACE, Scope::All).expect("a good record");
    assert_eq!((both.rows.len(), both.trail_event.is_some(), both.ignored), (1, true, None));
}
