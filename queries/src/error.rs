//! What went wrong with a query, in words for whoever typed it.
//!
//! In: errors of the parser, the engine, the limits and the parameters. Out: one [`QueryError`]: a kind (which the command
//! line maps to its exit code), a sentence, the place in the SQL with the line shown, and a hint.
//!
//! Invariant: what is shown of the SQL and of values is safe to print on a terminal.

use std::{fmt, time::Duration};

use keytrail_model::display::terminal_safe;
use thiserror::Error;

/// A place in the SQL text, counted from 1, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// How many characters are meant, at least one.
    pub length: usize,
    /// The line's text, safe to print, one character for one.
    pub text: String,
}

/// Which limit a query met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    Rows,
    Time,
    Memory,
    TempDisk,
    /// A join without an equality, or one call that makes very much.
    Size,
}

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryErrorKind {
    /// The text is not SQL.
    Syntax,
    UnknownTable,
    UnknownColumn,
    UnknownFunction,
    /// There is no named query of that name.
    UnknownQuery,
    /// A parameter is missing, unknown or of the wrong type.
    Parameter,
    /// Anything but reading.
    Forbidden,
    /// Sound SQL that means nothing here: types that do not fit, ambiguous names.
    Meaning,
    /// The engine cannot do this.
    Unsupported,
    Limit(LimitKind),
    /// It failed on the rows: a division by zero, a text that is no number.
    Execution,
    /// The stored tables could not be read.
    Storage,
    /// The result could not be written.
    Output,
    /// A mistake of this program or its engine.
    Internal,
}

/// A failed query. `Display` gives the whole message: sentence, place, hint.
#[derive(Debug, Error)]
pub struct QueryError {
    pub kind: QueryErrorKind,
    /// One sentence, without the place.
    pub message: String,
    pub place: Option<Place>,
    /// What may have been meant, or what to do.
    pub hint: Option<String>,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl QueryError {
    pub(crate) fn new(kind: QueryErrorKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: terminal_safe(message.as_ref()), place: None, hint: None, source: None }
    }

    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(|hint| terminal_safe(&hint));
        self
    }

    pub(crate) fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub(crate) fn time(limit: Duration) -> Self {
        Self::new(
            QueryErrorKind::Limit(LimitKind::Time),
            format!("the query took longer than {} and was stopped", seconds(limit)),
        )
        .hint(Some(
            "ask for fewer days (a condition on event_at skips whole files), or raise the time limit".to_owned(),
        ))
    }

    /// For a caller that must have all rows: the result was cut at its limit.
    pub fn rows(limit: usize) -> Self {
        Self::new(
            QueryErrorKind::Limit(LimitKind::Rows),
            format!("the result has more than {limit} rows and was cut there"),
        )
        .hint(Some("add a condition or a LIMIT, or raise the row limit".to_owned()))
    }

    /// Whether the reader of our output went away, which is no mistake of the query.
    pub fn is_broken_pipe(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = self.source.as_deref().map(|source| source as _);
        while let Some(error) = cause {
            if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

fn seconds(limit: Duration) -> String {
    if limit.as_secs() > 0 { format!("{} s", limit.as_secs()) } else { format!("{} ms", limit.as_millis()) }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            let margin = " ".repeat(place.line.to_string().len());
            let (text, column) = place.window();
            write!(
                f,
                "\n{margin} --> line {}, column {}\n{margin} |\n{} | {text}\n{margin} | {}{}",
                place.line,
                place.column,
                place.line,
                " ".repeat(column),
                "^".repeat(place.length.min(text.chars().count().saturating_sub(column)).max(1)),
            )?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl Place {
    /// The line, or the part of a long line around the place, and the place's offset in it.
    fn window(&self) -> (String, usize) {
        const WIDTH: usize = 100;
        let offset = self.column.saturating_sub(1);
        let from = if self.text.chars().count() <= WIDTH { 0 } else { offset.saturating_sub(WIDTH / 2) };
        (self.text.chars().skip(from).take(WIDTH).collect(), offset - from)
    }
}
