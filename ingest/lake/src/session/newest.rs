//! Which ledger lines still count: of an object read again the newest, and of a line without a version none that was
//! followed by a reading of its key.
//!
//! In: the stored objects and quarantine, once for each session. Out: two functions for the views, `is_newest_line(digest,
//! version)` and `is_read_since(key, version)`. Objects read again are few and the functions hold them in memory, so the
//! views need no join and no sort over all objects.

use std::{collections::HashMap, sync::Arc};

use deltalake::{
    arrow::{
        array::{Array, AsArray, BooleanArray},
        compute::cast,
        datatypes::{DataType, Int64Type},
    },
    datafusion::{
        common::Result,
        logical_expr::{ColumnarValue, Volatility, create_udf},
        prelude::SessionContext,
    },
};

const REPLACED: &str =
    "SELECT object_digest, max(ledger_version) FROM objects_stored WHERE replaces GROUP BY object_digest";
const UNKNOWN: &str = "SELECT object_key FROM quarantine_stored WHERE object_version = '' LIMIT 1";
const READ_SINCE: &str = "SELECT object_key, max(ledger_version) FROM objects_stored \
    WHERE outcome <> 'quarantined' AND object_key IN (SELECT object_key FROM quarantine_stored WHERE object_version = '') \
    GROUP BY object_key";

/// Texts and the newest version of `access_events` that is known of each.
type Versions = HashMap<String, i64>;

/// Reads what was replaced and registers the functions.
pub(super) async fn register(session: &SessionContext) -> Result<()> {
    let replaced = versions(session, REPLACED).await?;
    let unknown: usize = session.sql(UNKNOWN).await?.collect().await?.iter().map(|rows| rows.num_rows()).sum();
    let read_since = if unknown == 0 { Versions::new() } else { versions(session, READ_SINCE).await? };
    // A line of an object that was never replaced is its newest.
    function(session, "is_newest_line", replaced, |known, version| known.is_none_or(|known| version >= known));
    function(session, "is_read_since", read_since, |known, version| known.is_some_and(|known| version < known));
    Ok(())
}

async fn versions(session: &SessionContext, sql: &str) -> Result<Versions> {
    let mut found = Versions::new();
    for rows in session.sql(sql).await?.collect().await? {
        let (texts, versions) = (cast(rows.column(0), &DataType::Utf8)?, cast(rows.column(1), &DataType::Int64)?);
        let (texts, versions) = (texts.as_string::<i32>(), versions.as_primitive::<Int64Type>());
        found.extend((0..rows.num_rows()).map(|row| (texts.value(row).to_owned(), versions.value(row))));
    }
    Ok(found)
}

fn function(session: &SessionContext, name: &str, known: Versions, says: fn(Option<i64>, i64) -> bool) {
    let body = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [texts, versions] = arrays.as_slice() else {
            return deltalake::datafusion::common::exec_err!("two arguments");
        };
        let (texts, versions) = (texts.as_string::<i32>(), versions.as_primitive::<Int64Type>());
        let answer = (0..texts.len()).map(|row| {
            // Most sessions have nothing to look up.
            let found = if known.is_empty() { None } else { known.get(texts.value(row)).copied() };
            Some(says(found, versions.value(row)))
        });
        Ok(ColumnarValue::Array(Arc::new(answer.collect::<BooleanArray>())))
    };
    let types = vec![DataType::Utf8, DataType::Int64];
    session.register_udf(create_udf(name, types, DataType::Boolean, Volatility::Immutable, Arc::new(body)));
}
