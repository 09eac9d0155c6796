//! An event's id in 24 bytes: CloudTrail's are UUIDs, and millions of them are remembered.
//!
//! In: any text. Out: the same text, and its order. A text that is no UUID in lower case is kept as it is.

use std::{borrow::Cow, cmp::Ordering, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the dashes of a UUID stand.
const DASHES: [usize; 4] = [8, 13, 18, 23];
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The id of one event.
#[derive(Clone, PartialEq, Eq)]
pub struct EventId(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Uuid([u8; 16]),
    Text(Box<str>),
}

impl EventId {
    pub fn new(text: &str) -> Self {
        Self(uuid(text.as_bytes()).map_or_else(|| Form::Text(text.into()), Form::Uuid))
    }

    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Text(text) => Cow::Borrowed(text),
            Form::Uuid(bytes) => {
                let mut text = String::with_capacity(36);
                for byte in bytes {
                    if DASHES.contains(&text.len()) {
                        text.push('-');
                    }
                    for digit in [byte >> 4, byte & 15] {
                        text.push(DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0').into());
                    }
                }
                Cow::Owned(text)
            }
        }
    }
}

/// The bytes of a UUID that is written as CloudTrail writes it.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 || DASHES.iter().any(|at| text.get(*at) != Some(&b'-')) {
        return None;
    }
    let mut bytes = [0; 16];
    let mut digits = text.iter().enumerate().filter(|(at, _)| !DASHES.contains(at)).map(|(_, digit)| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    });
    for byte in &mut bytes {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(bytes)
}

impl Ord for EventId {
    /// The order of the texts.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Form::Uuid(one), Form::Uuid(other)) => one.cmp(other),
            _ => self.text().cmp(&other.text()),
        }
    }
}

impl PartialOrd for EventId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&Cow::<'de, str>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<EventId>(), 24);
        assert!(matches!(EventId::new("4e7a0d8a-1e3f-4c1a-9b0e-7d1c2b3a4f5e").0, Form::Uuid(_)));
        for text in ["4E7A0D8A-1e3f-4c1a-9b0e-7d1c2b3a4f5e", "4e7a0d8a-1e3f-4c1a-9b0e-7d1c2b3a4f5", "é", ""] {
            assert!(matches!(EventId::new(text).0, Form::Text(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_text_and_its_order(
            one in "[0-9a-fA-F-]{0,3}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            other in ".{0,8}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ) {
            let ids = (EventId::new(&one), EventId::new(&other));
            prop_assert_eq!(ids.0.text(), one.as_str());
            prop_assert_eq!(ids.0.cmp(&ids.1), one.cmp(&other));
            let json = serde_json::to_string(&ids.1).expect("text");
            prop_assert_eq!(serde_json::from_str::<EventId>(&json).expect("the same"), ids.1);
        }
    }
}
