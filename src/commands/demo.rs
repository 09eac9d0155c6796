//! `keytrail demo`: an organisation that does not exist, read and judged, in one command.
//!
//! In: a folder (kept between runs), a seed, a number of days. Out: the summary, the alerts and what to type next. The bucket
//! is `DIR/bucket`, the lake `DIR/lake`, the organisation's configuration `DIR/keytrail.toml`. A second run changes nothing.

use std::fs;

use anyhow::{Context, Result};
use keytrail_alerts::render;
use keytrail_model::{Alert, Severity, display};
use keytrail_simulator::{Labels, Options};

use super::{alerts, ingest, open, simulate};
use crate::{
    args::DemoArgs,
    exit_code::ExitCode,
    output::Output,
    settings::{ConfigFile, LakePlace, Settings},
};

/// Alerts that are shown in full; the rest is counted.
const SHOWN: usize = 12;

pub(crate) async fn run(args: &DemoArgs, settings: Settings, output: Output) -> Result<ExitCode> {
    let bucket = args.dir.join("bucket");
    let options = Options { days: args.days, seed: args.seed, ..Options::new(&bucket) };
    let written = simulate::write(&options, output)?;
    output.line(simulate::describe(&written, &bucket))?;

    let path = bucket.join("labels.json");
    let labels = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let labels: Labels =
        serde_json::from_slice(&labels).with_context(|| format!("failed to read {}", path.display()))?;
    let config = args.dir.join("keytrail.toml");
    fs::write(&config, &labels.config_toml).with_context(|| format!("failed to write {}", config.display()))?;
    let settings = Settings {
        lake: LakePlace::Folder(args.dir.join("lake")),
        file: ConfigFile {
            alerts: settings.file.alerts.clone(),
            ..ConfigFile::parse(&labels.config_toml, "the simulated configuration")?
        },
        ..settings
    };

    let lake = open::or_create(&settings).await?;
    let before = lake.version().await?;
    let lake = ingest::folder(&bucket, &settings, output).await?;
    if lake.version().await? == before {
        output.line("nothing new: every object is in the lake already")?;
    }
    let summary = open::rows(
        &lake,
        &settings,
        "SELECT (SELECT sum(record_count) FROM objects) AS records, (SELECT count(*) FROM access_events) AS rows, \
         (SELECT count(*) FROM secrets) AS secrets, (SELECT count(*) FROM principals) AS principals, \
         (SELECT count(*) FROM rotations) AS rotations",
    )
    .await?;
    let number = |name: &str| display::count(summary.first().and_then(|row| row[name].as_i64()).unwrap_or(0));
    output.line(format!(
        "{} records gave {} access events: {} secrets, {} principals, {} changes of value",
        number("records"),
        number("rows"),
        number("secrets"),
        number("principals"),
        number("rotations")
    ))?;

    // All of it lies in the past, so every alert would be "historical" to a live worker; the demo is there to show them.
    let mut found = alerts::choose(lake.alerts().await?, &alerts::Wanted::everything());
    found.sort_by_key(|alert| std::cmp::Reverse((alert.severity, alert.last_event_at)));
    show(&found, output)?;
    output.line(format!("\n{}", open::data_line(&lake, &settings).await?))?;
    next_steps(args, &found, output)?;
    Ok(ExitCode::Ok)
}

fn show(alerts: &[Alert], output: Output) -> Result<()> {
    let high = alerts.iter().filter(|alert| alert.severity >= Severity::High).count();
    output.line(format!("\n{} alerts, {high} of them high or critical\n", alerts.len()))?;
    for alert in alerts.iter().take(SHOWN) {
        output.line(format!("[{}] {}", alert.severity, display::terminal_safe(&alert.reason)))?;
        let who =
            alert.principal_id.as_deref().map_or_else(|| "nobody in particular".to_owned(), display::principal_short);
        output.line(format!(
            "    who {who}   secret {}   when {}   id {}",
            render::secrets_phrase(&alert.secret_ids, 2),
            display::moment(alert.last_event_at),
            alert.alert_id
        ))?;
    }
    if alerts.len() > SHOWN {
        output.line(format!("and {} more", alerts.len() - SHOWN))?;
    }
    Ok(())
}

fn next_steps(args: &DemoArgs, alerts: &[Alert], output: Output) -> Result<()> {
    let lake = args.dir.join("lake").display().to_string();
    let config = args.dir.join("keytrail.toml").display().to_string();
    output.line("\nWhat to type next:")?;
    output.line(format!("  export KEYTRAIL_LAKE={lake} KEYTRAIL_CONFIG={config}"))?;
    if let Some(alert) = alerts.first() {
        output.line(format!("  keytrail alerts show {}", alert.alert_id))?;
    }
    output.line("  keytrail alerts list --all")?;
    output.line("  keytrail query                                   # the named queries")?;
    output.line("  keytrail query -e \"SELECT principal_id, count(*) FROM access_events WHERE action = 'read' GROUP BY 1 ORDER BY 2 DESC\"")?;
    output.line("  keytrail report unused")
}
