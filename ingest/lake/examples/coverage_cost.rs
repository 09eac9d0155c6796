//! What the views cost that every command's data line reads: `coverage`, `quarantine`, `silences` over many objects.
//!
//! `cargo run --release -p keytrail-lake --example coverage_cost -- [OBJECTS] [FOLDER]` writes the ledger lines of so many
//! objects (100,000 by default: 20 regions over 90 days, one in a thousand in trouble and half of those read again) and
//! times each view, as committed and compacted. With a folder the lake stays there.

use std::{error::Error, io::Write, path::PathBuf, time::Instant};

use keytrail_lake::{Batch, Lake, LakeSettings, session::SessionSettings};
use keytrail_model::{
    Micros, ObjectEntry, ObjectId, ObjectOutcome,
    time::{self, DAY, SECOND},
};

/// 2026-05-01T00:00:00Z.
const START: Micros = 1_777_593_600_000_000;
const PER_COMMIT: usize = 5_000;
const REGIONS: usize = 20;
const DAYS: i64 = 90;

const QUESTIONS: [(&str, &str); 5] = [
    (
        "the data line's first question",
        "SELECT (SELECT horizon_at FROM horizon), (SELECT count(*) FROM quarantine), (SELECT min(hour_at) FROM coverage)",
    ),
    (
        "gaps",
        "SELECT account_id, region, silent_from, silent_until FROM coverage WHERE state = 'gap' GROUP BY account_id, region, silent_from, silent_until",
    ),
    ("coverage", "SELECT state, count(*) FROM coverage GROUP BY state"),
    ("silences", "SELECT * FROM silences"),
    ("objects", "SELECT outcome, count(*) FROM objects GROUP BY outcome"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let objects = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 100_000,
    };
    let kept = std::env::args().nth(2).map(PathBuf::from);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(objects, kept))
}

async fn measure(objects: usize, kept: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let lake = Lake::open(kept.as_deref().unwrap_or(folder.path()), LakeSettings::default()).await?;
    let mut out = std::io::stdout().lock();
    let begun = Instant::now();
    // A folder that was filled before is only asked.
    let missing = if lake.version().await? == 0 { objects } else { 0 };
    for first in (0..missing).step_by(PER_COMMIT) {
        let lines: Vec<ObjectEntry> =
            (first..missing.min(first + PER_COMMIT)).map(|number| line(number, objects)).collect();
        let mut read_again = lines.clone();
        read_again.retain(|line| matches!(line.outcome, ObjectOutcome::Quarantined(_)));
        read_again.truncate(read_again.len() / 2);
        for line in &mut read_again {
            line.outcome = ObjectOutcome::Committed;
        }
        lake.commit(Batch { objects: lines, ..Batch::default() }).await?;
        lake.commit(Batch { objects: read_again, again: true, ..Batch::default() }).await?;
    }
    writeln!(out, "{objects} objects in {:.1} s", begun.elapsed().as_secs_f64())?;
    for layout in ["as committed", "compacted"] {
        if layout == "compacted" {
            lake.compact(START + 2 * DAYS * DAY).await?;
        }
        for (name, sql) in QUESTIONS {
            let mut took = Vec::new();
            for hashed in [true, false] {
                let settings = SessionSettings { prefer_hash_join: hashed, ..SessionSettings::default() };
                let begun = Instant::now();
                let rows: usize = lake
                    .session(&settings)
                    .await?
                    .sql(sql)
                    .await?
                    .collect()
                    .await?
                    .iter()
                    .map(|rows| rows.num_rows())
                    .sum();
                took.push(format!("{:.0} ms ({rows} rows)", begun.elapsed().as_secs_f64() * 1_000.0));
            }
            writeln!(out, "{layout}: {name}: {}", took.join(", joined by sorting "))?;
        }
    }
    Ok(())
}

/// The ledger line of one object: delivered in its turn, its events a minute before.
fn line(number: usize, of: usize) -> ObjectEntry {
    let share = DAYS * DAY / i64::try_from(of).unwrap_or(i64::MAX);
    let delivered_at = START + i64::try_from(number).unwrap_or_default() * share;
    let region = format!("region-{}", number % REGIONS);
    let day = time::utc_day(delivered_at);
    let broken = number.is_multiple_of(1_000);
    ObjectEntry {
        object: ObjectId {
            key: format!(
                "s3://trail/AWSLogs/111122223333/CloudTrail/{region}/{}/{number:020}.json.gz",
                day.replace('-', "/")
            ),
            version: format!("{number:032x}"),
        },
        outcome: if broken { ObjectOutcome::Quarantined("no gzip".to_owned()) } else { ObjectOutcome::Committed },
        content_kind: "cloudtrail".to_owned(),
        account_id: Some("111122223333".to_owned()),
        region: Some(region),
        delivered_at: Some(delivered_at),
        size_bytes: 1_000,
        json_bytes: 10_000,
        record_count: 10,
        kept_count: 1,
        ignored_count: 9,
        quarantined: Vec::new(),
        first_event_at: Some(delivered_at - 300 * SECOND),
        last_event_at: Some(delivered_at - 60 * SECOND),
    }
}
