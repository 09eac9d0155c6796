//! What `scope = "secrets"` keeps: the one table of events, and the first look that drops the rest unparsed.
//!
//! In: a record's bytes, or its `eventSource` and `eventName`. Out: whether it can matter, and what it does to a secret.
//!
//! Kept are: everything of Secrets Manager and of `execute-api`; Parameter Store's events about parameters; KMS calls whose
//! encryption context names a secret or parameter, and what takes a key out of use or says who may use it; taking up a role or session (STS) unless an AWS service takes up its own; the life of access keys, users and roles (IAM);
//! switching trails and their selectors (CloudTrail); changes of API Gateway authorization, stages, keys and access-log
//! settings.
//!
//! Invariant: [`may_matter`] never says no to a record that [`kept`] would keep. It looks at every plain occurrence of the
//! keys, wherever they stand, and says yes to whatever is spelled in an unusual way.

use std::sync::LazyLock;

use keytrail_model::Action;
use memchr::memmem::{self, Finder};

/// The services whose events are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    SecretsManager,
    ParameterStore,
    Kms,
    ExecuteApi,
    Sts,
    Iam,
    CloudTrail,
    ApiGateway,
}

use Action as A;
use Service as S;

/// Service, event name (`*` stands for any text before or after), and what the event does to a secret. First hit wins.
const KEPT: &[(Service, &str, Action)] = &[
    (S::SecretsManager, "GetSecretValue", A::Read),
    // A signal: each secret that it reads has a `GetSecretValue` event of its own.
    (S::SecretsManager, "BatchGetSecretValue", A::Other),
    (S::SecretsManager, "DescribeSecret", A::Describe),
    (S::SecretsManager, "ListSecretVersionIds", A::Describe),
    (S::SecretsManager, "GetResourcePolicy", A::Describe),
    (S::SecretsManager, "ListSecrets", A::List),
    (S::SecretsManager, "CreateSecret", A::Create),
    (S::SecretsManager, "PutSecretValue", A::Write),
    (S::SecretsManager, "UpdateSecret", A::Write),
    (S::SecretsManager, "UpdateSecretVersionStage", A::Stage),
    (S::SecretsManager, "RotateSecret", A::Rotate),
    (S::SecretsManager, "CancelRotateSecret", A::Rotate),
    (S::SecretsManager, "Rotation*", A::Rotate),
    (S::SecretsManager, "DeleteSecret", A::Delete),
    (S::SecretsManager, "StartSecretVersionDelete", A::Delete),
    (S::SecretsManager, "EndSecretVersionDelete", A::Delete),
    (S::SecretsManager, "SecretVersionDeletion", A::Delete),
    (S::SecretsManager, "CancelSecretVersionDelete", A::Restore),
    (S::SecretsManager, "RestoreSecret", A::Restore),
    (S::SecretsManager, "PutResourcePolicy", A::Policy),
    (S::SecretsManager, "DeleteResourcePolicy", A::Policy),
    (S::SecretsManager, "ReplicateSecretToRegions", A::Replicate),
    (S::SecretsManager, "RemoveRegionsFromReplication", A::Replicate),
    (S::SecretsManager, "StopReplicationToReplica", A::Replicate),
    (S::SecretsManager, "Replication*", A::Replicate),
    (S::SecretsManager, "*", A::Other),
    (S::ParameterStore, "GetParameter", A::Read),
    (S::ParameterStore, "GetParameters", A::Read),
    (S::ParameterStore, "GetParametersByPath", A::Read),
    (S::ParameterStore, "GetParameterHistory", A::Read),
    (S::ParameterStore, "DescribeParameters", A::List),
    (S::ParameterStore, "PutParameter", A::Write),
    (S::ParameterStore, "LabelParameterVersion", A::Stage),
    (S::ParameterStore, "UnlabelParameterVersion", A::Stage),
    (S::ParameterStore, "DeleteParameter*", A::Delete),
    (S::ParameterStore, "*Parameter*", A::Other),
    // These are about other things too; `parameter_store` keeps those about a parameter.
    (S::ParameterStore, "PutResourcePolicy", A::Policy),
    (S::ParameterStore, "DeleteResourcePolicy", A::Policy),
    (S::ParameterStore, "GetResourcePolicies", A::Describe),
    (S::ParameterStore, "ListTagsForResource", A::Describe),
    (S::ParameterStore, "AddTagsToResource", A::Other),
    (S::ParameterStore, "RemoveTagsFromResource", A::Other),
    // Only with an encryption context that names a secret.
    (S::Kms, "Decrypt", A::Decrypt),
    (S::Kms, "Encrypt", A::Other),
    (S::Kms, "GenerateDataKey*", A::Other),
    (S::Kms, "ReEncrypt*", A::Other),
    (S::Kms, "CreateGrant", A::Other),
    // About a key and all that it protects: rows without a secret.
    (S::Kms, "ScheduleKeyDeletion", A::Other),
    (S::Kms, "CancelKeyDeletion", A::Other),
    (S::Kms, "DisableKey", A::Other),
    (S::Kms, "EnableKey", A::Other),
    (S::Kms, "PutKeyPolicy", A::Other),
    (S::ExecuteApi, "*", A::Invoke),
    (S::Sts, "AssumeRo*", A::Other),
    (S::Sts, "GetFederationToken", A::Other),
    (S::Sts, "GetSessionToken", A::Other),
    (S::Iam, "CreateAccessKey", A::Other),
    (S::Iam, "UpdateAccessKey", A::Other),
    (S::Iam, "DeleteAccessKey", A::Other),
    (S::Iam, "CreateLoginProfile", A::Other),
    (S::Iam, "UpdateLoginProfile", A::Other),
    (S::Iam, "DeleteLoginProfile", A::Other),
    (S::Iam, "CreateUser", A::Other),
    (S::Iam, "DeleteUser", A::Other),
    (S::Iam, "CreateRole", A::Other),
    (S::Iam, "DeleteRole", A::Other),
    (S::Iam, "UpdateAssumeRolePolicy", A::Other),
    (S::CloudTrail, "CreateTrail", A::Other),
    (S::CloudTrail, "UpdateTrail", A::Other),
    (S::CloudTrail, "DeleteTrail", A::Other),
    (S::CloudTrail, "StartLogging", A::Other),
    (S::CloudTrail, "StopLogging", A::Other),
    (S::CloudTrail, "PutEventSelectors", A::Other),
    (S::CloudTrail, "PutInsightSelectors", A::Other),
    (S::CloudTrail, "DeleteEventDataStore", A::Other),
    (S::CloudTrail, "UpdateEventDataStore", A::Other),
    (S::CloudTrail, "StopEventDataStoreIngestion", A::Other),
    (S::ApiGateway, "PutMethod", A::Other),
    (S::ApiGateway, "UpdateMethod", A::Other),
    (S::ApiGateway, "DeleteMethod", A::Other),
    (S::ApiGateway, "CreateAuthorizer", A::Other),
    (S::ApiGateway, "UpdateAuthorizer", A::Other),
    (S::ApiGateway, "DeleteAuthorizer", A::Other),
    (S::ApiGateway, "CreateStage", A::Other),
    (S::ApiGateway, "UpdateStage", A::Other),
    (S::ApiGateway, "DeleteStage", A::Other),
    (S::ApiGateway, "DeleteAccessLogSettings", A::Other),
    (S::ApiGateway, "CreateRoute", A::Other),
    (S::ApiGateway, "UpdateRoute", A::Other),
    (S::ApiGateway, "DeleteRoute", A::Other),
    (S::ApiGateway, "DeleteRouteSettings", A::Other),
    (S::ApiGateway, "CreateDeployment", A::Other),
    (S::ApiGateway, "CreateRestApi", A::Other),
    (S::ApiGateway, "ImportRestApi", A::Other),
    (S::ApiGateway, "PutRestApi", A::Other),
    (S::ApiGateway, "UpdateRestApi", A::Other),
    (S::ApiGateway, "DeleteRestApi", A::Other),
    (S::ApiGateway, "CreateApi", A::Other),
    (S::ApiGateway, "ImportApi", A::Other),
    (S::ApiGateway, "ReimportApi", A::Other),
    (S::ApiGateway, "UpdateApi", A::Other),
    (S::ApiGateway, "DeleteApi", A::Other),
    (S::ApiGateway, "CreateApiKey", A::Other),
    (S::ApiGateway, "UpdateApiKey", A::Other),
    (S::ApiGateway, "DeleteApiKey", A::Other),
];

