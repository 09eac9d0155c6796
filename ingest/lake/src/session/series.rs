//! Functions that make much out of little: `generate_series`, `range`, `repeat`, `lpad`, `rpad`, `array_repeat`, `array_resize`.
//!
//! In: the engine's own functions. Out: the same functions, which first add up what one call would make and refuse when
//! it is more than [`Limits::series_items`]. Their results are built outside the memory pool, so without this a query
//! of one line could take the whole process down.
//!
//! Invariant: the estimate is never below what the function would allocate, in items or characters, but for steps of
//! calendar months, which count as 28 days.
//!
//! [`Limits::series_items`]: super::Limits::series_items

use std::{hash, sync::Arc};

use deltalake::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Int64Array},
        compute::{CastOptions, cast_with_options},
        datatypes::{
            DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
        },
    },
    datafusion::{
        common::Result,
        error::DataFusionError,
        execution::FunctionRegistry,
        logical_expr::{
            ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        },
        prelude::SessionContext,
    },
};
use keytrail_model::display::count;
use thiserror::Error;

/// A call that would make too much.
#[derive(Debug, Error)]
#[error("{function} would make more than {} items in one call", count(i64::try_from(*limit).unwrap_or(i64::MAX)))]
pub struct SeriesTooLong {
    pub function: String,
    pub limit: u64,
}

/// How a function's arguments tell the size of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Size {
    /// From the first to the second by the third.
    Series,
    /// The second argument, times the length of the first.
    Copies,
    /// The second argument.
    Length,
}

const GUARDED: [(&str, Size); 7] = [
    ("generate_series", Size::Series),
    ("range", Size::Series),
    ("repeat", Size::Copies),
    ("array_repeat", Size::Copies),
    ("lpad", Size::Length),
    ("rpad", Size::Length),
    ("array_resize", Size::Length),
];

/// Replaces the session's functions by their guarded selves.
pub(super) fn guard(session: &SessionContext, limit: u64) -> Result<()> {
    for (name, size) in GUARDED {
        let inner = session.udf(name)?;
        session.register_udf(ScalarUDF::new_from_impl(Guarded { inner, size, limit }));
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Guarded {
    inner: Arc<ScalarUDF>,
    size: Size,
    limit: u64,
}

impl hash::Hash for Guarded {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.inner.name().hash(state);
        self.limit.hash(state);
    }
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.inner().return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.items(&args)? > u128::from(self.limit) {
            return Err(DataFusionError::External(Box::new(SeriesTooLong {
                function: self.name().to_owned(),
                limit: self.limit,
            })));
        }
        self.inner.inner().invoke_with_args(args)
    }
}

impl Guarded {
    fn items(&self, args: &ScalarFunctionArgs) -> Result<u128> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|value| value.clone().into_array(rows)).collect::<Result<Vec<_>>>()?;
        let mut items: u128 = 0;
        match self.size {
            Size::Series => {
                let series = Series::new(&arrays)?;
                for row in 0..rows {
                    items = items.saturating_add(series.length(row));
                }
            }
            Size::Copies | Size::Length => {
                let Some(number) = arrays.get(1) else { return Ok(0) };
                let number = numbers(number)?;
                for row in (0..rows).filter(|row| number.is_valid(*row)) {
                    let each = match (self.size, arrays.first()) {
                        (Size::Copies, Some(first)) => text_length(first, row),
                        _ => 1,
                    };
                    items = items.saturating_add(each * u128::try_from(number.value(row)).unwrap_or(0));
                }
            }
        }
        Ok(items)
    }
}

fn text_length(array: &ArrayRef, row: usize) -> u128 {
    let length = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_length(row).unsigned_abs().into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value_length(row).unsigned_abs().into(),
        DataType::Utf8View => array.as_string_view().value(row).len() as u128,
        _ => 1,
    };
    length.max(1)
}

/// Numbers as they are; what does not fit is null, and the engine says what it thinks of it.
fn numbers(array: &ArrayRef) -> Result<Int64Array> {
    Ok(lossy(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn lossy(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, to, &CastOptions { safe: true, ..CastOptions::default() })?)
}

/// The bounds and steps of a series, each as a plain number: items, or microseconds for dates and moments.
struct Series {
    start: Option<Int64Array>,
    stop: Int64Array,
    step: Option<ArrayRef>,
}

impl Series {
    fn new(arrays: &[ArrayRef]) -> Result<Self> {
        let bound = |array: &ArrayRef| match array.data_type() {
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                let moments = lossy(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                Ok(moments.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>())
            }
            _ => numbers(array),
        };
        match arrays {
            [stop] => Ok(Self { start: None, stop: bound(stop)?, step: None }),
            [start, stop] => Ok(Self { start: Some(bound(start)?), stop: bound(stop)?, step: None }),
            [start, stop, step, ..] => {
                let step = match step.data_type() {
                    DataType::Interval(_) => lossy(step, &DataType::Interval(IntervalUnit::MonthDayNano))?,
                    _ => lossy(step, &DataType::Int64)?,
                };
                Ok(Self { start: Some(bound(start)?), stop: bound(stop)?, step: Some(step) })
            }
            [] => Ok(Self { start: None, stop: Int64Array::new_null(0), step: None }),
        }
    }

    fn length(&self, row: usize) -> u128 {
        let start = self.start.as_ref().map_or(Some(0), |start| value_at(start, row));
        let (Some(start), Some(stop)) = (start, value_at(&self.stop, row)) else { return 0 };
        (stop - start).unsigned_abs() / self.step_size(row).max(1) + 1
    }

    fn step_size(&self, row: usize) -> u128 {
        let Some(step) = &self.step else { return 1 };
        if step.is_null(row) {
            return u128::MAX;
        }
        if let Some(intervals) = step.as_primitive_opt::<IntervalMonthDayNanoType>() {
            let interval = intervals.value(row);
            let days = i128::from(interval.months) * 28 + i128::from(interval.days);
            return (days * 86_400_000_000 + i128::from(interval.nanoseconds) / 1_000).unsigned_abs();
        }
        step.as_primitive_opt::<Int64Type>().map_or(1, |steps| i128::from(steps.value(row)).unsigned_abs())
    }
}

fn value_at(array: &Int64Array, row: usize) -> Option<i128> {
    array.is_valid(row).then(|| i128::from(array.value(row)))
}
