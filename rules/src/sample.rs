//! Sample files: CloudTrail records beside a rule, and what it must say about them.
//!
//! In: JSON. Out: a [`Sample`] whose records are complete. A file looks like this:
//!
//! ```json
//! {
//!   "description": "what it shows",
//!   "config": { "rule": {"learning": "3d"}, "networks": [..], "readers": {"upkeep": [..]} },
//!   "as_of": "2026-08-01T00:00:00Z",
//!   "coverage": [{"account_id": "..", "region": "..", "from": "..", "to": "..", "gaps": [["..", ".."]]}],
//!   "defaults": { "awsRegion": "us-east-1" },
//!   "records": [ {..}, {"repeat": {"every": "1d", "times": 30}, "record": {..}} ],
//!   "expect": { "alerts": 1, "principal_id": "..", "secret_ids": [".."], "severity": "low", "reason": "a part of it" }
//! }
//! ```
//!
//! `defaults` are laid under every record, member by member. `repeat` makes copies of a record, each later by `every`
//! and with an id of its own. Unknown keys are errors with line and column.

use keytrail_model::{Micros, Severity, time};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    error::{Position, RuleError, RuleErrorKind},
    pack::{SampleFile, SampleKind},
    param::parse_duration,
    settings::{NetworkPolicy, ReaderClasses},
    tables::CoverageHour,
};

/// Copies beyond this are a mistake in a sample, not a history.
const MAX_RECORDS: usize = 10_000;

/// One sample, ready to be judged.
#[derive(Clone, Debug)]
pub struct Sample {
    pub description: String,
    pub config: SampleConfig,
    pub as_of: Option<Micros>,
    pub coverage: Vec<CoverageHour>,
    /// Complete records, in the file's order.
    pub records: Vec<Value>,
    pub expect: Expect,
}

/// What a sample sets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleConfig {
    pub rule: toml::Table,
    pub networks: Vec<NetworkPolicy>,
    pub readers: ReaderClasses,
}

