use keytrail_ingest::normalize::{self, RecordPlace, Scope};
use proptest::prelude::*;

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

fn read(number: usize, hour: i64, role: u8, secret: u8) -> serde_json::Value {
    let arn = format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/s{secret}-AbCdEf");
    serde_json::json!({
        "eventVersion": "1.11", "eventTime": time::to_rfc3339(1_772_355_600_000_000 + hour * time::HOUR),
        "eventID": format!("00000000-0000-4000-8000-{number:012}"), "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "GetSecretValue", "awsRegion": "us-east-1", "recipientAccountId": "111122223333",
        "eventType": "AwsApiCall", "sourceIPAddress": "198.51.100.20", "requestParameters": {"secretId": arn},
        "userIdentity": {
            "type": "AssumedRole", "principalId": format!("AROAROLE{role}EXAMPLE:s"), "accountId": "111122223333",
            "arn": format!("arn:aws:sts::111122223333:assumed-role/r{role}/s"),
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": format!("arn:aws:iam::111122223333:role/r{role}")}}
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// In event order, wherever the batches are cut, `new_principal` says the same, word for word.
    #[test]
    fn batch_boundaries_do_not_change_new_principal(
        reads in prop::collection::vec((0i64..600, 0u8..4, 0u8..3), 8..40),
        cuts in prop::collection::btree_set(1usize..7, 1..3),
    ) {
        let mut reads = reads;
        reads.sort_unstable();
        let records: Vec<_> = reads.iter().enumerate().map(|(at, &(hour, role, secret))| read(at, hour, role, secret)).collect();
        let json = serde_json::json!({ "Records": records }).to_string();
        let events = normalize_records("p", json.as_bytes()).expect("understood");
        let mut pieces = Vec::new();
        let mut rest = events.as_slice();
        for cut in cuts {
            let (piece, after) = rest.split_at(rest.len() * cut / 8);
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        pieces.retain(|piece| !piece.is_empty());
        let packs = Packs::load(None);
        let pack = packs.find("new_principal").expect("built in");
        let sample = Sample {
            description: String::new(),
            config: crate::sample::SampleConfig::default(),
            as_of: None,
            coverage: Vec::new(),
            records: Vec::new(),
            expect: crate::sample::Expect::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let judged = |batches: &[&[AccessEvent]]| match runtime.block_on(judge(pack, &sample, batches, 0, false)) {
            Ok(alerts) => alerts,
            Err(failed) => panic!("{}", failed.what),
        };
        prop_assert_eq!(judged(&[events.as_slice()]), judged(&pieces));
    }
}
