//! The reference pages of views and functions are made from their sources; this fails when they differ.
//!
//! `KEYTRAIL_UPDATE_DOCS=1 cargo test -p keytrail-lake reference` writes them anew.

use std::{fmt::Write as _, path::Path};

use deltalake::{arrow::datatypes::DataType, datafusion::prelude::SessionContext};

use crate::{
    functions,
    schema::{Column, TableName},
    session::VIEWS,
};

const GENERATED: &str =
    "<!-- Made from the sources by `KEYTRAIL_UPDATE_DOCS=1 cargo test -p keytrail-lake reference`; do not edit. -->";

fn assert_page(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("KEYTRAIL_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&path, expected).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/reference/{name} is out of date: run with KEYTRAIL_UPDATE_DOCS=1");
}

fn type_word(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Boolean => "boolean",
        DataType::Timestamp(..) => "moment (UTC)",
        DataType::List(_) => "list of text",
        data_type if data_type.is_integer() => "integer",
        data_type if data_type.is_floating() => "number",
        other => panic!("the page has no word for {other}"),
    }
}

pub(super) fn stored(view: &str) -> Option<TableName> {
    match view {
        "access_events" => Some(TableName::AccessEvents),
        "objects" => Some(TableName::Objects),
        "quarantine" => Some(TableName::Quarantine),
        "alerts" => Some(TableName::AlertLog),
        "alert_deliveries" => Some(TableName::DeliveryLog),
        "suppressions" => Some(TableName::SuppressionLog),
        "events" => Some(TableName::Events),
        _ => None,
    }
}

async fn table(page: &mut String, session: &SessionContext, name: &str, description: &str, docs: &[(String, String)]) {
    writeln!(page, "\n## `{name}`\n\n{description}\n\n| column | type | meaning |\n|---|---|---|").expect("a string");
    let columns: &[Column] = stored(name).map_or(&[], |table| table.spec().columns);
    for field in session.table(name).await.expect(name).schema().fields() {
        let from_view = docs.iter().find(|(column, _)| column == field.name()).map(|(_, doc)| doc.as_str());
        let from_table = columns.iter().find(|column| column.name == field.name()).map(|column| column.doc);
        let doc = from_view.or(from_table).unwrap_or_else(|| panic!("{name}.{} has no meaning", field.name()));
        writeln!(page, "| `{}` | {} | {} |", field.name(), type_word(field.data_type()), doc.replace('|', "\\|"))
            .expect("a string");
    }
}

fn pairs(docs: &[(&str, &str)]) -> Vec<(String, String)> {
    docs.iter().map(|(column, doc)| ((*column).to_owned(), (*doc).to_owned())).collect()
}

#[tokio::test]
async fn the_reference_of_views_is_up_to_date() {
    let session = super::empty().await;
    let mut page = format!(
        "# Views\n\n{GENERATED}\n\nThe tables of every SQL session. Moments are UTC with microseconds. A *use* is a read or an \
         invocation that succeeded.\n"
    );
    for view in VIEWS.iter().filter(|view| view.listed) {
        let description =
            view.description().replace("Column meanings: the lake's table of columns.", "").trim().replace('\n', " ");
        table(&mut page, &session, view.name, &description, &view.column_docs()).await;
    }
    table(&mut page, &session, "events", "Every CloudTrail record, kept with `scope = \"all\"`; else empty.", &[])
        .await;
    let classes = pairs(&[("pattern", "a glob over principals"), ("class", "`upkeep` or `sync_agent`")]);
    table(&mut page, &session, "reader_classes", "The `[readers]` of the configuration, in order.", &classes).await;
    let networks = pairs(&[
        ("policy", "the number of the entry, from 1"),
        ("secret_pattern", "a glob over secrets"),
        ("principal_pattern", "a glob over principals"),
        ("cidr", "a network that may use them"),
        ("vpc_endpoint_id", "an endpoint that may use them"),
    ]);
    let description = "The `[[policy.network]]` entries of the configuration: one row for each secret glob, principal glob and allowed \
                       network or endpoint. An entry that allows nothing is one row with both null.";
    table(&mut page, &session, "policy_networks", description, &networks).await;
    assert_page("views.md", &page);
}

#[test]
fn the_reference_of_functions_is_up_to_date() {
    let mut page = format!(
        "# Functions\n\n{GENERATED}\n\nWhat Keytrail adds to the engine's own functions; `SHOW FUNCTIONS` lists all. Null in gives null out, unless the function says otherwise.\n"
    );
    for function in functions::documented() {
        writeln!(
            page,
            "\n## `{}`\n\n{} Returns {}.\n",
            function.syntax(),
            function.description,
            function.returns.word()
        )
        .expect("a string");
        for (name, meaning) in function.arguments {
            writeln!(page, "- `{name}`: {meaning}").expect("a string");
        }
        page.push_str("\n```sql\n");
        for (call, result) in function.examples {
            writeln!(page, "{call}  -- {result}").expect("a string");
        }
        page.push_str("```\n");
    }
    assert_page("functions.md", &page);
}
