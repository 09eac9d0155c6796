//! What a configuration key is: name, type, default, limits and one line of explanation, all in one place.
//!
//! In: the `section!` declarations beside this file. Out: the structs the program reads, and the same facts as data, from
//! which the reader, the environment, `config show` and `docs/CONFIG.md` are made. A value that is not what the key expects
//! is refused with what was expected; nothing is rounded or guessed.

use std::fmt::Display;

use serde_json::Value as Json;

/// One key of a section, as data.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) default: fn() -> Json,
    pub(crate) limits: fn() -> Option<String>,
}

impl Key {
    /// The type, and the limits where there are some.
    pub(crate) fn expects(&self) -> String {
        match (self.limits)() {
            Some(limits) => format!("{}, {limits}", self.kind),
            None => self.kind.to_owned(),
        }
    }
}

/// A value as it stands in the file, or as text from the environment or a flag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    Toml(&'a toml::Value),
    Text(&'a str),
}

/// A type that a key can have.
pub(crate) trait Setting: Sized {
    /// With its article: "a length of time".
    const KIND: &'static str;
    /// As it is written in the file.
    const EXAMPLE: &'static str;
    /// True where not even a wrong value may be repeated in a message.
    const SECRET: bool = false;

    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_str().and_then(Self::from_text)
    }

    fn from_text(text: &str) -> Option<Self>;

    /// For people and programs; masked where it could hold a credential. Null where nothing is set.
    fn show(&self) -> Json;
}

/// Reads a value, or says what was expected.
pub(crate) fn read<T: Setting>(input: Input<'_>) -> Result<T, String> {
    let (value, found) = match input {
        Input::Toml(value) => (T::from_toml(value), value.to_string()),
        Input::Text(text) => (T::from_text(text), format!("\"{text}\"")),
    };
    value.ok_or_else(|| {
        let found = if T::SECRET || found.contains('@') { "the value".to_owned() } else { shortened(&found) };
        format!("{found} is not {}; write for example {}", T::KIND, T::EXAMPLE)
    })
}

/// Enough of a value to find it again.
fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    let line = text.replace(['\n', '\r'], " ");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST).chain(['…']).collect() }
}

/// Values that a key accepts, of those its type can hold.
pub(crate) trait Limit<T> {
    fn holds(&self, value: &T) -> bool;
    fn describe(&self) -> String;
}

/// Both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<T>(pub(crate) T, pub(crate) T);

impl<T: PartialOrd + Display> Limit<T> for Within<T> {
    fn holds(&self, value: &T) -> bool {
        self.0 <= *value && *value <= self.1
    }

    fn describe(&self) -> String {
        format!("{} to {}", self.0, self.1)
    }
}

impl<T: PartialOrd + Display> Limit<Option<T>> for Within<T> {
    fn holds(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| Limit::<T>::holds(self, value))
    }

    fn describe(&self) -> String {
        Limit::<T>::describe(self)
    }
}

/// Refuses a value outside the limits.
pub(crate) fn check<T: Setting>(limit: &impl Limit<T>, value: &T) -> Result<(), String> {
    if limit.holds(value) {
        return Ok(());
    }
    let found = match value.show() {
        Json::String(text) => text,
        other => other.to_string(),
    };
    Err(format!("{found} is outside {}", limit.describe()))
}

/// A key's name as it is written: `continue` is a word of the language, and so is told apart from it in a declaration.
pub(crate) const fn plain(name: &'static str) -> &'static str {
    match name.split_at_checked(2) {
        Some((start, rest)) if matches!(start.as_bytes(), [b'r', b'#']) => rest,
        _ => name,
    }
}

/// One table of the configuration: reads, shows and describes its own keys.
pub(crate) trait Section {
    fn keys(&self) -> &'static [Key];
    /// What the section is for, as the reference tells it.
    #[cfg(test)]
    fn about(&self) -> &'static str;
    /// The error says what was expected; an unknown key has been refused before.
    fn set(&mut self, key: &str, input: Input<'_>) -> Result<(), String>;
    fn show(&self, key: &str) -> Json;
}

/// Declares a section: struct, defaults, limits and documentation in one place.
///
/// `/// doc` `key: Type = default, limit;` and, after `with`, parts that are read elsewhere (sub-sections and lists of tables).
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        struct $name:ident {
            $( $(#[doc = $doc:literal])+ $key:ident : $kind:ty = $default:expr $(, $limit:expr)? ; )*
        }
        $( with { $( $(#[doc = $more_doc:literal])* $more:ident : $more_kind:ty , )* } )?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name {
            $( $(#[doc = $doc])+ pub(crate) $key: $kind, )*
            $($( $(#[doc = $more_doc])* pub(crate) $more: $more_kind, )*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* $($( $more: Default::default(), )*)? }
            }
        }

        impl $crate::settings::key::Section for $name {
            fn keys(&self) -> &'static [$crate::settings::key::Key] {
                const KEYS: &[$crate::settings::key::Key] = &[
                    $( $crate::settings::key::Key {
                        name: $crate::settings::key::plain(stringify!($key)),
                        doc: concat!($($doc),+),
                        kind: <$kind as $crate::settings::key::Setting>::KIND,
                        default: || <$kind as $crate::settings::key::Setting>::show(&$default),
                        limits: || <[String]>::first(&[
                            $( $crate::settings::key::Limit::<$kind>::describe(&$limit) )?
                        ]).cloned(),
                    }, )*
                ];
                KEYS
            }

            #[cfg(test)]
            fn about(&self) -> &'static str {
                concat!($($about),+)
            }

            fn set(&mut self, key: &str, input: $crate::settings::key::Input<'_>) -> Result<(), String> {
                $( if key == $crate::settings::key::plain(stringify!($key)) {
                    let value: $kind = $crate::settings::key::read(input)?;
                    $( $crate::settings::key::check(&$limit, &value)?; )?
                    self.$key = value;
                    return Ok(());
                } )*
                let _: $crate::settings::key::Input<'_> = input;
                Err(format!("there is no key `{key}`"))
            }

            fn show(&self, key: &str) -> serde_json::Value {
                $( if key == $crate::settings::key::plain(stringify!($key)) {
                    return $crate::settings::key::Setting::show(&self.$key);
                } )*
                debug_assert!(false, "there is no key `{key}`");
                serde_json::Value::Null
            }
        }
    };
}
pub(crate) use section;
