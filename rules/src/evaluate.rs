//! Runs one rule: its SQL over a judging's tables, each row a finding.
//!
//! In: a rule, a session with the tables, the judging's "now". Out: findings in the SQL's own order, or a
//! [`RuleError`] with line and column where the SQL is wrong. A rule that takes too long or finds too much is an
//! error of that rule; [`error_finding`] turns it into something a person is told.

use std::time::Duration;

use keytrail_lake::datafusion::{
    error::DataFusionError,
    logical_expr::LogicalPlan,
    prelude::{DataFrame, SessionContext},
};
use keytrail_model::{AlertClass, Evidence, Finding, Micros, Severity};
use serde_json::{Map, Value};

use crate::{
    columns,
    error::{Position, RuleError, RuleErrorKind},
    manifest::FILE,
    rule::Rule,
    tables::budget_text,
    template::Templates,
};

/// The columns that every `detect.sql` gives; each may be null where it makes no sense.
pub const REQUIRED: [&str; 10] = [
    "event_at",
    "event_id",
    "event_name",
    "principal_id",
    "secret_id",
    "account_id",
    "region",
    "source_ip",
    "object_key",
    "record_index",
];

const DETECT: &str = "detect.sql";

/// How far a rule may go.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub time_budget: Duration,
    pub max_findings: usize,
}

/// Plans a rule without running it: what `rules check` does.
pub async fn check(rule: &Rule, session: &SessionContext, as_of: Micros) -> Result<LogicalPlan, RuleError> {
    let frame = plan(rule, session, as_of).await?;
    let plan = frame.logical_plan().clone();
    drop_views(rule, session)?;
    Ok(plan)
}

/// Runs a rule.
pub async fn evaluate(
    rule: &Rule,
    session: &SessionContext,
    templates: &Templates,
    as_of: Micros,
    limits: Limits,
) -> Result<Vec<Finding>, RuleError> {
    let frame = plan(rule, session, as_of).await;
    let result = match frame {
        Ok(frame) => run(rule, frame, templates, limits).await,
        Err(error) => Err(error),
    };
    drop_views(rule, session)?;
    result
}

async fn run(rule: &Rule, frame: DataFrame, templates: &Templates, limits: Limits) -> Result<Vec<Finding>, RuleError> {
    let sql = &rule.pack.detect_sql;
    // One more than allowed tells "too many" without reading them all.
    let frame = frame.limit(0, Some(limits.max_findings + 1)).map_err(|error| sql_error(rule, DETECT, sql, &error))?;
    let batches = tokio::time::timeout(limits.time_budget, frame.collect())
        .await
        .map_err(|_| rule.error(DETECT, RuleErrorKind::TimeBudget(budget_text(limits.time_budget))))?
        .map_err(|error| sql_error(rule, DETECT, sql, &error))?;
    let mut findings = Vec::new();
    for batch in &batches {
        let rows = columns::rows(batch).map_err(|error| rule.error(DETECT, RuleErrorKind::Sql(error.to_string())))?;
        for row in rows {
            findings.push(finding(rule, row, templates)?);
        }
    }
    if findings.len() > limits.max_findings {
        return Err(rule.error(DETECT, RuleErrorKind::TooManyFindings(limits.max_findings)));
    }
    Ok(findings)
}

async fn plan(rule: &Rule, session: &SessionContext, as_of: Micros) -> Result<DataFrame, RuleError> {
    for (name, source) in &rule.pack.views {
        let file = format!("{name}.sql");
        let frame =
            session.sql(&rule.view_sql(name, as_of)?).await.map_err(|error| sql_error(rule, &file, source, &error))?;
        session
            .register_table(name.as_str(), frame.into_view())
            .map_err(|error| sql_error(rule, &file, source, &error))?;
    }
    let source = &rule.pack.detect_sql;
    let frame = session.sql(&rule.detect_sql(as_of)?).await.map_err(|error| sql_error(rule, DETECT, source, &error))?;
    let schema = frame.schema();
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    for wanted in REQUIRED {
        if !known.contains(&wanted) {
            return Err(rule.error(DETECT, RuleErrorKind::MissingColumn(wanted.to_owned())).suggest(wanted, known));
        }
    }
    for wanted in &rule.pack.manifest.fold_by {
        if !known.contains(&wanted.as_str()) {
            let error = rule.error(FILE, RuleErrorKind::MissingColumn(wanted.clone()));
            return Err(error.suggest(wanted, known));
        }
    }
    Ok(frame)
}

/// The session serves every rule of a judging: a rule's views must not meet another's.
fn drop_views(rule: &Rule, session: &SessionContext) -> Result<(), RuleError> {
    for name in rule.pack.views.keys() {
        session
            .deregister_table(name.as_str())
            .map_err(|error| rule.error(DETECT, RuleErrorKind::Sql(error.to_string())))?;
    }
    Ok(())
}

fn finding(rule: &Rule, mut row: Map<String, Value>, templates: &Templates) -> Result<Finding, RuleError> {
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
        columns: row,
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The finding that tells a person that a rule does not work.
pub fn error_finding(error: &RuleError, at: Micros) -> Finding {
    let text = keytrail_model::display::terminal_safe(&error.to_string());
    Finding {
        rule_id: error.rule_id.clone(),
        rule_version: String::new(),
        severity: Severity::Medium,
        class: AlertClass::RuleError,
        title: format!("Rule {} does not run", keytrail_model::display::terminal_safe(&error.rule_id)),
        reason: format!("What this rule would have found is not being looked for: {text}."),
        fold_key: vec!["rule_error".to_owned()],
        principal_id: None,
        secret_id: None,
        account_id: None,
        region: None,
        event_at: at,
        evidence: None,
        columns: Map::new(),
    }
}

/// A planning or running error with its place: from the error's own span, else from where the name stands in the SQL.
///
/// Parameters are literals by the time the engine sees them, so a column behind one on the same line is its own.
pub(crate) fn sql_error(rule: &Rule, file: &str, source: &str, error: &DataFusionError) -> RuleError {
    let message = error.strip_backtrace();
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let spanned = span.and_then(|span| {
        let (line, column) = (usize::try_from(span.start.line).ok()?, usize::try_from(span.start.column).ok()?);
        Some(Position { line, column })
    });
    let position = spanned.or_else(|| parser_position(&message)).or_else(|| position_of_name(source, &message));
    let first = message.lines().next().unwrap_or("unknown").to_owned();
    rule.error(file, RuleErrorKind::Sql(first)).at(position)
}

/// `... at Line: 3, Column: 14`, as the SQL parser ends its messages.
fn parser_position(message: &str) -> Option<Position> {
    let number = |after: &str| {
        let tail = message.rsplit_once(after)?.1;
        tail.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    };
    Some(Position { line: number("Line: ")?, column: number("Column: ")? })
}

/// Where a name that the message quotes stands in the SQL.
fn position_of_name(source: &str, message: &str) -> Option<Position> {
    let quoted =
        message.split(['\'', '"', '`']).skip(1).step_by(2).find(|name| !name.is_empty() && source.contains(*name))?;
    Some(Position::of_offset(source, source.find(quoted)?))
}

impl RuleError {
    /// Whether the rule's own text is at fault (rather than its run).
    pub fn is_authoring(&self) -> bool {
        !matches!(self.kind, RuleErrorKind::TimeBudget(_) | RuleErrorKind::TooManyFindings(_))
    }
}