/// What a sample expects. What is left out is not looked at; `fires/` expects one alert and `quiet/` none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    pub alerts: Option<usize>,
    pub principal_id: Option<String>,
    pub secret_ids: Option<Vec<String>>,
    pub severity: Option<Severity>,
    pub event_count: Option<i64>,
    pub reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    description: String,
    #[serde(default)]
    config: SampleConfig,
    as_of: Option<String>,
    #[serde(default)]
    coverage: Vec<WrittenCoverage>,
    #[serde(default)]
    defaults: Map<String, Value>,
    records: Vec<Value>,
    #[serde(default)]
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCoverage {
    account_id: String,
    region: String,
    from: String,
    to: String,
    #[serde(default)]
    gaps: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeated {
    repeat: Repeat,
    record: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    every: String,
    times: usize,
}

impl Sample {
    /// Reads a sample of a rule.
    pub fn parse(rule_id: &str, file: &SampleFile) -> Result<Self, RuleError> {
        let name = format!("{}/{}.json", file.kind.folder(), file.name);
        let bad = |what: String| RuleError::new(rule_id, &name, RuleErrorKind::Sample(what));
        let written: Written = serde_json::from_str(&file.text).map_err(|error| {
            let message = error.to_string();
            let said = message.split(" at line ").next().unwrap_or(&message).to_owned();
            RuleError::new(rule_id, &name, RuleErrorKind::Syntax(said))
                .at(Some(Position { line: error.line(), column: error.column() }))
        })?;
        let moment = |text: &str| time::parse_human(text).ok_or_else(|| bad(format!("`{text}` is no time")));
        let mut records = Vec::new();
        for record in written.records {
            for mut record in repeated(record).map_err(bad)? {
                lay_under(&mut record, &Value::Object(written.defaults.clone()));
                records.push(record);
            }
            if records.len() > MAX_RECORDS {
                return Err(bad(format!("more than {MAX_RECORDS} records")));
            }
        }
        let mut coverage = Vec::new();
        for span in &written.coverage {
            let gaps: Vec<(Micros, Micros)> = span
                .gaps
                .iter()
                .map(|(from, to)| Ok((moment(from)?, moment(to)?)))
                .collect::<Result<_, RuleError>>()?;
            let (from, to) = (moment(&span.from)?, moment(&span.to)?);
            for hour_at in (0..).map(|hour| from + hour * time::HOUR).take_while(|at| *at < to).take(MAX_RECORDS) {
                let in_gap = gaps.iter().any(|&(from, to)| (from..to).contains(&hour_at));
                coverage.push(CoverageHour {
                    account_id: span.account_id.clone(),
                    region: span.region.clone(),
                    hour_at,
                    state: if in_gap { "gap" } else { "seen" }.to_owned(),
                    object_count: i64::from(!in_gap),
                });
            }
        }
        let alerts = written.expect.alerts.or(Some(usize::from(file.kind == SampleKind::Fires)));
        Ok(Self {
            description: written.description,
            config: written.config,
            as_of: written.as_of.as_deref().map(moment).transpose()?,
            coverage,
            records,
            expect: Expect { alerts, ..written.expect },
        })
    }
}

/// The record itself, or its copies.
fn repeated(record: Value) -> Result<Vec<Value>, String> {
    if record.get("repeat").is_none() {
        return Ok(vec![record]);
    }
    let repeated: Repeated = serde_json::from_value(record).map_err(|error| error.to_string())?;
    let every =
        parse_duration(&repeated.repeat.every).ok_or_else(|| format!("`{}` is no duration", repeated.repeat.every))?;
    let text = |name: &str| repeated.record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let first = time::parse_rfc3339(&text("eventTime")).ok_or("a repeated record needs an `eventTime`")?;
    let id = text("eventID");
    let copies = (0_i64..).take(repeated.repeat.times.min(MAX_RECORDS + 1)).map(|number| {
        let mut copy = repeated.record.clone();
        if let Value::Object(members) = &mut copy {
            members.insert("eventTime".to_owned(), time::to_rfc3339(first + number * every).into());
            members.insert("eventID".to_owned(), format!("{id}-{number}").into());
        }
        copy
    });
    Ok(copies.collect())
}

/// Adds what the record does not say itself.
fn lay_under(record: &mut Value, defaults: &Value) {
    let (Value::Object(record), Value::Object(defaults)) = (record, defaults) else { return };
    for (name, value) in defaults {
        match record.get_mut(name) {
            None => {
                record.insert(name.clone(), value.clone());
            }
            Some(own) => lay_under(own, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sample, RuleError> {
        Sample::parse("r", &SampleFile { kind: SampleKind::Fires, name: "s".into(), text: text.into() })
    }

    #[test]
    fn copies_get_times_and_ids_of_their_own() {
        let sample = parse(
            r#"{"description": "d", "defaults": {"awsRegion": "us-east-1", "userIdentity": {"type": "Role"}},
                "records": [{"repeat": {"every": "1d", "times": 2},
                             "record": {"eventTime": "2026-01-01T00:00:00Z", "eventID": "e", "userIdentity": {"arn": "a"}}}]}"#,
        )
        .expect("good");
        assert_eq!(sample.records.len(), 2);
        assert_eq!(sample.records[1]["eventTime"], "2026-01-02T00:00:00Z");
        assert_eq!(sample.records[1]["eventID"], "e-1");
        assert_eq!(sample.records[0]["userIdentity"], serde_json::json!({"arn": "a", "type": "Role"}));
        assert_eq!(sample.expect.alerts, Some(1));
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = parse("{\n  \"description\": \"d\",\n  \"recods\": []}").expect_err("a mistake").to_string();
        assert!(error.starts_with("r/fires/s.json:3:10: unknown field `recods`"), "{error}");
    }
}
