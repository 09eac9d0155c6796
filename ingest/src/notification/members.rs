//! A JSON object of foreign text, looked at member by member.
//!
//! In: text, and the names that matter. Out: [`Members`], which borrow the text; or a fault in words, with its place. The
//! value of no other member is kept, and nothing is parsed deeper than it is asked for, so that memory is bounded by the
//! text and not by what it nests. A member that matters and stands twice is a fault: readers would disagree about it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::keys::quoted;

/// Names of members that matter to nobody and are kept to describe the object.
const OTHERS_SHOWN: usize = 6;

/// The members that matter of one object.
pub(super) struct Members<'a> {
    place: String,
    found: Vec<(&'static str, &'a RawValue)>,
    others: Vec<String>,
}

/// A list's elements, as far as they were wanted, and how many there were.
pub(super) struct Elements<'a> {
    pub(super) kept: Vec<&'a RawValue>,
    pub(super) count: usize,
}

impl<'a> Members<'a> {
    /// Looks at the object that `text` is. `place` is where it stands: empty for the body itself.
    pub(super) fn of(text: &'a str, place: &str, wanted: &'static [&'static str]) -> Result<Self, String> {
        if !text.trim_start().starts_with('{') {
            return Err(format!("{} is {}; an object is expected", or_body(place), kind_of(text)));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Wanted(wanted).deserialize(&mut json).and_then(|read| json.end().map(|()| read));
        let (found, others) = read.map_err(|error| format!("{} is broken: {error}", or_body(place)))?;
        Ok(Self { place: place.to_owned(), found, others })
    }

    /// Where a member stands.
    pub(super) fn place(&self, name: &str) -> String {
        join(&self.place, name)
    }

    /// A member as it stands; `null` is none.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.found.iter().find(|(found, _)| *found == name)?;
        (value.get() != "null").then_some(*value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A text, where there is one.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        self.get(name).map(|value| text_of(value, &self.place(name))).transpose()
    }

    /// A text that is needed.
    pub(super) fn needed_text(&self, name: &str) -> Result<Cow<'a, str>, String> {
        self.text(name)?.ok_or_else(|| format!("{} is missing", self.place(name)))
    }

    /// A text that only helps: what is no text is passed over.
    pub(super) fn hint(&self, name: &str) -> Option<Cow<'a, str>> {
        self.text(name).ok().flatten()
    }

    /// A number that only helps.
    pub(super) fn number_hint(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|value| value.get().parse().ok())
    }

    /// An object that is needed.
    pub(super) fn needed_object(&self, name: &str, wanted: &'static [&'static str]) -> Result<Members<'a>, String> {
        let value = self.get(name).ok_or_else(|| format!("{} is missing", self.place(name)))?;
        Members::of(value.get(), &self.place(name), wanted)
    }

    /// The names of its members, a few of them, for a fault.
    pub(super) fn describe(&self) -> String {
        let mut names: Vec<String> = self.found.iter().map(|(name, _)| quoted(name)).collect();
        names.extend(self.others.iter().map(|name| quoted(name)));
        names.truncate(OTHERS_SHOWN);
        if names.is_empty() { "no members".to_owned() } else { names.join(", ") }
    }
}

/// The text that a value is.
pub(super) fn text_of<'a>(value: &'a RawValue, place: &str) -> Result<Cow<'a, str>, String> {
    serde_json::from_str::<Text<'a>>(value.get())
        .map(|Text(text)| text)
        .map_err(|_| format!("{place} is {}; a string is expected", kind_of(value.get())))
}

/// The elements of a list, the first `most` of them.
pub(super) fn elements<'a>(value: &'a RawValue, place: &str, most: usize) -> Result<Elements<'a>, String> {
    if !value.get().starts_with('[') {
        return Err(format!("{place} is {}; a list is expected", kind_of(value.get())));
    }
    First(most)
        .deserialize(&mut serde_json::Deserializer::from_str(value.get()))
        .map_err(|error| format!("{place} is broken: {error}"))
}

/// `place.name`, or `name` at the top.
pub(super) fn join(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// How a fault calls the place that has no name.
pub(super) fn or_body(place: &str) -> &str {
    if place.is_empty() { "the body" } else { place }
}

/// What kind of value a text is, in a word or two.
pub(super) fn kind_of(text: &str) -> &'static str {
    match text.trim_start().bytes().next() {
        None => "empty",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string in quotes",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ if text.trim() == "null" => "null",
        _ if matches!(text.trim(), "true" | "false") => "a boolean",
        _ => "no JSON",
    }
}

/// A text, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Collects the members with these names.
struct Wanted(&'static [&'static str]);

/// What [`Wanted`] finds, and a few names of what it passes over.
type Found<'a> = (Vec<(&'static str, &'a RawValue)>, Vec<String>);

impl<'de> DeserializeSeed<'de> for Wanted {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut found, mut others): Found<'de> = (Vec::new(), Vec::new());
        while let Some(Text(name)) = map.next_key()? {
            let Some(wanted) = self.0.iter().find(|wanted| **wanted == name) else {
                map.next_value::<IgnoredAny>()?;
                if others.len() < OTHERS_SHOWN {
                    others.push(name.chars().take(80).collect());
                }
                continue;
            };
            let value = map.next_value()?;
            if found.iter().any(|(other, _)| other == wanted) {
                return Err(M::Error::custom(format_args!("{wanted} stands twice")));
            }
            found.push((*wanted, value));
        }
        Ok((found, others))
    }
}

/// Collects so many elements and counts the others.
struct First(usize);

impl<'de> DeserializeSeed<'de> for First {
    type Value = Elements<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for First {
    type Value = Elements<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.0 {
            let Some(element) = list.next_element()? else { return Ok(Elements { count: kept.len(), kept }) };
            kept.push(element);
        }
        let mut count = kept.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Elements { kept, count })
    }
}
