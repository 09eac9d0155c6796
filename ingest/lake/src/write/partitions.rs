//! Rows of a commit into one file per partition, on every core.

use std::{ops::Range, sync::Arc};

use deltalake::{
    DeltaTable,
    arrow::{
        array::RecordBatch,
        compute::{SortColumn, lexsort_to_indices, partition, take_record_batch},
    },
    kernel::Add,
};
use futures::FutureExt;

use super::{FileWriter, Purpose};
use crate::{
    encode::Texts,
    error::{At, LakeError},
    lake::{Lake, in_parallel},
    schema::{TableName, TableSpec},
};

impl Lake {
    /// Writes rows as new files, sorted and split by partition. Nothing of it is in the table before a commit.
    pub(crate) async fn write_rows(
        &self,
        snapshot: &DeltaTable,
        name: TableName,
        batch: RecordBatch,
        purpose: Purpose,
    ) -> Result<Vec<Add>, LakeError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let spec = name.spec();
        let parts = tokio::task::spawn_blocking(move || split(spec, &batch)).await.at(name)??;
        let store = snapshot.log_store().object_store(None);
        let jobs = parts.into_iter().map(|(value, rows)| {
            let store = store.clone();
            let job = async move {
                let file = tokio::task::spawn_blocking(move || {
                    let mut writer = FileWriter::new(spec, value, &rows.schema(), purpose)?;
                    writer.write(&rows)?;
                    writer.finish(true)
                });
                file.await.at(name)??.store(store.as_ref()).await
            };
            job.boxed()
        });
        in_parallel(name, jobs.collect()).await
    }
}

/// Rows sorted as a fresh file has them, one batch per partition.
fn split(spec: &TableSpec, batch: &RecordBatch) -> Result<Vec<(Option<String>, RecordBatch)>, LakeError> {
    let sorted = sort(spec, batch, spec.fresh_order)?;
    let Some(column) = spec.partition else { return Ok(vec![(None, sorted)]) };
    let values = Texts::of(&sorted, column)?;
    let ranges: Vec<Range<usize>> = partition(&[Arc::new(values.array().clone())]).at(spec.name)?.ranges();
    ranges
        .into_iter()
        .map(|range| Ok((Some(values.always(range.start)?.to_owned()), sorted.slice(range.start, range.len()))))
        .collect()
}

/// Rows by partition, then by these columns.
fn sort(spec: &TableSpec, batch: &RecordBatch, order: &[&str]) -> Result<RecordBatch, LakeError> {
    let columns: Vec<SortColumn> = spec
        .partition
        .iter()
        .chain(order)
        .filter_map(|name| batch.column_by_name(name))
        .map(|values| SortColumn { values: values.clone(), options: None })
        .collect();
    let order = lexsort_to_indices(&columns, None).at(spec.name)?;
    take_record_batch(batch, &order).at(spec.name)
}
