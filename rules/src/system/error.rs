//! Why the conditions could not be looked for.

use keytrail_lake::{LakeError, arrow::error::ArrowError, datafusion::error::DataFusionError};
use thiserror::Error;

/// What stood in the way of looking at the lake's condition.
#[derive(Debug, Error)]
pub enum SystemError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("ask the lake for its {what}: {source}")]
    Query { what: &'static str, source: Box<DataFusionError> },
    #[error("read the answer about the lake's {what}: {source}")]
    Rows { what: &'static str, source: Box<ArrowError> },
    /// Our own SQL names a parameter that it is not given.
    #[error("ask the lake for its {what}: `${name}` has no value")]
    Unbound { what: &'static str, name: String },
}
