//! Tests of what is written: bytes, names, shapes, and that every labelled event is in a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::Path,
};

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::{CorpusOptions, FAKE_SESSION_TOKEN_MARK, Labels, Options, SimulateErrorKind, corpus, simulate};

fn small(out: &Path, seed: u64) -> Options {
    Options { days: 12, seed, scale: 0.1, file_interval_minutes: 120, ..Options::new(out) }
}

fn files(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>, root: &Path) {
    for entry in fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, into, root);
        } else {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            into.insert(name, fs::read(&path).expect("file"));
        }
    }
}

fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    files(root, &mut all, root);
    all
}

fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes).read_to_string(&mut out).expect("gzip of text");
    } else {
        out = String::from_utf8(bytes.to_vec()).expect("text");
    }
    out
}

fn run(options: &Options) -> (crate::Summary, BTreeMap<String, Vec<u8>>) {
    let summary = simulate(options, &mut |_| {}).expect("simulated");
    let all = tree(&options.out);
    (summary, all)
}

#[test]
fn equal_options_write_equal_bytes_and_another_seed_does_not() {
    let (one, two, three) =
        (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let first = run(&small(one.path(), 7)).1;
    assert!(first == run(&small(two.path(), 7)).1);
    assert!(first != run(&small(three.path(), 8)).1);
}

#[test]
fn every_file_parses_and_holds_what_the_labels_name() {
    let dir = tempfile::tempdir().expect("dir");
    let (summary, all) = run(&small(dir.path(), 7));
    let (mut ids, mut copies, mut secret_events, mut tokens) = (BTreeSet::new(), 0, 0, 0);
    for (name, bytes) in all.iter().filter(|(name, _)| name.starts_with("AWSLogs/")) {
        let parsed: Value = serde_json::from_str(&text(bytes)).expect("one JSON object");
        let stem = name.rsplit('/').next().expect("a name");
        let parts: Vec<_> = stem.trim_end_matches(".json.gz").split('_').collect();
        assert!(parts.len() == 5 && parts[1] == "CloudTrail" && parts[3].len() == 14 && parts[4].len() == 16, "{stem}");
        for record in parsed["Records"].as_array().expect("records") {
            assert_eq!(record["recipientAccountId"], parts[0]);
            assert_eq!(record["awsRegion"], parts[2]);
            let source = record["eventSource"].as_str().expect("source");
            let secret = source.starts_with("secretsmanager")
                || record["requestParameters"]["encryptionContext"]["SecretARN"].is_string()
                || record["requestParameters"]["encryptionContext"]["PARAMETER_ARN"].is_string();
            secret_events += u64::from(secret);
            tokens += u64::from(
                record["responseElements"]["credentials"]["sessionToken"]
                    .as_str()
                    .is_some_and(|token| token.contains(FAKE_SESSION_TOKEN_MARK)),
            );
            copies += u64::from(!ids.insert(record["eventID"].as_str().expect("id").to_owned()));
        }
    }
    assert_eq!((ids.len() as u64, copies), (summary.records, summary.duplicates));
    assert!(copies > 0 && tokens > 0 && secret_events > 500);
    let labels: Labels = serde_json::from_slice(&all["labels.json"]).expect("labels");
    assert!(labels.expected.len() >= 10, "{:?}", labels.expected.len());
    for label in labels.expected.iter().chain(&labels.quiet) {
        assert!(!label.event_ids.is_empty());
        assert!(label.event_ids.iter().all(|id| ids.contains(id)), "{label:?}");
    }
}

#[test]
fn secrets_are_a_plausible_share_at_full_scale() {
    let dir = tempfile::tempdir().expect("dir");
    let options = Options { scale: 1.0, file_interval_minutes: 720, secrets: 0, ..small(dir.path(), 7) };
    let summary = run(&options).0;
    let share = summary.secret_records as f64 / summary.records as f64;
    assert!((0.02..0.09).contains(&share), "{share}");
}

#[test]
fn access_logs_are_objects_without_delimiters_and_a_few_are_broken() {
    let dir = tempfile::tempdir().expect("dir");
    let options = Options { days: 60, scale: 0.0, file_interval_minutes: 1_440, ..small(dir.path(), 7) };
    let (summary, all) = run(&options);
    let (mut good, mut broken) = (0, 0);
    for (_, bytes) in all.iter().filter(|(name, _)| name.starts_with("apigw-access-logs/")) {
        let text = text(bytes);
        assert!(!text.contains('\n'));
        for piece in text.split("{\"v\":1,").skip(1) {
            match serde_json::from_str::<Value>(&format!("{{{piece}")) {
                Ok(line) => {
                    good += 1;
                    let (arn, caller) =
                        (line["userArn"].as_str().expect("arn"), line["caller"].as_str().expect("caller"));
                    assert!(arn.contains(":assumed-role/svc-") && caller.starts_with("AROA") && caller.contains(':'));
                }
                Err(_) => broken += 1,
            }
        }
    }
    assert_eq!(good + broken, summary.access_log_lines);
    assert!((1..40).contains(&broken), "{broken}");
}

#[test]
fn a_finished_folder_is_recognised_and_a_foreign_one_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let options = Options { days: 3, ..small(dir.path(), 7) };
    let first = simulate(&options, &mut |_| {}).expect("simulated");
    let again = simulate(&options, &mut |_| panic!("nothing is written")).expect("recognised");
    assert!(first.written && !again.written && first.records == again.records);

    let logs = tree(dir.path());
    let lost = logs.keys().find(|name| name.starts_with("AWSLogs/")).expect("a file");
    fs::remove_file(dir.path().join(lost)).expect("removed");
    assert!(simulate(&options, &mut |_| {}).expect("written again").written);
    assert!(logs == tree(dir.path()));

    let other = Options { seed: 9, ..options };
    let refused = simulate(&other, &mut |_| {}).expect_err("made by others");
    assert!(matches!(refused.kind, SimulateErrorKind::ForeignFolder));
}

#[test]
fn a_corpus_has_the_asked_size_and_parses() {
    let dir = tempfile::tempdir().expect("dir");
    let options = CorpusOptions { target_json_bytes: 8_000_000, ..CorpusOptions::new(dir.path().join("corpus")) };
    let summary = corpus(&options).expect("written");
    assert!(summary.json_bytes >= 8_000_000);
    let share = summary.secret_records as f64 / summary.records as f64;
    assert!((0.01..0.06).contains(&share), "{share}");
    let records: usize = tree(&options.out)
        .values()
        .map(|bytes| {
            serde_json::from_str::<Value>(&text(bytes)).expect("JSON")["Records"].as_array().map_or(0, Vec::len)
        })
        .sum();
    assert_eq!(records as u64, summary.records);
    assert!(corpus(&options).is_err());
}
