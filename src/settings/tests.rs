//! The layers together: what is read, what is refused and how, what is shown.

mod mistakes;

use std::{ffi::OsString, fs};

use keytrail_lake::Location;
use serde_json::json;

use super::{
    names::{EndpointUrl, ExternalId},
    units::{ByteSize, HumanDuration},
    worker::WorkerSection,
    *,
};

fn load(text: &str, variables: &[(&str, &str)], lake: Option<&str>) -> Result<Settings, Failure> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Settings::assemble(Some((text, "keytrail.toml")), variables, lake)
}

fn read(text: &str) -> Settings {
    Settings::from_text(text).expect("a valid configuration")
}

fn refused(text: &str) -> (String, String) {
    let failure = load(text, &[], None).expect_err(text);
    assert_eq!(failure.code, ExitCode::Config);
    (failure.message, failure.hint.unwrap_or_default())
}

#[test]
fn nothing_said_is_every_default() {
    let settings = read("");
    assert_eq!(settings.lake, LakePlace::default());
    let worker = &settings.file.worker;
    assert_eq!((worker.lease, worker.wait), (HumanDuration::minutes(2), HumanDuration::seconds(20)));
    assert_eq!((worker.max_messages, worker.max_message_bytes), (1_500, ByteSize(32 << 20)));
    assert_eq!((worker.commit_after, worker.shutdown_within), (HumanDuration::seconds(2), HumanDuration::seconds(25)));
    assert_eq!((worker.fetches, worker.give_up_after, worker.object_timeout), (32, 5, HumanDuration::minutes(2)));
    let reconcile = &settings.file.reconcile;
    assert_eq!((reconcile.every, reconcile.look_back), (HumanDuration::hours(1), HumanDuration::days(3)));
    assert_eq!(
        (reconcile.grace, settings.file.coverage.silent_after),
        (HumanDuration::minutes(30), HumanDuration::hours(1))
    );
    assert_eq!(settings.file.http.listen.to_string(), "127.0.0.1:7171");
    assert_eq!((settings.file.log.level, settings.file.log.format), (LogLevel::Info, LogFormat::Text));
    assert!(settings.file.policy.network.is_empty() && settings.file.rules.is_empty());
}

#[test]
fn the_defaults_keep_their_own_limits() {
    for path in config_file::SECTIONS {
        let mut config = ConfigFile::default();
        let section = config.section_mut(path).expect("a section of the list");
        for key in section.keys() {
            let text = match (key.default)() {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => continue,
                serde_json::Value::Array(list) if list.is_empty() => continue,
                other => other.to_string(),
            };
            let read_again = section.set(key.name, Input::Text(&text));
            assert_eq!(read_again, Ok(()), "{path}.{}", key.name);
            assert_eq!(section.show(key.name), (key.default)(), "{path}.{}", key.name);
        }
    }
}

