//! From an engine's error to ours: the kind, the sentence, the place, the hint.
//!
//! In: the error of parsing, planning or running, the SQL text and the names that the session knows. Out: a
//! [`QueryError`]. The place comes from the engine where it tells (spans of tables, columns and functions; line and column
//! of syntax errors), else from the first place in the text where the name stands.
//!
//! What it does not do: guess a place when there is none.

use keytrail_lake::{
    datafusion::{
        common::{SchemaError, Span},
        error::DataFusionError,
        prelude::SessionContext,
        sql::sqlparser::{
            dialect::GenericDialect,
            tokenizer::{Token, Tokenizer},
        },
    },
    session::{Forbidden, JoinTooLarge, PlanError, SECOND_STATEMENT, SeriesTooLong},
};

use crate::{
    error::{LimitKind, Place, QueryError, QueryErrorKind},
    suggest,
};

/// The names that a mistyped one may have meant.
pub(crate) struct Names {
    pub(crate) tables: Vec<String>,
    pub(crate) functions: Vec<String>,
}

impl Names {
    pub(crate) fn of(session: &SessionContext) -> Self {
        let mut tables = Vec::new();
        for catalog in session.catalog_names() {
            let Some(catalog) = session.catalog(&catalog) else { continue };
            for schema in catalog.schema_names().into_iter().filter(|schema| schema != "information_schema") {
                tables.extend(catalog.schema(&schema).map(|schema| schema.table_names()).unwrap_or_default());
            }
        }
        let state = session.state();
        let mut functions: Vec<String> = state.scalar_functions().keys().cloned().collect();
        functions.extend(state.aggregate_functions().keys().cloned());
        functions.extend(state.window_functions().keys().cloned());
        functions.extend(state.table_functions().keys().cloned());
        tables.sort();
        functions.sort();
        functions.dedup();
        Self { tables, functions }
    }
}

/// Why a text did not become a plan.
pub(crate) fn of_plan(error: PlanError, sql: &str, names: &Names) -> QueryError {
    match error {
        PlanError::Empty => QueryError::new(QueryErrorKind::Syntax, "there is no statement"),
        PlanError::Forbidden(forbidden) => of_forbidden(&forbidden, sql),
        PlanError::Engine(error) => of_engine(error, sql, names),
    }
}

fn of_forbidden(forbidden: &Forbidden, sql: &str) -> QueryError {
    let what = forbidden.what.split(' ').next().unwrap_or_default();
    // The whole statement is meant: its first word is enough to point at.
    let place = forbidden.span.map(|span| Span::new(span.start, span.start)).and_then(|span| place_of(sql, span));
    let place = place.map(|place| Place { length: word_length(&place), ..place });
    let place =
        place.or_else(|| if forbidden.what == SECOND_STATEMENT { after_semicolon(sql) } else { find(sql, what) });
    QueryError::new(QueryErrorKind::Forbidden, forbidden.to_string()).at(place)
}

fn word_length(place: &Place) -> usize {
    let rest = place.text.chars().skip(place.column.saturating_sub(1));
    rest.take_while(|character| character.is_alphanumeric() || *character == '_').count().max(1)
}

