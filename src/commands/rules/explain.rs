//! `keytrail rules explain`: why an alert was raised, or why an event raised none.
//!
//! In: an alert's id (or its beginning) or an event's id. Out: for each rule that is asked, what it makes of the event: it fires, and
//! the conditions that were met; it is quiet, and those that were not; it is not asked, and why. The state is the one that the
//! running rules have, brought up to what is judged; nothing is recorded.

use anyhow::{Context, Result};
use keytrail_alerts::find;
use keytrail_lake::{Lake, arrow::array::RecordBatch};
use keytrail_model::{Alert, Evidence, display, time};
use keytrail_rules::{
    explain::{self, Answer, Condition, Explanation},
    runner::Runner,
};
use serde_json::{Value, json};

use super::{history, packs, rule_settings};
use crate::{
    args::{FormatArg, Global},
    commands::open,
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// What is asked about.
struct Asked<'a> {
    event_id: String,
    alert: Option<&'a Alert>,
}

pub(super) async fn run(
    id: &str,
    rule: Option<&str>,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let packs = packs(settings);
    if let Some(rule) = rule {
        packs.find(rule).map_err(|error| Failure::new(ExitCode::NotFound, error.to_string()))?;
    }
    let lake = open::existing(settings).await?;
    let alerts = lake.alerts().await?;
    let asked = match find(&alerts, id) {
        Ok(alert) => match alert.evidence.first() {
            Some(first) => Asked { event_id: first.event_id.clone(), alert: Some(alert) },
            None => return without_event(alert, global, output),
        },
        Err(_) => Asked { event_id: id.to_owned(), alert: None },
    };
    let rows = event_rows(&lake, settings, &asked).await?;
    let only = rule.or(asked.alert.map(|alert| alert.rule_id.as_str()));
    let runner =
        Runner::open(lake.clone(), packs, rule_settings(settings)).await.context("failed to open the rules")?;
    let mut engine = runner.into_engine();
    let recent = history::recent(&lake, settings, &rows, explain::looks_back(&engine)).await?;
    let event = explain::Event { rows: &rows, recent: &recent };
    let mut found =
        explain::explain(&mut engine, &event, only, time::now()).await.context("failed to ask the rules")?;
    if let Some(only) = only
        && found.is_empty()
    {
        return Err(Failure::new(ExitCode::NotFound, format!("there is no rule `{only}` any more")).into());
    }
    found.sort_by_key(|it| match it.answer {
        Answer::Fires { .. } => 0,
        Answer::Fails(_) => 1,
        Answer::Quiet(_) => 2,
        Answer::NotAsked(_) => 3,
    });
    let event = described(&lake, settings, &asked.event_id).await?;
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        let rules: Vec<Value> = found.iter().map(|it| as_json(it, &asked, &alerts)).collect();
        let value = json!({"event": event, "alert_id": asked.alert.map(|alert| &alert.alert_id), "rules": rules});
        output.line(value.to_string())?;
    } else {
        tell_event(&event, &asked, output)?;
        for it in &found {
            tell(it, &asked, &alerts, output)?;
        }
    }
    if lake.judged().await? < Some(lake.version().await?) {
        output.say("the newest rows are not judged yet: `keytrail detect` does that");
    }
    Ok(ExitCode::Ok)
}

/// An alert about the lake or a rule rests on no single event: its own words are all there is.
fn without_event(alert: &Alert, global: &Global, output: Output) -> Result<ExitCode> {
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        let value = json!({"event": null, "alert_id": alert.alert_id, "reason": alert.reason, "rules": []});
        output.line(value.to_string())?;
    } else {
        output.line(format!(
            "{} rests on no single event: {}",
            alert.alert_id,
            display::terminal_safe(&alert.reason)
        ))?;
    }
    Ok(ExitCode::Ok)
}

async fn event_rows(lake: &Lake, settings: &Settings, asked: &Asked<'_>) -> Result<RecordBatch> {
    Ok(history::event(lake, settings, &asked.event_id).await?.ok_or_else(|| {
        let id = display::terminal_safe(&asked.event_id);
        Failure::new(ExitCode::NotFound, format!("there is no alert and no event `{id}`")).hint(
            "`keytrail alerts list --all` and `keytrail query -e \"SELECT event_id, … FROM access_events\"` show ids",
        )
    })?)
}

async fn described(lake: &Lake, settings: &Settings, event_id: &str) -> Result<Value> {
    let sql = format!(
        "SELECT event_id, event_at, event_name, action, outcome, principal_id, array_agg(secret_id) AS secret_ids, source_ip, \
         account_id, region, object_key, record_index FROM access_events WHERE event_id = {} \
         GROUP BY event_id, event_at, event_name, action, outcome, principal_id, source_ip, account_id, region, object_key, record_index",
        open::quoted(event_id)
    );
    Ok(open::rows(lake, settings, &sql).await?.into_iter().next().unwrap_or(Value::Null))
}

