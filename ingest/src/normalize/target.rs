//! Which secret a text means.
//!
//! In: what a caller typed or AWS wrote (names, full and partial ARNs, selectors, references). Out: [`Target`] with the
//! canonical id of `product.md`, or the text as typed and `unresolved`.
//!
//! Invariants: a Secrets Manager id is called `arn` only when AWS itself wrote it or it has the six-character suffix;
//! parameters always have a constructible ARN with exactly one `/` after `parameter` and never a selector.

use keytrail_model::{
    Resolution, SecretKind, VersionEvidence,
    arn::{self, Arn},
};

/// One secret that a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) kind: Option<SecretKind>,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    pub(super) resolution: Resolution,
    pub(super) version_id: Option<String>,
    pub(super) version_stage: Option<String>,
    pub(super) evidence: Option<VersionEvidence>,
}

impl Target {
    /// The record names no secret.
    pub(super) const NONE: Self = Self {
        id: None,
        name: None,
        kind: None,
        account: None,
        region: None,
        resolution: Resolution::None,
        version_id: None,
        version_stage: None,
        evidence: None,
    };

    /// Adds a version; the evidence is kept only if there is something to be known.
    pub(super) fn with_version(
        mut self,
        version_id: Option<String>,
        version_stage: Option<String>,
        evidence: VersionEvidence,
    ) -> Self {
        if version_id.is_some() || version_stage.is_some() {
            (self.version_id, self.version_stage, self.evidence) = (version_id, version_stage, Some(evidence));
        }
        self
    }
}

/// The account and region that a bare name belongs to: those of the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
}

/// The part of a Secrets Manager ARN after `secret:`, if the text is one.
fn secret_resource<'a>(arn: &Arn<'a>) -> Option<&'a str> {
    (arn.service == "secretsmanager").then(|| arn.resource.strip_prefix("secret:")).flatten()
}

/// A Secrets Manager secret from an ARN that AWS wrote; `None` if it is another service's.
pub(super) fn secret_written_by_aws(text: &str) -> Option<Target> {
    let arn = Arn::parse(text)?;
    secret_resource(&arn)?;
    Some(secret_of_arn(text, &arn, Resolution::Arn))
}

fn secret_of_arn(text: &str, arn: &Arn<'_>, resolution: Resolution) -> Target {
    Target {
        id: Some(text.to_owned()),
        name: arn::secret_name(text).map(str::to_owned),
        kind: Some(SecretKind::SecretsManager),
        account: (!arn.account.is_empty()).then(|| arn.account.to_owned()),
        region: (!arn.region.is_empty()).then(|| arn.region.to_owned()),
        resolution,
        ..Target::NONE
    }
}

/// A Secrets Manager secret as a caller typed it; `full` is the resolution to give when it is a full ARN.
pub(super) fn secret_as_typed(text: &str, home: Home<'_>, full: Resolution) -> Target {
    match Arn::parse(text) {
        Some(arn) if secret_resource(&arn).is_some() => {
            let resolution = if arn::has_secret_suffix(text) { full } else { Resolution::Unresolved };
            secret_of_arn(text, &arn, resolution)
        }
        _ => Target {
            id: Some(text.to_owned()),
            name: Some(text.to_owned()),
            kind: Some(SecretKind::SecretsManager),
            account: Some(home.account.to_owned()),
            region: Some(home.region.to_owned()),
            resolution: Resolution::Unresolved,
            ..Target::NONE
        },
    }
}

/// What a parameter's name turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    /// A parameter of an account, or a secret read through `/aws/reference/secretsmanager/`.
    Secret(Target),
    /// A public `/aws/service/...` parameter.
    Public,
}

