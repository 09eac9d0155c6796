//! The settings as lines: every key with its value and where it comes from.

use serde_json::{Value as Json, json};

use super::{
    Settings,
    config_file::{FIELDS, REPEATED, RULES, SECTIONS},
    key::Key,
    origin::Origin,
};

/// One key as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) key: String,
    /// What the program knows of the key; nothing where its name is the user's.
    pub(crate) known: Option<&'static Key>,
    /// Masked where it could hold a credential; null where nothing is set.
    pub(crate) value: Json,
    pub(crate) origin: Origin,
}

impl Settings {
    /// Every key, in the order of the reference.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut add = |key: String, known: Option<&'static Key>, value: Json| {
            let origin = self.origins.of(&key);
            lines.push(Line { key, known, value, origin });
        };
        for path in SECTIONS {
            let Some(section) = self.file.section(path) else { continue };
            for key in section.keys() {
                add(joined(path, key.name), Some(key), section.show(key.name));
            }
            for list in REPEATED.iter().filter(|list| list.shown_after() == *path) {
                for (position, entry) in self.file.entries(list.path).into_iter().enumerate() {
                    for key in entry.keys() {
                        let value = entry.show(key.name);
                        // Most keys of a sink belong to other kinds of sinks.
                        if list.path != "sink" || !value.is_null() {
                            add(format!("{}[{position}].{}", list.path, key.name), Some(key), value);
                        }
                    }
                }
            }
            if *path == "access_log" {
                for (name, text) in &self.file.access_log.fields {
                    add(joined(FIELDS, name), None, json!(text));
                }
            }
        }
        for (id, params) in &self.file.rules {
            for (name, value) in params {
                add(format!("{RULES}.{id}.{name}"), None, json!(value));
            }
        }
        lines
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Line {
    /// The value as it would be written in the file.
    pub(crate) fn written(&self) -> String {
        match &self.value {
            Json::Null => "not set".to_owned(),
            value => value.to_string(),
        }
    }
}
