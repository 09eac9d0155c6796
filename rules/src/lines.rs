//! What the engine itself must know of rows: whom they concern, when they happened, what they replace.
//!
//! In: a batch with the columns of `access_events`. Out: borrowed rows by their place in the batch. A batch without one of
//! the columns is an error that names it.

use std::sync::Arc;

use keytrail_lake::arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use keytrail_model::Micros;

use crate::state::RowsError;

/// The columns of one batch.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    event_at: Int64Array,
    ingested_at: Int64Array,
    texts: [Arc<StringArray>; TEXTS.len()],
}

const TEXTS: [&str; 12] = [
    "event_id",
    "account_id",
    "principal_id",
    "action",
    "outcome",
    "event_name",
    "principal_kind",
    "credential_kind",
    "secret_id",
    "secret_name",
    "shared_event_id",
    "corrects_event_id",
];

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub event_at: Micros,
    pub ingested_at: Micros,
    pub event_id: &'a str,
    pub account_id: &'a str,
    pub principal_id: &'a str,
    pub action: &'a str,
    pub outcome: &'a str,
    pub event_name: &'a str,
    pub principal_kind: &'a str,
    pub credential_kind: Option<&'a str>,
    pub secret_id: Option<&'a str>,
    pub secret_name: Option<&'a str>,
    pub shared_event_id: Option<&'a str>,
    pub corrects_event_id: Option<&'a str>,
}

impl Lines {
    pub(crate) fn new(batch: &RecordBatch) -> Result<Self, RowsError> {
        let text = |name: &'static str| -> Result<Arc<StringArray>, RowsError> {
            let array = column(batch, name, &DataType::Utf8)?;
            array.as_any().downcast_ref::<StringArray>().cloned().map(Arc::new).ok_or(RowsError::WrongType(name))
        };
        let mut texts = Vec::with_capacity(TEXTS.len());
        for name in TEXTS {
            texts.push(text(name)?);
        }
        let texts = texts.try_into().map_err(|_| RowsError::WrongType("event_id"))?;
        Ok(Self { event_at: number(batch, "event_at")?, ingested_at: number(batch, "ingested_at")?, texts })
    }

    pub(crate) fn len(&self) -> usize {
        self.event_at.len()
    }

    /// The row at a place.
    pub(crate) fn get(&self, at: usize) -> Option<Line<'_>> {
        (at < self.len()).then(|| {
            let [event_id, account_id, principal_id, action, outcome, event_name, principal_kind, rest @ ..] =
                &self.texts;
            let [credential_kind, secret_id, secret_name, shared_event_id, corrects_event_id] = rest;
            let maybe = |texts: &'_ Arc<StringArray>| texts.is_valid(at);
            Line {
                event_at: self.event_at.value(at),
                ingested_at: self.ingested_at.value(at),
                event_id: event_id.value(at),
                account_id: account_id.value(at),
                principal_id: principal_id.value(at),
                action: action.value(at),
                outcome: outcome.value(at),
                event_name: event_name.value(at),
                principal_kind: principal_kind.value(at),
                credential_kind: maybe(credential_kind).then(|| credential_kind.value(at)),
                secret_id: maybe(secret_id).then(|| secret_id.value(at)),
                secret_name: maybe(secret_name).then(|| secret_name.value(at)),
                shared_event_id: maybe(shared_event_id).then(|| shared_event_id.value(at)),
                corrects_event_id: maybe(corrects_event_id).then(|| corrects_event_id.value(at)),
            }
        })
    }

    /// Every row, in the batch's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

impl<'a> Line<'a> {
    /// What tells a row from every other.
    pub(crate) fn identity(&self) -> (&'a str, &'a str, Option<&'a str>) {
        (self.event_id, self.account_id, self.secret_id)
    }
}

fn column(batch: &RecordBatch, name: &'static str, wanted: &DataType) -> Result<ArrayRef, RowsError> {
    let column = batch.column_by_name(name).ok_or(RowsError::MissingColumn(name))?;
    cast(column, wanted).map_err(|_| RowsError::WrongType(name))
}

fn number(batch: &RecordBatch, name: &'static str) -> Result<Int64Array, RowsError> {
    let array = column(batch, name, &DataType::Int64)?;
    array.as_any().downcast_ref::<Int64Array>().cloned().ok_or(RowsError::WrongType(name))
}