#[test]
fn a_whole_file_is_read() {
    let settings = read(
        r#"
lake = "/var/lib/keytrail/lake"
[aws]
region = "eu-central-1"
assume_role = { role_arn = "arn:aws:iam::111122223333:role/keytrail", external_id = "abc-1" }
[[aws.accounts]]
id = "444455556666"
role_arn = "arn:aws:iam::444455556666:role/reader"
[[aws.accounts]]
id = "777788889999"
role_arn = "arn:aws:iam::777788889999:role/path/reader"
external_id = "shared"
[queue]
url = "https://sqs.eu-central-1.amazonaws.com/111122223333/keytrail"
[worker]
lease = "10m"
max_message_bytes = "64 MiB"
[reconcile]
buckets = ["s3://trail-bucket/some/prefix"]
[access_log.fields]
ext_request_id = "extId"
[[policy.network]]
secrets = ["prod/*"]
cidrs = ["10.0.0.0/8"]
[rules.new_principal]
learning = "7d"
"#,
    );
    let file = &settings.file;
    assert_eq!(settings.lake, LakePlace::Folder("/var/lib/keytrail/lake".into()));
    assert_eq!(file.aws.assume_role.external_id.as_ref().map(ExternalId::reveal), Some("abc-1"));
    let roles: Vec<&str> = file.aws.accounts.iter().map(|entry| entry.role_arn.as_str()).collect();
    assert_eq!(roles, ["arn:aws:iam::444455556666:role/reader", "arn:aws:iam::777788889999:role/path/reader"]);
    assert!(matches!(file.queue.source(), Ok(QueueSource::Sqs(_))));
    assert_eq!(file.worker.lease, HumanDuration::minutes(10));
    let places: Vec<String> = file.reconcile.buckets.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["s3://trail-bucket/some/prefix"]);
    assert_eq!(file.access_log.fields.get("ext_request_id").map(String::as_str), Some("extId"));
    assert_eq!(
        (file.policy.network[0].principals.as_slice(), file.policy.network[0].cidrs.len()),
        (&["*".to_owned()][..], 1)
    );
    assert_eq!(file.rules["new_principal"]["learning"].as_str(), Some("7d"));
    assert_eq!(settings.origins.of("aws.accounts[1].external_id").to_string(), "keytrail.toml:12");
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let text = "lake = \"a\"\n[worker]\nlease = \"3m\"\nfetches = 4\n";
    let variables = [
        ("KEYTRAIL__WORKER__LEASE", "4m"),
        ("KEYTRAIL_LAKE", "b"),
        ("KEYTRAIL__AWS__ASSUME_ROLE__SESSION_NAME", "night"),
    ];
    let mut settings = load(text, &variables, Some("b")).expect("valid");
    let origin = |settings: &Settings, path: &str| settings.origins.of(path).to_string();
    assert_eq!(settings.file.worker.lease, HumanDuration::minutes(4));
    assert_eq!(origin(&settings, "worker.lease"), "environment variable KEYTRAIL__WORKER__LEASE");
    assert_eq!((settings.file.worker.fetches, origin(&settings, "worker.fetches")), (4, "keytrail.toml:4".to_owned()));
    assert_eq!(origin(&settings, "worker.wait"), "default");
    assert_eq!(
        (settings.lake.to_string(), origin(&settings, "lake")),
        ("b".to_owned(), "environment variable KEYTRAIL_LAKE".to_owned())
    );
    assert_eq!(settings.file.aws.assume_role.session_name, "night");
    let typed = load(text, &variables, Some("c")).expect("valid");
    assert_eq!((typed.lake.to_string(), origin(&typed, "lake")), ("c".to_owned(), "flag --lake".to_owned()));

    settings.set_flag("worker.lease", "--lease", "5m").expect("a length of time");
    assert_eq!(
        (settings.file.worker.lease, origin(&settings, "worker.lease")),
        (HumanDuration::minutes(5), "flag --lease".to_owned())
    );
    let failure = settings.set_flag("worker.lease", "--lease", "5 parsecs").expect_err("no length");
    assert!(
        failure.code == ExitCode::Usage
            && failure.message.starts_with("--lease: \"5 parsecs\" is not a length of time")
    );
    settings.set_flag("http.listen", "--http", "0.0.0.0:1").expect("an address");
    assert!(
        settings
            .recheck()
            .is_err_and(|failure| failure.message.starts_with("flag --http: http.listen: 0.0.0.0:1 can be reached"))
    );
}

#[test]
fn every_key_outside_lists_of_tables_has_a_variable_that_works() {
    for path in config_file::SECTIONS {
        let config = ConfigFile::default();
        for key in config.section(path).expect("a section of the list").keys() {
            let variable = environment::variable(path, key.name);
            if path.is_empty() {
                assert_eq!(variable, "KEYTRAIL_LAKE");
                continue;
            }
            // A value that no type accepts: that it is refused for its value shows that the key was found.
            let failure = load("", &[(variable.as_str(), "\u{1}")], None).err();
            let is_found = failure.is_none_or(|failure| !failure.message.contains("no key has this name"));
            assert!(is_found, "{variable}");
        }
    }
    let lists = load("", &[("KEYTRAIL__RECONCILE__BUCKETS", "s3://abc/x, s3://def")], None).expect("valid");
    assert_eq!(lists.file.reconcile.buckets.len(), 2);
}

