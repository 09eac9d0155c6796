//! Real recordings (`KEYTRAIL_REAL_DATA`, default `../shared/data` beside the workspace).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use keytrail_model::{AccessEvent, Action, Outcome, SecretKind};
use serde_json::Value;

use crate::normalize::{Normalized, RecordError, RecordPlace, Scope, may_matter, record};

/// A folder of the recordings, or nothing (said on stderr) where they are not.
fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("KEYTRAIL_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    {
        eprintln!("skipped: no real recordings in {}", folder.display());
    }
    None
}

/// The records of every file of a folder, in the order of the files' names.
fn records(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut records = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let items = match value {
            Value::Array(items) => items,
            Value::Object(mut members) => match members.remove("Records") {
                Some(Value::Array(items)) => items,
                _ => vec![Value::Object(members)],
            },
            _ => continue,
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        records.extend(items.into_iter().map(|item| (name.clone(), item)));
    }
    records
}

fn read(name: &str, value: &Value, scope: Scope) -> Result<Normalized, RecordError> {
    let place =
        RecordPlace { object_key: name, record_index: 0, delivered_at: None, account_hint: None, region_hint: None };
    let text = value.to_string();
    let read = record(text.as_bytes(), &place, scope);
    if let Ok(read) = &read {
        assert_eq!(read.rows.is_empty(), read.ignored.is_some());
        assert!(read.rows.is_empty() || may_matter(text.as_bytes()), "{text}");
        assert_eq!(read.trail_event.is_some(), scope == Scope::All);
    }
    read
}

fn reads_of(rows: &[AccessEvent], kind: SecretKind) -> (usize, usize, usize) {
    let reads: Vec<_> = rows
        .iter()
        .filter(|row| row.action == Action::Read && row.outcome == Outcome::Ok && row.secret_kind == Some(kind))
        .collect();
    let secrets: BTreeSet<_> = reads.iter().map(|row| &row.secret_id).collect();
    let events: BTreeSet<_> = reads.iter().map(|row| &row.event_id).collect();
    (reads.len(), secrets.len(), events.len())
}

#[test]
fn stratus_red_team() {
    let Some(folder) = folder("stratus-red-team") else { return };
    let records = records(&folder);
    assert_eq!(records.len(), 310);
    let mut rows = Vec::new();
    for (name, value) in &records {
        rows.extend(read(name, value, Scope::Secrets).expect(name).rows);
        read(name, value, Scope::All).expect(name);
    }
    assert_eq!(reads_of(&rows, SecretKind::SecretsManager), (20, 20, 20));
    assert_eq!(reads_of(&rows, SecretKind::Parameter), (42, 42, 5));
    let batch: Vec<_> = rows.iter().filter(|row| row.event_name == "BatchGetSecretValue").collect();
    assert_eq!(batch.len(), 5);
    assert!(batch.iter().all(|row| row.action == Action::Other && row.secret_id.is_none()));
    for name in ["StopLogging", "DeleteTrail", "PutEventSelectors", "CreateAccessKey", "GetFederationToken"] {
        assert!(rows.iter().any(|row| row.event_name == name), "{name}");
    }
    let pages: Vec<_> = rows.iter().filter(|row| row.event_name == "DescribeParameters").collect();
    assert!(!pages.is_empty() && pages.iter().all(|row| !row.raw.contains("AAEAA")), "page tokens are taken out");
}

#[test]
fn traildiscover() {
    let Some(folder) = folder("traildiscover") else { return };
    let mut targets = BTreeSet::new();
    let mut count = 0;
    for (name, value) in records(&folder) {
        if value.get("eventSource").is_none() {
            continue;
        }
        count += 1;
        let read = read(&name, &value, Scope::All).expect(&name);
        for row in read.rows.iter().filter(|row| row.outcome == Outcome::Denied) {
            targets.insert((row.event_name.clone(), row.secret_id.clone()));
        }
    }
    assert!(count > 500, "{count}");
    let target = |name: &str, id: &str| (name.to_owned(), Some(id.to_owned()));
    for expected in [
        target("GetSecretValue", "TrailDiscoverSecretId"),
        target("DescribeSecret", "TrailDiscover"),
        target("GetParameters", "arn:aws:ssm:us-east-1:192374575148:parameter/TrailDiscoverParameters"),
        ("ListSecrets".to_owned(), None),
    ] {
        assert!(targets.contains(&expected), "{expected:?} not in {targets:?}");
    }
}

#[test]
fn every_version_of_the_format() {
    let Some(folder) = folder("cloudtrail-versions/examples") else { return };
    let mut versions = BTreeSet::new();
    let mut refused = Vec::new();
    for (name, value) in records(&folder) {
        match read(&name, &value, Scope::All) {
            Ok(_) => {
                versions.insert(value["eventVersion"].as_str().unwrap_or_default().to_owned());
            }
            Err(error) => refused.push((name, error.to_string())),
        }
    }
    let expected = ["1.0", "1.01", "1.02", "1.03", "1.04", "1.05", "1.06", "1.07", "1.08", "1.09", "1.10", "1.11"];
    assert_eq!(versions.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(refused, [("bad1_01.json".to_owned(), "`eventType` is missing".to_owned())]);
}
