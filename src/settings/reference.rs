//! The reference of every key, as it stands in `docs/CONFIG.md`.

use serde_json::Value as Json;

use super::{
    config_file::{ConfigFile, FIELDS, REPEATED, RULES, SECTIONS},
    environment::variable,
    key::{Key, Section},
};

/// The reference of every key, for `docs/CONFIG.md`.
pub(crate) fn reference() -> String {
    let config = ConfigFile::default();
    let mut page = String::new();
    for path in SECTIONS {
        let Some(section) = config.section(path) else { continue };
        if !section.keys().is_empty() {
            let title = if path.is_empty() { "Before the first section".to_owned() } else { format!("`[{path}]`") };
            chapter(&mut page, &title, section, |key| variable(path, key.name), &[]);
        }
        let below = REPEATED.iter().filter(|list| list.shown_after() == *path);
        for list in below {
            let mut example = ConfigFile::default();
            if let Some(entry) = example.add_entry(list.path) {
                chapter(&mut page, &format!("`[[{}]]`", list.path), entry, |_| String::new(), list.required);
            }
        }
        if *path == "access_log" {
            page.push_str(&format!("### `[{FIELDS}]`\n\n{}\n\n", section.about().trim()));
        }
    }
    page.push_str(&format!(
        "### `[{RULES}.RULE_ID]`\n\nParameters of one rule; `keytrail rules show RULE_ID` lists them with their defaults.\n"
    ));
    page
}

fn chapter(
    page: &mut String,
    title: &str,
    section: &dyn Section,
    variable: impl Fn(&Key) -> String,
    required: &[&str],
) {
    page.push_str(&format!("### {title}\n\n{}\n\n", section.about().trim()));
    page.push_str("| key | value | default | what it does |\n|---|---|---|---|\n");
    for key in section.keys() {
        let default = match (key.default)() {
            _ if required.contains(&key.name) => "required".to_owned(),
            Json::Null => "not set".to_owned(),
            value => format!("`{}`", value),
        };
        let variable = match variable(key) {
            name if name.is_empty() => String::new(),
            name => format!("<br>`{name}`"),
        };
        page.push_str(&format!("| `{}`{variable} | {} | {default} | {} |\n", key.name, key.expects(), key.doc.trim()));
    }
    page.push('\n');
}
