//! Reads: the call itself and the KMS evidence behind it.
//!
//! The evidence has its own event id and its own key, has lost the caller's address, falls on the same second or a neighbour,
//! and is delivered in another file about half of the time.

use rand::Rng;

use super::{Access, Call, Plan};
use crate::{
    cast::{Kind, SYNC_AGENTS, Secret, UPKEEP, glob},
    identity::Caller,
    json::{Object, strings},
    random::{Random, chance, uuid},
    record::Record,
};

/// What the caller typed as the secret's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Full,
    /// The ARN without its suffix.
    Partial,
    Name,
}

/// Which version was asked for.
#[derive(Debug, Clone)]
pub(crate) enum Version {
    Current,
    Id(String),
    /// A stage, and the version that carries it.
    Stage(&'static str, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Denied,
    /// The secret is waiting to be deleted.
    Deleted,
}

/// A read of one secret of Secrets Manager.
pub(crate) struct Ask<'a> {
    pub(crate) at: i64,
    pub(crate) caller: &'a Caller,
    pub(crate) secret: usize,
    pub(crate) form: Form,
    pub(crate) version: Version,
    pub(crate) outcome: Outcome,
    /// An entry written for one secret of a batch.
    pub(crate) of_batch: bool,
}

impl<'a> Ask<'a> {
    /// A read of the current value by full ARN.
    pub(crate) fn new(at: i64, caller: &'a Caller, secret: usize) -> Self {
        Self { at, caller, secret, form: Form::Full, version: Version::Current, outcome: Outcome::Ok, of_batch: false }
    }
}

fn typed(secret: &Secret, form: Form) -> String {
    match form {
        Form::Full => secret.id.clone(),
        Form::Partial => secret.id.rsplit_once('-').map_or(secret.id.clone(), |(stem, _)| stem.to_owned()),
        Form::Name => secret.name.clone(),
    }
}

/// The KMS record of a read.
#[expect(clippy::too_many_arguments, reason = "what a copy of a record differs in, and one caller")]
fn write_decrypt(
    random: &mut Random,
    at: i64,
    caller: &Caller,
    secret: &Secret,
    version: &str,
    event_id: &str,
    shared: Option<&str>,
    outside: bool,
) -> String {
    // Parameter Store's calls to KMS name no service, only that AWS made them.
    let service = if secret.kind == Kind::Manager { "secretsmanager.amazonaws.com" } else { "AWS Internal" };
    let context = if secret.kind == Kind::Manager {
        Object::new().string("SecretARN", &secret.id).string("SecretVersionId", version).end()
    } else {
        Object::new().string("PARAMETER_ARN", &secret.id).end()
    };
    let request =
        Object::new().string("encryptionAlgorithm", "SYMMETRIC_DEFAULT").raw("encryptionContext", &context).end();
    let key = Object::new()
        .string("accountId", secret.place.account)
        .string("type", "AWS::KMS::Key")
        .string("ARN", &secret.key_arn)
        .end();
    let identity = if outside { caller.seen_from_outside(Some(service)) } else { caller.forwarded(random, service) };
    Record {
        identity: &identity,
        at,
        service: "kms",
        name: "Decrypt",
        region: secret.place.region,
        address: service,
        user_agent: service,
        request: Some(&request),
        request_id: &uuid(random),
        event_id,
        resources: Some(&format!("[{key}]")),
        account: if outside { secret.place.account } else { caller.account() },
        shared_id: shared,
        tls: false,
        ..Record::default()
    }
    .text()
}

