//! `rule.toml`: what a rule is, when it runs, what it asks for and how it speaks.
//!
//! In: TOML text. Out: a [`Manifest`] whose every value has been checked. Unknown keys, wrong types and templates that
//! do not parse are errors with line and column.

use std::collections::BTreeMap;

use keytrail_model::{AlertClass, Micros, Severity};
use serde::Deserialize;

use crate::{
    error::{Position, RuleError, RuleErrorKind},
    param::{ParamSpec, ParamValue, parse_duration},
    template::Templates,
};

/// The manifest's file name.
pub const FILE: &str = "rule.toml";

/// Names that the configuration's `[rules.ID]` keeps for itself, and that the engine binds by itself.
pub const RESERVED: [&str; 3] = ["enabled", "severity", "as_of"];

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// Over the new rows of each batch.
    Batch,
    /// Over the whole state, each time the horizon has advanced by `every`.
    Schedule,
}

/// A checked manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub id: String,
    pub title: String,
    pub version: String,
    pub severity: Severity,
    pub class: AlertClass,
    pub attack: Vec<String>,
    pub description: String,
    pub run: Vec<Run>,
    pub every: Option<Micros>,
    pub fold_by: Vec<String>,
    pub episode_gap: Micros,
    pub params: BTreeMap<String, Param>,
    pub text: Text,
}

/// A parameter with its checked default.
#[derive(Clone, Debug)]
pub struct Param {
    pub spec: ParamSpec,
    pub default: ParamValue,
}

/// The templates of a rule's words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// A few words for one finding.
    pub title: String,
    /// One sentence for one finding: what is odd, compared with what is usual.
    pub reason: String,
    /// The same for an alert over several secrets; they see the alert's own fields only.
    pub folded_title: Option<String>,
    pub folded_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    title: String,
    version: String,
    severity: Severity,
    #[serde(default = "detection")]
    class: AlertClass,
    #[serde(default)]
    attack: Vec<String>,
    description: String,
    run: Vec<Run>,
    every: Option<String>,
    fold_by: Vec<String>,
    episode_gap: String,
    #[serde(default)]
    param: BTreeMap<String, ParamSpec>,
    text: Text,
}

fn detection() -> AlertClass {
    AlertClass::Detection
}

impl Manifest {
    /// Reads and checks a manifest. `folder` names the pack in errors and must be its id.
    pub fn parse(folder: &str, source: &str) -> Result<Self, RuleError> {
        let written: Written = toml::from_str(source).map_err(|error| toml_error(folder, FILE, source, &error))?;
        let bad = |key: &str, given: &str, expected: &str| {
            let kind = RuleErrorKind::BadValue { key: key.into(), given: given.into(), expected: expected.into() };
            RuleError::new(folder, FILE, kind).at(position_of_key(source, key))
        };
        if written.id != folder {
            return Err(bad("id", &written.id, &format!("it must be the folder's name, `{folder}`")));
        }
        if written.id.is_empty()
            || !written.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            return Err(bad("id", &written.id, "use lower-case letters, digits and `_`"));
        }
        if written.run.is_empty() {
            return Err(bad("run", "[]", "name \"batch\", \"schedule\" or both"));
        }
        if written.fold_by.is_empty() {
            return Err(bad("fold_by", "[]", "name at least one column"));
        }
        let every = match (&written.every, written.run.contains(&Run::Schedule)) {
            (Some(text), true) => match parse_duration(text) {
                Some(length) if length > 0 => Some(length),
                _ => return Err(bad("every", text, "a duration such as \"6h\"")),
            },
            (None, false) => None,
            (None, true) => return Err(bad("run", "schedule", "a scheduled rule says how often with `every`")),
            (Some(text), false) => return Err(bad("every", text, "only a scheduled rule has it")),
        };
        let episode_gap = parse_duration(&written.episode_gap)
            .ok_or_else(|| bad("episode_gap", &written.episode_gap, "a duration"))?;
        let mut params = BTreeMap::new();
        for (name, spec) in written.param {
            if RESERVED.contains(&name.as_str()) {
                return Err(bad(&name, "[param]", "this name is reserved"));
            }
            let default = ParamValue::from_toml(spec.param_type, &spec.default).ok_or_else(|| {
                let (expected, given) = (spec.param_type.described(), spec.default.to_string());
                let kind = RuleErrorKind::BadParameter { name: name.clone(), expected, given };
                RuleError::new(folder, FILE, kind).at(position_of_key(source, &format!("[param.{name}]")))
            })?;
            params.insert(name, Param { spec, default });
        }
        Templates::check(folder, &written.text)?;
        Ok(Self {
            id: written.id,
            title: written.title,
            version: written.version,
            severity: written.severity,
            class: written.class,
            attack: written.attack,
            description: written.description,
            run: written.run,
            every,
            fold_by: written.fold_by,
            episode_gap,
            params,
            text: written.text,
        })
    }
}

