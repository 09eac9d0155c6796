//! `keytrail rules backtest`: what rules would have alerted on, day by day.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use keytrail_model::{display, time};
use keytrail_rules::{
    backtest::{Forecast, Span, forecast},
    pack::Pack,
};
use serde_json::{Value, json};

use super::{chosen, history::History, packs, rule_settings};
use crate::{
    args::{BacktestArgs, FormatArg, Global},
    commands::open,
    exit_code::ExitCode,
    output::Output,
    settings::Settings,
};

/// Examples in JSON carry the alert; on a terminal, more than this is a wall.
const MOST_EXAMPLES: usize = 50;

pub(super) async fn run(args: &BacktestArgs, settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let (rules, is_named): (Vec<Arc<Pack>>, bool) = match &args.what {
        Some(what) => (chosen(what, settings)?, true),
        None => (packs(settings).packs, false),
    };
    let lake = open::existing(settings).await?;
    let history = History::open(&lake, settings).await?;
    let span = history.span(&args.span)?;
    let mut rule_settings = rule_settings(settings);
    let ids: Vec<&str> = rules.iter().map(|pack| pack.manifest.id.as_str()).collect();
    rule_settings.overrides.retain(|id, _| ids.contains(&id.as_str()));
    if is_named {
        // Who names a rule wants to know what it would do, not that it is switched off.
        for overrides in rule_settings.overrides.values_mut() {
            overrides.remove("enabled");
        }
    }
    let alerts = history.replay(&rules, rule_settings, span, output).await?;
    let known = lake.alerts().await?;
    let found = forecast(&ids, &alerts, &known, span, args.examples.min(MOST_EXAMPLES));
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        let rows: Vec<Value> = found.iter().map(|forecast| as_json(forecast, span)).collect();
        output.line(Value::Array(rows).to_string())?;
    } else {
        tell(&found, span, history.rows, output)?;
    }
    Ok(if found.iter().any(|forecast| forecast.error.is_some()) { ExitCode::Partial } else { ExitCode::Ok })
}

fn tell(found: &[Forecast], span: Span, rows: i64, output: Output) -> Result<()> {
    output.line(format!(
        "{} days from {} to {}, {} rows in the lake; all before is learned from",
        span.days(),
        display::moment(span.from),
        display::moment(span.until),
        display::count(rows)
    ))?;
    for forecast in found {
        output.line("")?;
        if let Some(error) = &forecast.error {
            output.line(format!("{}  did not run: {}", forecast.rule_id, display::terminal_safe(error)))?;
            continue;
        }
        let busiest =
            forecast.busiest().map_or_else(String::new, |(day, number)| format!(", most on {day} ({number})"));
        output.line(format!(
            "{}  {}, {:.2} a day{busiest}",
            forecast.rule_id,
            alerts_of(forecast.alerts),
            forecast.per_day
        ))?;
        if forecast.alerts == 0 {
            continue;
        }
        let severities = forecast.by_severity.iter().rev().map(|(severity, number)| format!("{number} {severity}"));
        output.line(format!("  severity  {}", severities.collect::<Vec<_>>().join(", ")))?;
        let share = |number: usize| 100 * number / forecast.alerts.max(1);
        let principals = forecast
            .by_principal
            .iter()
            .map(|(who, number)| format!("{} {number} ({} %)", display::principal_short(who), share(*number)));
        output.line(format!("  who       {}", principals.collect::<Vec<_>>().join(", ")))?;
        if !forecast.verdicts.is_empty() {
            let verdicts = forecast.verdicts.iter().map(|(verdict, number)| format!("{number} {verdict}"));
            output.line(format!("  judged    {}", verdicts.collect::<Vec<_>>().join(", ")))?;
        }
        for alert in &forecast.examples {
            output.line(format!(
                "  e.g.      {}  {}  {}",
                display::moment(alert.first_event_at),
                alert.severity,
                display::terminal_safe(&alert.reason)
            ))?;
        }
    }
    let total: usize = found.iter().map(|forecast| forecast.alerts).sum();
    let mut days: BTreeMap<&str, usize> = BTreeMap::new();
    for forecast in found {
        for (day, number) in &forecast.by_day {
            *days.entry(day).or_default() += number;
        }
    }
    let busiest = days.iter().max_by_key(|(day, number)| (**number, std::cmp::Reverse(**day)));
    let busiest = busiest.map_or_else(String::new, |(day, number)| format!(", most on {day} ({number})"));
    output.line(format!("\nall rules  {}, {:.2} a day{busiest}", alerts_of(total), total as f64 / span.days() as f64))
}

fn alerts_of(number: usize) -> String {
    if number == 1 { "1 alert".to_owned() } else { format!("{number} alerts") }
}

fn as_json(forecast: &Forecast, span: Span) -> Value {
    let busiest = forecast.busiest();
    json!({
        "rule_id": forecast.rule_id, "from": time::to_rfc3339(span.from), "until": time::to_rfc3339(span.until),
        "days": span.days(), "alerts": forecast.alerts, "alerts_per_day": forecast.per_day, "by_day": forecast.by_day,
        "busiest_day": busiest.map(|(day, _)| day), "busiest_day_alerts": busiest.map(|(_, number)| number),
        "by_severity": forecast.by_severity.iter().map(|(severity, number)| (severity.to_string(), json!(number))).collect::<serde_json::Map<_, _>>(),
        "by_principal": forecast.by_principal.iter().map(|(who, number)| json!({"principal_id": who, "alerts": number})).collect::<Vec<_>>(),
        "verdicts": forecast.verdicts,
        "examples": forecast.examples.iter().map(|alert| json!({
            "alert_id": alert.alert_id, "first_event_at": time::to_rfc3339(alert.first_event_at), "severity": alert.severity,
            "reason": alert.reason, "principal_id": alert.principal_id, "secret_ids": alert.secret_ids,
        })).collect::<Vec<_>>(),
        "error": forecast.error,
    })
}
