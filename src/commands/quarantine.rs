//! `keytrail quarantine list`: what could not be read, and why.

use anyhow::Result;

use super::{open, query};
use crate::{
    args::{Global, QuarantineCommand},
    exit_code::ExitCode,
    output::Output,
    settings::Settings,
};

/// The newest first; `record_index` -1 stands for the whole object.
const LIST: &str = "SELECT object_key, record_index, reason, byte_offset, byte_length, committed_at \
    FROM quarantine ORDER BY committed_at DESC, object_key, record_index";

pub(crate) async fn run(
    command: &QuarantineCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    match command {
        QuarantineCommand::List => {
            let lake = open::existing(settings).await?;
            query::print(&lake, settings, LIST, &[], global, output).await
        }
    }
}
