//! One line of an API Gateway access log to its fields.
//!
//! In: the text of one line, strict JSON or JSON that hostile text broke (the gateway has substituted values without
//! escaping them). Out: key and value pairs in the order written. The tolerant reading finds the known keys by their
//! place: a value ends where the next known key begins.
//!
//! Invariant: a key's first occurrence wins. Templates put what callers control (the user agent) last, so text that breaks
//! out of its field cannot replace a field before it. A line without any known key is `None`.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The fields of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogLine<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> LogLine<'a> {
    /// Reads a line, strictly first.
    pub(super) fn read(text: &'a str, is_log_key: &dyn Fn(&str) -> bool) -> Option<Self> {
        let line = serde_json::from_str(text).unwrap_or_else(|_broken| Self::tolerant(text, is_log_key));
        line.pairs.iter().any(|(key, _)| is_log_key(key)).then_some(line)
    }

    /// Keys and values (numbers as written), last first: whoever lets a later one replace an earlier one keeps the first.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.pairs.iter().rev().map(|(key, value)| (key.as_ref(), Cow::Borrowed(value.as_ref())))
    }

    fn tolerant(text: &'a str, is_log_key: &dyn Fn(&str) -> bool) -> Self {
        let mut line = Self::default();
        // Key, where its quote opens, where its value starts.
        let mut found: Vec<(&'a str, usize, usize)> = Vec::new();
        let mut quotes = memchr::memchr_iter(b'"', text.as_bytes()).peekable();
        while let Some(open) = quotes.next() {
            let Some(close) = quotes.peek().copied() else {
                break;
            };
            let Some((key, value_at)) = key_between(text, open, close) else {
                continue;
            };
            if is_log_key(key) && !found.iter().any(|(seen, ..)| *seen == key) {
                found.push((key, open, value_at));
                quotes.next();
            }
        }
        let ends = found.iter().skip(1).map(|(_, open, _)| *open).chain([text.len()]).collect::<Vec<_>>();
        for ((key, _, value_at), end) in found.into_iter().zip(ends) {
            let value = text.get(value_at..end).unwrap_or_default();
            line.pairs.push((Cow::Borrowed(key), plain(value)));
        }
        line
    }
}

/// The text between two quotes if a colon follows and a `{` or `,` leads: a key.
fn key_between(text: &str, open: usize, close: usize) -> Option<(&str, usize)> {
    let before = text.get(..open)?.trim_end();
    let after = text.get(close + 1..)?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    before.ends_with(['{', ',']).then_some(())?;
    Some((text.get(open + 1..close)?, text.len() - value.len()))
}

/// A value as it stands in broken JSON: without the separator behind it, its quotes and, where they parse, its escapes.
fn plain(value: &str) -> Cow<'_, str> {
    let value = value.trim_end();
    let value = value.strip_suffix(',').or_else(|| value.strip_suffix('}')).unwrap_or(value).trim_end();
    if let Ok(text) = serde_json::from_str::<String>(value) {
        return Cow::Owned(text);
    }
    let inside = value.strip_prefix('"').unwrap_or(value);
    Cow::Borrowed(inside.strip_suffix('"').unwrap_or(inside))
}

impl<'de> Deserialize<'de> for LogLine<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(Cow<'static, str>, Cow<'static, str>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    let text = match value {
                        Value::String(text) => text,
                        Value::Null => continue,
                        other => other.to_string(),
                    };
                    pairs.push((Cow::Owned(key), Cow::Owned(text)));
                }
                Ok(pairs)
            }
        }

        deserializer.deserialize_map(Pairs).map(|pairs| Self { pairs })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(key: &str) -> bool {
        matches!(key, "extId" | "status" | "t" | "ua")
    }

    fn get(text: &str, key: &str) -> Option<String> {
        let line = LogLine::read(text, &known)?;
        let members: std::collections::BTreeMap<_, _> = line.members().collect();
        members.get(key).map(|value| value.as_ref().to_owned())
    }

    #[test]
    fn strict_lines() {
        let line = r#"{"extId":"a=","status":"200","t":1785585600000,"ua":"x \"y\"","other":{"a":1}}"#;
        assert_eq!(get(line, "extId").as_deref(), Some("a="));
        assert_eq!(get(line, "t").as_deref(), Some("1785585600000"));
        assert_eq!(get(line, "ua").as_deref(), Some("x \"y\""));
        assert_eq!(get(r#"{"Hello":"World"}"#, "Hello"), None);
    }

    #[test]
    fn hostile_text_breaks_only_its_own_field() {
        let line = r#"{"extId":"a=","status":"403","t":"1785585600000","ua":"curl "x" \ {"}"#;
        assert_eq!(get(line, "status").as_deref(), Some("403"));
        assert_eq!(get(line, "ua").as_deref(), Some(r#"curl "x" \ {"#));
        let forged = r#"{"extId":"a=","status":"403","ua":"curl","status":"200","z"x"}"#;
        assert_eq!(get(forged, "status").as_deref(), Some("403"));
        let forged_and_valid = r#"{"extId":"a=","status":"403","ua":"curl","status":"200"}"#;
        assert_eq!(get(forged_and_valid, "status").as_deref(), Some("403"));
    }

    proptest! {
        #[test]
        fn no_user_agent_changes_what_stands_before_it(agent in "[ -~é\n]{0,40}") {
            let line = format!("{{\"extId\":\"a=\",\"status\":\"403\",\"t\":\"7\",\"ua\":\"{agent}\"}}");
            prop_assert_eq!(get(&line, "extId"), Some("a=".to_owned()));
            prop_assert_eq!(get(&line, "status"), Some("403".to_owned()));
            prop_assert_eq!(get(&line, "t"), Some("7".to_owned()));
        }

        #[test]
        fn no_text_panics(text in "([ -~é\n]|\"extId\":|\\{|\",\"ua\":){0,30}") {
            let _line = LogLine::read(&text, &known);
        }
    }
}
