//! How the program ends: the one list of exit codes, shown in `docs/CLI.md`.

use std::process;

/// What the shell is told. Anything that is not listed here is a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Everything that was asked for was done.
    Ok = 0,
    /// It was done, but something was quarantined, or a check or sample failed; the messages name each.
    Partial = 1,
    /// The command line could not be understood.
    Usage = 2,
    /// The configuration could not be used.
    Config = 3,
    /// What was named is not there: no such path, alert, rule or query.
    NotFound = 4,
    /// The SQL was refused or failed.
    Query = 5,
    /// A limit (rows, time, memory) ended the query.
    Limit = 6,
    /// The lake could not be opened, read or written.
    Lake = 7,
    /// The queue or a bucket could not be reached, or refused.
    Aws = 8,
    /// A fault of the program itself.
    Internal = 70,
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// An error that the user can do something about, with the code it ends with and, where there is one, a hint.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