/// What the engine said, while planning or while running.
pub(crate) fn of_engine(error: DataFusionError, sql: &str, names: &Names) -> QueryError {
    let error = first(error);
    let diagnostic = error.diagnostic();
    let span = diagnostic.and_then(|diagnostic| diagnostic.span);
    let place = span.and_then(|span| place_of(sql, span));
    let said = diagnostic.map(|diagnostic| diagnostic.message.clone());
    let built = match error.find_root() {
        DataFusionError::SQL(parser, _) => of_parser(&parser.to_string(), sql),
        DataFusionError::SchemaError(schema, _) => of_schema(schema, sql).at_or(place),
        DataFusionError::Plan(message) => of_planner(message, said, sql, names).at_or(place),
        DataFusionError::NotImplemented(message) => {
            QueryError::new(QueryErrorKind::Unsupported, format!("the engine cannot do this: {}", line(message)))
                .at(place)
        }
        DataFusionError::ResourcesExhausted(message) => of_resources(message),
        DataFusionError::External(external) => {
            if let Some(join) = external.downcast_ref::<JoinTooLarge>() {
                QueryError::new(QueryErrorKind::Limit(LimitKind::Size), join.to_string())
                    .hint(Some("join on an equality (a.x = b.x), or narrow both sides first".to_owned()))
            } else if let Some(series) = external.downcast_ref::<SeriesTooLong>() {
                QueryError::new(QueryErrorKind::Limit(LimitKind::Size), series.to_string())
                    .at(find(sql, &series.function))
            } else {
                QueryError::new(QueryErrorKind::Storage, format!("a stored table cannot be read: {external}"))
            }
        }
        DataFusionError::ObjectStore(_) | DataFusionError::ParquetError(_) | DataFusionError::IoError(_) => {
            QueryError::new(
                QueryErrorKind::Storage,
                format!("a stored table cannot be read: {}", error.strip_backtrace()),
            )
        }
        DataFusionError::Execution(message) => QueryError::new(QueryErrorKind::Execution, line(message)).at(place),
        DataFusionError::ArrowError(arrow, _) => {
            QueryError::new(QueryErrorKind::Execution, line(&arrow.to_string())).at(place)
        }
        DataFusionError::Configuration(message) => QueryError::new(QueryErrorKind::Meaning, line(message)),
        _ => QueryError::new(QueryErrorKind::Internal, error.strip_backtrace()).at(place),
    };
    built.source(error)
}

/// The engine may give several errors at once; one at a time is enough to act on.
fn first(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::Collection(errors) => errors
            .into_iter()
            .next()
            .map_or_else(|| DataFusionError::Internal("an error without an error".to_owned()), first),
        other => other,
    }
}

impl QueryError {
    /// The engine's place if there is one, else what was found in the text.
    fn at_or(self, place: Option<Place>) -> Self {
        match place {
            Some(place) => self.at(Some(place)),
            None => self,
        }
    }
}

/// The first line, without a backtrace.
fn line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

fn of_parser(message: &str, sql: &str) -> QueryError {
    let message = message.trim_start_matches("sql parser error: ");
    let (sentence, position) = match message.rsplit_once(" at Line: ") {
        Some((sentence, position)) => (sentence, position.split_once(", Column: ")),
        None => (message, None),
    };
    let place = position.and_then(|(line, column)| {
        let (line, column) = (line.trim().parse().ok()?, column.trim().parse().ok()?);
        place_at(sql, line, column, None)
    });
    let place = place.map(|place| Place { length: word_length(&place), ..place });
    let sentence = sentence.replacen("Expected: ", "expected ", 1).replacen(", found: ", ", found ", 1);
    QueryError::new(QueryErrorKind::Syntax, format!("this is not SQL: {sentence}")).at(place)
}

fn of_schema(schema: &SchemaError, sql: &str) -> QueryError {
    match schema {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut known: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            known.sort_unstable();
            known.dedup();
            let hint = suggest::did_you_mean(&field.name, known.iter().copied()).or_else(|| {
                (!known.is_empty() && known.len() <= 20).then(|| format!("there are {}", known.join(", ")))
            });
            let table = field.relation.as_ref().map(|relation| format!(" in `{}`", relation.table()));
            let message = format!("there is no column `{}`{}", field.name, table.unwrap_or_default());
            QueryError::new(QueryErrorKind::UnknownColumn, message).at(find(sql, &field.name)).hint(hint)
        }
        SchemaError::AmbiguousReference { field } => {
            let message = format!("the column `{}` is in more than one table", field.name);
            let hint = format!("write its table before it: `TABLE.{}`", field.name);
            QueryError::new(QueryErrorKind::Meaning, message).at(find(sql, &field.name)).hint(Some(hint))
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            QueryError::new(QueryErrorKind::Meaning, format!("the column `{name}` is there twice"))
                .at(find(sql, name))
                .hint(Some("give one of them another name with AS".to_owned()))
        }
    }
}

