//! What it costs that rows are unique when written (ADR 0002): commits into a day that already holds many rows.
//!
//! `cargo run --release -p keytrail-lake --example unique_cost -- [ROWS]` fills one day of a lake in a temporary folder
//! (3,000,000 rows by default), then times commits of 1,000 events: live (at the end of the day), late (spread over the
//! day), redelivered (all known), settling (decrypts that change stored reads), before and after the day is compacted.

use std::{
    error::Error,
    io::Write,
    time::{Duration, Instant},
};

use keytrail_lake::{Batch, Lake, LakeSettings};
use keytrail_model::{
    AccessEvent, Action, Micros, ObjectEntry, ObjectId, ObjectOutcome, Outcome, PrincipalKind, Resolution, SecretKind,
    time::{DAY, SECOND},
};

/// 2026-08-01T00:00:00Z.
const START: Micros = 1_785_542_400_000_000;
const PER_COMMIT: usize = 100_000;
const BATCH: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let rows = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 3_000_000,
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(rows))
}

async fn measure(rows: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let lake = Lake::open(folder.path(), LakeSettings::default()).await?;
    let mut out = std::io::stdout().lock();
    let begun = Instant::now();
    for (part, first) in (0..rows).step_by(PER_COMMIT).enumerate() {
        let last = rows.min(first + PER_COMMIT);
        let events = (first..last).map(|number| event(number, rows)).collect();
        lake.commit(batch(events, &format!("fill-{part}"))).await?;
    }
    writeln!(out, "{rows} rows of one day in {:.1} s", begun.elapsed().as_secs_f64())?;
    for layout in ["as committed", "compacted"] {
        if layout == "compacted" {
            let begun = Instant::now();
            let done = lake.compact(START + 30 * DAY).await?;
            writeln!(
                out,
                "compaction: {:.1} s, {} files to {}",
                begun.elapsed().as_secs_f64(),
                done.files_before,
                done.files_after
            )?;
        }
        for (name, events) in batches(rows, layout) {
            let took = timed(&lake, events, &format!("{name}, {layout}")).await?;
            writeln!(out, "{layout}: {BATCH} {name}: {:.0} ms", took.as_secs_f64() * 1_000.0)?;
        }
    }
    Ok(())
}

async fn timed(lake: &Lake, events: Vec<AccessEvent>, object: &str) -> Result<Duration, Box<dyn Error>> {
    let batch = batch(events, object);
    let begun = Instant::now();
    lake.commit(batch).await?;
    Ok(begun.elapsed())
}

fn batches(rows: usize, layout: &str) -> Vec<(&'static str, Vec<AccessEvent>)> {
    let new = |number: usize, at: Micros| {
        let mut event = event(number, rows);
        event.event_id = format!("{layout}-{number}-{at}");
        event.event_at = at;
        event
    };
    let count = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let live = (0..BATCH)
        .map(|number| new(number, START + DAY - SECOND - i64::try_from(number).unwrap_or_default()))
        .collect();
    let late = (0..BATCH)
        .map(|number| new(number, START + i64::try_from(number).unwrap_or_default() * (DAY / count)))
        .collect();
    let known = (0..BATCH).map(|number| event(number * (rows / BATCH).max(1), rows)).collect();
    // Other reads each time: those of the first time have their version.
    let other = usize::from(layout == "compacted");
    let settling = (0..BATCH.min(rows)).map(|number| {
        let mut key = event(number * (rows / BATCH).max(1) + other, rows);
        key.event_id = format!("key-{layout}-{number}");
        key.action = Action::Decrypt;
        key.version_id = Some(format!("{number}"));
        key
    });
    vec![
        ("live events", live),
        ("late events over the whole day", late),
        ("redelivered events over the whole day", known),
        ("decrypts that change reads over the whole day", settling.collect()),
    ]
}

/// The event of a number: spread over the day, of 400 principals and 2,000 secrets, with a record of usual length.
fn event(number: usize, rows: usize) -> AccessEvent {
    let spread = DAY / i64::try_from(rows.max(1)).unwrap_or(i64::MAX).max(1);
    let id = uuid::Uuid::from_u128(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128.wrapping_mul(number as u128 + 1));
    let secret = number * 7 % 2_000;
    AccessEvent {
        event_id: id.to_string(),
        shared_event_id: None,
        corrects_event_id: None,
        event_at: START + spread.max(1) * i64::try_from(number).unwrap_or_default(),
        delivered_at: None,
        event_source: "secretsmanager.amazonaws.com".to_owned(),
        event_name: "GetSecretValue".to_owned(),
        action: Action::Read,
        outcome: Outcome::Ok,
        secret_id: Some(format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/s{secret}-AbCdEf")),
        secret_name: Some(format!("app/s{secret}")),
        secret_kind: Some(SecretKind::SecretsManager),
        secret_account: Some("111122223333".to_owned()),
        secret_region: Some("eu-west-1".to_owned()),
        secret_resolution: Resolution::Arn,
        version_id: None,
        version_stage: None,
        version_evidence: None,
        principal_id: format!("arn:aws:iam::111122223333:role/app/r{}", number * 13 % 400),
        principal_kind: PrincipalKind::Role,
        principal_account: Some("111122223333".to_owned()),
        principal_unique_id: None,
        session_name: Some(format!("i-{:x}", number * 31 % 5_000)),
        source_identity: None,
        access_key_id: Some(format!("ASIA{:016X}", number * 17 % 9_000)),
        credential_kind: None,
        mfa: None,
        invoked_by: None,
        workload: None,
        source_ip: Some(format!("10.0.{}.{}", number % 200, number * 3 % 250)),
        source_network: Some("private".to_owned()),
        vpc_endpoint_id: None,
        user_agent: Some("aws-sdk-java/2.20.0".to_owned()),
        user_agent_family: Some("aws-sdk-java".to_owned()),
        tls_version: Some("TLSv1.3".to_owned()),
        account_id: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
        error_code: None,
        error_message: None,
        with_decryption: None,
        object_key: String::new(),
        record_index: i64::try_from(number).unwrap_or_default(),
        raw: format!(
            "{{\"eventVersion\":\"1.11\",\"eventID\":\"{id}\",\"requestID\":\"{id}\",\"pad\":\"{}\"}}",
            id.to_string().repeat(30)
        ),
    }
}

fn batch(mut rows: Vec<AccessEvent>, key: &str) -> Batch {
    for row in &mut rows {
        key.clone_into(&mut row.object_key);
    }
    let object = ObjectEntry {
        object: ObjectId { key: key.to_owned(), version: "1".to_owned() },
        outcome: ObjectOutcome::Committed,
        content_kind: "cloudtrail".to_owned(),
        account_id: None,
        region: None,
        delivered_at: None,
        size_bytes: 0,
        json_bytes: 0,
        record_count: 0,
        kept_count: 0,
        ignored_count: 0,
        quarantined: Vec::new(),
        first_event_at: None,
        last_event_at: None,
    };
    Batch { rows, objects: vec![object], ..Batch::default() }
}
