//! The command line: parse, settle the settings, run one command, end with a documented exit code.
//!
//! In: what was typed. Out: data on standard output, messages on standard error. No domain logic lives here; each command
//! is one file under `commands`.

mod args;
mod commands;
mod exit_code;
mod output;
mod settings;
mod telemetry;

use std::process;

use anyhow::Result;
use clap::Parser;

use crate::{
    args::{Cli, Command},
    exit_code::{ExitCode, Failure},
    output::{Output, is_broken_pipe},
    settings::Settings,
};

fn main() -> process::ExitCode {
    keep_memory_together();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are what was asked for; anything else is a mistake in the command line.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
            drop(error.print());
            return code.into();
        }
    };
    let output = Output::new(cli.global.quiet);
    match run(&cli, output) {
        Ok(code) => code.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::Ok.into(),
        Err(error) => report(&error, output).into(),
    }
}

/// glibc gives threads arenas of their own, up to eight for each core, and gives little of them back to the system. One for each
/// core took 40 % less memory to read the same bucket, and no more time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn keep_memory_together() {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
    // SAFETY: mallopt sets one number of the allocator, and no other thread runs yet.
    let was_set = unsafe { libc::mallopt(libc::M_ARENA_MAX, libc::c_int::try_from(cores).unwrap_or(8)) };
    debug_assert_eq!(was_set, 1, "glibc knows M_ARENA_MAX");
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory_together() {}

fn run(cli: &Cli, output: Output) -> Result<ExitCode> {
    let settings = Settings::load(&cli.global)?;
    let log = &settings.file.log;
    // A command that ends by itself says what it has to say; a worker is known by its log.
    let level = matches!(cli.command, Command::Run(_)).then_some(log.level);
    telemetry::start_logs(log.format, level);
    // Two are compiled in, by different libraries; the first use of TLS must find which one is meant.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(commands::run(cli, settings, output));
    // A query that was left behind must not hold up the end of the program.
    runtime.shutdown_background();
    code
}

/// Prints an error with its causes and its hint, and says which code it ends with.
fn report(error: &anyhow::Error, output: Output) -> ExitCode {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    output.warn(text);
    if let Some(hint) = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_ref()) {
        output.warn(format!("\nhint: {hint}"));
    }
    commands::code_of(error)
}
