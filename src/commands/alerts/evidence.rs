//! `keytrail alerts evidence ID --out DIR`: a folder that holds everything an alert rests on and reproduces it.
//!
//! In: an alert, its rule, the lake. Out: the alert, what the rule finds in its events, their records, the history that the rule
//! compared with, the rule itself, what was seen of the trail, and a manifest with the SHA-256 of each file. `keytrail rules test
//! DIR/pack` judges the bundle's own records and raises the alert again; that is tried before the bundle is called good.
//!
//! Records are as the lake keeps them, with what is secret left out. Nothing is written outside the folder.

mod history;
mod readme;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use keytrail_alerts::bundle::{MANIFEST, Manifest};
use keytrail_lake::Lake;
use keytrail_model::{Alert, AlertClass, time};
use keytrail_rules::{
    explain::{self, Answer},
    runner::Runner,
    source,
};
use serde_json::{Value, json};

use self::history::Reproduced;
use super::{one, show};
use crate::{
    commands::{open, rules},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// The folder of the rule in a bundle.
const PACK: &str = "pack";

pub(super) async fn run(lake: &Lake, settings: &Settings, id: &str, out: &Path, output: Output) -> Result<ExitCode> {
    let alerts = lake.alerts().await?;
    let alert = one(&alerts, id)?;
    if alert.class != AlertClass::Detection {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{} is about the lake itself: it rests on no events", alert.alert_id),
        )
        .into());
    }
    if out.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::new(ExitCode::Usage, format!("{} is not empty", out.display()))
            .hint("name a folder that is new: a bundle is all that its folder holds")
            .into());
    }
    let packs = rules::packs(settings);
    let pack = packs.find(&alert.rule_id).map_err(|error| Failure::new(ExitCode::NotFound, error.to_string()))?;
    let rule_files = source::files(pack, settings.file.alerts.packs.as_deref());

    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert("alert.json".to_owned(), pretty(&show::as_whole_json(lake, settings, alert, &alerts).await?)?);
    let events = history::events(lake, settings, alert).await?;
    files.insert("events.json".to_owned(), pretty(&json!(events))?);
    files.insert("findings.json".to_owned(), pretty(&findings(lake, settings, alert).await?)?);
    let coverage = history::coverage(lake, settings, alert).await?;
    files.insert("coverage.json".to_owned(), pretty(&coverage)?);
    let kept = history::keep(lake, settings, alert).await?;
    let (sample, reproduced) = history::sample(pack, settings, alert, &kept, &coverage).await?;
    let folder = format!("{PACK}/{}", alert.rule_id);
    for (name, text) in rule_files {
        files.insert(format!("{folder}/{name}"), text.into_bytes());
    }
    files.insert(format!("{folder}/fires/evidence.json"), pretty(&sample)?);
    let data = open::data_line(lake, settings).await?;
    let readme = readme::text(alert, &pack.manifest.version, &kept, &reproduced, &data);
    files.insert("README.md".to_owned(), readme.into_bytes());

    let made_by = concat!("keytrail ", env!("CARGO_PKG_VERSION"));
    let manifest = Manifest::new(&alert.alert_id, made_by, &time::to_rfc3339(time::now()), &files);
    files.insert(MANIFEST.to_owned(), pretty(&serde_json::to_value(&manifest)?)?);
    write(out, &files)?;
    output.line(format!(
        "{}: {} files, {} records, {} of them the alert's own",
        out.display(),
        files.len(),
        kept.records.len(),
        events.len()
    ))?;
    match reproduced {
        Reproduced::Yes { .. } => {
            output.line(format!(
                "`keytrail rules test {}` raises {} again",
                out.join(PACK).display(),
                alert.alert_id
            ))?;
            Ok(ExitCode::Ok)
        }
        Reproduced::No(why) => {
            output.warn(format!("the bundle does not raise the alert again by itself: {why}"));
            Ok(ExitCode::Partial)
        }
    }
}

/// What the rule finds in each of the alert's events now, with the conditions that were met.
async fn findings(lake: &Lake, settings: &Settings, alert: &Alert) -> Result<Value> {
    let packs = rules::packs(settings);
    let runner =
        Runner::open(lake.clone(), packs, rules::rule_settings(settings)).await.context("failed to open the rules")?;
    let mut engine = runner.into_engine();
    let mut found = Vec::new();
    for event in &alert.evidence {
        let Some(rows) = rules::event(lake, settings, &event.event_id).await? else { continue };
        let recent = rules::recent(lake, settings, &rows, explain::looks_back(&engine)).await?;
        let asked = explain::Event { rows: &rows, recent: &recent };
        let answers = explain::explain(&mut engine, &asked, Some(&alert.rule_id), time::now()).await?;
        for answer in answers {
            if let Answer::Fires { findings, conditions } = answer.answer {
                let conditions: Vec<Value> = conditions
                    .iter()
                    .map(|it| json!({"condition": it.text, "values": it.values.iter().cloned().collect::<BTreeMap<_, _>>()}))
                    .collect();
                found.push(json!({
                    "event_id": event.event_id, "rule_version": answer.version, "findings": findings, "conditions": conditions,
                }));
            }
        }
    }
    Ok(Value::Array(found))
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

fn write(out: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    for (path, content) in files {
        let place = path.split('/').fold(out.to_owned(), |folder, part| folder.join(part));
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        }
        fs::write(&place, content).with_context(|| format!("failed to write {}", place.display()))?;
    }
    Ok(())
}
