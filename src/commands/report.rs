//! `keytrail report`: reports about the lake. The SQL of each belongs to the rule that it explains.

use anyhow::Result;
use keytrail_lake::Lake;
use keytrail_model::time;

use super::{open, query, rules};
use crate::{
    args::{Global, ReportCommand},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

pub(crate) async fn run(
    command: &ReportCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    match command {
        ReportCommand::Unused { days } => {
            let lake = open::existing(settings).await?;
            let sql =
                format!("{} ORDER BY verdict DESC, idle_since, secret_id", unused_sql(&lake, settings, *days).await?);
            let code = query::print(&lake, settings, &sql, &[], global, output).await?;
            output.say(open::data_line(&lake, settings).await?);
            Ok(code)
        }
    }
}

/// Each secret's id and verdict.
pub(crate) async fn unused_verdicts(
    lake: &Lake,
    settings: &Settings,
    days: Option<u32>,
) -> Result<Vec<(String, String)>> {
    let sql = unused_sql(lake, settings, days).await?;
    let rows = open::rows(lake, settings, &sql).await?;
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    Ok(rows.iter().map(|row| (text(row, "secret_id"), text(row, "verdict"))).collect())
}

/// The verdicts of the rule `unused_secret`, judged as of the lake's horizon.
async fn unused_sql(lake: &Lake, settings: &Settings, days: Option<u32>) -> Result<String> {
    let horizon = open::rows(lake, settings, "SELECT horizon_at FROM horizon").await?;
    let as_of = horizon.first().and_then(|row| row["horizon_at"].as_str()).and_then(time::parse_rfc3339);
    let as_of = as_of.ok_or_else(|| Failure::new(ExitCode::NotFound, "the lake is empty"))?;
    let mut overrides = settings.file.rules.get("unused_secret").cloned().unwrap_or_default();
    if let Some(days) = days {
        overrides.insert("days".to_owned(), toml::Value::String(format!("{days}d")));
    }
    let rule = rules::resolve(settings, "unused_secret", &overrides)?;
    let verdict = rule.view_sql("verdict", as_of)?;
    Ok(format!("SELECT * FROM ({verdict}\n) AS verdict"))
}
