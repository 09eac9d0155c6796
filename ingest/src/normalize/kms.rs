//! KMS: the calls behind a read or a write of a secret, which name it (and its version) in their encryption context.
//!
//! In: one call of `kms.amazonaws.com`. Out: the secret, or nothing if no context names one.
//!
//! Invariant: a `Decrypt` is evidence about a read and never another read. The probe that Secrets Manager makes when a key
//! is set (`RequestToValidateKeyAccess`) is no version, and its action is `other`.

use keytrail_model::{Action, Resolution, VersionEvidence};

use super::{
    call::Call,
    target::{self, Parameter, Target},
    wire::Fields,
};

const KEY_PROBE: &str = "RequestToValidateKeyAccess";

/// The secret in the encryption context, and what was done.
pub(super) fn target(call: &Call<'_>, action: Action) -> Option<(Target, Action)> {
    let request = &call.request;
    let grant = request.object("constraints");
    [
        request.object("encryptionContext"),
        request.object("sourceEncryptionContext"),
        request.object("destinationEncryptionContext"),
        grant.object("encryptionContextSubset"),
        grant.object("encryptionContextEquals"),
    ]
    .iter()
    .find_map(|context| of_context(call, context, action))
}

fn of_context(call: &Call<'_>, context: &Fields<'_>, action: Action) -> Option<(Target, Action)> {
    if context.is_empty() {
        return None;
    }
    let secret = context
        .text("SecretARN")
        .and_then(|arn| target::secret_written_by_aws(&arn))
        .or_else(|| context.all_texts().find_map(|text| target::secret_written_by_aws(&text)));
    if let Some(secret) = secret {
        let version = context.text("SecretVersionId");
        return Some(match version.as_deref() {
            Some(KEY_PROBE) => (secret, Action::Other),
            version => (secret.with_version(version.map(str::to_owned), None, VersionEvidence::Kms), action),
        });
    }
    let parameter =
        context.text("PARAMETER_ARN").or_else(|| context.all_texts().find(|text| text.contains(":ssm:")))?;
    if !parameter.contains(":parameter") {
        return None;
    }
    match target::parameter(&parameter, call.home()) {
        Parameter::Secret(target) => Some((Target { resolution: Resolution::Arn, ..target }, action)),
        Parameter::Public => None,
    }
}
