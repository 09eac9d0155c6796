//! From text to a plan that can only read.
//!
//! In: what an analyst typed. Out: a logical plan, or why not. Two locks: an allow-list over the parsed statement
//! (queries, EXPLAIN, SHOW, DESCRIBE; one statement; no `SELECT INTO`, no writing CTE, no file in place of a table), then the
//! engine's own check of the plan (no DDL, DML, COPY or session statement anywhere in it, EXPLAIN's inside included).
//!
//! Invariant: what is not listed is refused, so a statement that a later engine learns is refused until we list it.

use std::{collections::VecDeque, fmt, ops::ControlFlow};

use deltalake::datafusion::{
    common::Span,
    error::DataFusionError,
    execution::context::SQLOptions,
    logical_expr::LogicalPlan,
    prelude::SessionContext,
    sql::{
        parser::{DFParserBuilder, Statement},
        sqlparser::ast::{ObjectName, Query, SetExpr, Spanned, Statement as SqlStatement, Visit, Visitor},
    },
};
use thiserror::Error;

/// What [`Forbidden::what`] says of text after the first statement.
pub const SECOND_STATEMENT: &str = "a second statement";

/// A statement that a read-only session does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// What it is, in its own keywords (`INSERT`, `COPY`), or [`SECOND_STATEMENT`].
    pub what: String,
    /// Where it stands, if the parser tells.
    pub span: Option<Span>,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not allowed here: this session only reads (SELECT, EXPLAIN, SHOW, DESCRIBE)", self.what)
    }
}

/// Why a text did not become a plan.
#[derive(Debug, Error)]
pub enum PlanError {
    #[error("there is no statement")]
    Empty,
    #[error("{0}")]
    Forbidden(Forbidden),
    #[error(transparent)]
    Engine(#[from] DataFusionError),
}

/// Parses one read-only statement.
pub fn parse_read_only(sql: &str) -> Result<Statement, PlanError> {
    let mut statements: VecDeque<Statement> = DFParserBuilder::new(sql).build()?.parse_statements()?;
    let statement = statements.pop_front().ok_or(PlanError::Empty)?;
    allowed(&statement)?;
    if let Some(second) = statements.front() {
        return Err(forbidden(SECOND_STATEMENT, span_of(second)));
    }
    Ok(statement)
}

/// Plans a statement that [`parse_read_only`] gave.
pub async fn plan_statement(session: &SessionContext, statement: Statement) -> Result<LogicalPlan, PlanError> {
    let plan = session.state().statement_to_plan(statement).await?;
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    // The first lock let this through, so nobody typed it in a form that we know: still refused, without a place.
    options
        .verify_plan(&plan)
        .map_err(|error| PlanError::Forbidden(Forbidden { what: error.strip_backtrace(), span: None }))?;
    Ok(plan)
}

/// Text to plan, read-only.
pub async fn plan_read_only(session: &SessionContext, sql: &str) -> Result<LogicalPlan, PlanError> {
    plan_statement(session, parse_read_only(sql)?).await
}

fn forbidden(what: impl Into<String>, span: Option<Span>) -> PlanError {
    PlanError::Forbidden(Forbidden { what: what.into(), span })
}

fn span_of(statement: &Statement) -> Option<Span> {
    match statement {
        Statement::Statement(statement) => Span::try_from_sqlparser_span(statement.span()),
        _ => None,
    }
}

fn allowed(statement: &Statement) -> Result<(), PlanError> {
    match statement {
        Statement::Statement(inner) => allowed_sql(inner, span_of(statement)),
        Statement::Explain(explain) => allowed(&explain.statement),
        Statement::CreateExternalTable(_) => Err(forbidden("CREATE EXTERNAL TABLE", None)),
        Statement::CopyTo(_) => Err(forbidden("COPY", None)),
        Statement::Reset(_) => Err(forbidden("RESET", None)),
    }
}

fn allowed_sql(statement: &SqlStatement, span: Option<Span>) -> Result<(), PlanError> {
    match statement {
        SqlStatement::Query(query) => match query.visit(&mut Reads) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(what) => Err(forbidden(what, span)),
        },
        SqlStatement::Explain { statement, .. } => allowed_sql(statement, span),
        SqlStatement::ShowTables { .. }
        | SqlStatement::ShowColumns { .. }
        | SqlStatement::ShowVariable { .. }
        | SqlStatement::ShowFunctions { .. }
        | SqlStatement::ExplainTable { .. } => Ok(()),
        other => Err(forbidden(keywords(other), span)),
    }
}

/// The statement's own first words, in capitals: `CREATE TABLE`, `DROP`, `SET`.
fn keywords(statement: &SqlStatement) -> String {
    let text = statement.to_string();
    let words = text.split_whitespace().take(2).map(|word| word.trim_end_matches(';'));
    let keywords: Vec<&str> =
        words.take_while(|word| word.chars().all(|character| character.is_ascii_uppercase())).collect();
    if keywords.is_empty() { "this statement".to_owned() } else { keywords.join(" ") }
}

/// Walks a query and stops at whatever is not reading.
struct Reads;

impl Visitor for Reads {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        if !query.locks.is_empty() {
            return ControlFlow::Break("SELECT ... FOR UPDATE".to_owned());
        }
        body(&query.body)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
        let quoted = relation.0.iter().filter_map(|part| part.as_ident()).any(|ident| ident.quote_style == Some('\''));
        if quoted {
            ControlFlow::Break("reading a file in place of a table".to_owned())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn pre_visit_statement(&mut self, statement: &SqlStatement) -> ControlFlow<Self::Break> {
        match statement {
            SqlStatement::Query(_) => ControlFlow::Continue(()),
            other => ControlFlow::Break(keywords(other)),
        }
    }
}

fn body(expression: &SetExpr) -> ControlFlow<String> {
    match expression {
        SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break("SELECT INTO".to_owned()),
        SetExpr::Insert(_) => ControlFlow::Break("INSERT".to_owned()),
        SetExpr::Update(_) => ControlFlow::Break("UPDATE".to_owned()),
        SetExpr::Delete(_) => ControlFlow::Break("DELETE".to_owned()),
        SetExpr::Merge(_) => ControlFlow::Break("MERGE".to_owned()),
        SetExpr::SetOperation { left, right, .. } => {
            body(left)?;
            body(right)
        }
        _ => ControlFlow::Continue(()),
    }
}
