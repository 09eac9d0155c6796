//! The lake's history, day by day, for replays.
//!
//! In: a lake. Out: its rows in event order, one day at a time, through a [`Replay`]. Days beyond the lake's horizon are somebody's wrong
//! clock and are left out.

use std::sync::Arc;

use anyhow::{Context, Result};
use keytrail_lake::{
    Lake,
    arrow::{
        array::{AsArray, BooleanArray, RecordBatch},
        compute::{cast, concat_batches, filter_record_batch},
        datatypes::{DataType, Int64Type},
    },
    datafusion::prelude::SessionContext,
    session::{Limits, SessionSettings},
};
use keytrail_model::{Alert, Micros, time, time::DAY};
use keytrail_rules::{
    backtest::{Replay, Span},
    manifest::Run,
    pack::Pack,
    settings::RuleSettings,
};

use crate::{
    args::SpanArgs,
    commands::open,
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// A replay over more days than this is over a wrong clock.
const MOST_DAYS: i64 = 4_000;

/// The rows of a lake and the time they cover.
pub(super) struct History {
    session: SessionContext,
    /// Whole days since 1970, first and last.
    days: (i64, i64),
    horizon: Micros,
    pub(super) rows: i64,
}

impl History {
    pub(super) async fn open(lake: &Lake, settings: &Settings) -> Result<Self> {
        let session = session(lake, settings).await?;
        let facts = open::rows(
            lake,
            settings,
            "SELECT (SELECT horizon_at FROM horizon) AS horizon_at, min(event_at) AS first_at, max(event_at) AS last_at, \
             count(*) AS number FROM access_events",
        )
        .await?;
        let fact = |name: &str| facts.first().and_then(|row| row[name].as_str()).and_then(time::parse_rfc3339);
        let empty = || Failure::new(ExitCode::NotFound, "the lake holds no events to replay");
        let (first, last) = (fact("first_at").ok_or_else(empty)?, fact("last_at").ok_or_else(empty)?);
        let horizon = fact("horizon_at").unwrap_or(last);
        let last = last.min(horizon).div_euclid(DAY);
        let days = (first.div_euclid(DAY).max(last - MOST_DAYS), last);
        let rows = facts.first().and_then(|row| row["number"].as_i64()).unwrap_or(0);
        Ok(Self { session, days, horizon, rows })
    }

    /// Which days are counted.
    pub(super) fn span(&self, args: &SpanArgs) -> Result<Span, Failure> {
        let moment = |text: &Option<String>, flag: &str| match text {
            None => Ok(None),
            Some(text) => time::parse_human(text).map(Some).ok_or_else(|| {
                Failure::new(ExitCode::Usage, format!("{flag}: `{text}` is no time; write `2026-08-01` or RFC 3339"))
            }),
        };
        let until = moment(&args.until, "--until")?.unwrap_or((self.days.1 + 1) * DAY);
        let from = match (moment(&args.since, "--since")?, args.days) {
            (Some(since), _) => since,
            (None, Some(days)) => until - i64::from(days) * DAY,
            (None, None) => self.days.0 * DAY,
        };
        if from >= until {
            return Err(Failure::new(ExitCode::Usage, "there is no time between --since and --until"));
        }
        Ok(Span { from, until })
    }

    /// Replays everything up to the span's end and gives the alerts.
    pub(super) async fn replay(
        &self,
        packs: &[Arc<Pack>],
        settings: RuleSettings,
        span: Span,
        output: Output,
    ) -> Result<Vec<Alert>> {
        let is_scheduled = packs.iter().any(|pack| pack.manifest.run.contains(&Run::Schedule));
        let coverage = if is_scheduled { self.coverage().await? } else { Vec::new() };
        let mut replay = Replay::new(packs, settings);
        if let Some(error) = replay.broken().first() {
            return Err(Failure::new(ExitCode::Partial, super::broken(error))
                .hint("`keytrail rules check` names every mistake")
                .into());
        }
        let last = self.days.1.min((span.until - 1).div_euclid(DAY));
        let bar = output.bar("replaying", u64::try_from(last - self.days.0 + 1).ok());
        for day in self.days.0..=last {
            let end = ((day + 1) * DAY).min(self.horizon.max(day * DAY + 1));
            let rows = self.day(day).await?;
            let hours = coverage.iter().map(|hours| before(hours, end)).collect::<Result<Vec<_>>>()?;
            replay.day(&rows, &hours, end).await.context("failed to replay")?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(replay.finish())
    }

    /// One day's rows in event order.
    async fn day(&self, day: i64) -> Result<Vec<RecordBatch>> {
        let date = time::utc_day(day * DAY);
        let sql = format!(
            "SELECT * FROM access_events WHERE event_date = '{date}' ORDER BY event_at, event_id, record_index"
        );
        let batches = self.session.sql(&sql).await?.collect().await?;
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        // One judging a day: each costs planning every rule.
        let whole = concat_batches(&first.schema(), &batches)?;
        Ok(if whole.num_rows() == 0 { Vec::new() } else { vec![whole] })
    }

    async fn coverage(&self) -> Result<Vec<RecordBatch>> {
        let hours = "SELECT account_id, region, hour_at, state, object_count FROM coverage";
        Ok(self.session.sql(hours).await?.collect().await?)
    }
}

/// The hours that had begun at a moment.
fn before(hours: &RecordBatch, end: Micros) -> Result<RecordBatch> {
    let column = hours.column_by_name("hour_at").context("coverage has hours")?;
    let moments = cast(column, &DataType::Int64)?;
    let begun: BooleanArray =
        moments.as_primitive::<Int64Type>().iter().map(|at| Some(at.is_some_and(|at| at < end))).collect();
    Ok(filter_record_batch(hours, &begun)?)
}

/// The rows of one event: one for each secret. Nothing where there is no such event.
pub(crate) async fn event(lake: &Lake, settings: &Settings, event_id: &str) -> Result<Option<RecordBatch>> {
    let sql = format!("SELECT * FROM access_events WHERE event_id = {}", open::quoted(event_id));
    let batches = session(lake, settings).await?.sql(&sql).await?.collect().await?;
    let Some(first) = batches.first() else { return Ok(None) };
    let rows = concat_batches(&first.schema(), &batches)?;
    Ok((rows.num_rows() > 0).then_some(rows))
}

/// What the principals and secrets of an event did in the time before it, the event among it.
pub(crate) async fn recent(
    lake: &Lake,
    settings: &Settings,
    rows: &RecordBatch,
    looks_back: Micros,
) -> Result<Vec<RecordBatch>> {
    let texts = |name: &str| -> Result<String> {
        let column = cast(rows.column_by_name(name).context("a column of every event")?, &DataType::Utf8)?;
        let values: Vec<String> = column.as_string::<i32>().iter().flatten().map(open::quoted).collect();
        Ok(if values.is_empty() { "''".to_owned() } else { values.join(", ") })
    };
    let moments = cast(rows.column_by_name("event_at").context("every event has a moment")?, &DataType::Int64)?;
    let at = moments.as_primitive::<Int64Type>().iter().flatten().max().unwrap_or(0);
    let sql = format!(
        "SELECT * FROM access_events WHERE event_at >= {} AND event_at <= {} AND (principal_id IN ({}) OR secret_id IN ({}))",
        open::moment(at.saturating_sub(looks_back)),
        open::moment(at),
        texts("principal_id")?,
        texts("secret_id")?
    );
    Ok(session(lake, settings).await?.sql(&sql).await?.collect().await?)
}

async fn session(lake: &Lake, settings: &Settings) -> Result<SessionContext> {
    let limits = Limits { rows: usize::MAX, ..open::limits(settings) };
    let session_settings = SessionSettings { prefer_hash_join: true, ..open::session_settings(settings, limits) };
    Ok(lake.session(&session_settings).await?)
}
