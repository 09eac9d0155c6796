//! A record's JSON as borrowed pieces: nothing is decoded before somebody asks for it.
//!
//! In: the text of one record. Out: [`Record`], the raw text of each known top-level member, and [`Fields`], one level
//! of any nested object, looked up without regard to case (`arn`, `aRN` and `ARN` are one key to AWS).
//!
//! Invariants: numbers stay text (no float ever touches them); a member of an unexpected type reads as absent; skipping
//! is iterative, so depth cannot overflow the stack; a known top-level member given twice is an error, because two
//! readers would understand it differently.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::RecordError;

/// The JSON text of one value. It is part of a text that was checked as a whole, so what stands inside needs no second
/// check; whoever reads it gives up quietly where that does not hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The members of an object that was just checked.
    pub(super) fn of(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }

    pub(super) fn get(self) -> &'a str {
        self.0
    }
}

macro_rules! record {
    ($($field:ident = $key:literal),+ $(,)?) => {
        /// The known members of a CloudTrail record, each as its JSON text.
        #[derive(Default)]
        pub(super) struct Record<'a> {
            $(pub(super) $field: Option<Json<'a>>,)+
            twice: Option<&'static str>,
        }

        impl<'de> Visitor<'de> for RecordVisitor {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a CloudTrail record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut record = Record::default();
                while let Some(Key(key)) = map.next_key()? {
                    match key.as_ref() {
                        $($key => {
                            if record.$field.replace(Json::of(map.next_value()?)).is_some() {
                                record.twice = Some($key);
                            }
                        })+
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(record)
            }
        }
    };
}

struct RecordVisitor;

record! {
    event_version = "eventVersion", event_time = "eventTime", event_source = "eventSource", event_name = "eventName",
    event_type = "eventType", event_category = "eventCategory", event_id = "eventID", shared_event_id = "sharedEventID",
    request_id = "requestID", region = "awsRegion", recipient = "recipientAccountId", identity = "userIdentity",
    source_address = "sourceIPAddress", user_agent = "userAgent", error_code = "errorCode",
    error_message = "errorMessage", request = "requestParameters", response = "responseElements",
    additional = "additionalEventData", service_details = "serviceEventDetails", resources = "resources",
    read_only = "readOnly", vpc_endpoint_id = "vpcEndpointId", tls = "tlsDetails", addendum = "addendum",
    console_session = "sessionCredentialFromConsole", insight = "insightDetails",
}

impl<'a> Record<'a> {
    /// Splits the record's top level; the whole text has been checked to be JSON when this is `Ok`.
    pub(super) fn parse(text: &'a str) -> Result<Self, RecordError> {
        if !text.trim_start().starts_with('{') {
            return Err(RecordError::NotAnObject);
        }
        let mut source = serde_json::Deserializer::from_str(text);
        let record = source
            .deserialize_map(RecordVisitor)
            .and_then(|record| source.end().map(|()| record))
            .map_err(|error| RecordError::NotJson { what: error.to_string() })?;
        match record.twice {
            Some(field) => Err(RecordError::Twice { field }),
            None => Ok(record),
        }
    }
}

/// One level of a JSON object.
#[derive(Default)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Fields<'a> {
    /// The members of an object; none for null, for anything that is no object, and for nothing.
    pub(super) fn of(raw: Option<Json<'a>>) -> Self {
        match raw {
            Some(Json(text)) if text.starts_with('{') => members(text).unwrap_or_default(),
            _ => Self::default(),
        }
    }

    /// The last member of that name, if it is not null.
    pub(super) fn raw(&self, name: &str) -> Option<Json<'a>> {
        let (_, raw) = self.0.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        (raw.get() != "null").then_some(*raw)
    }

    /// A member that is text (or a number, as text) and not empty.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.raw(name))
    }

    /// A member that is `true`, `false`, `"true"` or `"false"`.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        flag(self.raw(name))
    }

    /// A member that is an object; empty otherwise.
    pub(super) fn object(&self, name: &str) -> Self {
        Self::of(self.raw(name))
    }

    /// The texts of an array; one text stands for an array of one.
    pub(super) fn texts(&self, name: &str) -> Vec<Cow<'a, str>> {
        match self.raw(name) {
            Some(raw) if raw.get().starts_with('[') => {
                list(Some(raw)).into_iter().filter_map(|item| text(Some(item))).collect()
            }
            raw => text(raw).into_iter().collect(),
        }
    }

    /// Every member that is text.
    pub(super) fn all_texts(&self) -> impl Iterator<Item = Cow<'a, str>> {
        self.0.iter().filter_map(|(_, raw)| text(Some(*raw)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The items of a JSON array; none for anything else.
pub(super) fn list(raw: Option<Json<'_>>) -> Vec<Json<'_>> {
    match raw {
        Some(Json(text)) if text.starts_with('[') => items(text).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The members of the object that the text is.
fn members(text: &str) -> Option<Fields<'_>> {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    let mut at = skip_space(bytes, 1);
    while *bytes.get(at)? != b'}' {
        let end = string_end(bytes, at)?;
        let key = string(text.get(at..end)?)?;
        at = skip_space(bytes, end);
        if *bytes.get(at)? != b':' {
            return None;
        }
        let (value, next) = value(text, skip_space(bytes, at + 1))?;
        if fields.is_empty() {
            fields.reserve(8);
        }
        fields.push((key, value));
        at = next;
    }
    Some(Fields(fields))
}

/// The items of the array that the text is.
fn items(text: &str) -> Option<Vec<Json<'_>>> {
    let bytes = text.as_bytes();
    let mut items = Vec::new();
    let mut at = skip_space(bytes, 1);
    while *bytes.get(at)? != b']' {
        let (value, next) = value(text, at)?;
        items.push(value);
        at = next;
    }
    Some(items)
}

/// The value that begins at `start`, and the place after it and a comma.
fn value(text: &str, start: usize) -> Option<(Json<'_>, usize)> {
    let bytes = text.as_bytes();
    let end = match bytes.get(start)? {
        b'"' => string_end(bytes, start)?,
        b'{' | b'[' => nested_end(bytes, start)?,
        _ => {
            start
                + bytes
                    .get(start..)?
                    .iter()
                    .position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))?
        }
    };
    let next = skip_space(bytes, end);
    let next = if bytes.get(next) == Some(&b',') { skip_space(bytes, next + 1) } else { next };
    (end > start).then_some((Json(text.get(start..end)?), next))
}

/// The place after the closing quote of the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The place after the bracket that closes the one at `start`.
fn nested_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

fn skip_space(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).unwrap_or(rest.len())
}

