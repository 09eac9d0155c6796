//! CSV by RFC 4180, with a header line, and safe to open in a spreadsheet.
//!
//! In: batches, whose text an attacker may have written. Out: lines ended by CR LF; cells quoted where they must be. With
//! `formula_safe` (the default), text that begins with `=`, `+`, `-`, `@`, a tab or a line break gets a `'` before it and is
//! quoted, as OWASP advises, and control characters other than tabs and line breaks are written as `\u{…}`, for CSV is
//! looked at in terminals too. Numbers stay numbers.

use std::{
    borrow::Cow,
    io::{BufWriter, Write},
};

use keytrail_lake::arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::{RowWriter, io_error, value};
use crate::error::QueryError;

pub(super) struct CsvWriter<W: Write> {
    out: BufWriter<W>,
    header: Option<Vec<String>>,
    /// Whether a column's cells are text.
    is_text: Vec<bool>,
    formula_safe: bool,
}

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(schema: &SchemaRef, out: W, formula_safe: bool) -> Self {
        let names = schema.fields().iter().map(|field| field.name().clone()).collect();
        let is_text = schema.fields().iter().map(|field| !value::is_number(field.data_type())).collect();
        Self { out: BufWriter::new(out), header: Some(names), is_text, formula_safe }
    }

    fn line(&mut self, cells: &[String], is_text: impl Fn(usize) -> bool) -> std::io::Result<()> {
        for (position, cell) in cells.iter().enumerate() {
            let cell = if self.formula_safe { visible(cell) } else { Cow::Borrowed(cell.as_str()) };
            if position > 0 {
                self.out.write_all(b",")?;
            }
            let formula = self.formula_safe
                && is_text(position)
                && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
            if formula || cell.contains([',', '"', '\r', '\n']) || (cells.len() == 1 && cell.is_empty()) {
                let mark = if formula { "'" } else { "" };
                write!(self.out, "\"{mark}{}\"", cell.replace('"', "\"\""))?;
            } else {
                self.out.write_all(cell.as_bytes())?;
            }
        }
        self.out.write_all(b"\r\n")
    }

    fn header(&mut self) -> Result<(), QueryError> {
        match self.header.take() {
            Some(names) => self.line(&names, |_| true).map_err(io_error),
            None => Ok(()),
        }
    }
}

/// Control characters spelled out, but for tabs and line breaks.
fn visible(cell: &str) -> Cow<'_, str> {
    let hostile = |character: char| character.is_control() && !matches!(character, '\t' | '\r' | '\n');
    if !cell.contains(hostile) {
        return Cow::Borrowed(cell);
    }
    let mut text = String::with_capacity(cell.len() + 8);
    for character in cell.chars() {
        if hostile(character) {
            text.extend(character.escape_unicode());
        } else {
            text.push(character);
        }
    }
    Cow::Owned(text)
}

impl<W: Write> RowWriter for CsvWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        self.header()?;
        let is_text = self.is_text.clone();
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| value::text(column, row)).collect::<Result<Vec<_>, _>>()?;
            self.line(&cells, |position| is_text.get(position).copied().unwrap_or(true)).map_err(io_error)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), QueryError> {
        self.header()?;
        self.out.flush().map_err(io_error)
    }
}
