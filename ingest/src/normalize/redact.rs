//! No secret material is ever stored: the record's text without the values that bear secrets.
//!
//! In: the JSON text of a record. Out: the same text byte for byte (order, spaces, numbers), except that the value of
//! every key that bears a secret, at any depth and in any case, is replaced, and so is what looks like a token inside text.
//!
//! Invariants: one pass, no tree, no recursion; nesting is bounded; AWS's own `HIDDEN_DUE_TO_SECURITY_REASONS` stays, and so
//! do null, `true`, `false` and the few words that say how an API method is authorized.

use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem::Finder;

use super::{
    error::RecordError,
    redact_text::{self, MARK, Sort},
    wire,
};

/// Deeper nesting than this is refused; CloudTrail's own records stay under 20.
pub(super) const MAX_DEPTH: usize = 64;

/// Values that are never secret, whatever key they stand under.
const HARMLESS: &[&[u8]] = &[
    b"null",
    b"true",
    b"false",
    b"\"\"",
    b"\"NONE\"",
    b"\"AWS_IAM\"",
    b"\"CUSTOM\"",
    b"\"COGNITO_USER_POOLS\"",
    b"\"JWT\"",
];

/// The record's text without secrets.
pub(super) fn json(text: &str) -> Result<String, RecordError> {
    if is_clean(text) { Ok(text.to_owned()) } else { walk(text) }
}

/// A first look at a record's text, without taking it apart: true only if the walk would leave every byte as it is, and
/// if no text in it holds anything that [`redact_text::text`] would take out. Most records are clean.
///
/// It says no too often rather than too seldom: to any escape, to whatever looks like a token, to every `:` and `=` behind a word
/// that bears a secret, to prose with something in it, and to more brackets than may nest.
pub(super) fn is_clean(text: &str) -> bool {
    let bytes = text.as_bytes();
    if opening_brackets(bytes) > MAX_DEPTH
        || memchr::memchr(b'\\', bytes).is_some()
        || redact_text::may_hold_token(bytes)
    {
        return false;
    }
    // Every key of an object ends before a colon, so this looks at keys and at assignments inside text alike.
    let mut signs = memchr::memchr2_iter(b':', b'=', bytes);
    if signs.any(|at| redact_text::assigns_secret(bytes, at)) {
        return false;
    }
    PROSE.iter().all(|key| {
        key.find_iter(bytes).all(|at| {
            let end = at + key.needle().len();
            let colon = skip_space(bytes, end);
            let start = skip_space(bytes, colon + 1);
            if bytes.get(colon) != Some(&b':') || bytes.get(start) != Some(&b'"') {
                return true;
            }
            let value = text.get(start + 1..string_end(bytes, start).0 - 1).unwrap_or_default();
            matches!(redact_text::text(value, Sort::Prose), Cow::Borrowed(_))
        })
    })
}

/// How many `{` and `[` there are, also inside text. The small sums are what lets the machine count many bytes at a time.
fn opening_brackets(bytes: &[u8]) -> usize {
    let of_chunk = |chunk: &[u8]| chunk.iter().fold(0_u8, |sum, byte| sum + u8::from(byte | 0x20 == b'{'));
    bytes.chunks(128).map(|chunk| usize::from(of_chunk(chunk))).sum()
}

static PROSE: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(br#""errorMessage""#), Finder::new(br#""userAgent""#)]);

fn walk(text: &str) -> Result<String, RecordError> {
    let bytes = text.as_bytes();
    // Escapes may hide a token from a plain search, so strings with escapes are always looked at one by one.
    let has_token = redact_text::may_hold_token(bytes);
    let mut walk = Walk { has_token, text, bytes, out: String::with_capacity(text.len()), copied: 0, depth: 0 };
    walk.run()?;
    Ok(walk.out)
}

struct Walk<'a> {
    text: &'a str,
    bytes: &'a [u8],
    out: String,
    /// Everything before this place has been copied or replaced.
    copied: usize,
    depth: usize,
    has_token: bool,
}

impl<'a> Walk<'a> {
    fn run(&mut self) -> Result<(), RecordError> {
        let mut at = 0;
        let mut sort = Sort::Value;
        while let Some(byte) = self.bytes.get(at) {
            at = match byte {
                b'"' => {
                    let (end, holds) = string_end(self.bytes, at);
                    let colon = skip_space(self.bytes, end);
                    let is_key = self.bytes.get(colon) == Some(&b':');
                    self.scan(at, end, holds, if is_key { Sort::Name } else { sort });
                    sort = Sort::Value;
                    if is_key {
                        let value = skip_space(self.bytes, colon + 1);
                        let key = self.quoted(at, end, holds);
                        if matches!(key.as_ref(), "errorMessage" | "userAgent") {
                            sort = Sort::Prose;
                        }
                        if redact_text::is_secret_key(&key) { self.replace(value)? } else { value }
                    } else {
                        end
                    }
                }
                b'{' | b'[' => {
                    self.depth += 1;
                    self.check_depth(self.depth)?;
                    at + 1
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    at + 1
                }
                _ => at + 1,
            };
        }
        self.copy_to(self.bytes.len());
        Ok(())
    }

