//! Runs one rule: its SQL over a judging's tables, each row a finding.
//!
//! In: a rule, the tables, the judging's "now". Out: findings in the SQL's own order, or a [`RuleError`] with line and
//! column where the SQL is wrong. A rule that takes too long or finds too much is an error of that rule.
//!
//! Planning costs more than running over a small batch, so a rule is planned once and its plan kept in `Plans`; one whose
//! SQL names `$as_of` is planned again when that moves on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use keytrail_lake::datafusion::{
    error::DataFusionError,
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, collect, execution_plan::reset_plan_states},
    prelude::{DataFrame, SessionContext},
};
use keytrail_model::{Finding, Micros};

use crate::{
    columns,
    error::{Position, RuleError, RuleErrorKind},
    finding,
    manifest::{FILE, Manifest},
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

type Plan = Arc<dyn ExecutionPlan>;

/// The plans of rules, by their ids, as they were made: what is run is a copy without traces of earlier runs. To be emptied
/// when a rule or the tables change.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    known: Mutex<HashMap<String, (Option<Micros>, Plan)>>,
}

impl Plans {
    fn get(&self, rule: &Rule, as_of: Micros) -> Option<Plan> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (moment, plan) = known.get(rule.id())?;
        moment.is_none_or(|moment| moment == as_of).then(|| plan.clone())
    }

    fn keep(&self, rule: &Rule, as_of: Micros, plan: &Plan) {
        let moment = rule.is_of_the_moment().then_some(as_of);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(rule.id().to_owned(), (moment, plan.clone()));
    }

    pub(crate) fn clear(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Plans a rule without running it: what `rules check` does.
pub async fn check(rule: &Rule, session: &SessionContext, as_of: Micros) -> Result<LogicalPlan, RuleError> {
    let frame = plan(rule, session, as_of).await;
    drop_views(rule, session)?;
    Ok(frame?.logical_plan().clone())
}

/// Plans a rule and runs it.
pub async fn evaluate(
    rule: &Rule,
    session: &SessionContext,
    templates: &Templates,
    as_of: Micros,
    limits: Limits,
) -> Result<Vec<Finding>, RuleError> {
    evaluate_kept(rule, session, &Plans::default(), templates, as_of, limits).await
}

/// The same with plans that are kept: the session must be the one that they were made in.
pub(crate) async fn evaluate_kept(
    rule: &Rule,
    session: &SessionContext,
    plans: &Plans,
    templates: &Templates,
    as_of: Micros,
    limits: Limits,
) -> Result<Vec<Finding>, RuleError> {
    let plan = match plans.get(rule, as_of) {
        Some(plan) => plan,
        None => {
            let plan = physical(rule, session, as_of, limits).await;
            drop_views(rule, session)?;
            let plan = plan?;
            plans.keep(rule, as_of, &plan);
            plan
        }
    };
    run(rule, session, plan, templates, limits).await
}

async fn physical(rule: &Rule, session: &SessionContext, as_of: Micros, limits: Limits) -> Result<Plan, RuleError> {
    let frame = plan(rule, session, as_of).await?;
    let wrong = |error: DataFusionError| sql_error(rule, DETECT, &rule.pack.detect_sql, &error);
    // One more than allowed tells "too many" without reading them all.
    let frame = frame.limit(0, Some(limits.max_findings + 1)).map_err(wrong)?;
    frame.create_physical_plan().await.map_err(wrong)
}

async fn run(
    rule: &Rule,
    session: &SessionContext,
    plan: Plan,
    templates: &Templates,
    limits: Limits,
) -> Result<Vec<Finding>, RuleError> {
    let answer = async { collect(reset_plan_states(plan)?, session.task_ctx()).await };
    let batches = tokio::time::timeout(limits.time_budget, answer)
        .await
        .map_err(|_| rule.error(DETECT, RuleErrorKind::TimeBudget(budget_text(limits.time_budget))))?
        .map_err(|error| sql_error(rule, DETECT, &rule.pack.detect_sql, &error))?;
    let mut findings = Vec::new();
    for batch in &batches {
        let rows = columns::rows(batch).map_err(|error| rule.error(DETECT, RuleErrorKind::Sql(error.to_string())))?;
        for row in rows {
            findings.push(finding::finding(rule, row, templates)?);
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
    for wanted in columns_of_manifest(&rule.pack.manifest) {
        if !known.contains(&wanted) {
            let error = rule.error(FILE, RuleErrorKind::MissingColumn(wanted.to_owned()));
            let place = rule.pack.manifest.place_of(wanted);
            return Err(error.at(place).suggest(wanted, known));
        }
    }
    Ok(frame)
}

/// The columns that a manifest names by itself.
fn columns_of_manifest(manifest: &Manifest) -> impl Iterator<Item = &str> {
    let measured = manifest.why.iter().flat_map(|why| [why.seen.as_str(), why.sample.as_str()]);
    manifest.fold_by.iter().map(String::as_str).chain(measured)
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
