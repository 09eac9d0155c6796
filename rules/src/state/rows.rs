//! Rows of `access_events`, read column-wise from Arrow batches.
//!
//! In: a batch with the columns of `access_events`, in whatever text encoding the table's reader gives. Out: borrowed
//! rows. A batch without a column is an error that names it.

use std::sync::Arc;

use keytrail_lake::arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use keytrail_model::Micros;
use thiserror::Error;

/// A batch that is not of `access_events`.
#[derive(Debug, Error)]
pub enum RowsError {
    #[error("read the rows to judge: they have no column `{0}`")]
    MissingColumn(&'static str),
    #[error("read the rows to judge: column `{0}` has an unexpected type")]
    WrongType(&'static str),
}

macro_rules! rows {
    (text { $($text:ident),+ } optional { $($optional:ident),+ } number { $($number:ident),+ } optional_number { $($optional_number:ident),+ }) => {
        /// The columns of one batch.
        #[derive(Debug)]
        pub struct Rows {
            length: usize,
            $($text: Arc<StringArray>,)+
            $($optional: Arc<StringArray>,)+
            $($number: Arc<Int64Array>,)+
            $($optional_number: Arc<Int64Array>,)+
            changed: Vec<bool>,
        }

        /// One row, borrowed.
        #[derive(Clone, Copy, Debug)]
        pub struct Row<'a> {
            $(pub $text: &'a str,)+
            $(pub $optional: Option<&'a str>,)+
            $(pub $number: i64,)+
            $(pub $optional_number: Option<i64>,)+
            /// The row was judged before and comes again because the lake changed it.
            pub changed: bool,
        }

        impl Rows {
            /// Reads a batch; `changed` tells of each row whether it came before.
            pub fn new(batch: &RecordBatch, changed: Vec<bool>) -> Result<Self, RowsError> {
                Ok(Self {
                    length: batch.num_rows(),
                    $($text: text(batch, stringify!($text))?,)+
                    $($optional: text(batch, stringify!($optional))?,)+
                    $($number: number(batch, stringify!($number))?,)+
                    $($optional_number: number(batch, stringify!($optional_number))?,)+
                    changed,
                })
            }

            /// The row at a position below the number of rows.
            fn row(&self, at: usize) -> Row<'_> {
                Row {
                    $($text: self.$text.value(at),)+
                    $($optional: self.$optional.is_valid(at).then(|| self.$optional.value(at)),)+
                    $($number: self.$number.value(at),)+
                    $($optional_number: self.$optional_number.is_valid(at).then(|| self.$optional_number.value(at)),)+
                    changed: self.changed.get(at).copied().unwrap_or(false),
                }
            }
        }
    };
}

rows! {
    text { event_id, event_name, action, outcome, secret_resolution, principal_id, principal_kind, account_id, region, object_key }
    optional {
        shared_event_id, corrects_event_id, secret_id, secret_name, secret_kind, secret_account, secret_region,
        version_id, version_stage, version_evidence, principal_account, principal_unique_id, invoked_by,
        access_key_id, source_ip, vpc_endpoint_id, user_agent_family
    }
    number { event_at, record_index }
    optional_number { delivered_at }
}

impl Rows {
    /// Every row, in the batch's order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.length).map(|at| self.row(at))
    }
}

impl Row<'_> {
    /// A successful use of a known secret.
    pub fn is_use(&self) -> bool {
        matches!(self.action, "read" | "invoke") && self.is_ok()
    }

    pub fn is_ok(&self) -> bool {
        self.outcome == "ok"
    }

    /// The day of the event, in days since 1970.
    pub fn day(&self) -> i32 {
        day_of(self.event_at)
    }
}

/// Days since 1970. Moments beyond the calendar land on its last day.
pub(crate) fn day_of(at: Micros) -> i32 {
    i32::try_from(at.div_euclid(keytrail_model::time::DAY)).unwrap_or(i32::MAX)
}

fn column(batch: &RecordBatch, name: &'static str, wanted: &DataType) -> Result<ArrayRef, RowsError> {
    let column = batch.column_by_name(name).ok_or(RowsError::MissingColumn(name))?;
    cast(column, wanted).map_err(|_| RowsError::WrongType(name))
}

fn text(batch: &RecordBatch, name: &'static str) -> Result<Arc<StringArray>, RowsError> {
    let array = column(batch, name, &DataType::Utf8)?;
    array.as_any().downcast_ref::<StringArray>().cloned().map(Arc::new).ok_or(RowsError::WrongType(name))
}

fn number(batch: &RecordBatch, name: &'static str) -> Result<Arc<Int64Array>, RowsError> {
    let array = column(batch, name, &DataType::Int64)?;
    array.as_any().downcast_ref::<Int64Array>().cloned().map(Arc::new).ok_or(RowsError::WrongType(name))
}
