//! `keytrail eval DIR`: judge a simulated folder and compare the alerts with its labels.
//!
//! In: a folder that `keytrail simulate` wrote. Out: what was found, what was missed, which look-alikes alerted, and which
//! alerts no label explains. The lake is the one that `--lake` names, so that the alerts can be looked at afterwards; it must hold nothing else.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};
use keytrail_model::{Alert, AlertClass, display, time};
use keytrail_simulator::{Label, Labels};
use serde::Serialize;

use crate::{
    args::{EvalArgs, FormatArg, Global},
    commands::{ingest, report},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{ConfigFile, Settings},
};

/// How far an alert's time may lie from its label's.
const NEAR: time::Micros = 2 * time::DAY;

#[derive(Debug, Serialize)]
struct Evaluation {
    expected: usize,
    found: usize,
    /// Labels that no alert meets.
    missed: Vec<String>,
    quiet: usize,
    /// Look-alikes that alerted all the same.
    noise_on_quiet: Vec<String>,
    alerts: usize,
    /// Alerts that no label explains.
    unexplained: Vec<String>,
    /// Secrets whose verdict differs from the label's.
    unused_wrong: Vec<String>,
}

pub(crate) async fn run(args: &EvalArgs, settings: Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let path = args.dir.join("labels.json");
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::new(ExitCode::NotFound, format!("failed to read {}: {error}", path.display()))
            .hint("give a folder that `keytrail simulate` wrote")
    })?;
    let labels: Labels = serde_json::from_str(&text).with_context(|| format!("failed to read {}", path.display()))?;
    let settings = Settings { file: ConfigFile::parse(&labels.config_toml, "the labels' config_toml")?, ..settings };

    let lake = ingest::folder(&args.dir, &settings, output).await?;
    let alerts = lake.alerts().await?;
    let verdicts =
        if labels.unused.note.is_none() { report::unused_verdicts(&lake, &settings, None).await? } else { Vec::new() };

    let evaluation = compare(&labels, &alerts, &verdicts);
    let good =
        evaluation.missed.is_empty() && evaluation.noise_on_quiet.is_empty() && evaluation.unused_wrong.is_empty();
    match global.format {
        Some(FormatArg::Json | FormatArg::Ndjson) => output.line(serde_json::to_string(&evaluation)?)?,
        _ => print(&evaluation, output)?,
    }
    Ok(if good { ExitCode::Ok } else { ExitCode::Partial })
}

fn print(evaluation: &Evaluation, output: Output) -> Result<()> {
    output.line(format!(
        "{} of {} planted cases found, {} of {} look-alikes quiet, {} alerts, {} unexplained",
        evaluation.found,
        evaluation.expected,
        evaluation.quiet - evaluation.noise_on_quiet.len(),
        evaluation.quiet,
        evaluation.alerts,
        evaluation.unexplained.len(),
    ))?;
    for (title, lines) in [
        ("missed", &evaluation.missed),
        ("look-alikes that alerted", &evaluation.noise_on_quiet),
        ("unused verdicts that differ", &evaluation.unused_wrong),
        ("alerts that no label explains", &evaluation.unexplained),
    ] {
        if !lines.is_empty() {
            output.line(format!("\n{title}:"))?;
            for line in lines {
                output.line(format!("  {line}"))?;
            }
        }
    }
    Ok(())
}

fn compare(labels: &Labels, alerts: &[Alert], verdicts: &[(String, String)]) -> Evaluation {
    let detections: Vec<&Alert> = alerts.iter().filter(|alert| alert.class == AlertClass::Detection).collect();
    let missed: Vec<String> = labels
        .expected
        .iter()
        .filter(|label| !detections.iter().any(|alert| meets(label, alert)))
        .map(describe_label)
        .collect();
    let expected_events: BTreeSet<(&str, &str)> = labels
        .expected
        .iter()
        .flat_map(|label| label.event_ids.iter().map(|event| (label.rule_id.as_str(), event.as_str())))
        .collect();
    let noise_on_quiet = labels
        .quiet
        .iter()
        .filter(|label| {
            detections.iter().any(|alert| {
                alert.rule_id == label.rule_id
                    && alert.evidence.iter().any(|evidence| {
                        label.event_ids.contains(&evidence.event_id)
                            && !expected_events.contains(&(alert.rule_id.as_str(), evidence.event_id.as_str()))
                    })
            })
        })
        .map(describe_label)
        .collect();
    let unexplained = detections
        .iter()
        .filter(|alert| {
            !labels.expected.iter().any(|label| meets(label, alert)) && !explained_by_verdict(labels, alert)
        })
        .map(|alert| format!("{} [{}] {}", alert.alert_id, alert.rule_id, alert.reason))
        .collect();
    Evaluation {
        expected: labels.expected.len(),
        found: labels.expected.len() - missed.len(),
        missed,
        quiet: labels.quiet.len(),
        noise_on_quiet,
        alerts: detections.len(),
        unexplained,
        unused_wrong: verdict_differences(labels, verdicts),
    }
}

/// An alert meets a label when rule, principal and a secret agree and their times lie close.
fn meets(label: &Label, alert: &Alert) -> bool {
    let same_principal = label.principal_id.is_none() || label.principal_id == alert.principal_id;
    let same_secret =
        label.secret_ids.is_empty() || label.secret_ids.iter().any(|secret| alert.secret_ids.contains(secret));
    let near = time::parse_rfc3339(&label.first_event_at)
        .is_none_or(|at| (alert.first_event_at - NEAR..=alert.last_event_at + NEAR).contains(&at));
    label.rule_id == alert.rule_id && same_principal && same_secret && near
}

fn explained_by_verdict(labels: &Labels, alert: &Alert) -> bool {
    alert.rule_id == "unused_secret" && alert.secret_ids.iter().all(|secret| labels.unused.unused.contains(secret))
}

fn verdict_differences(labels: &Labels, verdicts: &[(String, String)]) -> Vec<String> {
    let unused = &labels.unused;
    let wanted = [
        ("unused", &unused.unused),
        ("sync_only", &unused.sync_only),
        ("cannot_tell", &unused.cannot_tell),
        ("start_time_reader", &unused.start_time_reader),
        ("used", &unused.used),
    ];
    let mut differences = Vec::new();
    for (verdict, secrets) in wanted {
        for secret in secrets {
            let ours = verdicts.iter().find(|(id, _)| id == secret).map(|(_, ours)| ours.as_str());
            if ours != Some(verdict) {
                differences.push(format!(
                    "{} is {}, not {verdict}",
                    display::terminal_safe(secret),
                    ours.unwrap_or("not listed")
                ));
            }
        }
    }
    differences
}

fn describe_label(label: &Label) -> String {
    format!(
        "{} {} {} at {}: {}",
        label.rule_id,
        label.principal_id.as_deref().unwrap_or("(nobody)"),
        label.secret_ids.join(", "),
        label.first_event_at,
        label.why
    )
}
