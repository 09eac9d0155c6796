//! Ids as small numbers: each secret's and principal's text is kept once.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

/// The number of one text in an [`Ids`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(u32);

impl Id {
    /// The least and the greatest, for ranges over pairs.
    pub(crate) const MIN: Self = Self(0);
    pub(crate) const MAX: Self = Self(u32::MAX);
}

/// The texts, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, Id>,
}

impl PartialEq for Ids {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Ids {
    /// The number of a text, new if need be.
    pub fn of(&mut self, text: &str) -> Id {
        if let Some(&id) = self.numbers.get(text) {
            return id;
        }
        let id = Id(u32::try_from(self.texts.len()).unwrap_or(u32::MAX - 1));
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, id);
        id
    }

    /// The number of a text that has one.
    pub fn find(&self, text: &str) -> Option<Id> {
        self.numbers.get(text).copied()
    }

    /// The text of a number.
    pub fn text(&self, id: Id) -> &str {
        self.texts.get(id.0 as usize).map_or("", |text| text)
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }
}
