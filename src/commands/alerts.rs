//! `keytrail alerts`: list, show, acknowledge, close.
//!
//! An id may be shortened as long as it names one alert. JSON carries the columns of the view `alerts`, and for `show` the
//! evidence too.

use std::env;

use anyhow::Result;
use keytrail_alerts::{Act, Change, FindAlertError, by_urgency, find, lifecycle, render};
use keytrail_lake::Lake;
use keytrail_model::{Alert, AlertState, display, time};
use serde_json::{Value, json};

use super::{
    open, rules,
    table::{self, Column},
};
use crate::{
    args::{AlertsCommand, FormatArg, Global},
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
    let alerts = lake.alerts().await?;
    match command {
        AlertsCommand::List { state, rule, all } => {
            let state = state.as_deref().map(str::parse::<AlertState>).transpose().map_err(usage)?;
            let chosen = choose(alerts, state, rule.as_deref(), *all);
            list(&chosen, global, output)?;
            if global.format.is_none_or(|format| format == FormatArg::Table) {
                output.say(format!("\n{}", open::data_line(&lake, settings).await?));
            }
        }
        AlertsCommand::Show { id } => show(one(&alerts, id)?, global, output)?,
        AlertsCommand::Ack { id, note } => change(&lake, one(&alerts, id)?, Change::Acknowledge, note, output).await?,
        AlertsCommand::Close { id, verdict, note } => {
            let verdict = verdict.parse().map_err(usage)?;
            change(&lake, one(&alerts, id)?, Change::Close(verdict), note, output).await?;
        }
    }
    Ok(ExitCode::Ok)
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Usage, error.to_string())
}

/// The alerts that a list shows, the most urgent first.
pub(crate) fn choose(alerts: Vec<Alert>, state: Option<AlertState>, rule: Option<&str>, all: bool) -> Vec<Alert> {
    let waiting =
        |alert: &Alert| !alert.historical && matches!(alert.state, AlertState::Open | AlertState::Acknowledged);
    let mut chosen: Vec<Alert> = alerts
        .into_iter()
        .filter(|alert| state.map_or(all || waiting(alert), |state| alert.state == state))
        .filter(|alert| rule.is_none_or(|rule| alert.rule_id == rule))
        .collect();
    chosen.sort_by(by_urgency);
    chosen
}

fn list(alerts: &[Alert], global: &Global, output: Output) -> Result<()> {
    let columns = [
        Column::new("severity", |alert: &Alert| alert.severity.as_str().to_owned()),
        Column::new("when", |alert| display::moment(alert.last_event_at)),
        Column::new("state", |alert| {
            if alert.historical { format!("{}, historical", alert.state) } else { alert.state.to_string() }
        }),
        Column::new("what", |alert| display::terminal_safe(&alert.reason)),
        Column::new("id", |alert| alert.alert_id.clone()),
    ];
    table::print(alerts, &columns, as_json, global.format, output)
}

/// The columns of `product.md`, in its order.
fn as_json(alert: &Alert) -> Value {
    json!({
        "alert_id": alert.alert_id, "rule_id": alert.rule_id, "rule_version": alert.rule_version,
        "severity": alert.severity, "class": alert.class, "state": alert.state, "verdict": alert.verdict,
        "title": alert.title, "reason": alert.reason, "principal_id": alert.principal_id, "secret_ids": alert.secret_ids,
        "account_id": alert.account_id, "region": alert.region,
        "first_event_at": time::to_rfc3339(alert.first_event_at), "last_event_at": time::to_rfc3339(alert.last_event_at),
        "event_count": alert.event_count,
        "raised_at": time::to_rfc3339(alert.raised_at), "updated_at": time::to_rfc3339(alert.updated_at),
        "historical": alert.historical,
    })
}

fn show(alert: &Alert, global: &Global, output: Output) -> Result<()> {
    match global.format {
        None | Some(FormatArg::Table) => {
            let guide = rules::guide_for(&rules::packs(), alert);
            output.line(render::page(alert, guide.as_deref()).trim_end())
        }
        Some(FormatArg::Json | FormatArg::Ndjson) => {
            let mut value = as_json(alert);
            value["fold_key"] = json!(alert.fold_key);
            value["evidence"] = alert
                .evidence
                .iter()
                .map(|evidence| {
                    json!({
                        "event_at": time::to_rfc3339(evidence.event_at), "event_id": evidence.event_id,
                        "event_name": evidence.event_name, "secret_id": evidence.secret_id, "source_ip": evidence.source_ip,
                        "object_key": evidence.object_key, "record_index": evidence.record_index,
                    })
                })
                .collect();
            output.line(value.to_string())
        }
        Some(_) => Err(Failure::new(ExitCode::Usage, "one alert is shown as a page or as JSON").into()),
    }
}

fn one<'a>(alerts: &'a [Alert], id: &str) -> Result<&'a Alert, Failure> {
    find(alerts, id).map_err(|error: FindAlertError| {
        Failure::new(ExitCode::NotFound, error.to_string()).hint("`keytrail alerts list --all` shows every id")
    })
}

async fn change(lake: &Lake, alert: &Alert, change: Change, note: &Option<String>, output: Output) -> Result<()> {
    let by = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    let act = Act { by, note: note.clone(), at: time::now() };
    let changed =
        lifecycle::apply(alert, change, &act).map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?;
    lake.append_alerts(std::slice::from_ref(&changed), None).await?;
    output.line(format!("{} is {}", changed.alert_id, changed.state))
}
