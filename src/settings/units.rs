//! Human units: sizes, lengths of time, numbers, words and lists of them.
//!
//! In: a value of the file, or text. Out: the type, or nothing where it is not one. What is shown reads back as the same value.

use std::{fmt, path::PathBuf, time::Duration};

use serde_json::{Value as Json, json};

use super::key::Setting;

/// A number of bytes, written `268435456` or `"256 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

impl ByteSize {
    pub(crate) const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// As a length in memory; more than can be addressed is all of it.
    pub(crate) fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let one = 1u64 << shift;
            if self.0 >= one && self.0.is_multiple_of(one) {
                return write!(f, "{} {unit}", self.0 / one);
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl Setting for ByteSize {
    const KIND: &'static str = "a size";
    const EXAMPLE: &'static str = "\"256 MiB\"";

    fn from_toml(value: &toml::Value) -> Option<Self> {
        match value {
            toml::Value::Integer(bytes) => u64::try_from(*bytes).ok().map(Self),
            toml::Value::String(text) => Self::from_text(text),
            _ => None,
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            _ => return None,
        };
        number.checked_mul(factor).map(Self)
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

/// A length of time, written `"500ms"`, `"30s"`, `"5m"`, `"24h"` or `"7d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HumanDuration(pub(crate) Duration);

impl HumanDuration {
    pub(crate) const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    pub(crate) const fn minutes(count: u64) -> Self {
        Self::seconds(60 * count)
    }

    pub(crate) const fn hours(count: u64) -> Self {
        Self::minutes(60 * count)
    }

    pub(crate) const fn days(count: u64) -> Self {
        Self::hours(24 * count)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        // 48h is written so: only what is longer than people count in hours is told in days.
        for (unit, length, from) in
            [("d", 86_400_000, 172_800_000), ("h", 3_600_000, 0), ("m", 60_000, 0), ("s", 1_000, 0)]
        {
            if milliseconds >= length && milliseconds > from && milliseconds.is_multiple_of(length) {
                return write!(f, "{}{unit}", milliseconds / length);
            }
        }
        if milliseconds == 0 { f.write_str("0s") } else { write!(f, "{milliseconds}ms") }
    }
}

impl Setting for HumanDuration {
    const KIND: &'static str = "a length of time";
    const EXAMPLE: &'static str = "\"30s\", \"5m\" or \"24h\"";

    fn from_text(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.checked_mul(milliseconds).map(Duration::from_millis).map(Self)
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}

/// A length of time typed on the command line.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    HumanDuration::from_text(text).map(|HumanDuration(length)| length)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim()))
}

macro_rules! number {
    ($kind:ty) => {
        impl Setting for $kind {
            const KIND: &'static str = "a whole number";
            const EXAMPLE: &'static str = "10";

            fn from_toml(value: &toml::Value) -> Option<Self> {
                value.as_integer().and_then(|number| number.try_into().ok())
            }

            fn from_text(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }

            fn show(&self) -> Json {
                json!(self)
            }
        }
    };
}
number!(usize);
number!(u32);

impl Setting for bool {
    const KIND: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";

    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_bool()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn show(&self) -> Json {
        json!(self)
    }
}

impl Setting for String {
    const KIND: &'static str = "a text";
    const EXAMPLE: &'static str = "\"name\"";

    fn from_text(text: &str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| text.to_owned())
    }

    fn show(&self) -> Json {
        json!(self)
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "a path";
    const EXAMPLE: &'static str = "\"/var/lib/keytrail\"";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| Self::from(text))
    }

    fn show(&self) -> Json {
        json!(self.display().to_string())
    }
}

/// A key that need not be set.
impl<T: Setting> Setting for Option<T> {
    const KIND: &'static str = T::KIND;
    const EXAMPLE: &'static str = T::EXAMPLE;
    const SECRET: bool = T::SECRET;

    fn from_toml(value: &toml::Value) -> Option<Self> {
        T::from_toml(value).map(Some)
    }

    fn from_text(text: &str) -> Option<Self> {
        T::from_text(text).map(Some)
    }

    fn show(&self) -> Json {
        self.as_ref().map_or(Json::Null, T::show)
    }
}

/// A type that lists are made of.
pub(crate) trait Item: Setting {
    const LIST: &'static str;
    const LIST_EXAMPLE: &'static str;
}

impl Item for String {
    const LIST: &'static str = "a list of texts";
    const LIST_EXAMPLE: &'static str = "[\"a\", \"b\"]";
}

/// `["a", "b"]` in the file; `a,b` in the environment.
impl<T: Item> Setting for Vec<T> {
    const KIND: &'static str = T::LIST;
    const EXAMPLE: &'static str = T::LIST_EXAMPLE;
    const SECRET: bool = T::SECRET;

    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_toml).collect()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(T::from_text).collect()
    }

    fn show(&self) -> Json {
        self.iter().map(T::show).collect()
    }
}

/// Declares a setting that is one of a few words.
macro_rules! words {
    ($(#[doc = $doc:literal])+ enum $name:ident ($kind:literal, $example:literal) { $( $variant:ident = $word:literal ),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $( $variant ),+ }

        impl $name {
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word ),+ }
            }
        }

        impl $crate::settings::key::Setting for $name {
            const KIND: &'static str = $kind;
            const EXAMPLE: &'static str = $example;

            fn from_text(text: &str) -> Option<Self> {
                match text.trim() { $( $word => Some(Self::$variant), )+ _ => None }
            }

            fn show(&self) -> serde_json::Value {
                serde_json::json!(self.as_str())
            }
        }
    };
}
pub(crate) use words;
