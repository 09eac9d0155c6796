//! What can be wrong with a rule, and where.
//!
//! Every error names the pack and the file; mistakes in text also carry line, column and, where a name is nearly
//! right, what was probably meant. A rule's error never stops another rule.

use std::fmt;

use thiserror::Error;

/// A place in a rule's file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    /// Where a byte of a text stands. Offsets beyond the text are its end.
    pub fn of_offset(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
        Self { line, column }
    }
}

/// A rule that cannot be used as it is.
#[derive(Debug, Error)]
#[error("{}: {kind}{}", self.place(), self.hint())]
pub struct RuleError {
    /// The rule's id, or the folder's name while the id is unknown.
    pub rule_id: String,
    /// `rule.toml`, `detect.sql`, a sample, or `config` for the user's own settings of the rule.
    pub file: String,
    pub position: Option<Position>,
    pub kind: RuleErrorKind,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// What is wrong.
#[derive(Debug, Error)]
pub enum RuleErrorKind {
    #[error("the file is missing")]
    MissingFile,
    #[error("there is no such folder of rule packs")]
    MissingFolder,
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    #[error("{0}")]
    Syntax(String),
    #[error("`{key}` is `{given}`: {expected}")]
    BadValue { key: String, given: String, expected: String },
    #[error("there is no parameter `{0}`")]
    UnknownParameter(String),
    #[error("parameter `{name}` must be a {expected}, not `{given}`")]
    BadParameter { name: String, expected: &'static str, given: String },
    #[error("the template of `{key}` does not work: {message}")]
    Template { key: &'static str, message: String },
    #[error("the SQL does not work: {0}")]
    Sql(String),
    #[error("the SQL does not give the column `{0}`")]
    MissingColumn(String),
    #[error("two packs have the id `{0}`")]
    DuplicateId(String),
    #[error("the rule did not finish within {0}")]
    TimeBudget(String),
    #[error("the rule gave more than {0} findings in one run")]
    TooManyFindings(usize),
    #[error("a sample cannot be judged: {0}")]
    Sample(String),
}

impl RuleError {
    pub fn new(rule_id: &str, file: &str, kind: RuleErrorKind) -> Self {
        Self { rule_id: rule_id.to_owned(), file: file.to_owned(), position: None, kind, suggestion: None }
    }

    /// The same error with its place.
    pub fn at(self, position: Option<Position>) -> Self {
        Self { position, ..self }
    }

    /// The same error with the known name nearest to what was typed.
    pub fn suggest<'a>(self, typed: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self { suggestion: nearest(typed, known).map(str::to_owned), ..self }
    }

    fn place(&self) -> String {
        match self.position {
            Some(position) => format!("{}/{}:{position}", self.rule_id, self.file),
            None if self.file.is_empty() => self.rule_id.clone(),
            None => format!("{}/{}", self.rule_id, self.file),
        }
    }

    fn hint(&self) -> String {
        self.suggestion.as_ref().map_or_else(String::new, |known| format!(" (did you mean `{known}`?)"))
    }
}

/// The known name nearest to what was typed, if any is near.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, name)| *distance > 0 && *distance <= name.chars().count().max(3) / 3)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters() {
        assert_eq!(Position::of_offset("a\néx", 5), Position { line: 2, column: 3 });
        assert_eq!(Position::of_offset("a", 99), Position { line: 1, column: 2 });
    }

    #[test]
    fn an_error_names_place_and_likely_meaning() {
        let error = RuleError::new("r", "rule.toml", RuleErrorKind::UnknownParameter("lerning".into()))
            .at(Some(Position { line: 3, column: 1 }))
            .suggest("lerning", ["grace", "learning"]);
        assert_eq!(error.to_string(), "r/rule.toml:3:1: there is no parameter `lerning` (did you mean `learning`?)");
        assert_eq!(nearest("x", ["learning"]), None);
    }
}
