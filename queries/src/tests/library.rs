//! Every query of the library runs, and answers what its title asks.

use std::{fmt::Write as _, path::Path};

use keytrail_lake::session::Limits;

use super::fixture::{API, ask, lake, month};
use crate::{Library, QuerySource, RunOptions, check};

/// The parameters that have no default.
const GIVEN: &[(&str, &str)] = &[("secret", "app/*"), ("principal", API), ("alert", "a1")];

#[tokio::test]
async fn every_query_answers_on_a_small_lake_and_on_an_empty_one() {
    let library = Library::embedded();
    let full = lake(&month(), Limits::default()).await;
    let empty = lake(&[], Limits::default()).await;
    for query in library.iter() {
        let source = QuerySource::Named(query.name.clone());
        let given: Vec<_> = GIVEN
            .iter()
            .copied()
            .filter(|(name, _)| query.params.iter().any(|param| param.name == *name && param.default.is_none()))
            .collect();
        let checked = check(&full, &library, &source).await.unwrap_or_else(|error| panic!("{}: {error}", query.name));
        let names: Vec<&str> = checked.params.iter().map(|(name, _)| name.as_str()).collect();
        let mut declared: Vec<&str> = query.params.iter().map(|param| param.name.as_str()).collect();
        declared.sort_unstable();
        assert_eq!(names, declared, "{}: the declared parameters are those that it uses", query.name);
        let mut narrow = given.clone();
        match query.name.as_str() {
            "batch-reads" => narrow.push(("at_least", "1")),
            "first-reads" | "principal-history" => narrow.push(("window", "30d")),
            _ => {}
        }
        let (rows, outcome) = ask(&full, source.clone(), &narrow, &RunOptions::default())
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", query.name));
        assert!(!rows.is_empty(), "{} finds nothing", query.name);
        assert_eq!((rows.len(), outcome.truncated), (outcome.rows, false), "{}", query.name);
        ask(&empty, source, &given, &RunOptions::default())
            .await
            .unwrap_or_else(|error| panic!("{} on an empty lake: {error}", query.name));
    }
}

#[tokio::test]
async fn answers_are_right() {
    let session = lake(&month(), Limits::default()).await;
    let ask = async |name: &str, given: &[(&str, &str)]| {
        ask(&session, QuerySource::Named(name.to_owned()), given, &RunOptions::default()).await.expect(name).0
    };
    assert_eq!(
        ask("old-versions", &[]).await,
        [
            "2026-01-12T00:00:00Z | arn:aws:iam::111122223333:user/kim | arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AbCdEf \
          | v1 |  | request | 2026-01-10T00:00:00Z | 203.0.113.7 | e-2026-01-12T00:00:00Z"
        ]
    );
    assert_eq!(ask("old-versions", &[("grace", "3d")]).await, [""; 0]);
    let off = ask("off-network", &[]).await;
    assert_eq!(off.len(), 1, "{off:?}");
    assert!(off[0].contains("203.0.113.7"), "{off:?}");
    let unused = ask("unused-candidates", &[]).await;
    assert_eq!(unused.len(), 1, "{unused:?}");
    assert!(unused[0].contains("old/key"), "{unused:?}");
    assert_eq!(ask("busiest-readers", &[("top", "1")]).await, [format!("{API} | 3 | 2 | 3 | 2026-01-23T00:00:00Z")]);
    assert_eq!(ask("who-read", &[("secret", "app/db"), ("now", "2026-01-05")]).await.len(), 1);
}

/// `KEYTRAIL_UPDATE_DOCS=1 cargo test -p keytrail-queries reference` writes the page anew.
#[test]
fn the_reference_of_queries_is_up_to_date() {
    let mut page = String::from(
        "# Named queries\n\n<!-- Made from `queries/library/` by `KEYTRAIL_UPDATE_DOCS=1 cargo test -p keytrail-queries reference`; do not edit. -->\n\n\
         `keytrail query NAME --param KEY=VALUE`. A glob has `*` for any run of characters and `?` for one.\n",
    );
    for query in Library::embedded().iter() {
        writeln!(page, "\n## `{}`: {}\n\n{}", query.name, query.title, query.description).expect("a string");
        if !query.params.is_empty() {
            page.push_str("\n| parameter | type | default | meaning |\n|---|---|---|---|\n");
        }
        for param in &query.params {
            let default =
                param.default.as_ref().map_or_else(|| "must be given".to_owned(), |default| format!("`{default}`"));
            writeln!(page, "| `{}` | {} | {default} | {} |", param.name, param.kind.as_str(), param.doc)
                .expect("a string");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/queries.md");
    if std::env::var_os("KEYTRAIL_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/reference/queries.md is out of date: run with KEYTRAIL_UPDATE_DOCS=1");
}
