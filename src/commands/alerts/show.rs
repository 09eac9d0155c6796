//! `keytrail alerts show`: one alert with everything that belongs to it, as a page or as JSON.
//!
//! In: the alert log, the suppressions, the views `alert_history`, `rule_precision` and, where the lake has one,
//! `alert_deliveries`. What cannot be told is left out, never guessed.

use anyhow::Result;
use keytrail_alerts::{
    page::{self, Page, Step},
    related,
};
use keytrail_lake::{Lake, session::VIEWS};
use keytrail_model::{Alert, Micros, Suppression, time};
use serde_json::{Value, json};

use super::{as_json, one};
use crate::{
    args::{FormatArg, Global},
    commands::{open, rules},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// Delivery steps are asked of this view, once the lake has it.
const DELIVERIES: &str = "alert_deliveries";

/// What belongs to one alert, besides the alerts themselves.
struct Around {
    suppressions: Vec<Suppression>,
    history: Vec<Step>,
    delivered_at: Option<Micros>,
    precision: Option<(i64, i64)>,
    guide: Option<String>,
}

pub(super) async fn run(lake: &Lake, settings: &Settings, id: &str, global: &Global, output: Output) -> Result<()> {
    let alerts = lake.alerts().await?;
    let alert = one(&alerts, id)?;
    let around = around(lake, settings, alert).await?;
    let page = pieces(alert, &alerts, &around);
    match global.format {
        None | Some(FormatArg::Table) => output.line(page::page(alert, &page).trim_end()),
        Some(FormatArg::Json | FormatArg::Ndjson) => output.line(whole_json(alert, &page).to_string()),
        Some(_) => Err(Failure::new(ExitCode::Usage, "one alert is shown as a page or as JSON").into()),
    }
}

/// The alert as `show` has it in JSON.
pub(super) async fn as_whole_json(lake: &Lake, settings: &Settings, alert: &Alert, alerts: &[Alert]) -> Result<Value> {
    let around = around(lake, settings, alert).await?;
    Ok(whole_json(alert, &pieces(alert, alerts, &around)))
}

fn pieces<'a>(alert: &Alert, alerts: &'a [Alert], around: &'a Around) -> Page<'a> {
    Page {
        guide: around.guide.as_deref(),
        delivered_at: around.delivered_at,
        precision: around.precision.map(|(right, judged)| match judged {
            1 => format!("{right} of 1 judged alert was a true positive"),
            _ => format!("{right} of {judged} judged alerts were true positives"),
        }),
        suppression: around.suppressions.iter().find(|it| alert.suppressed_by.as_ref() == Some(&it.suppression_id)),
        previous: alerts.iter().find(|it| alert.previous_alert_id.as_ref() == Some(&it.alert_id)),
        next: alerts.iter().find(|it| it.previous_alert_id.as_ref() == Some(&alert.alert_id)),
        merged: alerts.iter().filter(|it| it.merged_into.as_ref() == Some(&alert.alert_id)).collect(),
        history: around.history.clone(),
        related: related::related(alert, alerts),
    }
}

async fn around(lake: &Lake, settings: &Settings, alert: &Alert) -> Result<Around> {
    let id = open::quoted(&alert.alert_id);
    let mut history = steps(
        lake,
        settings,
        &format!(
            "SELECT changed_at AS at, change AS what, verdict, changed_by, note FROM alert_history \
             WHERE alert_id = {id} AND (change <> 'updated' OR note IS NOT NULL) ORDER BY sequence"
        ),
    )
    .await?;
    if VIEWS.iter().any(|view| view.name == DELIVERIES) {
        let sql = format!(
            "SELECT at, concat('sent to ', sink, ': ', state, coalesce(concat(' (', status, ')'), '')) AS what, \
             CAST(NULL AS VARCHAR) AS verdict, CAST(NULL AS VARCHAR) AS changed_by, detail AS note \
             FROM {DELIVERIES} WHERE array_has(alert_ids, {id}) ORDER BY at"
        );
        history.extend(steps(lake, settings, &sql).await?);
    }
    history.sort_by_key(|step| step.at);
    let judged = open::rows(
        lake,
        settings,
        &format!(
            "SELECT true_positive, judged FROM rule_precision WHERE rule_id = {} AND judged > 0",
            open::quoted(&alert.rule_id)
        ),
    )
    .await?;
    let precision = judged.first().and_then(|row| Some((row["true_positive"].as_i64()?, row["judged"].as_i64()?)));
    let packs = rules::packs(settings);
    Ok(Around {
        suppressions: lake.suppressions().await?,
        history,
        delivered_at: delivered_at(lake, settings, alert).await?,
        precision,
        guide: rules::guide_for(&packs, alert),
    })
}

async fn steps(lake: &Lake, settings: &Settings, sql: &str) -> Result<Vec<Step>> {
    let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    let rows = open::rows(lake, settings, sql).await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let verdict = text(row, "verdict").filter(|_| row["what"] == "closed");
            let what = text(row, "what")? + &verdict.map_or_else(String::new, |verdict| format!(" as {verdict}"));
            let at = row["at"].as_str().and_then(time::parse_rfc3339)?;
            Some(Step { at, what, by: text(row, "changed_by"), note: text(row, "note") })
        })
        .collect())
}

/// When the record of the alert's first event came to the bucket.
async fn delivered_at(lake: &Lake, settings: &Settings, alert: &Alert) -> Result<Option<Micros>> {
    let Some(first) = alert.evidence.first() else { return Ok(None) };
    let sql = format!(
        "SELECT min(delivered_at) AS at FROM access_events WHERE event_id = {} AND event_date = '{}'",
        open::quoted(&first.event_id),
        time::utc_day(first.event_at)
    );
    let rows = open::rows(lake, settings, &sql).await?;
    Ok(rows.first().and_then(|row| row["at"].as_str()).and_then(time::parse_rfc3339))
}

fn whole_json(alert: &Alert, page: &Page<'_>) -> Value {
    let mut value = as_json(alert);
    value["fold_key"] = json!(alert.fold_key);
    value["why"] = json!(alert.why);
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
    value["delivered_at"] = json!(page.delivered_at.map(time::to_rfc3339));
    value["guide"] = json!(page.guide);
    value["precision"] = json!(page.precision);
    value["suppression"] = json!(page.suppression.map(super::suppress::as_json));
    value["next_alert_id"] = json!(page.next.map(|next| &next.alert_id));
    value["merged"] = json!(page.merged.iter().map(|it| &it.alert_id).collect::<Vec<_>>());
    value["history"] = page
        .history
        .iter()
        .map(|step| json!({"at": time::to_rfc3339(step.at), "what": step.what, "by": step.by, "note": step.note}))
        .collect();
    value["related"] = page
        .related
        .iter()
        .map(|it| {
            json!({
                "alert_id": it.alert.alert_id, "rule_id": it.alert.rule_id, "severity": it.alert.severity,
                "state": it.alert.state, "reason": it.alert.reason, "shared": it.shared(),
                "last_event_at": time::to_rfc3339(it.alert.last_event_at),
            })
        })
        .collect();
    value
}
