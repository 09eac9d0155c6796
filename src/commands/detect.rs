//! `keytrail detect`: judge what has not been judged yet.

use anyhow::{Context, Result};
use keytrail_lake::{Lake, session::Limits};
use keytrail_model::AlertClass;
use keytrail_rules::{
    runner::{RunOptions, RunSummary, Runner},
    system::{self, LiveOrHorizon, SystemSettings},
};

use super::{open, rules};
use crate::{exit_code::ExitCode, output::Output, settings::Settings};

/// What a judging came to.
pub(crate) struct Judged {
    summary: RunSummary,
    pub(crate) rule_errors: usize,
    /// Alerts of class `system` that were raised.
    about_the_pipe: usize,
}

pub(crate) async fn run(settings: &Settings, output: Output) -> Result<ExitCode> {
    rules::check_configuration(settings)?;
    let lake = open::existing(settings).await?;
    let judged = judge(&lake, settings, output).await?;
    tell(&judged, output);
    output.say(open::data_line(&lake, settings).await?);
    Ok(if judged.rule_errors > 0 { ExitCode::Partial } else { ExitCode::Ok })
}

/// Judges what is new, then the scheduled rules that are due.
pub(crate) async fn judge(lake: &Lake, settings: &Settings, output: Output) -> Result<Judged> {
    let bar = output.bar("judging", None);
    let packs = rules::packs(settings);
    let mut runner =
        Runner::open(lake.clone(), packs, rules::rule_settings(settings)).await.context("failed to open the rules")?;
    let summary = runner.run(RunOptions::default()).await.context("failed to judge")?;
    let rule_errors = runner.engine().inbox().alerts().filter(|alert| alert.class == AlertClass::RuleError).count();
    runner.close().await.context("failed to keep the rules' state")?;
    let session = open::session_settings(settings, Limits::default());
    let pipe = system::check_lake(lake, &session, LiveOrHorizon::Horizon, &system_settings(settings))
        .await
        .context("failed to look at the state of the pipe")?;
    bar.finish_and_clear();
    Ok(Judged { summary, rule_errors, about_the_pipe: pipe.raised.len() })
}

/// When silence becomes an alert, and when an alert is history.
pub(crate) fn system_settings(settings: &Settings) -> SystemSettings {
    let micros = |duration: std::time::Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    SystemSettings {
        silent_after: micros(settings.file.coverage.silent_after.0),
        historical_after: micros(settings.file.alerts.historical_after.0),
        min_objects: settings.file.coverage.min_objects.into(),
    }
}

/// Says what a judging came to.
pub(crate) fn tell(judged: &Judged, output: Output) {
    let summary = &judged.summary;
    output.say(format!("{} rows judged: {} alerts raised, {} updated", summary.rows, summary.raised, summary.updated));
    if judged.about_the_pipe > 0 {
        output.say(format!("{} alerts raised about the pipe itself", judged.about_the_pipe));
    }
    if judged.rule_errors > 0 {
        output.warn(format!("{} rules cannot run; `keytrail rules check` says why", judged.rule_errors));
    }
}