#[test]
fn every_key_is_shown_once_and_no_credential_is() {
    let text = r#"
[aws]
endpoint_url = "https://user:hunter2@example.org/x"
assume_role = { role_arn = "arn:aws:iam::111122223333:role/k", external_id = "topsecret" }
accounts = [{ id = "444455556666", role_arn = "arn:aws:iam::444455556666:role/r", external_id = "topsecret" }]
[queue]
url = "https://user:hunter2@sqs.eu-central-1.amazonaws.com/111122223333/q"
[rules.new_principal]
learning = "7d"
"#;
    let settings = read(text);
    let lines = settings.lines();
    let find = |key: &str| lines.iter().find(|line| line.key == key).unwrap_or_else(|| panic!("{key} is not shown"));
    assert_eq!(find("aws.endpoint_url").value, json!("https://***@example.org/x"));
    assert_eq!(find("aws.assume_role.external_id").value, json!("***"));
    assert_eq!(find("aws.accounts[0].external_id").value, json!("***"));
    assert_eq!(find("aws.accounts[0].id").origin.to_string(), "keytrail.toml:5");
    assert_eq!(find("rules.new_principal.learning").origin.to_string(), "keytrail.toml:9");
    assert_eq!(find("worker.lease").value, json!("2m"));
    let keys: usize = config_file::SECTIONS
        .iter()
        .filter_map(|path| settings.file.section(path))
        .map(|section| section.keys().len())
        .sum();
    assert_eq!(lines.len(), keys + 3 + 1);
    let everything = format!("{settings:?} {lines:?}");
    assert!(!everything.contains("hunter2") && !everything.contains("topsecret"), "{everything}");

    // Not even where the value is wrong.
    for text in [
        "[aws.assume_role]\nexternal_id = \"top secret\"\n",
        "[aws.assume_role]\nexternal_id = [\"top secret\"]\n",
        "[queue]\nurl = \"ftp://user:top secret@example.org\"\n",
    ] {
        let (message, hint) = refused(text);
        assert!(!message.contains("secret") && !hint.contains("secret"), "{message}");
    }
}

#[test]
fn the_reference_is_made_from_the_keys() {
    const BEGIN: &str = "<!-- Made from src/settings by `KEYTRAIL_UPDATE_DOCS=1 cargo test -p keytrail settings`; do not edit below. -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIG.md");
    let page = fs::read_to_string(path).expect("docs/CONFIG.md");
    let (by_hand, found) = page.split_once(BEGIN).expect("the line where the reference begins");
    let expected = format!("\n{}", reference::reference());
    if env::var_os("KEYTRAIL_UPDATE_DOCS").is_some() {
        fs::write(path, format!("{by_hand}{BEGIN}{expected}")).expect("docs/CONFIG.md is written");
        return;
    }
    assert!(found == expected, "docs/CONFIG.md is out of date: run with KEYTRAIL_UPDATE_DOCS=1");
    // The example above the reference is a valid file.
    let example = by_hand.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let settings = read(example);
    assert_eq!(settings.file.worker, WorkerSection::default(), "the example shows the defaults");
}

