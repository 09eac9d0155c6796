//! `KEYTRAIL__SECTION__KEY`: every key that is not part of a list of tables has a variable.
//!
//! In: the environment. Out: values and their origins laid over the file's, or every mistake. Two underscores part section and key; lists are
//! written with commas. A variable that begins with `KEYTRAIL__` and names no key is a mistake, with the nearest one.

use std::ffi::OsString;

use super::{
    config_file::{ConfigFile, SECTIONS},
    key::Input,
    origin::{Origin, Origins},
    problem::{Problem, nearest},
};

const PREFIX: &str = "KEYTRAIL__";

/// The variable of a key; `lake` has its own.
pub(crate) fn variable(section: &str, key: &str) -> String {
    if section.is_empty() {
        format!("KEYTRAIL_{}", key.to_ascii_uppercase())
    } else {
        format!("{PREFIX}{}__{}", section.replace('.', "__").to_ascii_uppercase(), key.to_ascii_uppercase())
    }
}

/// Lays the environment's values over `config`.
pub(crate) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    config: &mut ConfigFile,
    origins: &mut Origins,
) -> Vec<Problem> {
    let known: Vec<(&str, &str, String)> = SECTIONS
        .iter()
        .filter_map(|section| config.section(section).map(|found| (*section, found.keys())))
        .flat_map(|(section, keys)| keys.iter().map(move |key| (section, key.name, variable(section, key.name))))
        .collect();
    let mut problems = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        // The lake's own variable is read with the flag that it stands for.
        if !name.starts_with(PREFIX) {
            continue;
        }
        let origin = Origin::Environment(name.clone());
        let Some((section, key, _)) = known.iter().find(|(_, _, variable)| *variable == name) else {
            let hint = nearest(&name, known.iter().map(|(_, _, variable)| variable.as_str()));
            let problem = Problem::new(origin, "no key has this name");
            problems.push(problem.hint(hint.map(|near| format!("did you mean `{near}`?"))));
            continue;
        };
        let path = format!("{section}.{key}");
        let outcome = match (value.to_str(), config.section_mut(section)) {
            (Some(text), Some(section)) => section.set(key, Input::Text(text)),
            (None, _) => Err("the value is not UTF-8".to_owned()),
            (_, None) => continue,
        };
        match outcome {
            Ok(()) => origins.note(path, origin),
            Err(text) => problems.push(Problem::new(origin, format!("{path}: {text}"))),
        }
    }
    problems
}