/// KMS events about a key itself, which no encryption context ties to a secret.
const KEY_EVENTS: [&[u8]; 5] =
    [b"ScheduleKeyDeletion", b"CancelKeyDeletion", b"DisableKey", b"EnableKey", b"PutKeyPolicy"];

/// Whether a KMS event is about a key itself.
pub(super) fn is_about_key(event_name: &[u8]) -> bool {
    KEY_EVENTS.contains(&event_name)
}

impl Service {
    /// The service that an `eventSource` names, by the part before its first dot.
    fn of(event_source: &[u8]) -> Option<Self> {
        Some(match event_source.split(|byte| *byte == b'.').next()? {
            b"secretsmanager" => Self::SecretsManager,
            b"ssm" => Self::ParameterStore,
            b"kms" => Self::Kms,
            b"execute-api" => Self::ExecuteApi,
            b"sts" => Self::Sts,
            b"iam" => Self::Iam,
            b"cloudtrail" => Self::CloudTrail,
            b"apigateway" => Self::ApiGateway,
            _ => return None,
        })
    }

    fn action(self, event_name: &[u8]) -> Option<Action> {
        KEPT.iter()
            .find(|(service, pattern, _)| *service == self && matches(pattern.as_bytes(), event_name))
            .map(|(_, _, action)| *action)
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.strip_prefix(b"*"), pattern.strip_suffix(b"*")) {
        (None, None) => pattern == name,
        (None, Some(start)) => name.starts_with(start),
        (Some(end), None) => name.ends_with(end),
        (Some([]), Some(_)) => true,
        (Some(_), Some(_)) => {
            pattern.get(1..pattern.len() - 1).is_some_and(|middle| memmem::find(name, middle).is_some())
        }
    }
}

