//! `keytrail rules check` and `test`: mistakes with their place, and samples.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use keytrail_ingest::decode::{self, Buffers, DecodeSettings};
use keytrail_ingest::normalize::{FieldMap, Scope};
use keytrail_model::{AccessEvent, ObjectId, ObjectOutcome, display};
use keytrail_rules::{
    check,
    error::RuleError,
    pack::{Pack, Packs, SampleKind},
    samples,
};
use serde_json::{Value, json};

use super::{broken, folder, rule_settings};
use crate::{
    args::{FormatArg, Global},
    exit_code::ExitCode,
    output::Output,
    settings::Settings,
};

/// The folder that was named, else the configured one.
fn own<'a>(dir: Option<&'a Path>, settings: &'a Settings) -> Result<Option<&'a Path>> {
    Ok(folder(dir)?.or(settings.file.alerts.packs.as_deref()))
}

pub(super) async fn check(
    dir: Option<&Path>,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let own = own(dir, settings)?;
    let packs = Packs::load(own);
    let rules = packs.packs.len() + packs.errors.len();
    let mut errors = check::check(packs, &rule_settings(settings)).await;
    errors.sort_by(|a, b| (&a.rule_id, &a.file, a.position).cmp(&(&b.rule_id, &b.file, b.position)));
    if matches!(global.format, Some(FormatArg::Json | FormatArg::Ndjson)) {
        let rows: Vec<Value> = errors.iter().map(as_json).collect();
        output.line(Value::Array(rows).to_string())?;
    } else {
        for error in &errors {
            output.warn(format!("error: {}", broken(error)));
            for line in own.and_then(|own| excerpt(own, error)).into_iter().flatten() {
                output.warn(line);
            }
        }
        output.line(format!("{rules} rules, {} mistakes", errors.len()))?;
    }
    Ok(if errors.is_empty() { ExitCode::Ok } else { ExitCode::Partial })
}

fn as_json(error: &RuleError) -> Value {
    json!({
        "rule_id": error.rule_id, "file": error.file, "line": error.position.map(|at| at.line),
        "column": error.position.map(|at| at.column), "message": error.kind.to_string(), "suggestion": error.suggestion,
    })
}

/// The line that is wrong, and a caret below the place: only a file of the user's own can be shown.
fn excerpt(own: &Path, error: &RuleError) -> Option<Vec<String>> {
    let position = error.position?;
    let places = [own.join(&error.rule_id).join(&error.file), own.join(&error.file)];
    let text = places.iter().find_map(|place| std::fs::read_to_string(place).ok())?;
    let line = text.lines().nth(position.line.checked_sub(1)?)?;
    let shown: String = line.chars().map(|sign| if sign == '\t' { ' ' } else { sign }).collect();
    let number = position.line.to_string();
    let margin = " ".repeat(number.len());
    let caret = " ".repeat(position.column.saturating_sub(1));
    Some(vec![
        format!("  {margin} |"),
        format!("  {number} | {}", display::terminal_safe(&shown)),
        format!("  {margin} | {caret}^"),
    ])
}

pub(super) async fn test(
    dir: Option<&Path>,
    only: Option<&str>,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let packs = Packs::load(own(dir, settings)?);
    // A folder that is one pack means that pack: its samples are asked for, not those of every other rule.
    let alone = dir.filter(|dir| dir.join("rule.toml").is_file());
    let is_meant =
        |pack: &Pack| only.is_none_or(|text| pack.manifest.id.contains(text)) && (alone.is_none() || !pack.built_in);
    let chosen: Vec<Arc<Pack>> = packs.packs.iter().filter(|pack| is_meant(pack)).cloned().collect();
    for error in &packs.errors {
        output.warn(format!("error: {}", broken(error)));
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

/// Runs the samples of one pack; the first that fails, in words.
pub(crate) async fn sample_fails(pack: &Arc<Pack>) -> Option<String> {
    let outcomes = samples::run(std::slice::from_ref(pack), &normalize).await;
    outcomes.into_iter().find_map(|outcome| outcome.failure)
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
pub(crate) fn normalize(name: &str, bytes: &[u8]) -> Result<Vec<AccessEvent>, String> {
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
