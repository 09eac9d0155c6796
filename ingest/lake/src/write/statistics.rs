//! What a file holds, as Delta's statistics: row count, nulls, smallest and largest value of the columns that readers
//! filter by.
//!
//! A value too long to be worth keeping, or a moment that no four-digit year can tell, leaves its bound out: readers
//! then read the file instead of skipping it.

use deltalake::arrow::{
    array::{Array, RecordBatch},
    compute::{max, max_string, min, min_string},
};
use serde_json::{Map, Number, Value, json};

use crate::{
    encode::{Texts, flags, integers, is_plain_moment, moments},
    error::LakeError,
    schema::{ColumnType, TableSpec},
};

/// Longer texts are not kept: they would bloat the log, and an attacker chooses some of them.
const TEXT_LIMIT: usize = 512;

/// Statistics of one file, gathered while it is written.
pub(super) struct Statistics {
    rows: usize,
    columns: Vec<Observed>,
}

struct Observed {
    name: &'static str,
    column_type: ColumnType,
    nulls: usize,
    smallest: Option<Bound>,
    largest: Option<Bound>,
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Bound {
    Text(String),
    Number(i64),
}

impl Statistics {
    pub(super) fn new(spec: &TableSpec) -> Self {
        let columns = spec.columns.iter().filter(|column| spec.statistics.contains(&column.name));
        let columns = columns
            .map(|column| Observed {
                name: column.name,
                column_type: column.column_type,
                nulls: 0,
                smallest: None,
                largest: None,
            })
            .collect();
        Self { rows: 0, columns }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes a batch into account.
    pub(super) fn observe(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.rows += batch.num_rows();
        for column in &mut self.columns {
            let (nulls, smallest, largest) = match column.column_type {
                ColumnType::Text => {
                    let texts = Texts::of(batch, column.name)?;
                    let texts = texts.array();
                    let text = |text: Option<&str>| text.map(|text| Bound::Text(text.to_owned()));
                    (texts.null_count(), text(min_string(texts)), text(max_string(texts)))
                }
                ColumnType::Moment => {
                    let moments = moments(batch, column.name)?;
                    (moments.null_count(), min(&moments).map(Bound::Number), max(&moments).map(Bound::Number))
                }
                ColumnType::Integer => {
                    let numbers = integers(batch, column.name)?;
                    (numbers.null_count(), min(&numbers).map(Bound::Number), max(&numbers).map(Bound::Number))
                }
                ColumnType::Flag => (flags(batch, column.name)?.null_count(), None, None),
                ColumnType::TextList => continue,
            };
            column.nulls += nulls;
            if let Some(smallest) = smallest
                && column.smallest.as_ref().is_none_or(|known| smallest < *known)
            {
                column.smallest = Some(smallest);
            }
            if let Some(largest) = largest
                && column.largest.as_ref().is_none_or(|known| largest > *known)
            {
                column.largest = Some(largest);
            }
        }
        Ok(())
    }

    /// The statistics as Delta's log has them.
    pub(super) fn to_json(&self) -> String {
        let mut smallest = Map::new();
        let mut largest = Map::new();
        let mut nulls = Map::new();
        for column in &self.columns {
            nulls.insert(column.name.to_owned(), Value::from(column.nulls));
            if let Some(value) = told(column, column.smallest.as_ref(), Rounding::Down) {
                smallest.insert(column.name.to_owned(), value);
            }
            if let Some(value) = told(column, column.largest.as_ref(), Rounding::Up) {
                largest.insert(column.name.to_owned(), value);
            }
        }
        json!({ "numRecords": self.rows, "minValues": smallest, "maxValues": largest, "nullCount": nulls }).to_string()
    }
}

/// Delta's statistics hold milliseconds, so bounds are rounded outwards.
#[derive(Clone, Copy)]
enum Rounding {
    Down,
    Up,
}

fn told(column: &Observed, bound: Option<&Bound>, rounding: Rounding) -> Option<Value> {
    match bound? {
        Bound::Text(text) => (text.len() <= TEXT_LIMIT).then(|| Value::String(text.clone())),
        Bound::Number(number) if column.column_type == ColumnType::Moment => {
            let millis = match rounding {
                Rounding::Down => number.div_euclid(1_000),
                Rounding::Up => number.div_euclid(1_000) + i64::from(number.rem_euclid(1_000) > 0),
            };
            let at = is_plain_moment(*number).then(|| chrono::DateTime::from_timestamp_millis(millis)).flatten()?;
            Some(Value::String(at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)))
        }
        Bound::Number(number) => Some(Value::Number(Number::from(*number))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encode::encode_access_events, schema::TableName, testing};

    fn of(events: &[keytrail_model::AccessEvent]) -> Value {
        let mut statistics = Statistics::new(TableName::AccessEvents.spec());
        statistics.observe(&encode_access_events(events, 0, "b").expect("columns")).expect("statistics");
        serde_json::from_str(&statistics.to_json()).expect("JSON")
    }

    #[test]
    fn bounds_are_rounded_outwards_to_milliseconds() {
        let statistics = of(&[testing::bare("a", 1_500), testing::bare("b", 2_001)]);
        assert_eq!(statistics["numRecords"], 2);
        assert_eq!(statistics["minValues"]["event_at"], "1970-01-01T00:00:00.001Z");
        assert_eq!(statistics["maxValues"]["event_at"], "1970-01-01T00:00:00.003Z");
        assert_eq!(statistics["nullCount"]["corrects_event_id"], 2);
    }

    #[test]
    fn absurd_values_leave_their_bound_out() {
        let mut long = testing::bare("a", i64::MAX);
        long.secret_id = Some("x".repeat(TEXT_LIMIT + 1));
        let statistics = of(&[long, testing::bare("b", 0)]);
        assert_eq!(statistics["minValues"]["event_at"], "1970-01-01T00:00:00.000Z");
        assert!(statistics["maxValues"].get("event_at").is_none());
        assert!(statistics["maxValues"].get("secret_id").is_none());
    }
}