    /// Replaces the value that begins at `start`, unless it says nothing; gives the place after it.
    fn replace(&mut self, start: usize) -> Result<usize, RecordError> {
        let end = self.value_end(start)?;
        let value = self.bytes.get(start..end).unwrap_or_default();
        if !HARMLESS.contains(&value) && !value.starts_with(b"\"HIDDEN_DUE_TO_SECURITY_REASONS\"") {
            self.copy_to(start);
            self.out.push('"');
            self.out.push_str(MARK);
            self.out.push('"');
            self.copied = end;
        }
        Ok(end)
    }

    /// Takes tokens out of the string (with its quotes) from `start` to `end`.
    fn scan(&mut self, start: usize, end: usize, holds: u8, sort: Sort) {
        if holds == 0 && sort != Sort::Prose && !self.has_token {
            return;
        }
        let text = self.quoted(start, end, holds);
        if let Cow::Owned(clean) = redact_text::text(&text, sort) {
            self.copy_to(start);
            self.out.push_str(&serde_json::Value::String(clean).to_string());
            self.copied = end;
        }
    }

    /// The text of the string (with its quotes) from `start` to `end`.
    fn quoted(&self, start: usize, end: usize, holds: u8) -> Cow<'a, str> {
        if holds & ESCAPE == 0 {
            return Cow::Borrowed(self.text.get(start + 1..end - 1).unwrap_or_default());
        }
        self.text.get(start..end).and_then(wire::string).unwrap_or_default()
    }

    fn copy_to(&mut self, end: usize) {
        // Every cut is beside an ASCII quote or bracket, so it is a character boundary.
        self.out.push_str(self.text.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    fn check_depth(&self, depth: usize) -> Result<(), RecordError> {
        if depth > MAX_DEPTH { Err(RecordError::TooDeep { limit: MAX_DEPTH }) } else { Ok(()) }
    }

    /// Where the value that begins at `start` ends.
    fn value_end(&self, start: usize) -> Result<usize, RecordError> {
        let mut at = start;
        let mut depth = 0_usize;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'"' => at = string_end(self.bytes, at).0,
                b'{' | b'[' => {
                    depth += 1;
                    self.check_depth(self.depth + depth)?;
                    at += 1;
                }
                b'}' | b']' if depth == 0 => return Ok(at),
                b'}' | b']' => {
                    depth -= 1;
                    at += 1;
                }
                b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Ok(at),
                _ => {
                    at += 1;
                    continue;
                }
            }
            if depth == 0 {
                return Ok(at);
            }
        }
        Ok(at)
    }
}

/// What a string holds that is worth a second look.
const ESCAPE: u8 = 1;
const ASSIGNMENT: u8 = 2;
const QUOTE: u8 = 4;

static SORTS: [u8; 256] = {
    let mut sorts = [0; 256];
    sorts[b'\\' as usize] = ESCAPE;
    sorts[b'=' as usize] = ASSIGNMENT;
    sorts[b':' as usize] = ASSIGNMENT;
    sorts[b'"' as usize] = QUOTE;
    sorts
};

/// The place after the closing quote of the string that begins at `start`, and what it holds.
///
/// Most strings are short: one look at each byte beats several vectorised searches.
fn string_end(bytes: &[u8], start: usize) -> (usize, u8) {
    let mut holds = 0;
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        let sort = SORTS[usize::from(*byte)];
        if sort != 0 {
            if sort == QUOTE {
                return (at + 1, holds);
            }
            holds |= sort;
            if sort == ESCAPE {
                at += 1;
            }
        }
        at += 1;
    }
    (bytes.len().max(start + 2), holds | ESCAPE)
}