fn tell_event(event: &Value, asked: &Asked<'_>, output: Output) -> Result<()> {
    let text = |name: &str| display::terminal_safe(event[name].as_str().unwrap_or("-"));
    let secrets = event["secret_ids"].as_array().map_or_else(Vec::new, |ids| {
        ids.iter().filter_map(Value::as_str).map(display::secret_short).collect::<Vec<_>>()
    });
    if let Some(alert) = asked.alert {
        output.line(format!("{}  {}", alert.alert_id, display::terminal_safe(&alert.reason)))?;
        output.line(format!(
            "rule {} v{}; its first event of {}:",
            alert.rule_id, alert.rule_version, alert.event_count
        ))?;
    }
    output.line(format!(
        "{}  {}  {} ({})  {} -> {}  from {}",
        text("event_at"),
        text("event_id"),
        text("event_name"),
        text("outcome"),
        display::principal_short(event["principal_id"].as_str().unwrap_or("-")),
        if secrets.is_empty() { "no secret".to_owned() } else { secrets.join(", ") },
        text("source_ip"),
    ))?;
    output.line(format!("    {}#{}", text("object_key"), event["record_index"]))
}

fn tell(it: &Explanation, asked: &Asked<'_>, alerts: &[Alert], output: Output) -> Result<()> {
    let shadow = if it.is_shadow { " [shadow: recorded, told nobody]" } else { "" };
    let name = format!("\n{} v{}{shadow}", it.rule_id, it.version);
    match &it.answer {
        Answer::NotAsked(why) => output.line(format!("{name}  is not asked: {}", display::terminal_safe(why))),
        Answer::Fails(why) => output.line(format!("{name}  does not run: {}", display::terminal_safe(why))),
        Answer::Quiet(conditions) => {
            let was = holding(&it.rule_id, &asked.event_id, alerts).map_or_else(String::new, |alert| {
                format!(" now; alert {} was raised by v{}", alert.alert_id, alert.rule_version)
            });
            output.line(format!("{name}  does not fire{was}, because"))?;
            conditions.iter().try_for_each(|condition| output.line(line(condition)))
        }
        Answer::Fires { findings, conditions } => {
            output.line(format!("{name}  fires: {}", told(&it.rule_id, &asked.event_id, alerts)))?;
            for finding in findings.iter().filter(|finding| asked.alert.is_none_or(|it| it.reason != finding.reason)) {
                output.line(format!("  {}", display::terminal_safe(&finding.reason)))?;
            }
            conditions.iter().try_for_each(|condition| output.line(line(condition)))
        }
    }
}

fn line(condition: &Condition) -> String {
    let values: Vec<String> = condition.values.iter().map(|(name, value)| format!("{name} is {value}")).collect();
    let values = if values.is_empty() { String::new() } else { format!("  ({})", values.join(", ")) };
    match (condition.text.as_str(), condition.said.as_str()) {
        ("", said) => format!("  {said}"),
        (text, "") => format!("  {text}{values}"),
        (text, said) => format!("  {text}  {said}{values}"),
    }
}

/// The alert of a rule that rests on an event.
fn holding<'a>(rule_id: &str, event_id: &str, alerts: &'a [Alert]) -> Option<&'a Alert> {
    let rests = |evidence: &Evidence| evidence.event_id == event_id;
    alerts.iter().find(|alert| alert.rule_id == rule_id && alert.evidence.iter().any(rests))
}

/// What became of what the rule finds.
fn told(rule_id: &str, event_id: &str, alerts: &[Alert]) -> String {
    match holding(rule_id, event_id, alerts) {
        None => "no alert rests on it: it is not judged yet, or belongs to an alert with more events than are kept"
            .to_owned(),
        Some(alert) => {
            let by = alert.suppressed_by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            let verdict = alert.verdict.map_or_else(String::new, |verdict| format!(" as {verdict}"));
            let past = if alert.historical { ", historical" } else { "" };
            format!("alert {}, {}{verdict}{by}{past}", alert.alert_id, alert.state)
        }
    }
}

fn as_json(it: &Explanation, asked: &Asked<'_>, alerts: &[Alert]) -> Value {
    let (answer, why, conditions, findings) = match &it.answer {
        Answer::Fires { findings, conditions } => ("fires", None, conditions.as_slice(), findings.as_slice()),
        Answer::Quiet(conditions) => ("quiet", None, conditions.as_slice(), &[][..]),
        Answer::NotAsked(why) => ("not_asked", Some(why), &[][..], &[][..]),
        Answer::Fails(why) => ("fails", Some(why), &[][..], &[][..]),
    };
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|it| {
            let values: serde_json::Map<_, _> =
                it.values.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({"condition": it.text, "values": values, "said": it.said})
        })
        .collect();
    let alert = holding(&it.rule_id, &asked.event_id, alerts);
    json!({
        "rule_id": it.rule_id, "version": it.version, "shadow": it.is_shadow, "answer": answer, "why": why,
        "conditions": conditions, "reasons": findings.iter().map(|finding| &finding.reason).collect::<Vec<_>>(),
        "alert_id": alert.map(|alert| &alert.alert_id), "state": alert.map(|alert| alert.state),
        "suppressed_by": alert.and_then(|alert| alert.suppressed_by.as_ref()),
        "raised_by_version": alert.map(|alert| &alert.rule_version),
    })
}
