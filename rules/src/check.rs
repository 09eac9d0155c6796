//! `rules check`: everything that can be wrong with packs, found without judging anything.
//!
//! In: packs and the user's settings. Out: every mistake, each with its file and, where it is in text, line and column:
//! manifests, templates, parameters, the SQL as planned over empty tables, and sample files.

use crate::{
    error::{RuleError, RuleErrorKind},
    evaluate,
    pack::Packs,
    rule::Rule,
    sample::Sample,
    settings::RuleSettings,
    tables::Tables,
};

/// Every mistake in the packs, in the order of their ids.
pub async fn check(packs: Packs, settings: &RuleSettings) -> Vec<RuleError> {
    let mut errors = packs.errors;
    let tables = Tables::new(&settings.networks, &settings.readers);
    for pack in packs.packs {
        let id = pack.manifest.id.clone();
        errors.extend(pack.samples.iter().filter_map(|file| Sample::parse(&id, file).err()));
        let tables = match &tables {
            Ok(tables) => tables,
            Err(error) => {
                errors.push(RuleError::new(&id, "detect.sql", RuleErrorKind::Sql(error.strip_backtrace())));
                continue;
            }
        };
        match Rule::resolve(pack, settings.overrides.get(&id)) {
            Ok(rule) => errors.extend(evaluate::check(&rule, tables.session(), 0).await.err()),
            Err(error) => errors.push(error),
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::pack::Pack;

    const MANIFEST: &str = "id = \"mine\"\ntitle = \"t\"\nversion = \"1\"\nseverity = \"low\"\ndescription = \"d\"\n\
        run = [\"batch\"]\nfold_by = [\"principal_id\"]\nepisode_gap = \"1h\"\n[text]\ntitle = \"t\"\nreason = \"r\"\n";
    const COLUMNS: &str =
        "event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key";

    async fn said(sql: &str) -> String {
        let files = [("rule.toml", MANIFEST), ("detect.sql", sql), ("guide.md", "g")];
        let files: BTreeMap<String, String> =
            files.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
        let pack = Arc::new(Pack::from_files("mine", &files, false).expect("a pack"));
        let packs = Packs { packs: vec![pack], errors: Vec::new() };
        let errors = check(packs, &RuleSettings::default()).await;
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn the_built_in_packs_are_right() {
        let errors = check(Packs::load(None), &RuleSettings::default()).await;
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[tokio::test]
    async fn mistakes_in_sql_have_a_place() {
        assert_eq!(said(&format!("SELECT {COLUMNS}, record_index FROM new_events")).await, "");
        let missing = said(&format!("SELECT {COLUMNS} FROM new_events")).await;
        assert_eq!(missing, "mine/detect.sql: the SQL does not give the column `record_index`");
        for (sql, place) in [
            ("SELECT principal\nFROM new_evens", "mine/detect.sql:2:6: "),
            ("SELECT *\nFROM new_events\nWHERE secretid = 'x'", "mine/detect.sql:3:7: "),
            ("SELECT *\nFORM new_events", "mine/detect.sql:2:"),
            ("SELECT event_at + $gap FROM new_events", "mine/detect.sql:1:19: there is no parameter `gap`"),
        ] {
            let error = said(sql).await;
            assert!(error.starts_with(place), "{sql}: {error}");
        }
    }
}
