//! One file per verb. Each takes what was typed and the settings, and returns the exit code.

mod alerts;
mod config;
mod connect;
mod demo;
mod detect;
mod doctor;
mod eval;
mod iam_policy;
mod ingest;
mod lake;
mod live;
mod open;
mod quarantine;
mod query;
mod reconcile;
mod report;
mod rules;
mod run;
mod simulate;
mod sinks;
mod table;
mod trails;

use anyhow::Result;
use keytrail_lake::LakeError;

use crate::{
    args::{Cli, Command},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// Runs the command that was typed.
pub(crate) async fn run(cli: &Cli, settings: Settings, output: Output) -> Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        Command::Demo(args) => demo::run(args, settings, output).await,
        Command::Ingest(args) => ingest::run(args, &settings, output).await,
        Command::Run(args) => run::run(args, settings, output).await,
        Command::Reconcile(args) => reconcile::run(args, &settings, output).await,
        Command::Detect => detect::run(&settings, output).await,
        Command::Query(args) => query::run(args, &settings, global, output).await,
        Command::Alerts(command) => alerts::run(command, &settings, global, output).await,
        Command::Rules(command) => rules::run(command, &settings, global, output).await,
        Command::Report(command) => report::run(command, &settings, global, output).await,
        Command::Quarantine(command) => quarantine::run(command, &settings, global, output).await,
        Command::Sinks(command) => sinks::run(command, &settings, global, output).await,
        Command::Doctor(args) if args.live => live::run(&settings, output),
        Command::Doctor(_) => doctor::run(&settings, global, output).await,
        Command::Config(command) => config::run(command, &settings, global, output),
        Command::IamPolicy(args) => iam_policy::run(args, &settings, global, output),
        Command::Lake(command) => lake::run(command, &settings, global, output).await,
        Command::Simulate(args) => simulate::run(args, output),
        Command::Eval(args) => eval::run(args, settings, global, output).await,
    }
}

/// The exit code that an error ends the program with.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.code;
    }
    if let Some(error) = error.downcast_ref::<keytrail_queries::QueryError>() {
        return query::code_of(error);
    }
    if error.downcast_ref::<LakeError>().is_some() {
        return ExitCode::Lake;
    }
    ExitCode::Internal
}
