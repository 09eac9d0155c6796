//! Where things are printed: data on standard output, everything else on standard error.
//!
//! Progress bars appear only when standard error is a terminal and `--quiet` was not given. Nothing is coloured: what
//! matters stands in words, so `NO_COLOR` holds by itself. A reader that went away (`| head`) ends the program quietly.

use std::io::{self, IsTerminal, Write};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How this run prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    quiet: bool,
}

impl Output {
    pub(crate) const fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// One line of data.
    pub(crate) fn line(self, text: impl AsRef<str>) -> Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", text.as_ref())?;
        Ok(())
    }

    /// A message for the person at the terminal.
    pub(crate) fn say(self, text: impl AsRef<str>) {
        if !self.quiet {
            drop(writeln!(io::stderr().lock(), "{}", text.as_ref()));
        }
    }

    /// A warning or an error: printed even when quiet.
    pub(crate) fn warn(self, text: impl AsRef<str>) {
        drop(writeln!(io::stderr().lock(), "{}", text.as_ref()));
    }

    /// A bar on a terminal, nothing elsewhere.
    pub(crate) fn bar(self, what: &str, total: Option<u64>) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
        let template = if total.is_some() {
            "{msg:12} [{bar:32}] {human_pos}/{human_len}  {elapsed} (about {eta} left)"
        } else {
            "{msg:12} {spinner} {human_pos}  {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar
    }
}

/// True when the error says that the reader of standard output went away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
