//! `keytrail rules list` and `show`: what is watched, in which state, and how often it was right.
//!
//! How often comes from the view `rule_precision`; where there is no lake, the columns are empty.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use keytrail_lake::Lake;
use keytrail_model::AlertClass;
use keytrail_rules::{
    manifest::{RuleState, Run},
    pack::Pack,
    param::format_duration,
    rule::Rule,
};
use serde_json::{Value, json};

use super::{broken, packs};
use crate::{
    args::{FormatArg, Global},
    commands::{
        open,
        table::{self, Column},
    },
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// A rule as the lists show it.
struct Listed {
    pack: Arc<Pack>,
    state: &'static str,
    severity: String,
    health: Health,
}

/// What the lake knows of a rule.
#[derive(Clone, Debug, Default)]
struct Health {
    alerts: i64,
    open: i64,
    judged: i64,
    true_positive: i64,
    /// Why it does not run, as the last judging had it.
    error: Option<String>,
    is_known: bool,
}

pub(super) async fn list(settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let packs = packs(settings);
    for error in &packs.errors {
        output.warn(format!("error: {}", broken(error)));
    }
    let health = health(settings).await?;
    let listed: Vec<Listed> = packs.packs.iter().map(|pack| listed(pack, settings, &health)).collect();
    let columns = [
        Column::new("id", |it: &Listed| it.pack.manifest.id.clone()),
        Column::new("severity", |it| it.severity.clone()),
        Column::new("state", |it| it.state.to_owned()),
        Column::new("runs", |it| runs(&it.pack)),
        Column::new("alerts", |it| if it.health.is_known { it.health.alerts.to_string() } else { String::new() }),
        Column::new("right", |it| precision(&it.health)),
        Column::new("attack", |it| it.pack.manifest.attack.join(" ")),
        Column::new("title", |it| it.pack.manifest.title.clone()),
    ];
    table::print(&listed, &columns, as_json, global.format, output)?;
    for it in listed.iter().filter(|it| it.health.error.is_some()) {
        output.warn(format!(
            "{} does not run: {}",
            it.pack.manifest.id,
            it.health.error.as_deref().unwrap_or_default()
        ));
    }
    Ok(if packs.errors.is_empty() { ExitCode::Ok } else { ExitCode::Partial })
}

pub(super) async fn show(settings: &Settings, id: &str, global: &Global, output: Output) -> Result<ExitCode> {
    let packs = packs(settings);
    let pack = packs.find(id).map_err(|error| Failure::new(ExitCode::NotFound, error.to_string()))?;
    let it = listed(pack, settings, &health(settings).await?);
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        let mut value = as_json(&it);
        value["sql"] = json!(pack.detect_sql);
        value["views"] = json!(pack.views);
        value["guide"] = json!(pack.guide);
        output.line(value.to_string())?;
        return Ok(ExitCode::Ok);
    }
    let manifest = &pack.manifest;
    output.line(format!("{} ({}, version {}, {})", manifest.title, manifest.id, manifest.version, it.severity))?;
    output.line(format!(
        "{}; runs {}; {}; folded by {}",
        it.state,
        runs(pack),
        manifest.attack.join(" "),
        manifest.fold_by.join(", ")
    ))?;
    if it.health.is_known {
        output.line(format!("{} alerts, {} open, {}", it.health.alerts, it.health.open, right(&it.health)))?;
    }
    if let Some(error) = &it.health.error {
        output.line(format!("does not run: {error}"))?;
    }
    output.line(format!("\n{}\n", manifest.description.trim()))?;
    for (name, param) in &manifest.params {
        output.line(format!("  {name} = {}   {}", param.default.to_json(), param.spec.doc))?;
    }
    output.line(format!("\ndetect.sql\n\n{}", pack.detect_sql.trim_end()))?;
    for (name, sql) in &pack.views {
        output.line(format!("\n{name}.sql\n\n{}", sql.trim_end()))?;
    }
    output.line(format!("\nguide.md\n\n{}", pack.guide.trim_end()))?;
    Ok(ExitCode::Ok)
}

fn listed(pack: &Arc<Pack>, settings: &Settings, health: &BTreeMap<String, Health>) -> Listed {
    let id = &pack.manifest.id;
    let mut health = health.get(id).cloned().unwrap_or_default();
    let resolved = Rule::resolve(Arc::clone(pack), settings.file.rules.get(id));
    let (state, severity) = match &resolved {
        Ok(rule) if !rule.enabled => ("off", rule.severity),
        Ok(rule) if pack.manifest.state == RuleState::Shadow => ("shadow", rule.severity),
        Ok(rule) => ("on", rule.severity),
        Err(error) => {
            health.error = Some(error.to_string());
            ("broken", pack.manifest.severity)
        }
    };
    Listed { pack: Arc::clone(pack), state, severity: severity.to_string(), health }
}

async fn health(settings: &Settings) -> Result<BTreeMap<String, Health>> {
    let mut health: BTreeMap<String, Health> = BTreeMap::new();
    let lake: Option<Lake> = open::existing(settings).await.ok();
    let Some(lake) = lake else { return Ok(health) };
    for row in open::rows(&lake, settings, "SELECT * FROM rule_precision").await? {
        let number = |name: &str| row[name].as_i64().unwrap_or(0);
        let entry = health.entry(row["rule_id"].as_str().unwrap_or_default().to_owned()).or_default();
        *entry = Health {
            alerts: number("alerts"),
            open: number("open"),
            judged: number("judged"),
            true_positive: number("true_positive"),
            error: None,
            is_known: true,
        };
    }
    let standing = lake.alerts().await?;
    let failed = standing
        .into_iter()
        .filter(|alert| alert.class == AlertClass::RuleError && alert.state != keytrail_model::AlertState::Closed);
    for alert in failed {
        health.entry(alert.rule_id.clone()).or_default().error = Some(alert.reason);
    }
    Ok(health)
}

fn precision(health: &Health) -> String {
    if health.judged == 0 { String::new() } else { format!("{} of {}", health.true_positive, health.judged) }
}

fn right(health: &Health) -> String {
    match health.judged {
        0 => "none judged yet".to_owned(),
        judged => format!("{} of {judged} judged ones were true positives", health.true_positive),
    }
}

fn runs(pack: &Pack) -> String {
    let words = pack.manifest.run.iter().map(|run| match run {
        Run::Batch => "each batch".to_owned(),
        Run::Schedule => format!("every {}", pack.manifest.every.map_or_else(|| "1d".to_owned(), format_duration)),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn as_json(it: &Listed) -> Value {
    let manifest = &it.pack.manifest;
    let params: Vec<Value> = manifest
        .params
        .iter()
        .map(|(name, param)| json!({"name": name, "default": param.default.to_json(), "doc": param.spec.doc}))
        .collect();
    let judged = (it.health.judged > 0).then(|| it.health.true_positive as f64 / it.health.judged as f64);
    json!({
        "id": manifest.id, "title": manifest.title, "version": manifest.version, "severity": it.severity,
        "class": manifest.class, "attack": manifest.attack, "description": manifest.description, "runs": runs(&it.pack),
        "fold_by": manifest.fold_by, "episode_gap": format_duration(manifest.episode_gap), "params": params,
        "state": it.state, "built_in": it.pack.built_in,
        "alerts": it.health.alerts, "open": it.health.open, "judged": it.health.judged,
        "true_positive": it.health.true_positive, "precision": judged, "error": it.health.error,
    })
}
