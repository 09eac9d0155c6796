//! `keytrail lake`: look after the tables.

use anyhow::Result;
use keytrail_model::{display, time};

use super::{open, query};
use crate::{
    args::{Global, LakeCommand},
    exit_code::ExitCode,
    output::Output,
    settings::Settings,
};

/// Rows and days of each table that analysts read.
const INFO: &str = "\
SELECT 'access_events' AS table_name, count(*) AS row_count, min(event_at) AS first_at, max(event_at) AS last_at FROM access_events
UNION ALL SELECT 'events', count(*), min(event_at), max(event_at) FROM events
UNION ALL SELECT 'objects', count(*), min(delivered_at), max(delivered_at) FROM objects
UNION ALL SELECT 'quarantine', count(*), min(committed_at), max(committed_at) FROM quarantine
UNION ALL SELECT 'alerts', count(*), min(first_event_at), max(last_event_at) FROM alerts";

pub(crate) async fn run(
    command: &LakeCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let lake = open::existing(settings).await?;
    let number = |count: u64| display::count(i64::try_from(count).unwrap_or(i64::MAX));
    match command {
        LakeCommand::Info => {
            let code = query::print(&lake, settings, INFO, &[], global, output).await?;
            output.say(format!("{}, version {} of access_events", lake.location(), lake.version().await?));
            output.say(open::data_line(&lake, settings).await?);
            return Ok(code);
        }
        LakeCommand::Compact => {
            let done = lake.compact(time::now()).await?;
            output.line(format!(
                "{} days: {} files became {}, {} rows; {} days were left to the next time",
                number(done.days),
                number(done.files_before),
                number(done.files_after),
                number(done.rows),
                number(done.days_left)
            ))?;
        }
        LakeCommand::Retain { days } => {
            let gone = lake.retain(*days, time::now()).await?;
            output.line(format!(
                "{} files with {} rows left the tables; `keytrail lake vacuum` deletes what no version of the last week needs",
                number(gone.files),
                number(gone.rows)
            ))?;
        }
        LakeCommand::Vacuum => {
            let gone = lake.vacuum().await?;
            output.line(format!(
                "{} files and {} log entries deleted",
                number(gone.files_deleted),
                number(gone.log_entries_deleted)
            ))?;
        }
    }
    Ok(ExitCode::Ok)
}
