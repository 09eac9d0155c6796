//! Rows of `access_events` from the lake, for what memory no longer has.
//!
//! In: keys, moments, events. Out: rows as the table stores them, of whole events. Only files of the days that are asked
//! for are read; the record's JSON is read only where a rule reads it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use keytrail_lake::{
    Lake, LakeError,
    arrow::array::RecordBatch,
    datafusion::{error::DataFusionError, execution::context::SessionConfig, prelude::SessionContext},
    schema::TableName,
};
use keytrail_model::{
    Micros,
    time::{self, DAY},
};

use crate::{
    history::{History, HistoryError, Key, Wanted, Within},
    lines::Lines,
    param::ParamValue,
    recent::{conform, schema},
};

/// More keys than this are not named in SQL: the days are read whole and the rows picked here.
const NAMED_KEYS_MAX: usize = 200;
/// How many days back the newest rows are looked for.
const NEWEST_DAYS: i64 = 3;

/// A part of the rows that are to be judged again.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) rows: Vec<RecordBatch>,
    /// Every row that was asked for up to this moment is in it; `None`: there are no more.
    pub(crate) done_to: Option<Micros>,
}

/// The lake as history.
#[derive(Debug)]
pub(crate) struct LakeRows {
    lake: Lake,
    with_raw: bool,
}

impl LakeRows {
    pub(crate) fn new(lake: Lake, with_raw: bool) -> Self {
        Self { lake, with_raw }
    }

    /// The next rows of these keys, oldest first: those of one day, and about as many as are allowed.
    pub(crate) async fn slice(
        &self,
        late: &BTreeMap<Key, Micros>,
        first: Micros,
        newest: Micros,
        max_rows: usize,
    ) -> Result<Slice, HistoryError> {
        let session = self.session().await?;
        let mut from = first;
        while from <= newest {
            let end = from.div_euclid(DAY).saturating_add(1).saturating_mul(DAY).saturating_sub(1);
            let wanted = Wanted { since: late.clone(), within: Within { first: from, last: end }, ..Wanted::default() };
            let conditions = conditions(&wanted);
            let counted = format!(
                "SELECT event_at FROM {} WHERE {conditions} ORDER BY event_at LIMIT 1 OFFSET {max_rows}",
                TableName::AccessEvents.stored()
            );
            // Where there are too many, the slice ends before the moment of the first one too many; all rows of one
            // moment are one slice, however many they are.
            let beyond = moments(&ask(&session, &counted).await?)?.first().copied();
            let last = beyond.map_or(end, |at| at.saturating_sub(1).max(from));
            let rows = self.picked(&session, &Wanted { within: Within { first: from, last }, ..wanted }).await?;
            if !rows.is_empty() || beyond.is_some() {
                return Ok(Slice { rows, done_to: (last < newest).then_some(last) });
            }
            from = end.saturating_add(1);
        }
        Ok(Slice::default())
    }

    /// What is wanted, as whole events.
    async fn picked(&self, session: &SessionContext, wanted: &Wanted) -> Result<Vec<RecordBatch>, HistoryError> {
        let stored = TableName::AccessEvents.stored();
        let dates = dates(wanted);
        let named = wanted.since.len() <= NAMED_KEYS_MAX && wanted.events.len() <= NAMED_KEYS_MAX;
        let columns = self.columns();
        let sql = if named {
            let conditions = conditions(wanted);
            format!(
                "SELECT {columns} FROM {stored} \
                 WHERE {dates} AND event_id IN (SELECT event_id FROM {stored} WHERE {conditions})"
            )
        } else {
            format!("SELECT {columns} FROM {stored} WHERE {dates}")
        };
        let rows = ask(session, &sql).await?;
        let mut picked = Vec::new();
        let mut events = std::collections::HashSet::new();
        let lines: Vec<Lines> = rows.iter().map(Lines::new).collect::<Result<_, _>>().map_err(wrong)?;
        for line in lines.iter().flat_map(Lines::iter) {
            if wanted.has(&line) {
                events.insert((line.event_at, line.event_id.to_owned()));
            }
        }
        for (batch, lines) in rows.iter().zip(&lines) {
            let keep = lines.iter().map(|line| Some(events.contains(&(line.event_at, line.event_id.to_owned()))));
            let kept = keytrail_lake::arrow::compute::filter_record_batch(batch, &keep.collect()).map_err(wrong)?;
            if kept.num_rows() > 0 {
                picked.push(kept);
            }
        }
        Ok(picked)
    }