impl Plan<'_> {
    fn evidence(&mut self, at: i64, caller: &Caller, secret: usize, version: &str) {
        let at = at
            + match self.random.random_range(0..20_u8) {
                0 => -1,
                1 | 2 => 1,
                _ => 0,
            };
        let slips = chance(&mut self.random, 0.5);
        let owner = &self.cast.secrets[secret];
        let crossing = caller.account() != owner.place.account;
        let shared = crossing.then(|| uuid(&mut self.random));
        for outside in [false, true] {
            if (outside && !crossing) || (!outside && caller.is_foreign()) {
                continue;
            }
            let id = uuid(&mut self.random);
            let json = write_decrypt(&mut self.random, at, caller, owner, version, &id, shared.as_deref(), outside);
            let mut place = owner.place;
            if !outside {
                place.account = caller.account();
            }
            self.emit(place, at, &id, json, slips);
        }
    }

    fn account_for(
        &mut self,
        at: i64,
        event_id: &str,
        caller: &Caller,
        secret: usize,
        ok: bool,
        version: Option<String>,
    ) {
        let principal = caller.principal();
        let is = |patterns: &[&str]| patterns.iter().any(|pattern| glob(pattern, &principal));
        let (upkeep, sync) = (is(UPKEEP), is(SYNC_AGENTS));
        let origin = caller.invoked_by.is_none().then(|| (caller.address.clone(), caller.endpoint.clone()));
        self.ledger.push(Access {
            at,
            event_id: event_id.to_owned(),
            unique_id: caller.unique_id().to_owned(),
            principal,
            secret,
            ok,
            upkeep,
            sync,
            origin,
            version,
        });
    }

    /// `GetSecretValue`, with the owner's copy when it crosses accounts. Returns the event id of the caller's record.
    pub(crate) fn get_secret(&mut self, ask: Ask<'_>) -> String {
        let Ask { at, caller, secret, form, version, outcome, of_batch } = ask;
        let owner = &self.cast.secrets[secret];
        let place = owner.place;
        let secret_id = typed(owner, form);
        let mut request = Object::new().string("secretId", &secret_id);
        let read = match &version {
            Version::Current => self.current(secret, at),
            Version::Id(id) => {
                request = request.string("versionId", id);
                id.clone()
            }
            Version::Stage(stage, id) => {
                request = request.string("versionStage", stage);
                id.clone()
            }
        };
        let request = request.end();
        let resource = Object::new()
            .string("accountId", place.account)
            .string("type", "AWS::SecretsManager::Secret")
            .string("ARN", &owner.id)
            .end();
        let resources = format!("[{resource}]");
        let (error, message) = match outcome {
            Outcome::Ok => (None, None),
            Outcome::Denied => (
                Some("AccessDenied"),
                Some(format!(
                    "User: {} is not authorized to perform: secretsmanager:GetSecretValue on resource: {secret_id} because no identity-based policy allows the secretsmanager:GetSecretValue action",
                    caller.arn()
                )),
            ),
            Outcome::Deleted => (
                Some("InvalidRequestException"),
                Some("You can't perform this operation on the secret because it was marked for deletion.".to_owned()),
            ),
        };
        let crossing = caller.account() != place.account;
        let shared = crossing.then(|| uuid(&mut self.random));
        let request_id = uuid(&mut self.random);
        // The oldest region still writes the records of two years ago, without resources.
        let old = place.region == "eu-central-1";
        let mut first = String::new();
        let mut kept = false;
        for outside in [false, true] {
            if (outside && !crossing) || (!outside && caller.is_foreign()) {
                continue;
            }
            let event_id = uuid(&mut self.random);
            let identity = if outside { caller.seen_from_outside(None) } else { caller.identity() };
            let account = if outside { place.account } else { caller.account() };
            let json = Record {
                version: if old { "1.09" } else { "1.11" },
                identity: &identity,
                at,
                service: "secretsmanager",
                name: "GetSecretValue",
                region: place.region,
                address: &caller.address,
                user_agent: if of_batch { "secretsmanager.amazonaws.com" } else { &caller.user_agent },
                error,
                error_message: message.as_deref(),
                request: (outcome != Outcome::Denied).then_some(&*request),
                request_id: &request_id,
                event_id: &event_id,
                resources: (outcome == Outcome::Ok && !old).then_some(&*resources),
                account,
                shared_id: shared.as_deref(),
                endpoint: caller.endpoint.as_deref(),
                endpoint_account: caller.endpoint.is_some().then(|| caller.account()),
                tls: caller.invoked_by.is_none() && !of_batch,
                from_console: caller.console,
                ..Record::default()
            }
            .text();
            let mut trail = place;
            trail.account = account;
            let delivered = self.emit(trail, at, &event_id, json, false);
            if !outside || caller.is_foreign() {
                first = event_id;
                kept = delivered;
            }
        }
        if kept {
            let ok = outcome == Outcome::Ok;
            self.account_for(at, &first, caller, secret, ok, ok.then(|| read.clone()));
            if ok {
                self.evidence(at, caller, secret, &read);
            }
        }
        first
    }

    /// `GetParameter` of one name, or one `GetParameters` for up to ten.
    pub(crate) fn get_parameters(
        &mut self,
        at: i64,
        caller: &Caller,
        parameters: &[usize],
        outcome: Outcome,
    ) -> String {
        let Some(&first) = parameters.first() else { return String::new() };
        let place = self.cast.secrets[first].place;
        let names: Vec<_> = parameters.iter().map(|&parameter| self.cast.secrets[parameter].name.as_str()).collect();
        let single = parameters.len() == 1;
        let request =
            if single { Object::new().string("name", names[0]) } else { Object::new().raw("names", &strings(&names)) };
        let request = request.flag("withDecryption", true).end();
        let resources: Vec<_> = parameters
            .iter()
            .map(|&parameter| {
                Object::new().string("ARN", &self.cast.secrets[parameter].id).string("accountId", place.account).end()
            })
            .collect();
        let resources = format!("[{}]", resources.join(","));
        let event_id = uuid(&mut self.random);
        let name = if single { "GetParameter" } else { "GetParameters" };
        let message = format!(
            "User: {} is not authorized to perform: ssm:{name} on resource: {} because no identity-based policy allows the ssm:{name} action",
            caller.arn(),
            self.cast.secrets[first].id
        );
        let denied = outcome == Outcome::Denied;
        let json = Record {
            version: "1.08",
            identity: &caller.identity(),
            at,
            service: "ssm",
            name,
            region: place.region,
            address: &caller.address,
            user_agent: &caller.user_agent,
            error: denied.then_some("AccessDenied"),
            error_message: denied.then_some(&*message),
            request: (!denied).then_some(&*request),
            request_id: &uuid(&mut self.random),
            event_id: &event_id,
            resources: (!denied).then_some(&*resources),
            account: caller.account(),
            endpoint: caller.endpoint.as_deref(),
            endpoint_account: caller.endpoint.is_some().then(|| caller.account()),
            tls: caller.invoked_by.is_none(),
            from_console: caller.console,
            ..Record::default()
        }
        .text();
        if self.emit(place, at, &event_id, json, false) {
            for &parameter in parameters {
                self.account_for(at, &event_id, caller, parameter, !denied, None);
                if !denied && self.cast.secrets[parameter].kind == Kind::Secure {
                    self.evidence(at, caller, parameter, "");
                }
            }
        }
        event_id
    }

    /// `GetParametersByPath`: the names under the path are not logged; `SecureString`s leave KMS evidence.
    pub(crate) fn get_path(&mut self, at: i64, caller: &Caller, path: &str, under: &[usize]) -> String {
        let Some(&first) = under.first() else { return String::new() };
        let place = self.cast.secrets[first].place;
        let request = Object::new()
            .string("path", path)
            .flag("recursive", true)
            .flag("withDecryption", true)
            .raw("maxResults", "10")
            .end();
        let event_id = uuid(&mut self.random);
        let json = Record {
            version: "1.08",
            identity: &caller.identity(),
            at,
            service: "ssm",
            name: "GetParametersByPath",
            region: place.region,
            address: &caller.address,
            user_agent: &caller.user_agent,
            request: Some(&request),
            request_id: &uuid(&mut self.random),
            event_id: &event_id,
            account: caller.account(),
            endpoint: caller.endpoint.as_deref(),
            endpoint_account: caller.endpoint.is_some().then(|| caller.account()),
            ..Record::default()
        }
        .text();
        if self.emit(place, at, &event_id, json, false) {
            for &parameter in under {
                if self.cast.secrets[parameter].kind == Kind::Secure {
                    self.account_for(at, &event_id, caller, parameter, true, None);
                    self.evidence(at, caller, parameter, "");
                }
            }
            self.paths.push((place, path.to_owned(), at));
        }
        event_id
    }

    /// `GetParameter` without decryption: the answer is ciphertext, and KMS sees nothing.
    pub(crate) fn get_ciphertext(&mut self, at: i64, caller: &Caller, parameter: usize) -> String {
        let owner = &self.cast.secrets[parameter];
        let place = owner.place;
        let resource = Object::new().string("ARN", &owner.id).string("accountId", place.account).end();
        let request = Object::new().string("name", &owner.name).flag("withDecryption", false).end();
        let mut call = Call::read("ssm", "GetParameter", Some(request));
        call.resources = Some(format!("[{resource}]"));
        let event_id = self.call(place, at, caller, call);
        if self.delivered(place, at) {
            self.account_for(at, &event_id, caller, parameter, true, None);
        }
        event_id
    }

    /// A `Decrypt` that the caller makes itself, with the encryption context of a parameter.
    pub(crate) fn decrypt_by_hand(&mut self, at: i64, caller: &Caller, parameter: usize) -> String {
        let owner = &self.cast.secrets[parameter];
        let context = Object::new().string("PARAMETER_ARN", &owner.id).end();
        let request =
            Object::new().string("encryptionAlgorithm", "SYMMETRIC_DEFAULT").raw("encryptionContext", &context).end();
        let key = Object::new()
            .string("accountId", owner.place.account)
            .string("type", "AWS::KMS::Key")
            .string("ARN", &owner.key_arn)
            .end();
        let mut call = Call::read("kms", "Decrypt", Some(request));
        call.resources = Some(format!("[{key}]"));
        self.call(owner.place, at, caller, call)
    }

    /// A secret of Secrets Manager read through Parameter Store's pass-through name.
    pub(crate) fn get_reference(&mut self, at: i64, caller: &Caller, secret: usize) {
        let owner = &self.cast.secrets[secret];
        let place = owner.place;
        let name = format!("/aws/reference/secretsmanager/{}", owner.name);
        let request = Object::new().string("name", &name).flag("withDecryption", true).end();
        let event_id = uuid(&mut self.random);
        let json = Record {
            version: "1.08",
            identity: &caller.identity(),
            at,
            service: "ssm",
            name: "GetParameter",
            region: place.region,
            address: &caller.address,
            user_agent: &caller.user_agent,
            request: Some(&request),
            request_id: &uuid(&mut self.random),
            event_id: &event_id,
            account: caller.account(),
            endpoint: caller.endpoint.as_deref(),
            endpoint_account: caller.endpoint.is_some().then(|| caller.account()),
            ..Record::default()
        }
        .text();
        if self.emit(place, at, &event_id, json, false) {
            let version = self.current(secret, at);
            self.account_for(at, &event_id, caller, secret, true, Some(version.clone()));
            self.evidence(at, caller, secret, &version);
        }
    }
}
