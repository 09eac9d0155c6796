//! The library of named queries.
//!
//! In: SQL files that open with front matter in comments. Out: [`NamedQuery`] values, which the command line lists and
//! runs and the pages show. The front matter is `-- name:`, `-- title:`, `-- description:` (further lines indented) and
//! any number of `-- param: NAME TYPE DEFAULT DOC`, with `-` for "no default".
//!
//! Invariant: a file of the library that does not parse fails our tests, not the user's command.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    error::{QueryError, QueryErrorKind},
    params::{ParamKind, ParamSpec},
    suggest,
};

/// A query of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuery {
    pub name: String,
    /// A few words, for lists.
    pub title: String,
    /// What it answers and how to read it.
    pub description: String,
    pub params: Vec<ParamSpec>,
    /// The whole file, front matter included.
    pub sql: String,
}

/// Why a file's front matter was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{file}, line {line}: {reason}")]
pub struct FrontMatterError {
    pub file: String,
    pub line: usize,
    pub reason: String,
}

/// Named queries by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    queries: BTreeMap<String, NamedQuery>,
}

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        /// The files of `library/`, by name.
        pub(crate) static FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../library/", $name, ".sql")))),+];
    };
}

embedded!(
    "access-key-users",
    "alert-evidence",
    "api-calls",
    "batch-reads",
    "blast-radius",
    "busiest-readers",
    "coverage-gaps",
    "denied",
    "first-reads",
    "off-network",
    "old-versions",
    "principal-history",
    "quarantine",
    "rare-pairs",
    "reads-per-day",
    "root-and-keys",
    "rotations",
    "secret-history",
    "stale-consumers",
    "trail-tampering",
    "unused-candidates",
    "what-it-reads",
    "who-read",
);

impl Library {
    /// The queries that come with the program.
    ///
    /// # Panics
    /// Never: the tests parse every embedded file.
    pub fn embedded() -> Self {
        Self::parse(FILES.iter().copied()).expect("the embedded library parses, as the tests show")
    }

    /// Reads files given as (name without ending, text).
    ///
    /// # Errors
    /// The first file whose front matter is not as the module's words say, or two files of one name.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, FrontMatterError> {
        let mut queries = BTreeMap::new();
        for (file, text) in files {
            let query = parse(file, text)?;
            if let Some(twice) = queries.insert(query.name.clone(), query) {
                return Err(FrontMatterError {
                    file: file.to_owned(),
                    line: 1,
                    reason: format!("`{}` is there twice", twice.name),
                });
            }
        }
        Ok(Self { queries })
    }

    /// All queries, by name.
    pub fn iter(&self) -> impl Iterator<Item = &NamedQuery> {
        self.queries.values()
    }

    /// The query of this name.
    ///
    /// # Errors
    /// There is none; the hint names the nearest.
    pub fn get(&self, name: &str) -> Result<&NamedQuery, QueryError> {
        self.queries.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.queries.keys().map(String::as_str).collect();
            let hint = suggest::did_you_mean(name, names.iter().copied())
                .unwrap_or_else(|| format!("the library has {}", names.join(", ")));
            QueryError::new(QueryErrorKind::UnknownQuery, format!("there is no query named `{name}`")).hint(Some(hint))
        })
    }
}

fn parse(file: &str, text: &str) -> Result<NamedQuery, FrontMatterError> {
    let refuse = |line: usize, reason: String| FrontMatterError { file: file.to_owned(), line: line + 1, reason };
    let mut query = NamedQuery {
        name: String::new(),
        title: String::new(),
        description: String::new(),
        params: Vec::new(),
        sql: text.to_owned(),
    };
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.strip_prefix("--") else { break };
        let comment = comment.strip_prefix(' ').unwrap_or(comment);
        if comment.starts_with("  ") {
            query.description.push(' ');
            query.description.push_str(comment.trim());
            continue;
        }
        match comment.split_once(": ") {
            Some(("name", name)) => query.name = name.trim().to_owned(),
            Some(("title", title)) => query.title = title.trim().to_owned(),
            Some(("description", description)) => query.description = description.trim().to_owned(),
            Some(("param", param)) => query.params.push(parameter(param).map_err(|reason| refuse(number, reason))?),
            _ => return Err(refuse(number, "expected `name: `, `title: `, `description: ` or `param: `".to_owned())),
        }
    }
    if query.name != file {
        return Err(refuse(0, format!("the name is `{}`, the file's is `{file}`", query.name)));
    }
    if query.title.is_empty() || query.description.is_empty() {
        return Err(refuse(0, "the title or the description is missing".to_owned()));
    }
    Ok(query)
}

fn parameter(text: &str) -> Result<ParamSpec, String> {
    let mut words = text.splitn(4, ' ');
    let (Some(name), Some(word), Some(default), Some(doc)) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a parameter is `NAME TYPE DEFAULT DOC`".to_owned());
    };
    let kind = ParamKind::ALL.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind);
    let Some(kind) = kind else { return Err(format!("`{word}` is no type")) };
    let default = (default != "-").then(|| default.to_owned());
    Ok(ParamSpec { name: name.to_owned(), kind, default, doc: doc.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_and_parses() {
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/library"))
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let embedded: Vec<String> = FILES.iter().map(|(name, _)| format!("{name}.sql")).collect();
        assert_eq!(files, embedded);
        assert_eq!(Library::embedded().iter().count(), files.len());
    }

    #[test]
    fn broken_front_matter_names_file_and_line() {
        for (text, expected) in [
            ("SELECT 1", "x, line 1: the name is ``, the file's is `x`"),
            ("-- name: x\nSELECT 1", "x, line 1: the title or the description is missing"),
            ("-- name: x\n-- nonsense", "x, line 2: expected `name: `, `title: `, `description: ` or `param: `"),
            ("-- name: x\n-- param: a integr 1 doc", "x, line 2: `integr` is no type"),
            ("-- name: x\n-- param: a integer", "x, line 2: a parameter is `NAME TYPE DEFAULT DOC`"),
        ] {
            assert_eq!(Library::parse([("x", text)]).expect_err(text).to_string(), expected);
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let error = Library::embedded().get("who-raed").expect_err("no such query");
        insta::assert_snapshot!(error, @"
        there is no query named `who-raed`

        hint: did you mean `who-read`?
        ");
    }
}
