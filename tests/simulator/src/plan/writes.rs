//! Everything that is not a read: a secret's life, its rotation's service events, descriptions, and STS.

use super::Plan;
use crate::{
    cast::{Kind, Place, Role},
    clock::{HOUR, locale_time},
    identity::Caller,
    json::Object,
    random::{Random, alnum, uuid},
    record::Record,
};

/// Every session token of a simulation contains this text; no store of a product under test may.
pub const FAKE_SESSION_TOKEN_MARK: &str = "KEYTRAILFAKESESSIONTOKEN";

/// A session token that authenticates nobody.
pub(crate) fn fake_session_token(random: &mut Random) -> String {
    format!("IQoJb3JpZ2luX2VjE{}{FAKE_SESSION_TOKEN_MARK}{}==", alnum(random, 60), alnum(random, 220))
}

/// A management call that is neither a read of a value nor one of AWS's own events.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    /// JSON.
    pub(crate) request: Option<String>,
    /// JSON.
    pub(crate) response: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) error: Option<(&'a str, &'a str)>,
    pub(crate) resources: Option<String>,
}

impl<'a> Call<'a> {
    pub(crate) fn read(service: &'a str, name: &'a str, request: Option<String>) -> Self {
        Self { service, name, request, response: None, read_only: true, error: None, resources: None }
    }

    pub(crate) fn write(service: &'a str, name: &'a str, request: String, response: Option<String>) -> Self {
        Self { service, name, request: Some(request), response, read_only: false, error: None, resources: None }
    }

    pub(crate) fn with_response(mut self, response: String) -> Self {
        self.response = Some(response);
        self
    }
}

