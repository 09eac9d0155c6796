//! `keytrail config show`: every key with the value in force and where it comes from.
//!
//! Credentials are masked by their types; programs get the kind of origin (`default`, `file`, `environment`, `flag`) beside its place.

use anyhow::Result;
use keytrail_model::display;
use serde_json::{Value, json};

use super::table::{self, Column};
use crate::{
    args::{ConfigCommand, Global},
    exit_code::ExitCode,
    output::Output,
    settings::{Line, Origin, Settings},
};

pub(crate) fn run(command: &ConfigCommand, settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    match command {
        ConfigCommand::Show => {
            let columns = [
                Column::new("key", |line: &Line| display::terminal_safe(&line.key)),
                Column::new("value", |line| display::terminal_safe(&line.written())),
                Column::new("origin", |line| display::terminal_safe(&line.origin.to_string())),
            ];
            table::print(&settings.lines(), &columns, as_json, global.format, output)?;
            Ok(ExitCode::Ok)
        }
    }
}

fn as_json(line: &Line) -> Value {
    let place = match &line.origin {
        Origin::Default => Value::Null,
        Origin::File { file, line } => json!(format!("{file}:{line}")),
        Origin::Environment(variable) => json!(variable),
        Origin::Flag(flag) => json!(flag),
    };
    let known = line.known;
    json!({
        "key": line.key, "value": line.value, "origin": line.origin.as_str(), "place": place,
        "default": known.map_or(Value::Null, |key| (key.default)()),
        "expects": known.map(|key| key.expects()),
        "doc": known.map(|key| key.doc.trim()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ConfigFile;

    #[test]
    fn programs_get_every_key_with_its_origin() {
        let mut settings = Settings { file: ConfigFile::default(), ..Settings::default() };
        settings.set_flag("worker.lease", "--lease", "5m").expect("a length of time");
        let lines: Vec<Value> = settings.lines().iter().map(as_json).collect();
        let find = |key: &str| lines.iter().find(|line| line["key"] == key).expect("the key is shown");
        let lease = find("worker.lease");
        assert_eq!((&lease["value"], &lease["default"]), (&json!("5m"), &json!("2m")));
        assert_eq!((&lease["origin"], &lease["place"]), (&json!("flag"), &json!("--lease")));
        assert_eq!(lease["expects"], "a length of time, 30s to 12h");
        let wait = find("worker.wait");
        assert_eq!((&wait["value"], &wait["origin"], &wait["place"]), (&json!("20s"), &json!("default"), &Value::Null));
        assert!(wait["doc"].as_str().is_some_and(|doc| doc.ends_with("(long polling).")));
        assert_eq!(find("queue.url")["value"], Value::Null);
    }
}