/// The table's word on an event: whose it is and what it does; `None` if it has nothing to do with secrets.
pub(super) fn kept(event_source: &str, event_name: &str) -> Option<(Service, Action)> {
    let service = Service::of(event_source.as_bytes())?;
    Some((service, service.action(event_name.as_bytes())?))
}

static SOURCE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""eventSource""#));
static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""eventName""#));
static IDENTITY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""userIdentity""#));
static SECRET_ARN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b":secretsmanager:"));
static PARAMETER_ARN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b":parameter"));
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br"\u00"));

/// More plain occurrences of `eventSource` than any real record has.
const MAX_SOURCES: usize = 8;

/// Can this record matter to `scope = "secrets"`? Looks at bytes only, parses nothing, and errs towards yes.
pub fn may_matter(record: &[u8]) -> bool {
    let mut seen = 0;
    for value in values(&SOURCE, record) {
        seen += 1;
        match value {
            // A forged record with thousands of sources is no place to search in thousands of times.
            _ if seen > MAX_SOURCES => return true,
            None => return true,
            Some(source) => match Service::of(source) {
                Some(service) if service_matters(service, record) => return true,
                _ => {}
            },
        }
    }
    seen == 0 || spells_letters_with_escapes(record)
}

fn service_matters(service: Service, record: &[u8]) -> bool {
    match service {
        Service::SecretsManager | Service::ExecuteApi => true,
        Service::Kms => {
            name_matters(service, record)
                && (SECRET_ARN.find(record).is_some()
                    || PARAMETER_ARN.find(record).is_some()
                    || names_key_event(record))
        }
        Service::Sts => name_matters(service, record) && !is_made_by_service(record),
        Service::ParameterStore | Service::Iam | Service::CloudTrail | Service::ApiGateway => {
            name_matters(service, record)
        }
    }
}

fn name_matters(service: Service, record: &[u8]) -> bool {
    let mut seen = false;
    for value in values(&NAME, record) {
        seen = true;
        if value.is_none_or(|name| service.action(name).is_some()) {
            return true;
        }
    }
    !seen
}

/// Whether any name in the text may be that of a KMS event about a key itself.
fn names_key_event(record: &[u8]) -> bool {
    let mut names = values(&NAME, record).peekable();
    names.peek().is_none() || names.any(|name| name.is_none_or(is_about_key))
}