    async fn session(&self) -> Result<SessionContext, HistoryError> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().execution.time_zone = Some("UTC".to_owned());
        let session = SessionContext::new_with_config(config);
        for (name, provider) in self.lake.providers().await.map_err(|error: LakeError| wrong(error))? {
            if name == TableName::AccessEvents.stored() {
                session.register_table(name, provider).map_err(wrong)?;
            }
        }
        Ok(session)
    }

    fn columns(&self) -> String {
        let schema = schema();
        let names = schema.fields().iter().map(|field| match field.name().as_str() {
            "raw" if !self.with_raw => "CAST(NULL AS VARCHAR) AS raw".to_owned(),
            name => name.to_owned(),
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

#[async_trait]
impl History for LakeRows {
    async fn rows(&self, wanted: &Wanted) -> Result<Vec<RecordBatch>, HistoryError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.session().await?;
        if wanted.since.is_empty() && wanted.events.len() > NAMED_KEYS_MAX {
            // Days that hold none of the events are not read.
            let mut rows = Vec::new();
            let mut days: BTreeMap<Micros, Wanted> = BTreeMap::new();
            for (at, id) in &wanted.events {
                let day = days.entry(at.div_euclid(DAY)).or_default();
                day.events.insert((*at, id.clone()));
            }
            for day in days.values() {
                rows.extend(self.picked(&session, day).await?);
            }
            return Ok(rows);
        }
        self.picked(&session, wanted).await
    }
}

/// The newest rows of the lake, and the moment up to which they are not complete.
pub(crate) async fn newest(
    history: &LakeRows,
    newest: Micros,
    most: usize,
) -> Result<(Vec<RecordBatch>, Micros), HistoryError> {
    let session = history.session().await?;
    let stored = TableName::AccessEvents.stored();
    let first = newest.div_euclid(DAY).saturating_sub(NEWEST_DAYS - 1).saturating_mul(DAY);
    let since = format!("event_date >= '{}' AND event_at >= {}", time::utc_day(first), moment(first));
    let cut = format!("SELECT event_at FROM {stored} WHERE {since} ORDER BY event_at DESC LIMIT 1 OFFSET {most}");
    let cut = moments(&ask(&session, &cut).await?)?.first().copied();
    let floor = match cut {
        Some(at) => at,
        None => {
            let older = format!("SELECT event_at FROM {stored} WHERE event_date < '{}' LIMIT 1", time::utc_day(first));
            if ask(&session, &older).await?.iter().all(|batch| batch.num_rows() == 0) {
                Micros::MIN
            } else {
                first.saturating_sub(1)
            }
        }
    };
    let after = if floor == Micros::MIN { String::new() } else { format!(" AND event_at > {}", moment(floor)) };
    let columns = history.columns();
    Ok((ask(&session, &format!("SELECT {columns} FROM {stored} WHERE {since}{after}")).await?, floor))
}

async fn ask(session: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, HistoryError> {
    let answer = async { session.sql(sql).await?.collect().await };
    let batches: Vec<RecordBatch> = answer.await.map_err(|error: DataFusionError| wrong(error))?;
    if batches.first().is_some_and(|batch| batch.num_columns() == schema().fields().len()) {
        return batches.iter().map(|batch| conform(batch, &schema()).map_err(wrong)).collect();
    }
    Ok(batches)
}

/// The moments of a query for one column of them.
fn moments(batches: &[RecordBatch]) -> Result<Vec<Micros>, HistoryError> {
    use keytrail_lake::arrow::{
        array::AsArray,
        compute::cast,
        datatypes::{DataType, Int64Type},
    };
    let mut moments = Vec::new();
    for batch in batches {
        let column = cast(batch.column(0), &DataType::Int64).map_err(wrong)?;
        moments.extend(column.as_primitive::<Int64Type>().iter().flatten());
    }
    Ok(moments)
}

/// Which days and moments are asked for.
fn dates(wanted: &Wanted) -> String {
    let first = wanted.earliest().unwrap_or(Micros::MIN);
    let events_last = wanted.events.last().map(|(at, _)| *at);
    let last = if wanted.since.is_empty() { events_last.unwrap_or(Micros::MAX) } else { wanted.within.last };
    let mut parts = Vec::new();
    if first > Micros::MIN {
        parts.push(format!("event_date >= '{}' AND event_at >= {}", time::utc_day(first), moment(first)));
    }
    if last < Micros::MAX {
        parts.push(format!("event_date <= '{}' AND event_at <= {}", time::utc_day(last), moment(last)));
    }
    if parts.is_empty() { "true".to_owned() } else { parts.join(" AND ") }
}

/// Days, and the keys where they are few.
fn conditions(wanted: &Wanted) -> String {
    let mut any = Vec::new();
    if wanted.since.len() <= NAMED_KEYS_MAX && wanted.events.len() <= NAMED_KEYS_MAX {
        let (mut principals, mut secrets) = (Vec::new(), Vec::new());
        for key in wanted.since.keys() {
            match key {
                Key::Principal(id) => principals.push(text(id)),
                Key::Secret(id) => secrets.push(text(id)),
                Key::Namespace(name) => {
                    any.push(format!("starts_with(ltrim(secret_name, '/'), {})", text(&format!("{name}/"))))
                }
            }
        }
        let events: Vec<String> = wanted.events.iter().map(|(_, id)| text(id)).collect();
        for (column, values) in [("principal_id", principals), ("secret_id", secrets), ("event_id", events)] {
            if !values.is_empty() {
                any.push(format!("{column} IN ({})", values.join(", ")));
            }
        }
    }
    let dates = dates(wanted);
    if any.is_empty() { dates } else { format!("{dates} AND ({})", any.join(" OR ")) }
}

/// A text as SQL writes it.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn moment(at: Micros) -> String {
    ParamValue::Moment(at).to_sql()
}

fn wrong(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HistoryError {
    HistoryError(error.into())
}
