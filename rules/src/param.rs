//! A rule's parameters: typed values with a default, overridable from the configuration.
//!
//! In: TOML values. Out: [`ParamValue`]s and the SQL literal each is bound as. Durations are written `7d`, `24h`,
//! `90m`, `30s` and bound as `INTERVAL`s of whole seconds, so that SQL adds them to moments. A value of the wrong type
//! is an error that says which type was expected.

use std::fmt;

use keytrail_model::{Micros, time};
use serde::Deserialize;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    Duration,
    Integer,
    Number,
    Boolean,
    Text,
    TextList,
}

impl ParamType {
    /// How messages name it.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Duration => "duration such as \"7d\" or \"24h\"",
            Self::Integer => "whole number",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::TextList => "list of texts",
        }
    }
}

/// One `[param.NAME]` of a manifest, as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    #[serde(rename = "type")]
    pub param_type: ParamType,
    pub default: toml::Value,
    pub doc: String,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    Duration(Micros),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Text(String),
    TextList(Vec<String>),
    /// A moment; only the engine's own `$as_of` has one.
    Moment(Micros),
}

impl ParamValue {
    /// Reads a TOML value as the type asks; `None` when it is of another type.
    pub fn from_toml(param_type: ParamType, value: &toml::Value) -> Option<Self> {
        match (param_type, value) {
            (ParamType::Duration, toml::Value::String(text)) => parse_duration(text).map(Self::Duration),
            (ParamType::Integer, toml::Value::Integer(number)) => Some(Self::Integer(*number)),
            (ParamType::Number, toml::Value::Float(number)) if number.is_finite() => Some(Self::Number(*number)),
            (ParamType::Number, toml::Value::Integer(number)) => Some(Self::Number(*number as f64)),
            (ParamType::Boolean, toml::Value::Boolean(flag)) => Some(Self::Boolean(*flag)),
            (ParamType::Text, toml::Value::String(text)) => Some(Self::Text(text.clone())),
            (ParamType::TextList, toml::Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .map(Self::TextList),
            _ => None,
        }
    }

    /// The SQL that stands in place of `$name`.
    pub fn to_sql(&self) -> String {
        match self {
            Self::Duration(length) => format!("INTERVAL '{} seconds'", length / time::SECOND),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => format!("CAST({number} AS DOUBLE)"),
            Self::Boolean(flag) => flag.to_string(),
            Self::Text(text) => quoted(text),
            Self::TextList(items) if items.is_empty() => "arrow_cast([], 'List(Utf8)')".to_owned(),
            Self::TextList(items) => {
                format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
            }
            Self::Moment(at) => format!("arrow_cast(CAST({at} AS BIGINT), 'Timestamp(Microsecond, Some(\"UTC\"))')"),
        }
    }

    /// What templates see: durations and moments as microseconds.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Duration(number) | Self::Integer(number) | Self::Moment(number) => (*number).into(),
            Self::Number(number) => (*number).into(),
            Self::Boolean(flag) => (*flag).into(),
            Self::Text(text) => text.as_str().into(),
            Self::TextList(items) => items.clone().into(),
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(length) => f.write_str(&format_duration(*length)),
            Self::Moment(at) => f.write_str(&time::to_rfc3339(*at)),
            Self::Integer(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(flag) => flag.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::TextList(items) => f.write_str(&items.join(", ")),
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `7d`, `24h`, `90m`, `30s`; whole, not negative, at most a hundred years.
pub fn parse_duration(text: &str) -> Option<Micros> {
    let text = text.trim();
    let unit = match text.chars().last()? {
        's' => time::SECOND,
        'm' => 60 * time::SECOND,
        'h' => time::HOUR,
        'd' => time::DAY,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?.trim_end();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length = digits.parse::<i64>().ok()?.checked_mul(unit)?;
    (length <= 36_525 * time::DAY).then_some(length)
}

/// The shortest text that [`parse_duration`] reads back.
pub fn format_duration(length: Micros) -> String {
    for (unit, letter) in [(time::DAY, 'd'), (time::HOUR, 'h'), (60 * time::SECOND, 'm')] {
        if length != 0 && length % unit == 0 {
            return format!("{}{letter}", length / unit);
        }
    }
    format!("{}s", length / time::SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        for text in ["7d", "24h", "90m", "30s", "0s"] {
            let length = parse_duration(text).expect("a duration");
            assert_eq!(parse_duration(&format_duration(length)), Some(length));
        }
        assert_eq!(format_duration(48 * time::HOUR), "2d");
        for text in ["", "7", "d", "-1d", "1.5h", "7 weeks", "99999999999999999d", "1é"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn text_cannot_leave_its_quotes() {
        assert_eq!(ParamValue::Text("a' OR '1'='1".into()).to_sql(), "'a'' OR ''1''=''1'");
        assert_eq!(ParamValue::TextList(vec!["x".into(), "y'".into()]).to_sql(), "['x', 'y''']");
    }

    #[test]
    fn a_wrong_type_is_refused() {
        let text = toml::Value::String("7d".into());
        assert_eq!(ParamValue::from_toml(ParamType::Duration, &text), Some(ParamValue::Duration(7 * time::DAY)));
        assert_eq!(ParamValue::from_toml(ParamType::Integer, &text), None);
        assert_eq!(ParamValue::from_toml(ParamType::Duration, &toml::Value::Integer(7)), None);
    }
}
