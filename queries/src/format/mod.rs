//! Writing a result: table, JSON, NDJSON, CSV, Parquet, Arrow.
//!
//! In: batches of one schema. Out: bytes on a writer. Text formats print moments as RFC 3339 in UTC (`Z`), with
//! fractions only where there are any; lists and structs as JSON; null as JSON's null, else as nothing.
//!
//! Invariants: JSON is one array, also when a batch fails to come; a table never holds a control character that an
//! attacker wrote; a CSV cell never begins a formula unless that is asked for.

mod columnar;
mod csv;
mod json;
mod table;
mod value;

use std::{fmt, io, str::FromStr, sync::Arc};

use futures::StreamExt;
use keytrail_lake::arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};

use crate::{
    error::{QueryError, QueryErrorKind},
    run::{Outcome, Rows},
    suggest,
};

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    Ndjson,
    Csv,
    Parquet,
    /// Arrow's IPC stream.
    Arrow,
}

impl Format {
    /// Every format with its word.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Table, "table"),
        (Self::Json, "json"),
        (Self::Ndjson, "ndjson"),
        (Self::Csv, "csv"),
        (Self::Parquet, "parquet"),
        (Self::Arrow, "arrow"),
    ];

    /// Whether it may be printed on a terminal.
    pub const fn is_text(self) -> bool {
        !matches!(self, Self::Parquet | Self::Arrow)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = || Self::ALL.iter().map(|(_, word)| *word);
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(format, _)| *format).ok_or_else(|| {
            let hint = suggest::did_you_mean(text, words()).map(|hint| format!("; {hint}")).unwrap_or_default();
            format!(
                "`{}` is no format; use one of {}{hint}",
                text.escape_default(),
                words().collect::<Vec<_>>().join(", ")
            )
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(format, _)| format == self).map_or("table", |(_, word)| word);
        f.pad(word)
    }
}

/// What the formats leave to taste.
#[derive(Clone, Copy, Debug)]
pub struct FormatOptions {
    /// The terminal's width; `None` cuts only very long cells of a table.
    pub width: Option<usize>,
    /// Puts a `'` before CSV text that a spreadsheet would run as a formula.
    pub csv_formula_safe: bool,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self { width: None, csv_formula_safe: true }
    }
}

/// Writes batches one after the other; [`RowWriter::finish`] completes the output.
pub trait RowWriter {
    /// # Errors
    /// The writer below fails, or the format has no form for a type.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError>;

    /// # Errors
    /// The writer below fails.
    fn finish(self: Box<Self>) -> Result<(), QueryError>;
}

/// A writer of one format over `out`.
///
/// # Errors
/// The format has no form for one of the schema's types.
pub fn writer<'a>(
    format: Format,
    schema: &SchemaRef,
    out: impl io::Write + Send + 'a,
    options: FormatOptions,
) -> Result<Box<dyn RowWriter + 'a>, QueryError> {
    let named = unique_names(schema);
    Ok(match format {
        Format::Table => Box::new(table::TableWriter::new(schema, out, options.width)),
        Format::Json => Box::new(json::JsonWriter::new(&named, out, json::Shape::Array)),
        Format::Ndjson => Box::new(json::JsonWriter::new(&named, out, json::Shape::Lines)),
        Format::Csv => Box::new(csv::CsvWriter::new(&named, out, options.csv_formula_safe)),
        Format::Parquet => Box::new(columnar::ParquetWriter::new(named, out)?),
        Format::Arrow => Box::new(columnar::ArrowWriter::new(named, out)?),
    })
}

/// Writes a whole result. A text format is completed also when the query fails midway, so that what came is readable.
///
/// # Errors
/// The query's own error, or that of writing.
pub async fn write_all<'a>(
    mut rows: Rows,
    format: Format,
    out: impl io::Write + Send + 'a,
    options: FormatOptions,
) -> Result<Outcome, QueryError> {
    let mut writer = writer(format, rows.schema(), out, options)?;
    while let Some(batch) = rows.next().await {
        match batch {
            Ok(batch) => writer.write(&batch)?,
            Err(error) => {
                writer.finish()?;
                return Err(error);
            }
        }
    }
    writer.finish()?;
    Ok(rows.outcome())
}

/// SQL may name two columns alike; files and objects may not: the second `id` is `id_2`.
fn unique_names(schema: &SchemaRef) -> SchemaRef {
    let mut names: Vec<String> = Vec::new();
    let mut fields = Vec::new();
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{}_{number}", field.name());
            number += 1;
        }
        fields.push(Field::clone(field).with_name(&name));
        names.push(name);
    }
    Arc::new(Schema::new(fields))
}

fn io_error(error: io::Error) -> QueryError {
    QueryError::new(QueryErrorKind::Output, format!("the result cannot be written: {error}")).source(error)
}

#[cfg(test)]
mod tests;