#[test]
fn sizes_and_lengths_are_shown_as_they_are_read() {
    for text in ["0s", "250ms", "30s", "90s", "2m", "24h", "36h", "3d", "90d"] {
        assert_eq!(HumanDuration::from_text(text).map(|length| length.to_string()).as_deref(), Some(text));
    }
    for (text, shown) in
        [("1024", "1 KiB"), ("256 MiB", "256 MiB"), ("1GiB", "1 GiB"), ("1 kb", "1000 B"), ("0", "0 B")]
    {
        assert_eq!(ByteSize::from_text(text).map(|size| size.to_string()).as_deref(), Some(shown));
    }
    for text in ["", "s", "-1s", "1.5h", "1w", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
    assert_eq!(ByteSize::from_text("99999999999 GiB"), None);
}

#[test]
fn a_queues_arn_follows_from_its_url_in_every_partition() {
    let arn =
        |url: &str| QueueAddress::of(&EndpointUrl::from_text(url).expect("an address")).map(|address| address.arn());
    for (url, expected) in [
        ("https://sqs.eu-central-1.amazonaws.com/111122223333/trail", "arn:aws:sqs:eu-central-1:111122223333:trail"),
        ("https://sqs.eu-central-1.api.aws/111122223333/trail", "arn:aws:sqs:eu-central-1:111122223333:trail"),
        ("https://sqs-fips.us-east-2.amazonaws.com/111122223333/trail", "arn:aws:sqs:us-east-2:111122223333:trail"),
        ("https://queue.amazonaws.com/111122223333/trail", "arn:aws:sqs:us-east-1:111122223333:trail"),
        (
            "https://us-west-2.queue.amazonaws.com/111122223333/trail.fifo",
            "arn:aws:sqs:us-west-2:111122223333:trail.fifo",
        ),
        ("https://sqs.us-gov-west-1.amazonaws.com/111122223333/t", "arn:aws-us-gov:sqs:us-gov-west-1:111122223333:t"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/t", "arn:aws-cn:sqs:cn-north-1:111122223333:t"),
        ("https://sqs.us-iso-east-1.c2s.ic.gov/111122223333/t", "arn:aws-iso:sqs:us-iso-east-1:111122223333:t"),
        ("https://sqs.eusc-de-east-1.amazonaws.eu/111122223333/t", "arn:aws-eusc:sqs:eusc-de-east-1:111122223333:t"),
        ("https://vpce-0a1-b2.sqs.eu-west-1.vpce.amazonaws.com/111122223333/t", "arn:aws:sqs:eu-west-1:111122223333:t"),
    ] {
        assert_eq!(arn(url).as_deref(), Some(expected), "{url}");
    }
    for url in [
        "http://localhost:4566/000000000000/trail",
        "https://sqs.eu-central-1.amazonaws.com.evil.example/111122223333/trail",
        "https://sqs.cn-north-1.amazonaws.com/111122223333/trail",
        "https://sqs.eu-central-1.amazonaws.com/1111/trail",
        "https://sqs.eu-central-1.amazonaws.com/111122223333/tr*il",
        "https://sqs.eu-central-1.amazonaws.com/111122223333/trail/more",
        "https://sqs.eu-central-1.amazonaws.com/",
    ] {
        assert_eq!(arn(url), None, "{url}");
    }
}

#[test]
fn the_lake_is_a_folder_or_a_place_in_a_bucket() {
    let lake = |text: &str| load("", &[], Some(text)).map(|settings| settings.lake);
    assert!(lake("lake/here").is_ok_and(|lake| matches!(lake.location(), Ok(Location::Folder(_)))));
    let bucket = lake("s3://audit/lake").expect("a place in a bucket");
    assert!(matches!(bucket.location(), Ok(Location::S3 { .. })));
    for text in ["s3://audit", "s3://audit/", "gs://audit/lake", ""] {
        let failure = lake(text).expect_err(text);
        assert!(
            failure.message.starts_with("flag --lake: ") && failure.code == ExitCode::Config,
            "{}",
            failure.message
        );
    }
}

/// What the configuration says and what the crates do by themselves are one thing.
#[test]
fn the_defaults_are_the_crates_own() {
    let file = ConfigFile::default();
    let limits = keytrail_lake::session::Limits::default();
    assert_eq!(file.query.timeout.0, limits.time);
    assert_eq!(
        (file.query.max_memory.as_usize(), file.query.max_temp_disk.0),
        (limits.memory_bytes, limits.temp_disk_bytes)
    );
    let ingest = keytrail_ingest::IngestSettings::default();
    let decode = &ingest.decode;
    let section = &file.ingest;
    assert_eq!((section.batch_rows, section.batch_objects), (ingest.batch_rows, ingest.batch_objects));
    assert_eq!(section.batch_bytes.as_usize(), ingest.batch_bytes);
    assert_eq!(section.max_object_bytes.as_usize(), decode.max_object_bytes);
    assert_eq!(section.max_record_bytes.as_usize(), decode.max_record_bytes);
    assert_eq!((section.max_depth, section.max_gzip_ratio), (decode.max_json_depth, decode.max_gzip_ratio));
    let rules = keytrail_rules::settings::RuleSettings::default();
    assert_eq!(Some(rules.historical_after), i64::try_from(file.alerts.historical_after.0.as_micros()).ok());
}
