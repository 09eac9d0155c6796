//! An evaluation for people: one sentence, a table that is Markdown as well, and what is wrong line by line.

use anyhow::Result;
use keytrail_model::{display, time};

use super::score::{Evaluation, RuleScore};
use crate::output::Output;

const HEAD: [&str; 8] =
    ["rule", "planted", "found", "look-alikes", "of them alerted", "alerts", "false a day", "median time to tell"];

pub(super) fn print(evaluation: &Evaluation, output: Output) -> Result<()> {
    let count = |number: usize| display::count(i64::try_from(number).unwrap_or(i64::MAX));
    output.line(format!(
        "{} of {} planted cases found, {} of {} look-alikes quiet, {} alerts, {} of them unexplained: \
         {:.2} a day and {:.1} per million events ({} {}, {} days, {} events about secrets)",
        count(evaluation.found),
        count(evaluation.expected),
        count(evaluation.quiet - evaluation.noise_on_quiet.len()),
        count(evaluation.quiet),
        count(evaluation.alerts),
        count(evaluation.unexplained.len()),
        evaluation.false_per_day,
        evaluation.false_per_million_events,
        evaluation.folders,
        if evaluation.folders == 1 { "organisation" } else { "organisations" },
        evaluation.days,
        display::count(evaluation.events),
    ))?;
    output.line("")?;
    for line in lines(evaluation) {
        output.line(line)?;
    }
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

fn lines(evaluation: &Evaluation) -> Vec<String> {
    let mut cells: Vec<[String; 8]> = vec![HEAD.map(str::to_owned)];
    cells.extend(evaluation.rules.iter().map(row));
    cells.push(row(&RuleScore {
        rule_id: "all".to_owned(),
        expected: evaluation.expected,
        found: evaluation.found,
        quiet: evaluation.quiet,
        noise_on_quiet: evaluation.noise_on_quiet.len(),
        alerts: evaluation.alerts,
        false_per_day: evaluation.false_per_day,
        median_seconds_to_detect: evaluation.median_seconds_to_detect,
        ..RuleScore::default()
    }));
    let mut widths = [3_usize; 8];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut lines: Vec<_> = cells
        .iter()
        .map(|row| {
            let padded = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!(" {cell:<width$} "),
                _ => format!(" {cell:>width$} "),
            });
            format!("|{}|", padded.collect::<Vec<_>>().join("|"))
        })
        .collect();
    let rule = widths.iter().enumerate().map(|(column, &width)| match column {
        0 => "-".repeat(width + 2),
        _ => format!("{}:", "-".repeat(width + 1)),
    });
    lines.insert(1, format!("|{}|", rule.collect::<Vec<_>>().join("|")));
    lines
}

fn row(rule: &RuleScore) -> [String; 8] {
    let seconds = rule.median_seconds_to_detect.map(|seconds| display::duration(seconds * time::SECOND));
    [
        rule.rule_id.clone(),
        rule.expected.to_string(),
        rule.found.to_string(),
        rule.quiet.to_string(),
        rule.noise_on_quiet.to_string(),
        rule.alerts.to_string(),
        format!("{:.3}", rule.false_per_day),
        seconds.unwrap_or_else(|| "-".to_owned()),
    ]
}
