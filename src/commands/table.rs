//! Lists of our own things (alerts, rules, tables) in every format; query results have their own printers.

use anyhow::Result;
use serde_json::Value;

use crate::{
    args::FormatArg,
    exit_code::{ExitCode, Failure},
    output::Output,
};

/// One column of the table form.
pub(crate) struct Column<T> {
    name: &'static str,
    cell: fn(&T) -> String,
}

impl<T> Column<T> {
    pub(crate) const fn new(name: &'static str, cell: fn(&T) -> String) -> Self {
        Self { name, cell }
    }
}

/// Prints the items: aligned columns for people, `as_json`'s fields for programs.
pub(crate) fn print<T>(
    items: &[T],
    columns: &[Column<T>],
    as_json: fn(&T) -> Value,
    format: Option<FormatArg>,
    output: Output,
) -> Result<()> {
    match format.unwrap_or(FormatArg::Table) {
        FormatArg::Table => output.line(aligned(items, columns)),
        FormatArg::Json => output.line(Value::Array(items.iter().map(as_json).collect()).to_string()),
        FormatArg::Ndjson => items.iter().try_for_each(|item| output.line(as_json(item).to_string())),
        FormatArg::Csv => csv(items, as_json, output),
        FormatArg::Parquet | FormatArg::Arrow => {
            Err(Failure::new(ExitCode::Usage, "parquet and arrow are formats of `keytrail query`").into())
        }
    }
}

fn aligned<T>(items: &[T], columns: &[Column<T>]) -> String {
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| columns.iter().map(|column| (column.cell)(item)).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.chain([column.name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(columns.iter().map(|column| column.name).collect())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

fn csv<T>(items: &[T], as_json: fn(&T) -> Value, output: Output) -> Result<()> {
    for (position, item) in items.iter().enumerate() {
        let Value::Object(fields) = as_json(item) else { continue };
        if position == 0 {
            output.line(fields.keys().map(|name| csv_cell(name)).collect::<Vec<_>>().join(","))?;
        }
        let cells: Vec<String> = fields
            .values()
            .map(|value| match value {
                Value::Null => String::new(),
                Value::String(text) => csv_cell(text),
                other => csv_cell(&other.to_string()),
            })
            .collect();
        output.line(cells.join(","))?;
    }
    Ok(())
}

/// Quotes where CSV needs it, and keeps a spreadsheet from running a cell as a formula (OWASP, CSV injection).
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_become_a_formula() {
        assert_eq!(csv_cell("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(csv_cell("-12"), "-12");
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let columns = [Column::new("n", |n: &i32| n.to_string()), Column::new("twice", |n| (n * 2).to_string())];
        assert_eq!(aligned(&[5, 600], &columns), "n    twice\n5    10\n600  1200");
    }
}
