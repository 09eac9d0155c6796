//! Parameter Store: which parameters a call is about.
//!
//! In: one call of `ssm.amazonaws.com`. Out: one [`Target`] for each parameter, or why there is none.
//!
//! Invariants: targets are distinct by id; a whole path is one target; names of public parameters are left out; what a
//! list holds is bounded, because AWS allows ten names and a forged record could hold a hundred thousand.

use std::borrow::Cow;

use keytrail_model::{Outcome, Resolution, VersionEvidence, arn::Arn};

use super::{
    call::Call,
    denied,
    error::{IgnoredReason, RecordError},
    target::{self, Parameter, Target},
    wire::Fields,
};

/// AWS allows ten.
const MAX_NAMES: usize = 50;

/// The parameters that a call is about.
pub(super) fn targets(call: &Call<'_>) -> Result<Result<Vec<Target>, IgnoredReason>, RecordError> {
    Ok(match call.name.as_ref() {
        "DescribeParameters" => Ok(vec![Target::NONE]),
        "GetParametersByPath" => by_path(call),
        "PutResourcePolicy" | "DeleteResourcePolicy" | "GetResourcePolicies" => of_resource(call, "resourceArn"),
        "ListTagsForResource" | "AddTagsToResource" | "RemoveTagsFromResource" => of_tags(call),
        _ => by_name(call)?,
    })
}

fn by_path(call: &Call<'_>) -> Result<Vec<Target>, IgnoredReason> {
    let asked = call.request.text("path").map(|path| (path, Resolution::Path));
    let found = asked.or_else(|| {
        let named = call.resources().into_iter().find(|arn| is_parameter_arn(arn)).map(|arn| (arn, Resolution::Path));
        named.or_else(|| {
            let named = denied::resources(call.denial()?).into_iter().find(|arn| is_parameter_arn(arn))?;
            Some((Cow::Owned(named.to_owned()), Resolution::ErrorMessage))
        })
    });
    match found {
        None => Ok(vec![Target::NONE]),
        Some((path, _)) if target::is_public_path(&path) => Err(IgnoredReason::PublicParameter),
        Some((path, resolution)) => match target::parameter_path(&path, call.home(), resolution) {
            Parameter::Public => Err(IgnoredReason::PublicParameter),
            Parameter::Secret(target) => Ok(vec![target]),
        },
    }
}

fn by_name(call: &Call<'_>) -> Result<Result<Vec<Target>, IgnoredReason>, RecordError> {
    let mut names = call.request.texts("names");
    names.extend(call.request.text("name"));
    let resources = call.resources();
    for (field, count) in [("requestParameters.names", names.len()), ("resources", resources.len())] {
        if count > MAX_NAMES {
            return Err(RecordError::TooMany { field, count, limit: MAX_NAMES });
        }
    }
    let resources: Vec<Parameter> =
        resources.iter().filter(|arn| is_parameter_arn(arn)).map(|arn| target::parameter(arn, call.home())).collect();
    let mut found = Found::default();
    for name in &names {
        found.add(matched(target::parameter(name, call.home()), &resources));
    }
    if names.is_empty() {
        resources.into_iter().for_each(|resource| found.add(resource));
    }
    if found.is_empty() {
        // Null or omitted parameters: the denial may still name them.
        for named in call.denial().map(denied::resources).unwrap_or_default().into_iter().take(MAX_NAMES) {
            if let (true, Parameter::Secret(named)) = (is_parameter_arn(named), target::parameter(named, call.home())) {
                found.add(Parameter::Secret(Target { resolution: Resolution::ErrorMessage, ..named }));
            }
        }
    }
    let version = version(call);
    Ok(found.finish().map(|targets| match version {
        Some((id, stage, evidence)) => {
            targets.into_iter().map(|target| target.with_version(id.clone(), stage.clone(), evidence)).collect()
        }
        None => targets,
    }))
}

