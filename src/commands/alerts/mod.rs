//! `keytrail alerts`: list, show, acknowledge, close, suppress, keep evidence.
//!
//! An id may be shortened as long as it names one alert. JSON carries the columns of the view `alerts`, and for `show` why it is
//! odd, the evidence, the history and what is related too. A change is decided on what the log says at that moment
//! (`Lake::change_alerts`), so that no newer state is undone.

mod act;
mod evidence;
mod show;
mod suppress;

use std::env;

use anyhow::Result;
use keytrail_alerts::{FindAlertError, by_urgency, find};
use keytrail_model::{Alert, AlertState, Micros, Severity, display, glob::glob_match, time};
use keytrail_rules::param::parse_duration;
use serde_json::{Value, json};

use super::{
    open,
    table::{self, Column},
};
use crate::{
    args::{AlertsCommand, FormatArg, Global, ListArgs},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

pub(crate) async fn run(
    command: &AlertsCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let lake = open::existing(settings).await?;
    match command {
        AlertsCommand::List(args) => {
            let wanted = Wanted::parse(args)?;
            let chosen = choose(lake.alerts().await?, &wanted);
            list(&chosen, global, output)?;
            if global.format.is_none_or(|format| format == FormatArg::Table) {
                output.say(format!("\n{}", open::data_line(&lake, settings).await?));
            }
        }
        AlertsCommand::Show { id } => show::run(&lake, settings, id, global, output).await?,
        AlertsCommand::Ack { id, act } => act::acknowledge(&lake, id, act, output).await?,
        AlertsCommand::Close { id, verdict, act } => act::close(&lake, id, verdict, act, output).await?,
        AlertsCommand::Suppress(args) => return suppress::make(&lake, args, global, output).await,
        AlertsCommand::Suppressions { all } => suppress::list(&lake, *all, global, output).await?,
        AlertsCommand::Unsuppress { id, by } => suppress::end(&lake, id, by.as_deref(), output).await?,
        AlertsCommand::Evidence { id, out } => return evidence::run(&lake, settings, id, out, output).await,
    }
    Ok(ExitCode::Ok)
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Usage, error.to_string())
}

/// Who acts: what was typed, else the user of this machine.
fn actor(by: Option<&str>) -> String {
    let user = || env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    by.map_or_else(user, str::to_owned)
}

/// Which alerts a list shows.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    state: Option<AlertState>,
    rule: Option<String>,
    severity: Option<Severity>,
    principal: Option<String>,
    secret: Option<String>,
    since: Option<Micros>,
    all: bool,
}

impl Wanted {
    /// Every alert there is.
    pub(crate) fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    fn parse(args: &ListArgs) -> Result<Self, Failure> {
        let since = match &args.since {
            None => None,
            Some(text) => Some(
                time::parse_human(text)
                    .or_else(|| parse_duration(text).map(|length| time::now().saturating_sub(length)))
                    .ok_or_else(|| {
                        usage(format!("--since: `{text}` is no time; write `2026-08-01`, RFC 3339 or `7d`"))
                    })?,
            ),
        };
        Ok(Self {
            state: args.state.as_deref().map(str::parse).transpose().map_err(usage)?,
            rule: args.rule.clone(),
            severity: args.severity.as_deref().map(str::parse).transpose().map_err(usage)?,
            principal: args.principal.clone(),
            secret: args.secret.clone(),
            since,
            all: args.all,
        })
    }

    fn takes(&self, alert: &Alert) -> bool {
        let waiting = !alert.historical && matches!(alert.state, AlertState::Open | AlertState::Acknowledged);
        self.state.map_or(self.all || waiting, |state| alert.state == state)
            && self.rule.as_deref().is_none_or(|rule| alert.rule_id == rule || glob_match(rule, &alert.rule_id))
            && self.severity.is_none_or(|least| alert.severity >= least)
            && self.since.is_none_or(|since| alert.last_event_at >= since)
            && self.principal.as_deref().is_none_or(|wanted| alert.principal_id.iter().any(|id| is_like(wanted, id)))
            && self.secret.as_deref().is_none_or(|wanted| alert.secret_ids.iter().any(|id| is_like(wanted, id)))
    }
}

/// A glob where it has the signs of one, else a part of the text.
fn is_like(wanted: &str, text: &str) -> bool {
    if wanted.contains(['*', '?']) { glob_match(wanted, text) } else { text.contains(wanted) }
}

/// The alerts that a list shows, the most urgent first.
pub(crate) fn choose(alerts: Vec<Alert>, wanted: &Wanted) -> Vec<Alert> {
    let mut chosen: Vec<Alert> = alerts.into_iter().filter(|alert| wanted.takes(alert)).collect();
    chosen.sort_by(by_urgency);
    chosen
}

fn list(alerts: &[Alert], global: &Global, output: Output) -> Result<()> {
    let columns = [
        Column::new("severity", |alert: &Alert| alert.severity.as_str().to_owned()),
        Column::new("when", |alert| display::moment(alert.last_event_at)),
        Column::new("state", |alert| {
            let verdict = alert.verdict.map_or_else(String::new, |verdict| format!(": {verdict}"));
            let past = if alert.historical { ", historical" } else { "" };
            format!("{}{verdict}{past}", alert.state)
        }),
        Column::new("what", |alert| display::terminal_safe(&alert.reason)),
        Column::new("id", |alert| alert.alert_id.clone()),
    ];
    table::print(alerts, &columns, as_json, global.format, output)
}

/// The columns of the view `alerts` that every version had, in their order, and behind them those that came later.
pub(crate) fn as_json(alert: &Alert) -> Value {
    json!({
        "alert_id": alert.alert_id, "rule_id": alert.rule_id, "rule_version": alert.rule_version,
        "severity": alert.severity, "class": alert.class, "state": alert.state, "verdict": alert.verdict,
        "title": alert.title, "reason": alert.reason, "principal_id": alert.principal_id, "secret_ids": alert.secret_ids,
        "account_id": alert.account_id, "region": alert.region,
        "first_event_at": time::to_rfc3339(alert.first_event_at), "last_event_at": time::to_rfc3339(alert.last_event_at),
        "event_count": alert.event_count,
        "raised_at": time::to_rfc3339(alert.raised_at), "updated_at": time::to_rfc3339(alert.updated_at),
        "historical": alert.historical, "fingerprint": alert.fingerprint,
        "previous_alert_id": alert.previous_alert_id, "merged_into": alert.merged_into,
        "suppressed_by": alert.suppressed_by, "changed_by": alert.changed_by, "note": alert.note,
    })
}

fn one<'a>(alerts: &'a [Alert], id: &str) -> Result<&'a Alert, Failure> {
    find(alerts, id).map_err(|error: FindAlertError| {
        Failure::new(ExitCode::NotFound, error.to_string()).hint("`keytrail alerts list --all` shows every id")
    })
}