/// A parameter as a caller typed it or AWS wrote it: name, path, ARN, each with or without `:selector`.
pub(super) fn parameter(text: &str, home: Home<'_>) -> Parameter {
    let arn = Arn::parse(text).filter(|arn| arn.service == "ssm" && arn.resource.starts_with("parameter"));
    let typed = arn.and_then(|arn| arn.resource.strip_prefix("parameter")).unwrap_or(text);
    let rooted = typed.trim_start_matches('/');
    if rooted.starts_with("aws/service/") {
        return Parameter::Public;
    }
    let home = Home {
        account: arn.map(|arn| arn.account).filter(|account| !account.is_empty()).unwrap_or(home.account),
        region: arn.map(|arn| arn.region).filter(|region| !region.is_empty()).unwrap_or(home.region),
    };
    if let Some(secret) = rooted.strip_prefix("aws/reference/secretsmanager/") {
        return Parameter::Secret(reference(secret, home));
    }
    let (name, selector) = match rooted.split_once(':') {
        Some((name, selector)) => (name, Some(selector).filter(|selector| !selector.is_empty())),
        None => (rooted, None),
    };
    let id = match arn {
        Some(arn) => format!("arn:{}:ssm:{}:{}:parameter/{name}", arn.partition, home.region, home.account),
        None => arn::parameter_arn(home.region, home.account, name),
    };
    let target = Target {
        id: Some(id),
        name: Some(if name.contains('/') || (arn.is_none() && typed.starts_with('/')) {
            format!("/{name}")
        } else {
            name.to_owned()
        }),
        kind: Some(SecretKind::Parameter),
        account: Some(home.account.to_owned()),
        region: Some(home.region.to_owned()),
        resolution: if arn.is_some() { Resolution::Arn } else { Resolution::Name },
        ..Target::NONE
    };
    Parameter::Secret(select(target, selector))
}

/// A parameter's selector is a version number or a label.
fn select(target: Target, selector: Option<&str>) -> Target {
    let Some(selector) = selector else { return target };
    let is_number = selector.bytes().all(|byte| byte.is_ascii_digit());
    let (id, stage) = if is_number { (Some(selector), None) } else { (None, Some(selector)) };
    target.with_version(id.map(str::to_owned), stage.map(str::to_owned), VersionEvidence::Request)
}

/// `X`, `X:versionId` or `X:stage` after `/aws/reference/secretsmanager/`, where `X` is a name or an ARN.
fn reference(text: &str, home: Home<'_>) -> Target {
    let colons = if text.starts_with("arn:") { 7 } else { 1 };
    let cut = text.match_indices(':').nth(colons - 1).map_or(text.len(), |(at, _)| at);
    let (secret, selector) = text.split_at_checked(cut).unwrap_or((text, ""));
    let target = Target { resolution: Resolution::Reference, ..secret_as_typed(secret, home, Resolution::Reference) };
    let selector = selector.trim_start_matches(':');
    match selector {
        "" => target,
        _ if is_version_id(selector) => target.with_version(Some(selector.to_owned()), None, VersionEvidence::Request),
        _ => target.with_version(None, Some(selector.to_owned()), VersionEvidence::Request),
    }
}

/// A version id of Secrets Manager: 32 to 64 characters, in practice a UUID; no stage looks like one.
pub(super) fn is_version_id(text: &str) -> bool {
    (32..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// A whole path of parameters: the id is the path's ARN ending in `/*`.
pub(super) fn parameter_path(path: &str, home: Home<'_>, resolution: Resolution) -> Parameter {
    let path = path.trim_end_matches(['/', '*']);
    match parameter(if path.is_empty() { "/" } else { path }, home) {
        Parameter::Public => Parameter::Public,
        Parameter::Secret(target) => {
            let id = target.id.as_deref().map(|id| format!("{}/*", id.trim_end_matches('/')));
            let name = target.name.as_deref().map(|name| format!("/{}", name.trim_matches('/')));
            Parameter::Secret(Target { id, name, resolution, ..target })
        }
    }
}

/// True if the path is that of the public parameters.
pub(super) fn is_public_path(path: &str) -> bool {
    let path = path.trim_matches('/');
    path == "aws/service" || path.starts_with("aws/service/")
}
