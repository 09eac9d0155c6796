//! `keytrail simulate`: write the CloudTrail of an organisation that does not exist.

use std::path::Path;

use anyhow::Result;
use keytrail_model::display;
use keytrail_simulator::{Options, SimulateErrorKind, Summary};

use crate::{
    args::SimulateArgs,
    exit_code::{ExitCode, Failure},
    output::Output,
};

pub(crate) fn run(args: &SimulateArgs, output: Output) -> Result<ExitCode> {
    let options = Options {
        days: args.days,
        seed: args.seed,
        scale: args.scale,
        secrets: args.fleet,
        file_interval_minutes: args.file_minutes,
        ..Options::new(&args.out)
    };
    let summary = write(&options, output)?;
    output.line(describe(&summary, &args.out))?;
    Ok(ExitCode::Ok)
}

/// Writes the folder, with a bar on a terminal.
pub(crate) fn write(options: &Options, output: Output) -> Result<Summary> {
    let bar = output.bar("simulating", Some(0));
    let summary = keytrail_simulator::simulate(options, &mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    })
    .map_err(|error| match error.kind {
        SimulateErrorKind::ForeignFolder => Failure::new(ExitCode::Usage, error.to_string())
            .hint("give an empty folder, or the options that this one was made with"),
        _ => Failure::new(ExitCode::Usage, error.to_string()),
    })?;
    bar.finish_and_clear();
    Ok(summary)
}

/// What was written, in one sentence.
pub(crate) fn describe(summary: &Summary, folder: &Path) -> String {
    let count = |number: u64| display::count(i64::try_from(number).unwrap_or(i64::MAX));
    format!(
        "{} {} records in {} objects ({} of JSON) from {} to {} in {}",
        if summary.written { "wrote" } else { "found" },
        count(summary.records + summary.duplicates + summary.access_log_lines),
        count(summary.files),
        display::bytes(summary.json_bytes),
        summary.from,
        summary.horizon,
        folder.display(),
    )
}
