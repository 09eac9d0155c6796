//! Mistakes in a configuration: all of them at once, each with its place and what to write instead.

use super::origin::Origin;
use crate::exit_code::{ExitCode, Failure};

/// One mistake.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) origin: Origin,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(origin: Origin, text: impl Into<String>) -> Self {
        Self { origin, text: text.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// What the program ends with; nothing where there is no mistake.
pub(crate) fn refuse(mut problems: Vec<Problem>) -> Result<(), Failure> {
    problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, .. } => line,
        _ => usize::MAX,
    });
    let Some(first) = problems.first() else { return Ok(()) };
    if problems.len() == 1 {
        let failure = Failure::new(ExitCode::Config, line(first));
        return Err(match &first.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        });
    }
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.hint {
            Some(hint) => format!("  {}; {hint}", line(problem)),
            None => format!("  {}", line(problem)),
        })
        .collect();
    Err(Failure::new(ExitCode::Config, format!("{} mistakes in the configuration\n{}", lines.len(), lines.join("\n"))))
}

fn line(problem: &Problem) -> String {
    match problem.origin {
        Origin::Default => problem.text.clone(),
        _ => format!("{}: {}", problem.origin, problem.text),
    }
}

/// The known name that is nearest to the one given, when one is near.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .map(|(_, known)| known)
}
