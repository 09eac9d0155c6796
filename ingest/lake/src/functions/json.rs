//! `json_get`: one value out of `raw`.
//!
//! In: JSON text and a pointer (RFC 6901). Out: text as it is, any other value as JSON text. Broken JSON, nesting beyond
//! the parser's own limit, a missing value and JSON's `null` are null: `raw` holds what somebody else wrote.

use serde_json::Value;

use super::text::{Answer, Function, Kernel, Returns};

pub(super) static JSON_GET: Function = Function {
    name: "json_get",
    arguments: &[
        ("json", "JSON text, such as `raw`"),
        ("pointer", "where to look, such as `/requestParameters/secretId`; array items by number"),
    ],
    returns: Returns::Text,
    description: "The value at a place of a JSON text: text without its quotes, everything else as JSON. Null when the JSON is broken, the place \
                  is missing or holds null; an error when the pointer does not begin with `/`.",
    examples: &[
        (r#"json_get('{"requestParameters":{"names":["a","b"]}}', '/requestParameters/names/1')"#, "'b'"),
        (r#"json_get('{"requestParameters":{"names":["a","b"]}}', '/requestParameters/names')"#, r#"'["a","b"]'"#),
        (r#"json_get('{"readOnly":true}', '/readOnly')"#, "'true'"),
        (r#"json_get('{"readOnly":true}', '/nothing')"#, "NULL"),
        ("json_get('not json', '/a')", "NULL"),
    ],
    takes_nulls: false,
    kernel,
};

fn kernel() -> Kernel {
    Box::new(|texts| {
        let [json, pointer] = texts else { return Ok(Answer::Null) };
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let shown: String = pointer.chars().take(60).collect();
            return Err(format!("`{0}` is no JSON pointer; write `/{0}`", shown.escape_default()));
        }
        let parsed: Option<Value> = serde_json::from_str(json).ok();
        Ok(match parsed.as_ref().and_then(|value| value.pointer(pointer)) {
            None | Some(Value::Null) => Answer::Null,
            Some(Value::String(text)) => Answer::Text(text.clone()),
            Some(other) => Answer::Text(other.to_string()),
        })
    })
}
