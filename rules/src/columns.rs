//! A query's rows as JSON objects: what templates and findings are made from.
//!
//! In: Arrow batches of any plain types. Out: one map per row. Moments and lengths of time are whole microseconds, lists
//! are arrays, everything else without a plain form is text.

use keytrail_lake::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit},
    error::ArrowError,
    util::display::array_value_to_string,
};
use serde_json::{Map, Value};

/// The rows of a batch.
pub(crate) fn rows(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let mut rows = vec![Map::new(); batch.num_rows()];
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(values(column)?) {
            row.insert(field.name().clone(), value);
        }
    }
    Ok(rows)
}

fn values(column: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    let number = |column: &ArrayRef| -> Result<Vec<Value>, ArrowError> {
        let column = cast(column, &DataType::Int64)?;
        Ok(column.as_primitive::<Int64Type>().iter().map(Value::from).collect())
    };
    match column.data_type() {
        DataType::Boolean => Ok(column.as_boolean().iter().map(Value::from).collect()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            let column = cast(column, &DataType::Utf8)?;
            Ok(column.as_string::<i32>().iter().map(Value::from).collect())
        }
        DataType::Timestamp(_, zone) => {
            number(&cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?)
        }
        DataType::Duration(_) => number(&cast(column, &DataType::Duration(TimeUnit::Microsecond))?),
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
            let column = cast(column, &DataType::Float64)?;
            Ok(column.as_primitive::<Float64Type>().iter().map(Value::from).collect())
        }
        kind if kind.is_integer() => number(column),
        DataType::Null => Ok(vec![Value::Null; column.len()]),
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            lists.iter().map(|list| list.map_or(Ok(Value::Null), |list| Ok(Value::Array(values(&list)?)))).collect()
        }
        _ => {
            (0..column.len())
                .map(|at| {
                    if column.is_null(at) {
                        Ok(Value::Null)
                    } else {
                        array_value_to_string(column, at).map(Value::from)
                    }
                })
                .collect()
        }
    }
}
