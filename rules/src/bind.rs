//! Puts a rule's parameters into its SQL.
//!
//! In: SQL with `$name`, and values. Out: SQL with a literal in each place. `$name` inside text, quoted names and
//! comments is left alone. An unknown name is an error with its line and column and the name probably meant.

use std::collections::BTreeMap;

use crate::{
    error::{Position, nearest},
    param::ParamValue,
};

/// A `$name` that the rule does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct UnboundName {
    pub name: String,
    pub position: Position,
    pub suggestion: Option<String>,
}

/// The SQL with each `$name` replaced by its value's literal.
pub fn bind(sql: &str, params: &BTreeMap<String, ParamValue>) -> Result<String, UnboundName> {
    let mut bound = String::with_capacity(sql.len() + 64);
    for piece in pieces(sql) {
        match piece {
            Piece::Text(text) => bound.push_str(text),
            Piece::Name { name, offset } => match params.get(name) {
                Some(value) => bound.push_str(&value.to_sql()),
                None => {
                    return Err(UnboundName {
                        name: name.to_owned(),
                        position: Position::of_offset(sql, offset),
                        suggestion: nearest(name, params.keys().map(String::as_str)).map(str::to_owned),
                    });
                }
            },
        }
    }
    Ok(bound)
}

/// The names that the SQL uses.
pub fn names(sql: &str) -> impl Iterator<Item = &str> {
    pieces(sql).into_iter().filter_map(|piece| match piece {
        Piece::Name { name, .. } => Some(name),
        Piece::Text(_) => None,
    })
}

enum Piece<'a> {
    Text(&'a str),
    Name { name: &'a str, offset: usize },
}

/// Cuts SQL at its `$name`s. All cuts fall on ASCII characters, so the slices are whole characters.
fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let bytes = sql.as_bytes();
    let mut pieces = Vec::new();
    let (mut at, mut text_from) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        at = match byte {
            b'\'' | b'"' => at + 1 + until(rest.get(1..), &[byte]),
            b'-' if rest.starts_with(b"--") => at + until(Some(rest), b"\n"),
            b'/' if rest.starts_with(b"/*") => at + 2 + until(rest.get(2..), b"*/"),
            b'$' => {
                let length =
                    rest.iter().skip(1).take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                let end = at + 1 + length;
                if length > 0
                    && let (Some(text), Some(name)) = (sql.get(text_from..at), sql.get(at + 1..end))
                {
                    pieces.push(Piece::Text(text));
                    pieces.push(Piece::Name { name, offset: at });
                    text_from = end;
                }
                end
            }
            _ => at + 1,
        };
    }
    pieces.extend(sql.get(text_from..).map(Piece::Text));
    pieces
}

/// How many bytes until just behind the mark, or all of them.
fn until(bytes: Option<&[u8]>, mark: &[u8]) -> usize {
    let bytes = bytes.unwrap_or_default();
    bytes.windows(mark.len()).position(|window| window == mark).map_or(bytes.len(), |found| found + mark.len())
}

#[cfg(test)]
mod tests {
    use keytrail_model::time::DAY;
    use proptest::prelude::*;

    use super::*;

    fn params() -> BTreeMap<String, ParamValue> {
        BTreeMap::from([
            ("learning".to_owned(), ParamValue::Duration(7 * DAY)),
            ("name".to_owned(), ParamValue::Text("it's".into())),
        ])
    }

    #[test]
    fn names_become_literals() {
        let sql = "SELECT a + $learning, $name FROM t -- $learning\nWHERE b = '$name' /* $x */ AND \"$y\" = 1";
        assert_eq!(
            bind(sql, &params()).expect("all known"),
            "SELECT a + INTERVAL '604800 seconds', 'it''s' FROM t -- $learning\nWHERE b = '$name' /* $x */ AND \"$y\" = 1"
        );
        assert_eq!(names(sql).collect::<Vec<_>>(), ["learning", "name"]);
    }

    #[test]
    fn an_unknown_name_has_a_place() {
        let error = bind("SELECT 1\n  + $lerning", &params()).expect_err("unknown");
        assert_eq!(error.position, Position { line: 2, column: 5 });
        assert_eq!(error.suggestion.as_deref(), Some("learning"));
    }

    proptest! {
        #[test]
        fn text_without_names_is_kept(sql in "[^$]{0,80}") {
            prop_assert_eq!(bind(&sql, &BTreeMap::new()).expect("no names"), sql);
        }

        #[test]
        fn hostile_sql_does_not_panic(sql in "[$'\"/*a-é\n -]{0,40}") {
            if let Ok(bound) = bind(&sql, &params()) {
                prop_assert!(bound.len() >= sql.len().saturating_sub(40));
            }
        }
    }
}
