//! `keytrail eval DIR...`: judge simulated folders and measure the alerts against their labels.
//!
//! In: folders that `keytrail simulate` wrote. Out, for each rule and in all: what was found and what was missed, which look-alikes
//! alerted, how many alerts no label explains (per day and per million events), and how long after an event it was told.
//! Several folders are measured each by itself and then together. The lake is the one that `--lake` names, so that the
//! alerts can be looked at afterwards; it must hold nothing else. Several folders have a lake each, below it.

mod compare;
mod score;
mod table;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use keytrail_lake::Lake;
use keytrail_simulator::Labels;
use serde_json::Value;

use crate::{
    args::{EvalArgs, FormatArg, Global},
    commands::{eval::score::Evaluation, ingest, open, report},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{ConfigFile, LakePlace, Settings},
};

pub(crate) async fn run(args: &EvalArgs, settings: Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let mut all = Vec::new();
    for dir in &args.dirs {
        let own = match (args.dirs.len(), &settings.lake) {
            (1, _) => settings.clone(),
            (_, LakePlace::Folder(folder)) => {
                let name = dir.file_name().map_or_else(|| all.len().to_string().into(), ToOwned::to_owned);
                Settings { lake: LakePlace::Folder(folder.join(name)), ..settings.clone() }
            }
            (_, LakePlace::Bucket(_)) => {
                return Err(Failure::new(ExitCode::Usage, "several folders need a lake each, in a folder")
                    .hint("give --lake a folder, or one DIR")
                    .into());
            }
        };
        output.say(format!("judging {}", dir.display()));
        all.push(one(dir, own, output).await?);
    }
    let sum = Evaluation::sum(all);
    match global.format {
        Some(FormatArg::Json | FormatArg::Ndjson) => output.line(serde_json::to_string(&sum)?)?,
        _ => table::print(&sum, output)?,
    }
    Ok(if sum.is_good() { ExitCode::Ok } else { ExitCode::Partial })
}

async fn one(dir: &Path, settings: Settings, output: Output) -> Result<Evaluation> {
    let path = dir.join("labels.json");
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::new(ExitCode::NotFound, format!("failed to read {}: {error}", path.display()))
            .hint("give a folder that `keytrail simulate` wrote")
    })?;
    let labels: Labels = serde_json::from_str(&text).with_context(|| format!("failed to read {}", path.display()))?;
    let settings = Settings { file: ConfigFile::parse(&labels.config_toml, "the labels' config_toml")?, ..settings };

    let lake = ingest::folder(dir, &settings, output).await?;
    let alerts = lake.alerts().await?;
    let verdicts =
        if labels.unused.note.is_none() { report::unused_verdicts(&lake, &settings, None).await? } else { Vec::new() };
    let events = open::rows(&lake, &settings, "SELECT count(*) AS events FROM access_events").await?;
    let events = events.first().and_then(|row| row["events"].as_i64()).unwrap_or_default();
    let delivered = delivered(&lake, &settings, &labels).await?;
    let compared = compare::compare(&labels, &alerts, &verdicts, &delivered);
    Ok(Evaluation::new(&labels, compared, events))
}

/// When each planted event was delivered, in seconds since the epoch.
async fn delivered(lake: &Lake, settings: &Settings, labels: &Labels) -> Result<compare::Delivered> {
    let mut ids: Vec<_> = labels.expected.iter().flat_map(|label| &label.event_ids).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(compare::Delivered::new());
    }
    let quoted: Vec<_> = ids.iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect();
    let sql = format!(
        "SELECT event_id, CAST(date_part('epoch', min(delivered_at)) AS BIGINT) AS delivered FROM access_events \
         WHERE event_id IN ({}) GROUP BY event_id",
        quoted.join(", ")
    );
    let rows = open::rows(lake, settings, &sql).await?;
    let pair = |row: &Value| Some((row["event_id"].as_str()?.to_owned(), row["delivered"].as_i64()?));
    Ok(rows.iter().filter_map(pair).collect())
}
