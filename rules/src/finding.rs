//! One row of a rule's SQL as a finding, in the rule's own words.
//!
//! In: a row's columns. Out: a [`Finding`] with title, reason and the measured lines of "why odd"; or an error that names
//! the template or column that does not work. Values are attacker-written; they only ever become text.

use keytrail_model::{AlertClass, Evidence, Finding, Frequency, Micros, Odd, Severity, display};
use serde_json::{Map, Value};

use crate::{
    error::{RuleError, RuleErrorKind},
    manifest::{FILE, RuleState},
    rule::Rule,
    template::Templates,
};

const DETECT: &str = "detect.sql";
/// So many lines of "why odd" are read; the rule's own come first.
pub(crate) const WHY_MAX: usize = 8;

/// One row as a finding.
pub(crate) fn finding(rule: &Rule, mut row: Map<String, Value>, templates: &Templates) -> Result<Finding, RuleError> {
    let manifest = &rule.pack.manifest;
    let text = |row: &Map<String, Value>, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |row: &Map<String, Value>, name: &str| row.get(name).and_then(Value::as_i64);
    let event_at = number(&row, "event_at")
        .ok_or_else(|| rule.error(DETECT, RuleErrorKind::Sql("a finding's `event_at` is null or no moment".into())))?;
    let secret_id = text(&row, "secret_id");
    let source_ip = text(&row, "source_ip");
    let evidence = text(&row, "event_id").map(|event_id| Evidence {
        event_at,
        event_id,
        event_name: text(&row, "event_name").unwrap_or_default(),
        secret_id: secret_id.clone(),
        source_ip,
        object_key: text(&row, "object_key").unwrap_or_default(),
        record_index: number(&row, "record_index").unwrap_or(0),
    });
    let fold_key = manifest.fold_by.iter().map(|name| row.get(name).map_or_else(String::new, plain)).collect();
    let severity = match row.get("severity") {
        None | Some(Value::Null) => rule.severity,
        Some(value) => plain(value)
            .parse::<Severity>()
            .map_err(|error| rule.error(DETECT, RuleErrorKind::Sql(error.to_string())))?,
    };
    let params = rule.params.iter().map(|(name, value)| (name.clone(), value.to_json())).collect();
    row.insert("param".to_owned(), Value::Object(params));
    let words = |key: &'static str, template: &str| {
        templates.sentence(template, &row).map_err(|message| rule.error(FILE, RuleErrorKind::Template { key, message }))
    };
    let title = words("title", &manifest.text.title)?;
    let reason = words("reason", &manifest.text.reason)?;
    let why = measured(rule, &row, templates)?;
    row.remove("param");
    Ok(Finding {
        rule_id: manifest.id.clone(),
        rule_version: manifest.version.clone(),
        // A user's lower severity for a rule also lowers what its SQL says of single findings.
        severity: if rule.severity < manifest.severity { severity.min(rule.severity) } else { severity },
        class: manifest.class,
        title,
        reason,
        fold_key,
        principal_id: text(&row, "principal_id"),
        secret_id,
        account_id: text(&row, "account_id"),
        region: text(&row, "region"),
        event_at,
        evidence,
        why,
        shadow: rule.state == RuleState::Shadow,
        columns: row,
    })
}

/// The lines of "why odd" that the rule itself measures. A line without a sample compares nothing and is left out.
fn measured(rule: &Rule, row: &Map<String, Value>, templates: &Templates) -> Result<Vec<Odd>, RuleError> {
    let words = |template: &str| {
        let said = templates.sentence(template, row);
        said.map_err(|message| rule.error(FILE, RuleErrorKind::Template { key: "why", message }))
    };
    let number = |column: &str| match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| rule.error(DETECT, RuleErrorKind::Sql(format!("the column `{column}` is no whole number")))),
    };
    let mut lines = Vec::new();
    for why in rule.pack.manifest.why.iter().take(WHY_MAX) {
        let (Some(seen), Some(sample)) = (number(&why.seen)?, number(&why.sample)?) else { continue };
        lines.push(Odd {
            dimension: words(&why.dimension)?,
            value: words(&why.value)?,
            usual: words(&why.usual)?,
            seen,
            sample,
            unit: words(&why.unit)?,
            word: Frequency::of(seen, sample),
        });
    }
    Ok(lines)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The finding that tells a person that a rule does not work, and which version of it still does.
pub(crate) fn error_finding(error: &RuleError, kept: Option<&str>, at: Micros) -> Finding {
    let text = display::terminal_safe(&error.to_string());
    let rule = display::terminal_safe(&error.rule_id);
    let kept = kept.map(display::terminal_safe);
    Finding {
        rule_id: error.rule_id.clone(),
        rule_version: String::new(),
        severity: Severity::Medium,
        class: AlertClass::RuleError,
        title: match kept {
            None => format!("Rule {rule} does not run"),
            Some(_) => format!("Rule {rule} cannot be updated"),
        },
        reason: match kept {
            None => format!("What this rule would have found is not being looked for: {text}."),
            Some(version) => format!("Its last good version ({version}) stays in use: {text}."),
        },
        fold_key: vec!["rule_error".to_owned()],
        principal_id: None,
        secret_id: None,
        account_id: None,
        region: None,
        event_at: at,
        evidence: None,
        why: Vec::new(),
        shadow: false,
        columns: Map::new(),
    }
}
