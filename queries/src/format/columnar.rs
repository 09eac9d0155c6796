//! Parquet and Arrow's IPC stream: the result with its types.
//!
//! In: batches. Out: one file or stream. A type that Parquet has no form for (intervals) is an error before the first byte.

use std::io::{self, Write};

use keytrail_lake::{
    arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError, ipc::writer::StreamWriter},
    datafusion::parquet::{
        arrow::ArrowWriter as ParquetFile, basic::Compression, errors::ParquetError, file::properties::WriterProperties,
    },
};

use super::RowWriter;
use crate::error::{QueryError, QueryErrorKind};

pub(super) struct ParquetWriter<W: Write + Send> {
    schema: SchemaRef,
    file: ParquetFile<W>,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(schema: SchemaRef, out: W) -> Result<Self, QueryError> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = ParquetFile::try_new(out, SchemaRef::clone(&schema), Some(properties)).map_err(parquet_error)?;
        Ok(Self { schema, file })
    }
}

impl<W: Write + Send> RowWriter for ParquetWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        self.file.write(&renamed(batch, &self.schema)?).map_err(parquet_error)
    }

    fn finish(self: Box<Self>) -> Result<(), QueryError> {
        self.file.close().map(|_| ()).map_err(parquet_error)
    }
}

pub(super) struct ArrowWriter<W: Write> {
    schema: SchemaRef,
    stream: StreamWriter<io::BufWriter<W>>,
}

impl<W: Write> ArrowWriter<W> {
    pub(super) fn new(schema: SchemaRef, out: W) -> Result<Self, QueryError> {
        let stream = StreamWriter::try_new(io::BufWriter::new(out), &schema).map_err(arrow_error)?;
        Ok(Self { schema, stream })
    }
}

impl<W: Write> RowWriter for ArrowWriter<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        self.stream.write(&renamed(batch, &self.schema)?).map_err(arrow_error)
    }

    fn finish(mut self: Box<Self>) -> Result<(), QueryError> {
        self.stream.finish().and_then(|()| self.stream.flush()).map_err(arrow_error)
    }
}

fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, QueryError> {
    RecordBatch::try_new(SchemaRef::clone(schema), batch.columns().to_vec()).map_err(arrow_error)
}

fn arrow_error(error: ArrowError) -> QueryError {
    QueryError::new(QueryErrorKind::Output, format!("the result cannot be written: {error}")).source(error)
}

fn parquet_error(error: ParquetError) -> QueryError {
    QueryError::new(QueryErrorKind::Output, format!("the result cannot be written: {error}")).source(error)
}
