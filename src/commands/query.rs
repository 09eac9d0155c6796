//! `keytrail query`: a named query or SQL over the lake, under limits.
//!
//! Rows go to standard output in the format that was asked for; mistakes point at their place on standard error. A result that
//! met the row limit is printed up to there and ends with [`ExitCode::Limit`], so that no script takes it for the whole.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal, Read},
};

use anyhow::{Context, Result};
use keytrail_lake::{
    Lake,
    session::{Limits, SessionSettings},
};
use keytrail_queries::{
    Library, NamedQuery, QueryError, QueryErrorKind, QueryRuntime, QuerySource, RunOptions,
    format::{self, Format, FormatOptions},
    run as run_query,
};
use serde_json::{Value, json};

use super::{
    open,
    table::{self, Column},
};
use crate::{
    args::{FormatArg, Global, QueryArgs},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{Settings, parse_duration},
};

/// How many rows programs get when nobody says otherwise; people reading a table get the session's own limit.
const ROWS_FOR_PROGRAMS: usize = 1_000_000;

pub(crate) async fn run(args: &QueryArgs, settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let library = Library::embedded();
    let source = match (&args.name, &args.sql, &args.file) {
        (Some(name), _, _) if args.show => {
            output.line(library.get(name)?.sql.trim_end())?;
            return Ok(ExitCode::Ok);
        }
        (Some(name), _, _) => QuerySource::Named(name.clone()),
        (_, Some(sql), _) => QuerySource::Text(sql.clone()),
        (_, _, Some(file)) => QuerySource::Text(read_sql(file)?),
        (None, None, None) => {
            list(&library, global, output)?;
            return Ok(ExitCode::Ok);
        }
    };
    if let QuerySource::Named(name) = &source {
        // A name that does not exist is told before a lake is looked for.
        library.get(name)?;
    }
    let params = params(&args.params)?;
    let format = format_of(global.format);
    let limits = limits(args, settings, format)?;
    let lake = open::existing(settings).await?;
    execute(&lake, settings, &Asked { source, params, format, limits, trusted: false }, output).await
}

/// A question, ready to be run.
struct Asked {
    source: QuerySource,
    params: BTreeMap<String, String>,
    format: Format,
    limits: Limits,
    /// Our own SQL: its joins are known to be small, so they may hash instead of sort.
    trusted: bool,
}

/// Runs SQL of our own and prints its rows as a query's.
pub(crate) async fn print(
    lake: &Lake,
    settings: &Settings,
    sql: &str,
    params: &[(&str, String)],
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let asked = Asked {
        source: QuerySource::Text(sql.to_owned()),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        format: format_of(global.format),
        limits: Limits { rows: ROWS_FOR_PROGRAMS, ..open::limits(settings) },
        trusted: true,
    };
    execute(lake, settings, &asked, output).await
}

async fn execute(lake: &Lake, settings: &Settings, asked: &Asked, output: Output) -> Result<ExitCode> {
    let session_settings =
        SessionSettings { prefer_hash_join: asked.trusted, ..open::session_settings(settings, asked.limits) };
    let session = lake.session(&session_settings).await?;
    let runtime = QueryRuntime::new(None).context("failed to start the query threads")?;
    let options = RunOptions { limits: asked.limits, runtime: runtime.handle() };
    let rows = run_query(&session, &Library::embedded(), &asked.source, &asked.params, &options).await?;
    let printing = FormatOptions { width: width(), ..FormatOptions::default() };
    let outcome = format::write_all(rows, asked.format, io::stdout(), printing).await?;
    if outcome.truncated {
        return Err(QueryError::rows(asked.limits.rows).into());
    }
    if asked.format == Format::Table {
        output.say(format!("{} rows in {:.2} s", outcome.rows, outcome.elapsed.as_secs_f64()));
    }
    Ok(ExitCode::Ok)
}

/// The exit code of a query's mistake.
pub(crate) fn code_of(error: &QueryError) -> ExitCode {
    match error.kind {
        QueryErrorKind::UnknownQuery => ExitCode::NotFound,
        QueryErrorKind::Limit(_) => ExitCode::Limit,
        QueryErrorKind::Storage => ExitCode::Lake,
        _ if error.is_broken_pipe() => ExitCode::Ok,
        QueryErrorKind::Internal | QueryErrorKind::Output => ExitCode::Internal,
        _ => ExitCode::Query,
    }
}

fn read_sql(file: &str) -> Result<String, Failure> {
    let read = if file == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| Failure::new(ExitCode::NotFound, format!("failed to read {file}: {error}")))
}

fn params(typed: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    typed
        .iter()
        .map(|text| {
            text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| {
                Failure::new(ExitCode::Usage, format!("the parameter `{text}` has no value"))
                    .hint("write --param name=value")
            })
        })
        .collect()
}

const fn format_of(typed: Option<FormatArg>) -> Format {
    match typed {
        None | Some(FormatArg::Table) => Format::Table,
        Some(FormatArg::Json) => Format::Json,
        Some(FormatArg::Ndjson) => Format::Ndjson,
        Some(FormatArg::Csv) => Format::Csv,
        Some(FormatArg::Parquet) => Format::Parquet,
        Some(FormatArg::Arrow) => Format::Arrow,
    }
}

fn limits(args: &QueryArgs, settings: &Settings, format: Format) -> Result<Limits, Failure> {
    let mut limits = open::limits(settings);
    if format != Format::Table && settings.file.query.max_rows.is_none() {
        limits.rows = ROWS_FOR_PROGRAMS;
    }
    if let Some(rows) = args.max_rows {
        limits.rows = rows;
    }
    if let Some(text) = &args.timeout {
        limits.time = parse_duration(text).ok_or_else(|| {
            Failure::new(ExitCode::Usage, format!("`{text}` is not a length of time"))
                .hint("write for example 30s or 5m")
        })?;
    }
    Ok(limits)
}

/// The width to fit a table into, when a person is looking.
fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

fn list(library: &Library, global: &Global, output: Output) -> Result<()> {
    let queries: Vec<&NamedQuery> = library.iter().collect();
    let columns = [
        Column::new("name", |query: &&NamedQuery| query.name.clone()),
        Column::new("parameters", |query| {
            query.params.iter().map(|param| param.name.as_str()).collect::<Vec<_>>().join(", ")
        }),
        Column::new("what it answers", |query| query.title.clone()),
    ];
    table::print(&queries, &columns, as_json, global.format, output)?;
    output.say("\nkeytrail query NAME --param K=V runs one, keytrail query NAME --show prints its SQL");
    Ok(())
}

fn as_json(query: &&NamedQuery) -> Value {
    let params: Vec<Value> = query
        .params
        .iter()
        .map(|param| json!({"name": param.name, "type": param.kind.as_str(), "default": param.default, "doc": param.doc}))
        .collect();
    json!({"name": query.name, "title": query.title, "description": query.description, "params": params})
}
