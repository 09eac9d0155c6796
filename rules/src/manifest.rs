//! `rule.toml`: what a rule is, when it runs, what it asks for and how it speaks.
//!
//! In: TOML text. Out: a [`Manifest`] whose every value has been checked. Unknown keys, wrong types and templates that
//! do not parse are errors with line and column.

use std::collections::BTreeMap;

use keytrail_model::{Action, AlertClass, CredentialKind, Micros, Outcome, PrincipalKind, Severity, time::DAY};
use serde::Deserialize;

use crate::{
    error::{Position, RuleError, RuleErrorKind},
    param::{ParamSpec, ParamValue, parse_duration},
    template::Templates,
};

/// Rules look back over hours, not over history: rows further back are the state's business.
const LOOKS_BACK_MAX: Micros = 7 * DAY;

/// The manifest's file name.
pub const FILE: &str = "rule.toml";

/// Names that the configuration's `[rules.ID]` keeps for itself, and that the engine binds by itself.
pub const RESERVED: [&str; 4] = ["enabled", "severity", "state", "as_of"];

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// Over the new rows of each batch.
    Batch,
    /// Over the whole state, each time the horizon has advanced by `every`.
    Schedule,
}

/// Whether what a rule finds is told to anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    #[default]
    On,
    /// Findings are recorded as suppressed alerts and sent nowhere: a rule on trial.
    Shadow,
}

/// Which new rows make a batch rule worth running: all that is given must agree with one row. Saves planning SQL that
/// cannot find anything; it must never leave out a row that the SQL would report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    pub actions: Vec<String>,
    pub outcomes: Vec<String>,
    /// Exact names of events.
    pub event_names: Vec<String>,
    pub principal_kinds: Vec<String>,
    pub credential_kinds: Vec<String>,
}

/// One line of the "why odd" table that the rule itself measures: templates over the finding's columns. The engine adds
/// the habits of the principal (network, agent, hour, region) by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// What is compared.
    pub dimension: String,
    /// This finding's value.
    pub value: String,
    /// What is usual, with its number.
    pub usual: String,
    /// Columns with whole numbers: in how many of how many units the value was seen.
    pub seen: String,
    pub sample: String,
    /// What the sample counts.
    pub unit: String,
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
    pub state: RuleState,
    pub when: When,
    /// How far before a row the rule looks at `recent_events`.
    pub looks_back: Micros,
    pub why: Vec<Why>,
    /// The text it was read from, for the places of later mistakes.
    source: String,
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
    #[serde(default)]
    state: RuleState,
    #[serde(default)]
    when: When,
    looks_back: Option<String>,
    #[serde(default)]
    why: Vec<Why>,
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
        let looks_back = match &written.looks_back {
            None => 0,
            Some(text) => match parse_duration(text) {
                Some(length) if (0..=LOOKS_BACK_MAX).contains(&length) => length,
                _ => return Err(bad("looks_back", text, "a duration of at most 7 days, such as \"10m\"")),
            },
        };
        check_when(&written.when, &bad)?;
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
        for why in &written.why {
            for template in [&why.dimension, &why.value, &why.usual, &why.unit] {
                Templates::default().compiles(template).map_err(|message| {
                    let position = position_of_text(source, template);
                    RuleError::new(folder, FILE, RuleErrorKind::Template { key: "why", message }).at(position)
                })?;
            }
        }
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
            state: written.state,
            when: written.when,
            looks_back,
            why: written.why,
            source: source.to_owned(),
        })
    }

    /// Where a column's name stands in the manifest.
    pub(crate) fn place_of(&self, column: &str) -> Option<Position> {
        position_of_text(&self.source, &format!("\"{column}\""))
    }
}

/// Refuses words that no row has.
fn check_when(when: &When, bad: &dyn Fn(&str, &str, &str) -> RuleError) -> Result<(), RuleError> {
    fn words<T: Copy>(all: &[T], word: fn(&T) -> &'static str) -> Vec<&'static str> {
        all.iter().map(word).collect()
    }
    let lists = [
        ("actions", &when.actions, words(Action::ALL, |word| word.as_str())),
        ("outcomes", &when.outcomes, words(Outcome::ALL, |word| word.as_str())),
        ("principal_kinds", &when.principal_kinds, words(PrincipalKind::ALL, |word| word.as_str())),
        ("credential_kinds", &when.credential_kinds, words(CredentialKind::ALL, |word| word.as_str())),
    ];
    for (key, given, known) in lists {
        if let Some(wrong) = given.iter().find(|word| !known.contains(&word.as_str())) {
            let error = bad(key, wrong, &format!("use one of {}", known.join(", ")));
            return Err(error.suggest(wrong, known));
        }
    }
    if when.event_names.iter().any(String::is_empty) {
        return Err(bad("event_names", "", "name events, such as \"GetSecretValue\""));
    }
    Ok(())
}

/// Where a text stands.
fn position_of_text(source: &str, text: &str) -> Option<Position> {
    Some(Position::of_offset(source, source.find(text)?))
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