/// The name that was asked for, with the ARN that AWS gave for it in `resources`, if it gave one.
fn matched(asked: Parameter, resources: &[Parameter]) -> Parameter {
    let Parameter::Secret(asked) = asked else { return asked };
    let same = resources.iter().find_map(|resource| match resource {
        Parameter::Secret(given) if given.id == asked.id => Some(given),
        // A bare name of a parameter that another account shares: the resource has that account's ARN.
        Parameter::Secret(given) if asked.resolution == Resolution::Name && same_name(given, &asked) => Some(given),
        _ => None,
    });
    match same {
        Some(given) if asked.resolution == Resolution::Name => Parameter::Secret(Target {
            id: given.id.clone(),
            account: given.account.clone(),
            region: given.region.clone(),
            resolution: Resolution::Arn,
            ..asked
        }),
        _ => Parameter::Secret(asked),
    }
}

fn same_name(one: &Target, other: &Target) -> bool {
    let plain = |target: &Target| target.name.as_deref().map(|name| name.trim_start_matches('/').to_owned());
    one.kind == other.kind && plain(one) == plain(other)
}

/// The version that a write made, or that a label was put on.
fn version(call: &Call<'_>) -> Option<(Option<String>, Option<String>, VersionEvidence)> {
    let made = if call.outcome == Outcome::Ok { VersionEvidence::Event } else { VersionEvidence::Request };
    match call.name.as_ref() {
        "PutParameter" => {
            let version = Fields::of(call.wire.response).text("version")?.into_owned();
            Some((Some(version), None, made))
        }
        "LabelParameterVersion" | "UnlabelParameterVersion" => {
            let labels = call.request.texts("labels");
            let labels = (!labels.is_empty()).then(|| labels.join(","));
            Some((call.request.text("parameterVersion").map(Cow::into_owned), labels, made))
        }
        _ => None,
    }
}

fn of_resource(call: &Call<'_>, key: &str) -> Result<Vec<Target>, IgnoredReason> {
    let asked = call.request.text(key).filter(|arn| is_parameter_arn(arn));
    let found = asked.or_else(|| call.resources().into_iter().find(|arn| is_parameter_arn(arn))).or_else(|| {
        let named = denied::resources(call.denial()?).into_iter().find(|arn| is_parameter_arn(arn))?;
        Some(Cow::Owned(named.to_owned()))
    });
    let arn = found.ok_or(IgnoredReason::NotAboutSecrets)?;
    let mut found = Found::default();
    found.add(target::parameter(&arn, call.home()));
    found.finish()
}

/// Tags are put on many things; only those on parameters matter.
fn of_tags(call: &Call<'_>) -> Result<Vec<Target>, IgnoredReason> {
    let sort = call.request.text("resourceType");
    match (sort.as_deref(), call.request.text("resourceId")) {
        (Some("Parameter"), Some(name)) => {
            let mut found = Found::default();
            found.add(target::parameter(&name, call.home()));
            found.finish()
        }
        (Some("Parameter"), None) => Ok(vec![Target::NONE]),
        (Some(_), _) => Err(IgnoredReason::NotAboutSecrets),
        (None, _) => of_resource(call, "resourceId"),
    }
}

fn is_parameter_arn(text: &str) -> bool {
    Arn::parse(text).is_some_and(|arn| arn.service == "ssm" && arn.resource.starts_with("parameter/"))
}

/// Distinct targets, and whether public parameters were among what was asked for.
#[derive(Default)]
struct Found {
    targets: Vec<Target>,
    has_public: bool,
}

impl Found {
    fn add(&mut self, parameter: Parameter) {
        match parameter {
            Parameter::Public => self.has_public = true,
            Parameter::Secret(target) if self.targets.iter().any(|known| known.id == target.id) => {}
            Parameter::Secret(target) => self.targets.push(target),
        }
    }

    fn is_empty(&self) -> bool {
        self.targets.is_empty() && !self.has_public
    }

    fn finish(self) -> Result<Vec<Target>, IgnoredReason> {
        match (self.targets.is_empty(), self.has_public) {
            (false, _) => Ok(self.targets),
            (true, true) => Err(IgnoredReason::PublicParameter),
            (true, false) => Ok(vec![Target::NONE]),
        }
    }
}
