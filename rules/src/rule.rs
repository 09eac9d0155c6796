//! A pack with the user's settings applied: what the engine runs.

use std::{collections::BTreeMap, sync::Arc};

use keytrail_model::{Micros, Severity};

use crate::{
    bind,
    error::{RuleError, RuleErrorKind},
    manifest::{FILE, RESERVED, RuleState, Run},
    pack::Pack,
    param::ParamValue,
};

/// How errors name the configuration's `[rules.ID]`.
const CONFIG: &str = "config";

/// A rule, ready to run.
#[derive(Clone, Debug)]
pub struct Rule {
    pub pack: Arc<Pack>,
    pub enabled: bool,
    pub severity: Severity,
    /// Whether what it finds is told to anybody.
    pub state: RuleState,
    pub params: BTreeMap<String, ParamValue>,
}

impl Rule {
    /// Applies `[rules.ID]` to a pack.
    pub fn resolve(pack: Arc<Pack>, overrides: Option<&toml::Table>) -> Result<Self, RuleError> {
        let manifest = &pack.manifest;
        let mut params: BTreeMap<String, ParamValue> =
            manifest.params.iter().map(|(name, param)| (name.clone(), param.default.clone())).collect();
        let (mut enabled, mut severity, mut state) = (true, manifest.severity, manifest.state);
        let wrong = |key: &str, given: &toml::Value, expected: &'static str| {
            let kind = RuleErrorKind::BadParameter { name: key.to_owned(), expected, given: given.to_string() };
            RuleError::new(&manifest.id, CONFIG, kind)
        };
        for (key, value) in overrides.into_iter().flatten() {
            match key.as_str() {
                "enabled" => enabled = value.as_bool().ok_or_else(|| wrong(key, value, "boolean"))?,
                "severity" => {
                    let parsed = value.as_str().and_then(|text| text.parse().ok());
                    severity =
                        parsed.ok_or_else(|| wrong(key, value, "severity (info, low, medium, high, critical)"))?;
                }
                "state" => {
                    state = match value.as_str() {
                        Some("on") => RuleState::On,
                        Some("shadow") => RuleState::Shadow,
                        _ => return Err(wrong(key, value, "state (on, shadow)")),
                    };
                }
                _ => {
                    let Some(param) = manifest.params.get(key) else {
                        let known = manifest.params.keys().map(String::as_str).chain(RESERVED);
                        return Err(RuleError::new(&manifest.id, CONFIG, RuleErrorKind::UnknownParameter(key.clone()))
                            .suggest(key, known));
                    };
                    let param_type = param.spec.param_type;
                    let parsed = ParamValue::from_toml(param_type, value);
                    params.insert(key.clone(), parsed.ok_or_else(|| wrong(key, value, param_type.described()))?);
                }
            }
        }
        Ok(Self { enabled, severity, state, params, pack })
    }

    pub fn id(&self) -> &str {
        &self.pack.manifest.id
    }

    pub fn runs(&self, run: Run) -> bool {
        self.pack.manifest.run.contains(&run)
    }

    /// Every SQL text of the rule.
    pub(crate) fn sql_texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.pack.detect_sql.as_str()).chain(self.pack.views.values().map(String::as_str))
    }

    /// Whether its SQL asks for the judging's "now", so that it says something else each time.
    pub(crate) fn is_of_the_moment(&self) -> bool {
        self.sql_texts().any(|sql| bind::names(sql).any(|name| name == "as_of"))
    }

    /// `detect.sql` with its parameters and `$as_of` in place.
    pub fn detect_sql(&self, as_of: Micros) -> Result<String, RuleError> {
        self.bound("detect.sql", &self.pack.detect_sql, as_of)
    }

    /// One of the pack's views with its parameters and `$as_of` in place: SQL for reports, over the lake's own views.
    pub fn view_sql(&self, name: &str, as_of: Micros) -> Result<String, RuleError> {
        let file = format!("{name}.sql");
        let sql =
            self.pack.views.get(name).ok_or_else(|| RuleError::new(self.id(), &file, RuleErrorKind::MissingFile))?;
        self.bound(&file, sql, as_of)
    }

    fn bound(&self, file: &str, sql: &str, as_of: Micros) -> Result<String, RuleError> {
        let mut params = self.params.clone();
        params.insert("as_of".to_owned(), ParamValue::Moment(as_of));
        bind::bind(sql, &params).map_err(|unbound| RuleError {
            rule_id: self.id().to_owned(),
            file: file.to_owned(),
            position: Some(unbound.position),
            kind: RuleErrorKind::UnknownParameter(unbound.name),
            suggestion: unbound.suggestion,
        })
    }

    /// An error about this rule's manifest.
    pub(crate) fn error(&self, file: &str, kind: RuleErrorKind) -> RuleError {
        RuleError::new(self.id(), if file.is_empty() { FILE } else { file }, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Packs;

    fn resolve(config: &str) -> Result<Rule, RuleError> {
        let packs = Packs::load(None);
        let pack = packs.find("new_principal").expect("built in").clone();
        Rule::resolve(pack, Some(&config.parse().expect("TOML")))
    }

    #[test]
    fn the_configuration_overrides_defaults() {
        let rule =
            resolve("learning = \"14d\"\nseverity = \"high\"\nenabled = false\nstate = \"shadow\"").expect("good");
        assert_eq!(rule.state, RuleState::Shadow);
        assert_eq!(rule.params["learning"].to_string(), "14d");
        assert_eq!((rule.severity, rule.enabled), (Severity::High, false));
        assert!(rule.detect_sql(0).expect("bound").contains("INTERVAL '1209600 seconds'"));
    }

    #[test]
    fn mistakes_in_the_configuration_are_named() {
        for (config, message) in [
            ("lerning = \"7d\"", "new_principal/config: there is no parameter `lerning` (did you mean `learning`?)"),
            (
                "learning = 7",
                "new_principal/config: parameter `learning` must be a duration such as \"7d\" or \"24h\", not `7`",
            ),
            ("state = \"off\"", "new_principal/config: parameter `state` must be a state (on, shadow)"),
            ("severity = \"loud\"", "new_principal/config: parameter `severity` must be a severity"),
        ] {
            let error = resolve(config).expect_err(config).to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