/// True only if every `userIdentity` in the text begins with `{"type":"AWSService"`, as CloudTrail writes it.
fn is_made_by_service(record: &[u8]) -> bool {
    let mut seen = false;
    for at in IDENTITY.find_iter(record) {
        let Some(rest) = after_colon(record, at + IDENTITY.needle().len()) else { continue };
        seen = true;
        let inside = rest.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        let value = inside
            .and_then(|rest| rest.strip_prefix(br#""type""#))
            .and_then(|rest| rest.trim_ascii_start().strip_prefix(b":"))
            .map(<[u8]>::trim_ascii_start);
        if !value.is_some_and(|value| value.starts_with(br#""AWSService""#)) {
            return false;
        }
    }
    seen
}

/// The values of every occurrence of a key: the text between the quotes, or `None` for anything but a plain string.
fn values<'a>(key: &'a Finder<'static>, record: &'a [u8]) -> impl Iterator<Item = Option<&'a [u8]>> {
    key.find_iter(record).filter_map(move |at| {
        let rest = after_colon(record, at + key.needle().len())?;
        let Some(text) = rest.strip_prefix(b"\"") else { return Some(None) };
        match memchr::memchr2(b'"', b'\\', text) {
            Some(end) if text.get(end) == Some(&b'"') => Some(text.get(..end)),
            _ => Some(None),
        }
    })
}

/// What stands after `:`; `None` if there is no colon, so that the text before was a value and not a key.
fn after_colon(record: &[u8], at: usize) -> Option<&[u8]> {
    record.get(at..)?.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

/// True if a letter or a colon is written as an escape: then what we look for may be hidden from a plain search.
/// (`\u0026`, `\u003c` and other punctuation, which some producers escape, cannot hide it.)
fn spells_letters_with_escapes(record: &[u8]) -> bool {
    if memchr::memchr(b'\\', record).is_none() {
        return false;
    }
    ESCAPE
        .find_iter(record)
        .any(|at| matches!(record.get(at + 4..at + 6), Some([b'4'..=b'7', _] | [b'3', b'a' | b'A'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str, name: &str) -> String {
        format!(r#"{{"userIdentity":{{"type":"IAMUser"}},"eventSource":"{source}","eventName":"{name}"}}"#)
    }

    #[test]
    fn drops_what_has_nothing_to_do_with_secrets() {
        for (source, name) in [
            ("ec2.amazonaws.com", "DescribeInstances"),
            ("ssm.amazonaws.com", "UpdateInstanceInformation"),
            ("kms.amazonaws.com", "Decrypt"),
            ("kms.amazonaws.com", "DescribeKey"),
            ("sts.amazonaws.com", "GetCallerIdentity"),
            ("iam.amazonaws.com", "ListRoles"),
            ("cloudtrail.amazonaws.com", "LookupEvents"),
            ("apigateway.amazonaws.com", "GetStage"),
        ] {
            assert!(!may_matter(text(source, name).as_bytes()), "{source} {name}");
        }
        let service =
            br#"{"userIdentity": {"type" : "AWSService"},"eventSource":"sts.amazonaws.com","eventName":"AssumeRole"}"#;
        assert!(!may_matter(service));
    }

    #[test]
    fn keeps_every_row_of_the_table() {
        for (service, pattern, action) in KEPT {
            let source = match service {
                Service::SecretsManager => "secretsmanager.amazonaws.com",
                Service::ParameterStore => "ssm.amazonaws.com",
                Service::Kms => "kms.amazonaws.com",
                Service::ExecuteApi => "execute-api.amazonaws.com",
                Service::Sts => "sts.amazonaws.com",
                Service::Iam => "iam.amazonaws.com",
                Service::CloudTrail => "cloudtrail.amazonaws.com",
                Service::ApiGateway => "apigateway.amazonaws.com",
            };
            let name = pattern.replace('*', "X");
            assert_eq!(kept(source, &name), Some((*service, *action)), "{pattern} is hidden by a row above it");
            let mut record = text(source, &name);
            if *service == Service::Kms && !is_about_key(name.as_bytes()) {
                record.push_str(r#"{"SecretARN":"arn:aws:secretsmanager:r:a:secret:n"}"#);
            }
            assert!(may_matter(record.as_bytes()), "{source} {name}");
        }
    }

    #[test]
    fn says_yes_to_what_is_unusual() {
        for record in [
            r#"{ "eventName" : "GetSecretValue" , "eventSource"  :
               "secretsmanager.amazonaws.com" }"#,
            r#"{"eventSource":"secretsmanager\u002eamazonaws.com"}"#,
            r#"{"eventSource":"secretsmanager\/x"}"#,
            r#"{"event\u0053ource":"secretsmanager.amazonaws.com","requestParameters":{"eventSource":"ec2.amazonaws.com"}}"#,
            r#"{"requestParameters":{"eventSource":"ec2.amazonaws.com"},"eventSource":"secretsmanager.amazonaws.com"}"#,
            r#"{"eventSource":null}"#,
            r#"{"eventName":"GetSecretValue"}"#,
            r#"{"eventSource":"ssm.amazonaws.com"}"#,
            r#"{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole","requestParameters":{"roleSessionName":"AWSService"},"userIdentity":{"type":"IAMUser"}}"#,
            "",
            "not json",
            r#"{"eventSource":"secretsmanager"#,
        ] {
            assert!(may_matter(record.as_bytes()), "{record}");
        }
    }
}