/// Turns a TOML error into ours: place, message and the key probably meant.
pub(crate) fn toml_error(rule_id: &str, file: &str, source: &str, error: &toml::de::Error) -> RuleError {
    let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
    // serde words it "unknown field `x`, expected one of `a`, `b`": the names stand between backticks.
    let mut named = message.split('`').skip(1).step_by(2);
    let typed = named.next().unwrap_or_default().to_owned();
    let suggestion = message.starts_with("unknown").then(|| crate::error::nearest(&typed, named)).flatten();
    let suggestion = suggestion.map(str::to_owned);
    let position = error.span().map(|span| Position::of_offset(source, span.start));
    let kind = RuleErrorKind::Syntax(message);
    RuleError { rule_id: rule_id.to_owned(), file: file.to_owned(), position, kind, suggestion }
}

/// The line that begins with the key.
fn position_of_key(source: &str, key: &str) -> Option<Position> {
    let line = source.lines().position(|line| line.trim_start().starts_with(key))?;
    Some(Position { line: line + 1, column: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
id = "r"
title = "A rule"
version = "1"
severity = "medium"
description = "What it does."
run = ["batch"]
fold_by = ["principal_id"]
episode_gap = "24h"

[param.learning]
type = "duration"
default = "7d"
doc = "How long."

[text]
title = "t"
reason = "{{ principal_id | principal }} did it"
"#;

    #[test]
    fn a_manifest_reads() {
        let manifest = Manifest::parse("r", GOOD).expect("good");
        assert_eq!(manifest.params["learning"].default.to_string(), "7d");
        assert_eq!(manifest.class, AlertClass::Detection);
    }

    #[test]
    fn mistakes_have_a_place_and_a_hint() {
        let cases = [
            (
                "title = \"A rule\"",
                "titel = \"A rule\"",
                "r/rule.toml:3:1: unknown field `titel`",
                "did you mean `title`?",
            ),
            ("\"medium\"", "\"mediun\"", "r/rule.toml:5:12: unknown variant `mediun`", "did you mean `medium`?"),
            ("default = \"7d\"", "default = 7", "r/rule.toml:11:1: parameter `learning` must be a duration", "not `7`"),
            ("run = [\"batch\"]", "run = [\"schedule\"]", "r/rule.toml:7:1:", "`every`"),
            ("\"24h\"", "\"a day\"", "r/rule.toml:9:1: `episode_gap` is `a day`", "a duration"),
            ("id = \"r\"", "id = \"s\"", "r/rule.toml:2:1:", "the folder's name"),
            ("| principal }}", "| principle }}", "r/rule.toml: the template of `reason` does not work", "principle"),
            ("[param.learning]", "[param.as_of]", "reserved", ""),
        ];
        for (from, to, place, hint) in cases {
            let error = Manifest::parse("r", &GOOD.replace(from, to)).expect_err(to).to_string();
            assert!(error.contains(place) && error.contains(hint), "{to}: {error}");
        }
    }
}