fn skip_space(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn keeps_everything_but_the_values() {
        let text = r#"{ "b" :1.50e400, "a":[ {"Value" : {"x":["s3cr3t"]} , "c":"d"} ],"sessionToken":"FwoG","n":null,
          "value":"HIDDEN_DUE_TO_SECURITY_REASONS","password":null,"apiKey":12345,"secretBinary":[1,2],"k\u0065y":"\u00e9"}"#;
        let clean = json(text).expect("short enough");
        assert_eq!(
            clean,
            r#"{ "b" :1.50e400, "a":[ {"Value" : "[REDACTED]" , "c":"d"} ],"sessionToken":"[REDACTED]","n":null,
          "value":"HIDDEN_DUE_TO_SECURITY_REASONS","password":null,"apiKey":"[REDACTED]","secretBinary":"[REDACTED]","k\u0065y":"\u00e9"}"#
        );
    }

    #[test]
    fn escapes_in_keys_and_values_hide_nothing() {
        let clean =
            json(r#"{"sess\u0069onToken":"s3cr3t","x":"a FwoGZXIvY\u0058dzs3cr3t b","y":"{\"password\":\"s3cr3t\"}"}"#);
        let clean = clean.expect("short enough");
        assert!(!clean.contains("s3cr3t"), "{clean}");
        assert!(serde_json::from_str::<Value>(&clean).is_ok(), "{clean}");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(json(&nested(MAX_DEPTH + 1)), Err(RecordError::TooDeep { limit: MAX_DEPTH }));
        let hidden = format!(r#"{{"value":{}}}"#, nested(100_000));
        assert_eq!(json(&hidden), Err(RecordError::TooDeep { limit: MAX_DEPTH }));
    }

    #[test]
    fn an_ordinary_record_passes_the_first_look() {
        let text = r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/r/s","accessKeyId":"ASIA"},
            "userAgent":"Boto3/1.34.0 md/Botocore#1.34.0","requestParameters":{"secretId":"arn:aws:secretsmanager:eu-west-1:1:secret:app/db-password"},"responseElements":null}"#;
        assert!(is_clean(text));
        assert!(!is_clean(r#"{"responseElements":{"nextToken":"x"}}"#));
        assert!(!is_clean(r#"{"userAgent":"8fJ2kQ9xLm4Zr7Tb1Vn6Wc3Yd5Hs0Gp+Ae/Ui2oK"}"#));
    }

    const MARKER: &str = "pl4nted-m4rker";

    fn secret_key() -> impl Strategy<Value = String> {
        let keys =
            ["sessionToken", "secretAccessKey", "value", "secretString", "nextToken", "x-api-key", "masterPassword"];
        (proptest::sample::select(keys.to_vec()), any::<bool>())
            .prop_map(|(key, upper)| if upper { key.to_ascii_uppercase() } else { key.to_owned() })
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(null)), any::<i64>().prop_map(Value::from), ".{0,12}".prop_map(Value::from)];
        let planted = prop_oneof![Just(json!(MARKER)), Just(json!({"a": [MARKER]})), Just(json!([[MARKER], 1]))];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[a-zA-Z\"\\\\:=]{0,8}", inner.clone(), 0..6).prop_map(Value::from_iter),
                (secret_key(), planted.clone(), inner).prop_map(|(key, secret, rest)| json!({key: secret, "z": rest})),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_planted_value_survives(tree in tree(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) };
            let clean = json(&text.expect("a tree prints")).expect("shallow");
            prop_assert!(!clean.contains(MARKER), "{clean}");
            prop_assert!(serde_json::from_str::<Value>(&clean).is_ok(), "{clean}");
        }

        #[test]
        fn the_first_look_never_hides_what_the_walk_would_find(
            tree in tree(),
            pretty in any::<bool>(),
            key in "[a-z \"$:=]{0,3}(password|token|x-api-key|userAgent|errorMessage|value|name|arn)",
            value in "[ a-z'\":=&]{0,8}(password ?[=:] ?x|Value 'x' at 'value'|8fJ2kQ9xLm4Zr7Tb1Vn6Wc3Yd5Hs0Gp\\+Ae/Ui2oK|IQoJb3JpZ2luX2Vj|plain|)",
        ) {
            let tree = json!({"t": tree, key: value});
            let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) };
            let text = text.expect("a tree prints");
            prop_assert_eq!(json(&text), walk(&text));
        }

        #[test]
        fn the_first_look_agrees_on_any_text(text in "[\\[\\]{}\":,= '\\\\ez]{0,40}(token|value|pwd|Password)?[\\[\\]{}\":,= 'a]{0,20}") {
            prop_assert_eq!(json(&text), walk(&text));
        }

        #[test]
        fn any_text_is_walked_without_panic(text in "[\\[\\]{}\":,\\\\ a-zé0-9]{0,200}") {
            prop_assert!(json(&text).is_ok() || text.len() > MAX_DEPTH);
        }
    }
}