fn of_planner(message: &str, said: Option<String>, sql: &str, names: &Names) -> QueryError {
    let message = line(message);
    if let Some(name) = between(message, "table '", "' not found") {
        let name = name.rsplit('.').next().unwrap_or(name);
        let tables = names.tables.iter().map(String::as_str);
        let hint = suggest::did_you_mean(name, tables).or_else(|| Some("SHOW TABLES lists what there is".to_owned()));
        return QueryError::new(QueryErrorKind::UnknownTable, format!("there is no table `{name}`"))
            .at(find(sql, name))
            .hint(hint);
    }
    let function =
        between(message, "Invalid function '", "'").or_else(|| between(message, "table function '", "' not found"));
    if let Some(name) = function {
        let functions = names.functions.iter().map(String::as_str);
        let hint =
            suggest::did_you_mean(name, functions).or_else(|| Some("SHOW FUNCTIONS lists what there is".to_owned()));
        return QueryError::new(QueryErrorKind::UnknownFunction, format!("there is no function `{name}`"))
            .at(find(sql, name))
            .hint(hint);
    }
    QueryError::new(QueryErrorKind::Meaning, said.unwrap_or_else(|| message.to_owned()))
}

fn of_resources(message: &str) -> QueryError {
    let message = line(message);
    let disk = message.contains("disk") || message.contains("temp_directory");
    let (kind, sentence) = if disk {
        (LimitKind::TempDisk, "the query needs more temporary disk than it may use and was stopped")
    } else {
        (LimitKind::Memory, "the query needs more memory than it may use and was stopped")
    };
    QueryError::new(QueryErrorKind::Limit(kind), sentence)
        .hint(Some("narrow it (fewer days, fewer columns, no `raw`), or raise the limit".to_owned()))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inside, _)| inside)
}

fn place_of(sql: &str, span: Span) -> Option<Place> {
    let (line, column) = (usize::try_from(span.start.line).ok()?, usize::try_from(span.start.column).ok()?);
    let end = (span.start.line == span.end.line).then(|| usize::try_from(span.end.column).ok()).flatten();
    place_at(sql, line, column, end)
}

fn place_at(sql: &str, line: usize, column: usize, end: Option<usize>) -> Option<Place> {
    let text = sql.lines().nth(line.checked_sub(1)?)?;
    let column = column.max(1);
    let length = end.map_or(1, |end| end.saturating_sub(column).max(1));
    // One character for one, so that the caret stands right: what a terminal would act on becomes a space.
    let text = text.chars().map(|character| if safe(character) { character } else { ' ' }).collect();
    Some(Place { line, column, length, text })
}

fn safe(character: char) -> bool {
    let mut buffer = [0; 4];
    let text: &str = character.encode_utf8(&mut buffer);
    keytrail_model::display::terminal_safe(text) == text
}

/// The first word of the text that is this name, whatever its case; quoted names count, comments and strings do not.
fn find(sql: &str, name: &str) -> Option<Place> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let token = tokens.into_iter().find(|token| match &token.token {
        Token::Word(word) => word.value.eq_ignore_ascii_case(name),
        _ => false,
    })?;
    place_of(sql, Span::try_from_sqlparser_span(token.span)?)
}

/// The first word of the second statement.
fn after_semicolon(sql: &str) -> Option<Place> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let mut rest = tokens.into_iter().skip_while(|token| token.token != Token::SemiColon).skip(1);
    let token = rest.find(|token| matches!(token.token, Token::Word(_)))?;
    place_of(sql, Span::try_from_sqlparser_span(token.span)?)
}
