//! JSON that is valid, bounded and cannot steer a terminal.
//!
//! In: a value made of an alert's text. Out: one line. Characters that steer a terminal are written as `\u…`, so nothing is
//! lost; only what would make the line too long is cut, texts and lists alike, and the line says so (`"truncated": true`).

use std::fmt::Write as _;

use serde_json::Value;

use super::text::{clean, cut, is_hostile};

/// How much of texts (characters) and lists (items) stays, from everything to almost nothing. Ids are never cut: they
/// have at most [`SHORTEST`] characters.
const STEPS: [(usize, usize); 5] = [(8_192, 500), (2_048, 100), (512, 20), (128, 5), (SHORTEST, 1)];
const SHORTEST: usize = 64;

/// The least room that [`fit`] is sure to keep within, for what Keytrail puts into one message.
pub(crate) const LEAST_ROOM: usize = 64 * 1024;

/// One line of JSON.
pub(crate) fn line(value: &Value) -> String {
    let plain = value.to_string();
    if !plain.chars().any(is_hostile) {
        return plain;
    }
    let mut safe = String::with_capacity(plain.len() + 64);
    for character in plain.chars() {
        if is_hostile(character) {
            // Outside strings JSON written by serde has none of these.
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(safe, "\\u{unit:04x}").expect("writing to a String cannot fail");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// One line of at most so many bytes, or none where even the shortest form is longer.
pub(crate) fn fit(value: &Value, max_bytes: usize) -> Option<String> {
    let whole = line(value);
    if whole.len() <= max_bytes {
        return Some(whole);
    }
    STEPS.iter().find_map(|&(characters, items)| {
        let mut shorter = shorten(value, characters, items);
        if let Value::Object(fields) = &mut shorter {
            fields.insert("truncated".to_owned(), Value::Bool(true));
        }
        let text = line(&shorter);
        (text.len() <= max_bytes).then_some(text)
    })
}

fn shorten(value: &Value, characters: usize, items: usize) -> Value {
    match value {
        // The smallest forms must be small in bytes too, whatever the escapes.
        Value::String(text) if characters <= 128 => Value::String(clean(text, characters)),
        Value::String(text) => Value::String(cut(text, characters)),
        Value::Array(list) => list.iter().take(items).map(|item| shorten(item, characters, items)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), shorten(field, characters, items))).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_lost_and_nothing_steers() {
        let value = json!({ "key": "a\u{9b}2J\u{202e}\u{e0041}b\"\n" });
        let text = line(&value);
        assert_eq!(text, r#"{"key":"a\u009b2J\u202e\udb40\udc41b\"\n"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("valid"), value);
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let value = json!({ "id": "0123456789abcdef", "text": "x".repeat(5_000), "list": vec!["y".repeat(100); 600] });
        let text = fit(&value, 8_000).expect("fits after cutting");
        assert!(text.len() <= 8_000);
        let read: Value = serde_json::from_str(&text).expect("valid");
        assert_eq!((read["id"].as_str(), read["truncated"].as_bool()), (Some("0123456789abcdef"), Some(true)));
        assert_eq!(fit(&value, 100), None);
        assert_eq!(fit(&json!({ "a": 1 }), 100).as_deref(), Some(r#"{"a":1}"#));
    }
}
