//! What commands share: opening the lake, the session's settings, the data line.

use std::time::Duration;

use anyhow::{Context, Result};
use keytrail_lake::{
    Lake, LakeSettings, S3Options,
    session::{Limits, PolicyNetwork, ReaderClass, SessionSettings},
};
use keytrail_model::{Micros, display, time};
use keytrail_queries::{
    Library, QuerySource, RunOptions,
    format::{self, Format, FormatOptions},
};
use serde_json::Value;

use crate::{
    exit_code::{ExitCode, Failure},
    settings::Settings,
};

/// How long one of our own questions may take.
const OWN_TIME: Duration = Duration::from_secs(600);

/// Opens the lake, making it where there is none.
pub(crate) async fn or_create(settings: &Settings) -> Result<Lake> {
    Ok(Lake::open(settings.lake.location()?, lake_settings(settings)).await?)
}

/// A bucket is reached with what `[aws]` says; a folder needs none of it.
fn lake_settings(settings: &Settings) -> LakeSettings {
    let aws = &settings.file.aws;
    let endpoint = aws.endpoint_url.as_ref().map(|url| url.as_str().to_owned());
    let defaults = S3Options::default();
    LakeSettings {
        s3: S3Options {
            allow_http: endpoint.as_ref().is_some_and(|url| url.starts_with("http://")),
            endpoint,
            region: aws.region.as_ref().map(|region| region.as_str().to_owned()),
            path_style: aws.path_style.unwrap_or(defaults.path_style),
            role_arn: aws.assume_role.role_arn.as_ref().map(|arn| arn.as_str().to_owned()),
            role_session_name: Some(aws.assume_role.session_name.clone()),
            ..defaults
        },
        ..LakeSettings::default()
    }
}

/// Opens a lake that must be there: asking an empty folder would answer as if nothing had ever happened.
pub(crate) async fn existing(settings: &Settings) -> Result<Lake> {
    if !Lake::exists(&settings.lake.location()?, &lake_settings(settings)).await? {
        return Err(Failure::new(ExitCode::NotFound, format!("there is no lake at {}", settings.lake))
            .hint("`keytrail ingest PATH` makes one; --lake or KEYTRAIL_LAKE says where it is")
            .into());
    }
    or_create(settings).await
}

/// The limits of the configuration.
pub(crate) fn limits(settings: &Settings) -> Limits {
    let query = &settings.file.query;
    let defaults = Limits::default();
    Limits {
        rows: query.max_rows.unwrap_or(defaults.rows),
        time: query.timeout.0,
        memory_bytes: query.max_memory.as_usize(),
        temp_disk_bytes: query.max_temp_disk.0,
        ..defaults
    }
}

/// The session's settings: limits, reader classes and network policy of the configuration.
pub(crate) fn session_settings(settings: &Settings, limits: Limits) -> SessionSettings {
    SessionSettings {
        limits,
        reader_classes: reader_classes(settings),
        policy_networks: policy_networks(settings),
        ..SessionSettings::default()
    }
}

pub(crate) fn reader_classes(settings: &Settings) -> Vec<ReaderClass> {
    let readers = &settings.file.readers;
    let class =
        |class: &'static str| move |pattern: &String| ReaderClass { pattern: pattern.clone(), class: class.to_owned() };
    readers.upkeep.iter().map(class("upkeep")).chain(readers.sync_agents.iter().map(class("sync_agent"))).collect()
}

pub(crate) fn policy_networks(settings: &Settings) -> Vec<PolicyNetwork> {
    settings
        .file
        .policy
        .network
        .iter()
        .map(|entry| PolicyNetwork {
            secrets: entry.secrets.clone(),
            principals: entry.principals.clone(),
            cidrs: entry.cidrs.clone(),
            vpc_endpoints: entry.vpc_endpoints.clone(),
        })
        .collect()
}

/// The rows of one of our own questions, as JSON objects.
pub(crate) async fn rows(lake: &Lake, settings: &Settings, sql: &str) -> Result<Vec<Value>> {
    // The analysts' limits are for what analysts ask; a summary of ours must come to its end on a busy machine too.
    let limits = Limits { rows: usize::MAX, time: OWN_TIME, ..limits(settings) };
    // Our own questions join small tables: hashing them is quicker than sorting, and needs no spilling.
    let session_settings = SessionSettings { prefer_hash_join: true, ..session_settings(settings, limits) };
    let session = lake.session(&session_settings).await?;
    let options = RunOptions { limits, runtime: None };
    let source = QuerySource::Text(sql.to_owned());
    let found = keytrail_queries::run(&session, &Library::embedded(), &source, &Default::default(), &options).await?;
    let mut bytes = Vec::new();
    format::write_all(found, Format::Json, &mut bytes, FormatOptions::default()).await?;
    serde_json::from_slice(&bytes).context("the engine's JSON was not read back")
}

/// A text as an SQL literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A moment as an SQL literal, to the microsecond.
pub(crate) fn moment(at: Micros) -> String {
    format!("to_timestamp_micros({at})")
}

/// How complete the lake is, in one line: `complete up to 2026-08-01 14:02Z; 2 quarantined; 111122223333/us-west-2 silent for 47 min`.
pub(crate) async fn data_line(lake: &Lake, settings: &Settings) -> Result<String> {
    let facts = rows(
        lake,
        settings,
        "SELECT (SELECT horizon_at FROM horizon) AS horizon_at, (SELECT count(*) FROM quarantine) AS quarantined, \
         (SELECT min(hour_at) FROM coverage) AS seen_from",
    )
    .await?;
    let moment = |name: &str| facts.first().and_then(|row| row[name].as_str()).and_then(time::parse_rfc3339);
    let Some(horizon) = moment("horizon_at") else { return Ok("the lake is empty".to_owned()) };
    let quarantined = facts.first().and_then(|row| row["quarantined"].as_i64()).unwrap_or(0);
    let mut parts = vec![format!("complete up to {}", display::moment(horizon))];
    if let Some(from) = moment("seen_from") {
        parts = vec![format!("complete up to {}, seen from {}", display::moment(horizon), display::moment(from))];
    }
    parts.push(match quarantined {
        0 => "nothing quarantined".to_owned(),
        number => format!("{} quarantined", display::count(number)),
    });
    parts.extend(silences(lake, settings, horizon).await?);
    Ok(parts.join("; "))
}

/// The holes in the deliveries, the newest first; at most three are named.
async fn silences(lake: &Lake, settings: &Settings, horizon: i64) -> Result<Vec<String>> {
    let gaps = rows(
        lake,
        settings,
        "SELECT account_id, region, silent_from, silent_until FROM coverage WHERE state = 'gap' \
         GROUP BY account_id, region, silent_from, silent_until ORDER BY silent_from DESC, account_id, region",
    )
    .await?;
    let moment = |row: &Value, name: &str| row[name].as_str().and_then(time::parse_rfc3339);
    let mut parts: Vec<String> = gaps
        .iter()
        .take(3)
        .filter_map(|row| {
            let from = moment(row, "silent_from")?;
            let place = display::terminal_safe(&format!("{}/{}", row["account_id"].as_str()?, row["region"].as_str()?));
            Some(match moment(row, "silent_until") {
                None => format!("{place} silent for {}", display::duration(horizon - from)),
                Some(until) => {
                    format!("{place} had a gap of {} from {}", display::duration(until - from), display::moment(from))
                }
            })
        })
        .collect();
    if gaps.len() > 3 {
        parts.push(format!("{} more gaps", gaps.len() - 3));
    }
    Ok(parts)
}
