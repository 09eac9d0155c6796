//! The TOML file, key by key, each with its line.
//!
//! In: text. Out: values and their origins laid over what is there, or every mistake with file, line, key and what is expected. A key
//! that nobody knows is a mistake at every level, with the nearest known key.

use std::sync::Arc;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    config_file::{ConfigFile, FIELDS, REPEATED, RULES, Repeated, SECTIONS, names_below},
    key::{Input, Section},
    origin::{Origin, Origins},
    problem::{Problem, nearest},
};

/// Lays the file's values over `config`.
pub(crate) fn read(text: &str, name: &str, config: &mut ConfigFile, origins: &mut Origins) -> Vec<Problem> {
    let mut reader = Reader { text, name: name.into(), config, origins, problems: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reader.table("", table.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let problem = Problem::new(reader.place(at), error.message().replace('\n', ", "));
            reader.problems.push(problem);
        }
    }
    reader.problems
}

struct Reader<'a> {
    text: &'a str,
    name: Arc<str>,
    config: &'a mut ConfigFile,
    origins: &'a mut Origins,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Origin {
        let line = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Origin::File { file: Arc::clone(&self.name), line }
    }

    fn refuse(&mut self, offset: usize, text: impl Into<String>, hint: Option<String>) {
        let place = self.place(offset);
        self.problems.push(Problem::new(place, text).hint(hint));
    }

    /// A section, or the file itself.
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let whole = join(path, name);
            if has_key(self.config.section(path), name) {
                let place = self.place(at);
                let Some(section) = self.config.section_mut(path) else { continue };
                let mistake = set(section, name, value);
                self.settle(mistake, whole, place);
            } else if let Some(list) = REPEATED.iter().find(|list| list.path == whole) {
                self.entries(list, value, at);
            } else if whole == FIELDS || whole == RULES || SECTIONS.contains(&whole.as_str()) {
                match value.get_ref().as_table() {
                    Some(table) if whole == FIELDS => self.fields(table),
                    Some(table) if whole == RULES => self.rules(table),
                    Some(table) => self.table(&whole, table),
                    None => self.refuse(at, format!("{whole} is a section"), Some(format!("write [{whole}]"))),
                }
            } else {
                self.unknown(path, name, at, &names_below(path));
            }
        }
    }

    fn settle(&mut self, mistake: Result<(), String>, path: String, place: Origin) {
        match mistake {
            Ok(()) => self.origins.note(path, place),
            Err(text) => self.problems.push(Problem::new(place, format!("{path}: {text}"))),
        }
    }

    fn unknown(&mut self, path: &str, name: &str, at: usize, known: &[&str]) {
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match SECTIONS.iter().find(|other| has_key(self.config.section(other), name)) {
                Some(other) if !other.is_empty() => format!("`{name}` belongs into [{other}]"),
                _ => {
                    format!("there are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                }
            },
        };
        let section = if path.is_empty() { String::new() } else { format!(" in [{path}]") };
        self.refuse(at, format!("unknown key `{name}`{section}"), Some(hint));
    }

    /// `[[list]]`: each entry is a table of its own.
    fn entries(&mut self, list: &Repeated, value: &Spanned<DeValue<'_>>, at: usize) {
        let tables: Option<Vec<_>> = value.get_ref().as_array().and_then(|array| {
            array.iter().map(|item| item.get_ref().as_table().map(|table| (item.span().start, table))).collect()
        });
        let Some(tables) = tables else {
            return self.refuse(
                at,
                format!("{} is a list of tables", list.path),
                Some(format!("write [[{}]]", list.path)),
            );
        };
        for (position, (start, table)) in tables.into_iter().enumerate() {
            let path = format!("{}[{position}]", list.path);
            let Some(section) = self.config.add_entry(list.path) else { continue };
            let known: Vec<&str> = section.keys().iter().map(|key| key.name).collect();
            let mut outcomes = Vec::new();
            for (key, value) in table {
                let name = key.get_ref().as_ref();
                let outcome = known.contains(&name).then(|| set(section, name, value));
                outcomes.push((name, key.span().start, outcome));
            }
            let place = self.place(start);
            self.origins.note(path.clone(), place);
            for (name, at, outcome) in outcomes {
                match outcome {
                    Some(mistake) => {
                        let place = self.place(at);
                        self.settle(mistake, join(&path, name), place);
                    }
                    None => self.unknown(list.path, name, at, &known),
                }
            }
            for name in list.required {
                if !table.contains_key(*name) {
                    self.refuse(start, format!("{path}: `{name}` is missing"), None);
                }
            }
        }
    }

    fn fields(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let path = join(FIELDS, name);
            match value.get_ref().as_str() {
                Some(text) => {
                    self.config.access_log.fields.insert(name.to_owned(), text.to_owned());
                    let place = self.place(at);
                    self.origins.note(path, place);
                }
                None => self.refuse(
                    at,
                    format!("{path}: it is not a text"),
                    Some("write our name = \"your key\"".to_owned()),
                ),
            }
        }
    }

    /// Parameters of rules: which exist, and what they hold, the rule itself says later.
    fn rules(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let (id, at) = (key.get_ref().as_ref(), key.span().start);
            let path = join(RULES, id);
            let (Some(params), Some(toml::Value::Table(plain))) = (value.get_ref().as_table(), plain(value)) else {
                self.refuse(at, format!("{path} is a section"), Some(format!("write [{path}]")));
                continue;
            };
            for param in params.keys() {
                let place = self.place(param.span().start);
                self.origins.note(join(&path, param.get_ref()), place);
            }
            let place = self.place(at);
            self.origins.note(path, place);
            self.config.rules.insert(id.to_owned(), plain);
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn has_key(section: Option<&dyn Section>, name: &str) -> bool {
    section.is_some_and(|section| section.keys().iter().any(|key| key.name == name))
}

fn set(section: &mut dyn Section, name: &str, value: &Spanned<DeValue<'_>>) -> Result<(), String> {
    let value = plain(value).ok_or("the value cannot be read: a number is too large")?;
    section.set(name, Input::Toml(&value))
}

fn plain(value: &Spanned<DeValue<'_>>) -> Option<toml::Value> {
    toml::Value::deserialize(ValueDeserializer::from(value.clone())).ok()
}