/// Text that is not empty; a number gives its own digits.
pub(super) fn text(raw: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    let json = raw?.get();
    let text = match json.as_bytes().first()? {
        b'"' => string(json)?,
        b'-' | b'0'..=b'9' => Cow::Borrowed(json),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A JSON string, borrowed where it has no escapes; `None` for any other type.
pub(super) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<Key<'_>>(json).ok().map(|Key(text)| text)
}

/// `true`, `false`, or these words as text, as CloudTrail writes some flags.
pub(super) fn flag(raw: Option<Json<'_>>) -> Option<bool> {
    match raw?.get() {
        "true" | "\"true\"" | "\"True\"" => Some(true),
        "false" | "\"false\"" | "\"False\"" => Some(false),
        _ => None,
    }
}

/// Text that was valid JSON but may hold lone surrogates, which become U+FFFD instead of failing the record.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Key(std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(String::from_utf8_lossy(bytes).into_owned())))
            }
        }

        source.deserialize_bytes(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_loosely_and_without_regard_to_case() {
        let text = r#"{"eventSource":"a","requestParameters":{"aRN":"x","n":12345678901234567890123,"f":"true","s":"\u0061\/","l":["a",1,null,{}],"lone":"\ud800x"},"unknown":[[[]]]}"#;
        let record = Record::parse(text).expect("a record");
        let fields = Fields::of(record.request);
        assert_eq!(fields.text("arn").as_deref(), Some("x"));
        assert_eq!(fields.text("n").as_deref(), Some("12345678901234567890123"));
        assert_eq!(fields.flag("f"), Some(true));
        assert_eq!(fields.text("s").as_deref(), Some("a/"));
        assert_eq!(fields.texts("l"), ["a", "1"]);
        assert!(fields.text("lone").is_some_and(|text| text.ends_with('x')));
    }

    #[test]
    fn refuses_what_two_readers_would_read_differently() {
        let twice = Record::parse(r#"{"eventName":"a","eventName":"b"}"#).err();
        assert_eq!(twice, Some(RecordError::Twice { field: "eventName" }));
        assert_eq!(Record::parse("[]").err(), Some(RecordError::NotAnObject));
        assert!(matches!(Record::parse("{} x").err(), Some(RecordError::NotJson { .. })));
        assert!(matches!(Record::parse(r#"{"a":"#).err(), Some(RecordError::NotJson { .. })));
    }

    #[test]
    fn depth_is_no_danger_here() {
        let deep = format!(r#"{{"requestParameters":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        assert!(Record::parse(&deep).is_ok());
    }
}
