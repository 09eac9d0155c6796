//! JSON: one array, or one object a line.
//!
//! In: batches. Out: objects in the order of the columns, every column present, null where there is nothing.

use std::io::{BufWriter, Write};

use keytrail_lake::arrow::{array::RecordBatch, datatypes::SchemaRef};
use serde_json::Value;

use super::{RowWriter, io_error, value};
use crate::error::QueryError;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Array,
    Lines,
}

pub(super) struct JsonWriter<W: Write> {
    out: BufWriter<W>,
    /// Each column's name as JSON, with its colon.
    keys: Vec<String>,
    shape: Shape,
    rows: usize,
}

impl<W: Write> JsonWriter<W> {
    pub(super) fn new(schema: &SchemaRef, out: W, shape: Shape) -> Self {
        let keys = schema.fields().iter().map(|field| format!("{}:", Value::from(field.name().as_str()))).collect();
        Self { out: BufWriter::new(out), keys, shape, rows: 0 }
    }

    fn row(&mut self, cells: &[Value]) -> std::io::Result<()> {
        match (self.shape, self.rows) {
            (Shape::Array, 0) => self.out.write_all(b"[\n")?,
            (Shape::Array, _) => self.out.write_all(b",\n")?,
            (Shape::Lines, _) => {}
        }
        for (position, (key, cell)) in self.keys.iter().zip(cells).enumerate() {
            self.out.write_all(if position == 0 { b"{" } else { b"," })?;
            self.out.write_all(key.as_bytes())?;
            serde_json::to_writer(&mut self.out, cell)?;
        }
        self.out.write_all(if self.keys.is_empty() { b"{}" } else { b"}" })?;
        if self.shape == Shape::Lines {
            self.out.write_all(b"\n")?;
        }
        self.rows += 1;
        Ok(())
    }
}

impl<W: Write> RowWriter for JsonWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| value::json(column, row)).collect::<Result<Vec<_>, _>>()?;
            self.row(&cells).map_err(io_error)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), QueryError> {
        let end: &[u8] = match (self.shape, self.rows) {
            (Shape::Array, 0) => b"[]\n",
            (Shape::Array, _) => b"\n]\n",
            (Shape::Lines, _) => b"",
        };
        self.out.write_all(end).and_then(|()| self.out.flush()).map_err(io_error)
    }
}