impl Plan<'_> {
    /// Adds a call and returns its event id.
    pub(crate) fn call(&mut self, place: Place, at: i64, caller: &Caller, call: Call<'_>) -> String {
        self.call_as(place, at, caller, &caller.identity(), call)
    }

    /// Adds a call with another identity than the caller's own.
    pub(crate) fn call_as(&mut self, place: Place, at: i64, caller: &Caller, identity: &str, call: Call<'_>) -> String {
        let event_id = uuid(&mut self.random);
        let json = Record {
            identity,
            at,
            service: call.service,
            name: call.name,
            region: place.region,
            address: &caller.address,
            user_agent: &caller.user_agent,
            error: call.error.map(|(code, _)| code),
            error_message: call.error.map(|(_, message)| message),
            request: call.request.as_deref(),
            response: call.response.as_deref(),
            request_id: &uuid(&mut self.random),
            event_id: &event_id,
            read_only: call.read_only,
            resources: call.resources.as_deref(),
            account: place.account,
            endpoint: caller.endpoint.as_deref(),
            endpoint_account: caller.endpoint.is_some().then_some(place.account),
            tls: caller.invoked_by.is_none(),
            from_console: caller.console,
            ..Record::default()
        }
        .text();
        self.emit(place, at, &event_id, json, false);
        event_id
    }

    /// One of Secrets Manager's own events, with its identity that has no type.
    pub(crate) fn service_event(
        &mut self,
        at: i64,
        secret: usize,
        name: &str,
        request_id: &str,
        message: Option<&str>,
    ) -> String {
        let owner = &self.cast.secrets[secret];
        let place = owner.place;
        let identity =
            Object::new().string("accountId", place.account).string("invokedBy", "secretsmanager.amazonaws.com").end();
        let additional = if name.contains("Delete") {
            Object::new().string("ARN", &owner.id).string("Name", &owner.name).end()
        } else {
            Object::new().string("SecretId", &owner.id).end()
        };
        let event_id = uuid(&mut self.random);
        let json = Record {
            identity: &identity,
            at,
            service: "secretsmanager",
            name,
            region: place.region,
            address: "secretsmanager.amazonaws.com",
            user_agent: "secretsmanager.amazonaws.com",
            error_message: message,
            additional: Some(&additional),
            request_id,
            event_id: &event_id,
            read_only: false,
            event_type: "AwsServiceEvent",
            account: place.account,
            tls: false,
            ..Record::default()
        }
        .text();
        self.emit(place, at, &event_id, json, false);
        event_id
    }

    /// KMS wraps a new value.
    pub(crate) fn generate_data_key(&mut self, at: i64, caller: &Caller, secret: usize, version: &str) {
        let owner = &self.cast.secrets[secret];
        let (service, name, context) = if owner.kind == Kind::Manager {
            let context = Object::new().string("SecretARN", &owner.id).string("SecretVersionId", version).end();
            ("secretsmanager.amazonaws.com", "GenerateDataKey", context)
        } else {
            ("AWS Internal", "Encrypt", Object::new().string("PARAMETER_ARN", &owner.id).end())
        };
        let mut request = Object::new().string("keyId", &owner.key_arn).raw("encryptionContext", &context);
        request = if owner.kind == Kind::Manager {
            request.string("keySpec", "AES_256")
        } else {
            request.string("encryptionAlgorithm", "SYMMETRIC_DEFAULT")
        };
        let key = Object::new()
            .string("accountId", owner.place.account)
            .string("type", "AWS::KMS::Key")
            .string("ARN", &owner.key_arn)
            .end();
        let (event_id, request_id) = (uuid(&mut self.random), uuid(&mut self.random));
        let identity = caller.forwarded(&mut self.random, service);
        let json = Record {
            identity: &identity,
            at,
            service: "kms",
            name,
            region: owner.place.region,
            address: service,
            user_agent: service,
            request: Some(&request.end()),
            request_id: &request_id,
            event_id: &event_id,
            resources: Some(&format!("[{key}]")),
            account: owner.place.account,
            tls: false,
            ..Record::default()
        }
        .text();
        self.emit(owner.place, at, &event_id, json, true);
    }

    /// `DescribeSecret` or another call whose only parameter is the secret.
    pub(crate) fn describe(&mut self, at: i64, caller: &Caller, secret: usize, name: &str) {
        let owner = &self.cast.secrets[secret];
        let request = Object::new().string("secretId", &owner.id).end();
        self.call(owner.place, at, caller, Call::read("secretsmanager", name, Some(request)));
    }

    /// `PutSecretValue`; without stages the value is current at once.
    pub(crate) fn put_value(
        &mut self,
        at: i64,
        caller: &Caller,
        secret: usize,
        version: &str,
        stages: Option<&str>,
    ) -> String {
        let owner = &self.cast.secrets[secret];
        let mut request = Object::new().string("secretId", &owner.id).string("clientRequestToken", version);
        if let Some(stages) = stages {
            request = request.raw("versionStages", stages);
        }
        let response = Object::new().string("arn", &owner.id).end();
        let event_id = self.call(
            owner.place,
            at,
            caller,
            Call::write("secretsmanager", "PutSecretValue", request.end(), Some(response)),
        );
        self.generate_data_key(at, caller, secret, version);
        event_id
    }

    /// `PutParameter`; the value is hidden by AWS.
    pub(crate) fn put_parameter(
        &mut self,
        at: i64,
        caller: &Caller,
        parameter: usize,
        overwrite: bool,
        revision: u32,
    ) -> String {
        let owner = &self.cast.secrets[parameter];
        let kind = if owner.kind == Kind::Plain { "String" } else { "SecureString" };
        let request = Object::new()
            .string("name", &owner.name)
            .string("value", "HIDDEN_DUE_TO_SECURITY_REASONS")
            .string("type", kind)
            .flag("overwrite", overwrite)
            .string("tier", "Standard")
            .end();
        let response = Object::new().raw("version", &revision.to_string()).string("tier", "Standard").end();
        let resource = Object::new().string("ARN", &owner.id).string("accountId", owner.place.account).end();
        let mut call = Call::write("ssm", "PutParameter", request, Some(response));
        call.resources = Some(format!("[{resource}]"));
        let secure = owner.kind == Kind::Secure;
        let event_id = self.call(owner.place, at, caller, call);
        if secure {
            self.generate_data_key(at, caller, parameter, "");
        }
        event_id
    }

    /// The `AssumeRole` that a session begins with, made by a service. Its response holds a token in plain text, as AWS's does.
    pub(crate) fn begin_session(&mut self, place: Place, at: i64, role: &Role, caller: &Caller, service: &'static str) {
        let request = Object::new()
            .string("roleArn", &role.arn())
            .string("roleSessionName", &caller.session)
            .raw("durationSeconds", "21600")
            .end();
        let credentials = Object::new()
            .string("accessKeyId", &caller.access_key)
            .string("sessionToken", &fake_session_token(&mut self.random))
            .string("expiration", &locale_time(at + 6 * HOUR))
            .end();
        let assumed = Object::new()
            .string("assumedRoleId", &format!("{}:{}", role.unique_id, caller.session))
            .string("arn", &caller.arn())
            .end();
        let response = Object::new().raw("credentials", &credentials).raw("assumedRoleUser", &assumed).end();
        let resource = Object::new()
            .string("accountId", role.account)
            .string("type", "AWS::IAM::Role")
            .string("ARN", &role.arn())
            .end();
        let (event_id, shared, request_id) = (uuid(&mut self.random), uuid(&mut self.random), uuid(&mut self.random));
        let json = Record {
            version: "1.08",
            identity: &crate::identity::aws_service(role.account, service).identity(),
            at,
            service: "sts",
            name: "AssumeRole",
            region: place.region,
            address: service,
            user_agent: service,
            request: Some(&request),
            response: Some(&response),
            request_id: &request_id,
            event_id: &event_id,
            resources: Some(&format!("[{resource}]")),
            account: role.account,
            shared_id: Some(&shared),
            tls: false,
            ..Record::default()
        }
        .text();
        self.emit(place, at, &event_id, json, false);
    }
}
