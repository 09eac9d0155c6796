//! One cell as JSON, and as text.
//!
//! In: a column and a row. Out: the JSON value that the text formats share. Types that JSON has no form for (intervals,
//! times of day, decimals) are text as the engine prints it; numbers that are no numbers are null.

use chrono::{DateTime, Utc};
use keytrail_lake::arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{
        DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::{Map, Value};

use crate::error::{QueryError, QueryErrorKind};

/// The cell as JSON.
pub(super) fn json(column: &ArrayRef, row: usize) -> Result<Value, QueryError> {
    value(column, row).map_err(|error| {
        let message = format!("a value of type {} cannot be written: {error}", column.data_type());
        QueryError::new(QueryErrorKind::Output, message).source(error)
    })
}

/// The cell as text: nothing for null, text as it is, the rest as JSON.
pub(super) fn text(column: &ArrayRef, row: usize) -> Result<String, QueryError> {
    Ok(match json(column, row)? {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    })
}

/// Whether cells of this type stand at the right of their column.
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn value(column: &ArrayRef, row: usize) -> Result<Value, ArrowError> {
    macro_rules! number {
        ($type:ty) => {
            Value::from(column.as_primitive::<$type>().value(row))
        };
    }
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => Value::from(f32::from(column.as_primitive::<Float16Type>().value(row))),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        DataType::Utf8 => Value::from(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::from(column.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::from(column.as_string_view().value(row)),
        DataType::Timestamp(unit, _) => {
            moment(column, *unit, row).map_or_else(|| plain(column, row), |at| Ok(Value::from(at)))?
        }
        DataType::List(_) => list(&column.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&column.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(&column.as_fixed_size_list().value(row))?,
        DataType::ListView(_) => list(&column.as_list_view::<i32>().value(row))?,
        DataType::LargeListView(_) => list(&column.as_list_view::<i64>().value(row))?,
        DataType::Struct(fields) => {
            let columns = column.as_struct();
            let cells = fields.iter().zip(columns.columns());
            let object = cells.map(|(field, cells)| Ok((field.name().clone(), value(cells, row)?)));
            Value::Object(object.collect::<Result<Map<_, _>, ArrowError>>()?)
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let mut object = Map::new();
            for entry in 0..entries.len() {
                let key = match value(keys, entry)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                object.insert(key, value(values, entry)?);
            }
            Value::Object(object)
        }
        DataType::Dictionary(_, inner) => value(&cast(&column.slice(row, 1), inner)?, 0)?,
        _ => plain(column, row)?,
    })
}

fn list(items: &ArrayRef) -> Result<Value, ArrowError> {
    (0..items.len()).map(|item| value(items, item)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// As the engine prints it.
fn plain(column: &ArrayRef, row: usize) -> Result<Value, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    formatter.value(row).try_to_string().map(Value::from)
}

/// RFC 3339 in UTC: whole seconds, or six digits, or nine where the value has them.
fn moment(column: &ArrayRef, unit: TimeUnit, row: usize) -> Option<String> {
    let at: DateTime<Utc> = match unit {
        TimeUnit::Second => DateTime::from_timestamp(column.as_primitive::<TimestampSecondType>().value(row), 0)?,
        TimeUnit::Millisecond => {
            DateTime::from_timestamp_millis(column.as_primitive::<TimestampMillisecondType>().value(row))?
        }
        TimeUnit::Microsecond => {
            DateTime::from_timestamp_micros(column.as_primitive::<TimestampMicrosecondType>().value(row))?
        }
        TimeUnit::Nanosecond => {
            DateTime::from_timestamp_nanos(column.as_primitive::<TimestampNanosecondType>().value(row))
        }
    };
    let format = match at.timestamp_subsec_nanos() {
        0 => "%Y-%m-%dT%H:%M:%SZ",
        nanos if nanos % 1_000 == 0 => "%Y-%m-%dT%H:%M:%S%.6fZ",
        _ => "%Y-%m-%dT%H:%M:%S%.9fZ",
    };
    Some(at.format(format).to_string())
}
