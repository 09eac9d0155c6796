//! A table for a person: aligned columns, numbers to the right, long cells cut in the middle.
//!
//! In: batches (bounded by the row limit), kept until the widths are known. Out: a header, a rule and the rows. Control
//! characters and direction marks are shown, never sent. An ARN's telling part is its end, so a cut cell keeps more of its end
//! than of its beginning.

use std::io::{BufWriter, Write};

use keytrail_lake::arrow::{array::RecordBatch, datatypes::SchemaRef};
use keytrail_model::display::terminal_safe;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{RowWriter, io_error, value};
use crate::error::QueryError;

/// A cell's width when the terminal's is not known.
const WIDEST_CELL: usize = 100;
/// No column is made narrower than this to fit a terminal.
const NARROWEST_COLUMN: usize = 12;
const BETWEEN: &str = "  ";

pub(super) struct TableWriter<W: Write> {
    out: BufWriter<W>,
    header: Vec<String>,
    to_the_right: Vec<bool>,
    rows: Vec<Vec<String>>,
    width: Option<usize>,
}

impl<W: Write> TableWriter<W> {
    pub(super) fn new(schema: &SchemaRef, out: W, width: Option<usize>) -> Self {
        let header = schema.fields().iter().map(|field| terminal_safe(field.name())).collect();
        let to_the_right = schema.fields().iter().map(|field| value::is_number(field.data_type())).collect();
        Self { out: BufWriter::new(out), header, to_the_right, rows: Vec::new(), width }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|name| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width().min(WIDEST_CELL));
            }
        }
        let Some(terminal) = self.width else { return widths };
        let between = BETWEEN.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + between > terminal {
            // The widest gives one column at a time, so that all end up about alike.
            match widths.iter_mut().max_by_key(|width| **width) {
                Some(widest) if *widest > NARROWEST_COLUMN => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    fn line(&mut self, cells: &[String], widths: &[usize]) -> std::io::Result<()> {
        let mut line = String::new();
        for (position, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if position > 0 {
                line.push_str(BETWEEN);
            }
            let cell = cut(cell, *width);
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            if self.to_the_right.get(position).copied().unwrap_or(false) {
                line.push_str(&padding);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&padding);
            }
        }
        writeln!(self.out, "{}", line.trim_end())
    }

    fn print(&mut self) -> std::io::Result<()> {
        let widths = self.widths();
        let header = std::mem::take(&mut self.header);
        self.line(&header, &widths)?;
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        self.line(&rule, &widths)?;
        for row in std::mem::take(&mut self.rows) {
            self.line(&row, &widths)?;
        }
        self.out.flush()
    }
}

/// At most `width` columns, with `…` where the middle is missing: a third from the beginning, the rest from the end.
fn cut(cell: &str, width: usize) -> String {
    if cell.width() <= width {
        return cell.to_owned();
    }
    let head_width = width.saturating_sub(1) / 3;
    let head = take(cell.chars(), head_width);
    let tail: String = take(cell.chars().rev(), width.saturating_sub(1 + head.width())).chars().rev().collect();
    format!("{head}…{tail}")
}

fn take(characters: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += character.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

impl<W: Write> RowWriter for TableWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| Ok(terminal_safe(&value::text(column, row)?)));
            self.rows.push(cells.collect::<Result<_, QueryError>>()?);
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), QueryError> {
        self.print().map_err(io_error)
    }
}
