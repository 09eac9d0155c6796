use keytrail_ingest::normalize::{self, RecordPlace, Scope};

use super::*;
use crate::pack::Packs;

/// The program's own normaliser, record by record.
pub(crate) fn normalize_records(name: &str, bytes: &[u8]) -> Result<Vec<AccessEvent>, String> {
    let file: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let records = file["Records"].as_array().ok_or("no records")?;
    let mut events = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let place = RecordPlace {
            object_key: name,
            record_index: i64::try_from(index).map_err(|error| error.to_string())?,
            delivered_at: None,
            account_hint: None,
            region_hint: None,
        };
        let text = record.to_string();
        let normalized =
            normalize::record(text.as_bytes(), &place, Scope::Secrets).map_err(|error| error.to_string())?;
        events.extend(normalized.rows);
    }
    Ok(events)
}

#[tokio::test]
async fn every_sample_of_every_pack_holds() {
    let packs = Packs::load(None);
    let outcomes = run(&packs.packs, &normalize_records).await;
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| {
            let what = outcome.failure.as_ref()?;
            Some(format!("{}/{}/{}: {what}", outcome.rule_id, outcome.kind.folder(), outcome.name))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} failed\n{}", failed.len(), outcomes.len(), failed.join("\n"));
    let mut said: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.kind == SampleKind::Fires)
        .map(|outcome| format!("{}/{}: {}", outcome.rule_id, outcome.name, outcome.reasons.join(" | ")))
        .collect();
    said.sort();
    insta::assert_snapshot!("reasons", said.join("\n"));
}
