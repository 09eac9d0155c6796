//! `keytrail rules`: list, show, check and test rule packs.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use keytrail_ingest::decode::{self, Buffers, DecodeSettings};
use keytrail_ingest::normalize::{FieldMap, Scope};
use keytrail_model::{AccessEvent, Alert, ObjectId, ObjectOutcome, display};
use keytrail_rules::{
    check,
    manifest::Run,
    pack::{Pack, Packs, SampleKind},
    param::format_duration,
    rule::Rule,
    samples,
    settings::{NetworkPolicy, ReaderClasses, RuleSettings},
    template::Templates,
};
use serde_json::{Value, json};

use super::table::{self, Column};
use crate::{
    args::{FormatArg, Global, RulesCommand},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

pub(crate) async fn run(
    command: &RulesCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    match command {
        RulesCommand::List => list(&packs(), global, output),
        RulesCommand::Show { id } => show(&packs(), id, global, output),
        RulesCommand::Check { dir } => check_all(Packs::load(folder(dir.as_deref())?), settings, output).await,
        RulesCommand::Test { dir, only } => {
            test(&Packs::load(folder(dir.as_deref())?), only.as_deref(), global, output).await
        }
    }
}

/// The packs that come with the program; one that is broken there is a fault of the program.
pub(crate) fn packs() -> Packs {
    Packs::load(None)
}

/// What the configuration tells the rules.
pub(crate) fn rule_settings(settings: &Settings) -> RuleSettings {
    let file = &settings.file;
    RuleSettings {
        networks: file
            .policy
            .network
            .iter()
            .map(|entry| NetworkPolicy {
                secrets: entry.secrets.clone(),
                principals: entry.principals.clone(),
                cidrs: entry.cidrs.clone(),
                vpc_endpoints: entry.vpc_endpoints.clone(),
            })
            .collect(),
        readers: ReaderClasses { upkeep: file.readers.upkeep.clone(), sync_agents: file.readers.sync_agents.clone() },
        overrides: file.rules.clone(),
        historical_after: i64::try_from(file.alerts.historical_after.0.as_micros()).unwrap_or(i64::MAX),
        ..RuleSettings::default()
    }
}

/// Refuses a configuration that names rules, parameters, networks or globs that cannot be.
pub(crate) fn check_configuration(settings: &Settings) -> Result<(), Failure> {
    let packs = Packs::load(None);
    for (id, overrides) in &settings.file.rules {
        resolve_in(&packs, id, overrides)?;
    }
    for entry in &settings.file.policy.network {
        for cidr in &entry.cidrs {
            keytrail_lake::functions::is_cidr(cidr).then_some(()).ok_or_else(|| {
                Failure::new(ExitCode::Config, format!("policy.network: `{cidr}` is not a CIDR"))
                    .hint("write for example \"10.0.0.0/8\" or \"2001:db8::/32\"")
            })?;
        }
    }
    Ok(())
}

/// A rule with parameters laid over its defaults.
pub(crate) fn resolve(id: &str, overrides: &toml::Table) -> Result<Rule> {
    Ok(resolve_in(&packs(), id, overrides)?)
}

fn resolve_in(packs: &Packs, id: &str, overrides: &toml::Table) -> Result<Rule, Failure> {
    let pack = packs.find(id).map_err(|error| Failure::new(ExitCode::Config, format!("rules.{error}")))?;
    Rule::resolve(Arc::clone(pack), Some(overrides)).map_err(|error| Failure::new(ExitCode::Config, error.to_string()))
}

/// What to do about an alert, from its rule's guide.
pub(crate) fn guide_for(packs: &Packs, alert: &Alert) -> Option<String> {
    let pack = packs.find(&alert.rule_id).ok()?;
    Templates::default().guide(&pack.guide, alert).ok()
}

fn folder(dir: Option<&Path>) -> Result<Option<&Path>, Failure> {
    match dir {
        Some(dir) if !dir.is_dir() => {
            Err(Failure::new(ExitCode::NotFound, format!("{} is not a folder", dir.display())))
        }
        other => Ok(other),
    }
}

fn runs(pack: &Pack) -> String {
    let words = pack.manifest.run.iter().map(|run| match run {
        Run::Batch => "each batch".to_owned(),
        Run::Schedule => format!("every {}", pack.manifest.every.map_or_else(|| "1d".to_owned(), format_duration)),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn list(packs: &Packs, global: &Global, output: Output) -> Result<ExitCode> {
    let columns = [
        Column::new("id", |pack: &Arc<Pack>| pack.manifest.id.clone()),
        Column::new("severity", |pack| pack.manifest.severity.to_string()),
        Column::new("runs", |pack| runs(pack)),
        Column::new("attack", |pack| pack.manifest.attack.join(" ")),
        Column::new("title", |pack| pack.manifest.title.clone()),
    ];
    table::print(&packs.packs, &columns, as_json, global.format, output)?;
    Ok(ExitCode::Ok)
}

fn as_json(pack: &Arc<Pack>) -> Value {
    let manifest = &pack.manifest;
    let params: Vec<Value> = manifest
        .params
        .iter()
        .map(|(name, param)| json!({"name": name, "default": param.default.to_json(), "doc": param.spec.doc}))
        .collect();
    json!({
        "id": manifest.id, "title": manifest.title, "version": manifest.version, "severity": manifest.severity,
        "class": manifest.class, "attack": manifest.attack, "description": manifest.description, "runs": runs(pack),
        "fold_by": manifest.fold_by, "episode_gap": format_duration(manifest.episode_gap), "params": params,
    })
}

fn show(packs: &Packs, id: &str, global: &Global, output: Output) -> Result<ExitCode> {
    let pack = packs.find(id).map_err(|error| Failure::new(ExitCode::NotFound, error.to_string()))?;
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        let mut value = as_json(pack);
        value["sql"] = json!(pack.detect_sql);
        value["guide"] = json!(pack.guide);
        output.line(value.to_string())?;
        return Ok(ExitCode::Ok);
    }
    let manifest = &pack.manifest;
    output
        .line(format!("{} ({}, version {}, {})", manifest.title, manifest.id, manifest.version, manifest.severity))?;
    output.line(format!(
        "runs {}; {}; folded by {}",
        runs(pack),
        manifest.attack.join(" "),
        manifest.fold_by.join(", ")
    ))?;
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

async fn check_all(packs: Packs, settings: &Settings, output: Output) -> Result<ExitCode> {
    let rules = packs.packs.len() + packs.errors.len();
    let errors = check::check(packs, &rule_settings(settings)).await;
    for error in &errors {
        output.warn(format!("error: {error}"));
    }
    output.line(format!("{rules} rules, {} mistakes", errors.len()))?;
    Ok(if errors.is_empty() { ExitCode::Ok } else { ExitCode::Partial })
}

async fn test(packs: &Packs, only: Option<&str>, global: &Global, output: Output) -> Result<ExitCode> {
    let chosen: Vec<Arc<Pack>> =
        packs.packs.iter().filter(|pack| only.is_none_or(|text| pack.manifest.id.contains(text))).cloned().collect();
    for error in &packs.errors {
        output.warn(format!("error: {error}"));
    }
    let started = std::time::Instant::now();
    let outcomes = samples::run(&chosen, &normalize).await;
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    let failed = outcomes.len() - passed + packs.errors.len();
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        let rows: Vec<Value> = outcomes
            .iter()
            .map(|outcome| {
                json!({"rule_id": outcome.rule_id, "kind": kind(outcome.kind), "sample": outcome.name,
                       "passed": outcome.passed(), "failure": outcome.failure, "reasons": outcome.reasons})
            })
            .collect();
        output.line(Value::Array(rows).to_string())?;
    } else {
        for outcome in &outcomes {
            let word = if outcome.passed() { "PASS" } else { "FAIL" };
            output.line(format!(
                "{word} [{}] {} {}/{}",
                seconds(outcome.took),
                outcome.rule_id,
                kind(outcome.kind),
                outcome.name
            ))?;
            if let Some(failure) = &outcome.failure {
                output.line(format!("     {}", display::terminal_safe(failure)))?;
                for reason in &outcome.reasons {
                    output.line(format!("     raised: {}", display::terminal_safe(reason)))?;
                }
            }
        }
        output.line(format!(
            "Summary [{}] {} samples run: {passed} passed, {failed} failed",
            seconds(started.elapsed()),
            outcomes.len()
        ))?;
    }
    Ok(if failed == 0 { ExitCode::Ok } else { ExitCode::Partial })
}

fn seconds(took: Duration) -> String {
    format!("{:7.3}s", took.as_secs_f64())
}

const fn kind(kind: SampleKind) -> &'static str {
    match kind {
        SampleKind::Fires => "fires",
        SampleKind::Quiet => "quiet",
    }
}

/// Reads a sample's records as `ingest` would.
fn normalize(name: &str, bytes: &[u8]) -> Result<Vec<AccessEvent>, String> {
    let object = ObjectId { key: name.to_owned(), version: "sample".to_owned() };
    let decoded = decode::decode_object(
        bytes,
        &object,
        &DecodeSettings::default(),
        Scope::Secrets,
        &FieldMap::default(),
        &mut Buffers::default(),
    );
    let entry = &decoded.entry;
    match (&entry.outcome, entry.quarantined.first()) {
        (ObjectOutcome::Committed, None) => Ok(decoded.rows),
        (ObjectOutcome::Committed, Some(bad)) => Err(format!("record {}: {}", bad.record_index, bad.reason)),
        (ObjectOutcome::Skipped(reason) | ObjectOutcome::Quarantined(reason), _) => Err(reason.clone()),
    }
}
