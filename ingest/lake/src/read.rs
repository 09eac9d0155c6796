//! The lake's own reading of single Parquet files: some columns, some row groups, some rows.
//!
//! In: a file of a snapshot, the columns wanted and a test on one column. Out: a stream of batches; memory holds one
//! batch and the pages under it. SQL does not pass through here, it reads the tables through DataFusion.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use deltalake::{
    ObjectStore, Path,
    arrow::{
        array::{Array, ArrayRef, BooleanArray, RecordBatch},
        error::ArrowError,
    },
    parquet::{
        arrow::{
            ProjectionMask,
            arrow_reader::{ArrowPredicateFn, ArrowReaderOptions, RowFilter},
            async_reader::{AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder},
        },
        errors::ParquetError,
        file::{
            metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
            statistics::Statistics,
        },
    },
};
use futures::future::BoxFuture;

use crate::{
    error::{At, LakeError},
    files::FileFact,
};

const BATCH_ROWS: usize = 8 * 1024;

/// Which values of a column are wanted.
pub(crate) type Passes = Box<dyn FnMut(&ArrayRef) -> Result<BooleanArray, ArrowError> + Send>;

/// A test that rows must pass, on one column.
pub(crate) struct Test {
    /// The column.
    pub(crate) column: &'static str,
    /// True for the values that are wanted.
    pub(crate) passes: Passes,
    /// Whether values between these can pass, for numbers and moments: row groups that cannot are not read at all.
    pub(crate) may_pass: Option<Box<dyn Fn(i64, i64) -> bool + Send>>,
}

/// Opens a file; only the columns named are read (all of them if `None`).
pub(crate) async fn open(
    store: Arc<dyn ObjectStore>,
    file: &FileFact,
    columns: Option<&[&str]>,
    test: Option<Test>,
) -> Result<ParquetRecordBatchStream<StoredFile>, LakeError> {
    let stored = StoredFile { store, path: Path::from(file.path.as_str()), size: file.size };
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let mut builder = ParquetRecordBatchStreamBuilder::new_with_options(stored, options).await.at(&file.path)?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    if let Some(mut test) = test
        && builder.schema().index_of(test.column).is_ok()
    {
        if let Some(may_pass) = &test.may_pass {
            let groups = builder.metadata().row_groups().iter().enumerate();
            let kept = groups
                .filter(|(_, group)| bounds(group, test.column).is_none_or(|(first, last)| may_pass(first, last)));
            let kept = kept.map(|(at, _)| at).collect();
            builder = builder.with_row_groups(kept);
        }
        let mask = ProjectionMask::columns(builder.parquet_schema(), [test.column]);
        let predicate = ArrowPredicateFn::new(mask, move |batch: RecordBatch| match batch.columns().first() {
            Some(column) => (test.passes)(column),
            None => Err(ArrowError::InvalidArgumentError("the tested column was not read".to_owned())),
        });
        builder = builder.with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
    }
    builder.with_batch_size(BATCH_ROWS).build().at(&file.path)
}

/// The smallest and largest number of a column in a row group, where the file tells.
fn bounds(group: &RowGroupMetaData, column: &str) -> Option<(i64, i64)> {
    let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == column)?;
    match chunk.statistics()? {
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    }
}

/// A file in the store, as the Parquet reader asks for it.
pub(crate) struct StoredFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl AsyncFileReader for StoredFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        Box::pin(async move {
            let mut found = self.store.get_ranges(&self.path, &[range]).await.map_err(outside)?;
            found.pop().ok_or_else(|| ParquetError::General("the store gave no bytes".to_owned()))
        })
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        Box::pin(async move { self.store.get_ranges(&self.path, &ranges).await.map_err(outside) })
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        Box::pin(async move {
            let size = self.size;
            let metadata =
                ParquetMetaDataReader::new().with_arrow_reader_options(options).load_and_finish(self, size).await?;
            Ok(Arc::new(metadata))
        })
    }
}

fn outside(error: deltalake::ObjectStoreError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// True where a text is among those wanted; null is not.
pub(crate) fn one_of(column: &ArrayRef, wanted: impl Fn(&str) -> bool) -> Result<BooleanArray, ArrowError> {
    let column = deltalake::arrow::compute::cast(column, &deltalake::arrow::datatypes::DataType::Utf8)?;
    let texts = deltalake::arrow::array::AsArray::as_string::<i32>(column.as_ref());
    Ok((0..texts.len()).map(|row| Some(texts.is_valid(row) && wanted(texts.value(row)))).collect())
}
