//! `keytrail rules diff OLD NEW`: both versions over the same history.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use keytrail_model::{Alert, display, time};
use keytrail_rules::{
    diff::{Difference, diff},
    pack::Pack,
};
use serde_json::{Value, json};

use super::{chosen, history::History, rule_settings};
use crate::{
    args::{FormatArg, Global, SpanArgs},
    commands::open,
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// Alerts of one kind that are named before the rest is counted.
const NAMED: usize = 10;

pub(super) async fn run(
    old: &str,
    new: &str,
    span: &SpanArgs,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let (old_packs, new_packs) = (chosen(old, settings)?, chosen(new, settings)?);
    let pairs = paired(&old_packs, &new_packs)?;
    let (old_packs, new_packs): (Vec<Arc<Pack>>, Vec<Arc<Pack>>) = pairs.iter().cloned().unzip();
    let lake = open::existing(settings).await?;
    let history = History::open(&lake, settings).await?;
    let span = history.span(span)?;
    let for_packs = |packs: &[Arc<Pack>]| {
        let mut settings = rule_settings(settings);
        settings.overrides.retain(|id, _| packs.iter().any(|pack| &pack.manifest.id == id));
        settings
    };
    let old_alerts = history.replay(&old_packs, for_packs(&old_packs), span, output).await?;
    let new_alerts = history.replay(&new_packs, for_packs(&new_packs), span, output).await?;
    let found: Vec<Difference> = pairs
        .iter()
        .map(|(old, new)| diff((&old.manifest.id, &old_alerts), (&new.manifest.id, &new_alerts), span))
        .collect();
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        output.line(Value::Array(found.iter().map(as_json).collect()).to_string())?;
    } else {
        output.line(format!(
            "{old} against {new}: {} days from {} to {}",
            span.days(),
            display::moment(span.from),
            display::moment(span.until)
        ))?;
        for difference in &found {
            tell(difference, output)?;
        }
    }
    Ok(ExitCode::Ok)
}

/// A rule as it was and as it would be.
type Pair = (Arc<Pack>, Arc<Pack>);

/// Which rule stands against which: the same id in both; of single rules, those two.
fn paired(old: &[Arc<Pack>], new: &[Arc<Pack>]) -> Result<Vec<Pair>, Failure> {
    if let ([old], [new]) = (old, new) {
        return Ok(vec![(Arc::clone(old), Arc::clone(new))]);
    }
    let by_id: BTreeMap<&str, &Arc<Pack>> = old.iter().map(|pack| (pack.manifest.id.as_str(), pack)).collect();
    let pairs: Vec<Pair> = new
        .iter()
        .filter_map(|pack| Some((Arc::clone(by_id.get(pack.manifest.id.as_str())?), Arc::clone(pack))))
        .collect();
    if pairs.is_empty() {
        return Err(Failure::new(ExitCode::Usage, "the two have no rule in common"));
    }
    Ok(pairs)
}

fn tell(found: &Difference, output: Output) -> Result<()> {
    let name = if found.old_rule == found.new_rule {
        found.new_rule.clone()
    } else {
        format!("{} -> {}", found.old_rule, found.new_rule)
    };
    let same = if found.is_empty() { ", the same alerts" } else { "" };
    output.line(format!("\n{name}  {} alerts before, {} now{same}", found.old, found.new))?;
    let list = |title: &str, alerts: &[Alert]| -> Result<()> {
        if alerts.is_empty() {
            return Ok(());
        }
        output.line(format!("  {title}: {}", alerts.len()))?;
        for alert in alerts.iter().take(NAMED) {
            output.line(format!(
                "    {}  {}  {}",
                display::moment(alert.first_event_at),
                alert.severity,
                display::terminal_safe(&alert.reason)
            ))?;
        }
        if alerts.len() > NAMED {
            output.line(format!("    and {} more", alerts.len() - NAMED))?;
        }
        Ok(())
    };
    list("no longer found", &found.only_old)?;
    list("found now", &found.only_new)?;
    if !found.other_severity.is_empty() {
        output.line(format!("  other severity: {}", found.other_severity.len()))?;
        for (was, alert) in found.other_severity.iter().take(NAMED) {
            let reason = display::terminal_safe(&alert.reason);
            output.line(format!(
                "    {}  {was} -> {}  {reason}",
                display::moment(alert.first_event_at),
                alert.severity
            ))?;
        }
    }
    for (day, (old, new)) in found.by_day.iter().take(NAMED) {
        output.line(format!("  {day}  {old} -> {new}"))?;
    }
    if found.by_day.len() > NAMED {
        output.line(format!("  and {} more days that differ", found.by_day.len() - NAMED))?;
    }
    Ok(())
}

fn as_json(found: &Difference) -> Value {
    let brief = |alert: &Alert| {
        json!({
            "alert_id": alert.alert_id, "first_event_at": time::to_rfc3339(alert.first_event_at),
            "severity": alert.severity, "reason": alert.reason, "principal_id": alert.principal_id,
            "secret_ids": alert.secret_ids,
        })
    };
    let other: Vec<Value> = found
        .other_severity
        .iter()
        .map(|(was, alert)| {
            let mut value = brief(alert);
            value["severity_before"] = json!(was);
            value
        })
        .collect();
    let days: Vec<Value> =
        found.by_day.iter().map(|(day, (old, new))| json!({"day": day, "old": old, "new": new})).collect();
    json!({
        "old_rule": found.old_rule, "new_rule": found.new_rule, "old": found.old, "new": found.new,
        "only_old": found.only_old.iter().map(brief).collect::<Vec<_>>(),
        "only_new": found.only_new.iter().map(brief).collect::<Vec<_>>(),
        "other_severity": other, "days_that_differ": days,
    })
}
