//! Secrets Manager: which secret a call or service event is about, and which version.
//!
//! In: one call of `secretsmanager.amazonaws.com`. Out: exactly one [`Target`] (possibly naming no secret).
//!
//! The ARN is looked for where AWS writes it, in this order: `resources`, `additionalEventData`, `serviceEventDetails`,
//! the `requestID` of a service event, `responseElements`; then what the caller typed; then the text of a denial.
//!
//! Invariant: `BatchGetSecretValue` names no secret: each secret it reads has a `GetSecretValue` event of its own.

use std::borrow::Cow;

use keytrail_model::{Outcome, Resolution, VersionEvidence};

use super::{
    call::Call,
    denied,
    target::{self, Target},
    wire::Fields,
};

/// The secret that a call is about.
pub(super) fn target(call: &Call<'_>) -> Target {
    if call.name == "BatchGetSecretValue" {
        return Target::NONE;
    }
    let response = Fields::of(call.wire.response);
    let Some(secret) = secret(call, &response) else { return Target::NONE };
    match version(call, &response) {
        Some((id, stage, evidence)) => secret.with_version(id, stage, evidence),
        None => secret,
    }
}

fn secret(call: &Call<'_>, response: &Fields<'_>) -> Option<Target> {
    let typed = call
        .request
        .text("secretId")
        .or_else(|| (call.name == "CreateSecret").then(|| call.request.text("name")).flatten());
    written_by_aws(call, response)
        .or_else(|| typed.map(|typed| target::secret_as_typed(&typed, call.home(), Resolution::Arn)))
        .or_else(|| {
            let named = Fields::of(call.wire.additional).text("secretId").filter(|_| call.is_service_event)?;
            Some(target::secret_as_typed(&named, call.home(), Resolution::Arn))
        })
        .or_else(|| {
            let message = call.denial()?;
            let named = denied::resources(message).into_iter().next()?;
            Some(target::secret_as_typed(named, call.home(), Resolution::ErrorMessage))
        })
}

/// The ARN where AWS itself wrote it.
fn written_by_aws(call: &Call<'_>, response: &Fields<'_>) -> Option<Target> {
    let resource = call.resources().iter().find_map(|arn| target::secret_written_by_aws(arn));
    if resource.is_some() {
        return resource;
    }
    let named = |fields: &Fields<'_>| {
        ["secretId", "arn", "secretArn"]
            .iter()
            .filter_map(|key| fields.text(key))
            .find_map(|arn| target::secret_written_by_aws(&arn))
    };
    named(&Fields::of(call.wire.additional))
        .or_else(|| named(&Fields::of(call.wire.service_details)))
        .or_else(|| call.service_request_id().and_then(|id| target::secret_written_by_aws(request_id_parts(&id)?.0)))
        .or_else(|| named(response))
}

/// The ARN, and the version if it is a rotation, in `Rotation-ARN-UUID` or `SecretDeleteMessage:ARN:TIME:Forced`.
fn request_id_parts(request_id: &str) -> Option<(&str, Option<&str>)> {
    let at = request_id.find("arn:")?;
    let (before, rest) = request_id.split_at_checked(at)?;
    let end = rest.match_indices(':').nth(6).map_or(rest.len(), |(at, _)| at);
    let arn = rest.get(..end)?;
    let is_rotation = before.to_ascii_lowercase().contains("rotation");
    let uuid_at = arn.len().checked_sub(37).filter(|_| is_rotation);
    let version = uuid_at
        .and_then(|at| arn.get(at..))
        .and_then(|end| end.strip_prefix('-'))
        .filter(|uuid| target::is_version_id(uuid));
    match (version, uuid_at) {
        (Some(version), Some(at)) => Some((arn.get(..at)?, Some(version))),
        _ => Some((arn, None)),
    }
}

type Version = (Option<String>, Option<String>, VersionEvidence);

/// The version that a call asked for or made.
fn version(call: &Call<'_>, response: &Fields<'_>) -> Option<Version> {
    let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    let made = if call.outcome == Outcome::Ok { VersionEvidence::Event } else { VersionEvidence::Request };
    let request = &call.request;
    Some(match call.name.as_ref() {
        "PutSecretValue" => {
            let id = response.text("versionId").or_else(|| request.text("clientRequestToken"));
            (owned(id), stages(&request.texts("versionStages")), made)
        }
        "UpdateSecret" | "CreateSecret" | "RotateSecret" => {
            (owned(response.text("versionId")), None, VersionEvidence::Event)
        }
        "UpdateSecretVersionStage" => {
            (owned(request.text("moveToVersionId")), owned(request.text("versionStage")), made)
        }
        _ if call.is_service_event => {
            let id = call.service_request_id().and_then(|id| request_id_parts(&id)?.1.map(str::to_owned));
            let id = id.or_else(|| owned(Fields::of(call.wire.additional).text("versionId")));
            (id, None, VersionEvidence::Event)
        }
        _ => (owned(request.text("versionId")), owned(request.text("versionStage")), VersionEvidence::Request),
    })
}

/// The stage that matters: `AWSCURRENT` if it is among them.
fn stages(stages: &[Cow<'_, str>]) -> Option<String> {
    if stages.is_empty() {
        return None;
    }
    Some(if stages.iter().any(|stage| stage == "AWSCURRENT") { "AWSCURRENT".to_owned() } else { stages.join(",") })
}

#[cfg(test)]
mod tests {
    use super::request_id_parts;

    #[test]
    fn takes_service_request_ids_apart() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AbCdEf";
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(request_id_parts(&format!("Rotation-{arn}-{uuid}")), Some((arn, Some(uuid))));
        assert_eq!(request_id_parts(&format!("Rotation-{arn}")), Some((arn, None)));
        assert_eq!(request_id_parts(&format!("SecretDeleteMessage:{arn}:2023:Forced")), Some((arn, None)));
        assert_eq!(request_id_parts(uuid), None);
    }
}
