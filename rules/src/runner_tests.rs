use keytrail_lake::{Batch, LakeSettings, arrow::util::pretty::pretty_format_batches, session::ReaderClass};
use keytrail_model::{AccessEvent, AlertClass, ObjectEntry, ObjectId, ObjectOutcome, time};

use super::*;
use crate::{
    pack::SampleKind,
    sample::Sample,
    samples::tests::normalize_records,
    settings::ReaderClasses,
    state::{Scope, StateTables},
};

fn settings() -> RuleSettings {
    let readers = ReaderClasses { upkeep: vec!["*:role/deploy/terraform".into()], sync_agents: Vec::new() };
    RuleSettings { readers, historical_after: 400 * time::DAY, ..RuleSettings::default() }
}

/// The records of several samples as one history.
fn history() -> Vec<AccessEvent> {
    let mut events = Vec::new();
    for (rule, sample) in [
        ("new_principal", "first_read_after_learning"),
        ("new_principal", "recreated_role"),
        ("post_rotation_access", "kms_proves_the_old_version"),
        ("unused_secret", "only_its_rotation_function"),
        ("unused_secret", "parameter"),
    ] {
        let packs = Packs::load(None);
        let pack = packs.find(rule).expect("built in");
        let file =
            pack.samples.iter().find(|file| file.kind == SampleKind::Fires && file.name == sample).expect("a sample");
        let records = Sample::parse(rule, file).expect("right").records;
        let json = serde_json::json!({ "Records": records }).to_string();
        events.extend(normalize_records(sample, json.as_bytes()).expect("understood"));
    }
    // A reader of the value before the rotations of `old/key`.
    let rotated = events
        .iter()
        .find(|event| event.event_name == "RotationStarted" && event.secret_name.as_deref() == Some("old/key"));
    let rotated = rotated.expect("a rotation").clone();
    let mut stale = events.iter().find(|event| event.event_name == "GetSecretValue").expect("a read").clone();
    stale.event_id = "5a1e0000-0000-4000-8000-000000000001".into();
    stale.event_at = rotated.event_at - 20 * time::DAY;
    stale.principal_id = "arn:aws:iam::111122223333:role/app/stale".into();
    (stale.secret_id, stale.secret_name) = (rotated.secret_id, rotated.secret_name);
    (stale.version_id, stale.version_stage) = (None, None);
    events.push(stale);
    events.sort_by(|a, b| (a.event_at, &a.event_id).cmp(&(b.event_at, &b.event_id)));
    events
}

fn batch(number: usize, rows: &[AccessEvent]) -> Batch {
    let last = rows.last().map(|row| row.event_at);
    let entry = ObjectEntry {
        object: ObjectId {
            key: format!("AWSLogs/111122223333/CloudTrail/us-east-1/{number}.json.gz"),
            version: "v".into(),
        },
        outcome: ObjectOutcome::Committed,
        content_kind: "cloudtrail".into(),
        account_id: Some("111122223333".into()),
        region: Some("us-east-1".into()),
        delivered_at: last.map(|at| at + 300 * time::SECOND),
        size_bytes: 1,
        json_bytes: 1,
        record_count: rows.len() as i64,
        kept_count: rows.len() as i64,
        ignored_count: 0,
        quarantined: Vec::new(),
        first_event_at: rows.first().map(|row| row.event_at),
        last_event_at: last,
    };
    Batch { rows: rows.to_vec(), events: Vec::new(), objects: vec![entry] }
}

async fn lake_in(folder: &std::path::Path) -> Lake {
    Lake::open(folder, LakeSettings::default()).await.expect("a lake")
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).expect("printable").to_string();
    let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with('+')).map(str::to_owned).collect();
    // Column widths differ with the batches; the cells do not.
    for line in &mut lines {
        *line = line.split('|').map(str::trim).collect::<Vec<_>>().join("|");
    }
    lines.sort();
    lines
}

/// The state's table, with the columns that the lake's view of the same name has.
async fn from_state(runner: &Runner, table: &str, columns: &str) -> Vec<String> {
    let session = SessionContext::new();
    let tables: StateTables = runner.engine().state().tables(Scope::Everything, &settings().readers).expect("tables");
    for (name, batch) in tables.into_named() {
        session.register_batch(name, batch).expect("registered");
    }
    let rows = session.sql(&format!("SELECT {columns} FROM {table}")).await.expect("plans").collect().await;
    lines(&rows.expect("runs"))
}

async fn from_lake(lake: &Lake, table: &str, columns: &str) -> Vec<String> {
    let class = ReaderClass { pattern: "*:role/deploy/terraform".into(), class: "upkeep".into() };
    let settings = SessionSettings { reader_classes: vec![class], ..SessionSettings::default() };
    let session = lake.session(&settings).await.expect("a session");
    let rows = session.sql(&format!("SELECT {columns} FROM {table}")).await.expect("plans").collect().await;
    lines(&rows.expect("runs"))
}

const PAIRS: &str = "principal_id, secret_id, secret_kind, CAST(first_read_at AS BIGINT) AS first, \
    CAST(last_read_at AS BIGINT) AS last, read_count, days_active, first_event_id, reader_class";
const SECRETS: &str = "secret_id, secret_kind, secret_account, secret_region, CAST(first_seen_at AS BIGINT) AS first, \
    CAST(created_at AS BIGINT) AS created, CAST(deleted_at AS BIGINT) AS deleted, CAST(last_use_at AS BIGINT) AS used, \
    reader_count, read_count, rotation_count, CAST(last_rotation_at AS BIGINT) AS rotated, known_by";
const ROTATIONS: &str =
    "secret_id, CAST(rotated_at AS BIGINT) AS rotated, version_id, previous_version_id, known_by, principal_id";

#[tokio::test]
async fn a_lake_is_judged_once_whatever_the_batches_and_restarts() {
    let events = history();
    let (whole_folder, pieces_folder) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let whole_lake = lake_in(whole_folder.path()).await;
    let thirds: Vec<&[AccessEvent]> = events.chunks(events.len() / 3 + 1).collect();
    let objects = thirds.iter().enumerate().flat_map(|(number, third)| batch(number, third).objects).collect();
    whole_lake.commit(Batch { objects, ..batch(0, &events) }).await.expect("committed");
    let mut whole = Runner::open(whole_lake.clone(), Packs::load(None), settings()).await.expect("opens");
    let forced = RunOptions { force_schedule: true, as_of: None };
    let first = whole.run(forced).await.expect("runs");
    assert!(first.raised >= 6, "{first:?}");
    assert_eq!(first.rows, events.len());

    // Nothing new: nothing is written.
    let again = whole.run(RunOptions::default()).await.expect("runs");
    assert_eq!((again.rows, again.raised, again.updated), (0, 0, 0));

    // The same history in three commits; the process ends after the first, and loses its state after the second.
    let lake = lake_in(pieces_folder.path()).await;
    for (number, third) in thirds.iter().enumerate() {
        lake.commit(batch(number, third)).await.expect("committed");
        if number == 2 {
            lake.put_state("rules", b"damaged".to_vec()).await.expect("written");
        }
        let mut runner = Runner::open(lake.clone(), Packs::load(None), settings()).await.expect("opens");
        runner.run(RunOptions { force_schedule: number == 2, as_of: None }).await.expect("runs");
        if number != 1 {
            runner.close().await.expect("saved");
        }
    }
    let mut reopened = Runner::open(lake.clone(), Packs::load(None), settings()).await.expect("opens");
    let nothing = reopened.run(forced).await.expect("runs");
    assert_eq!((nothing.rows, nothing.raised, nothing.updated), (0, 0, 0));

    let told = |alerts: Vec<keytrail_model::Alert>| {
        let mut told: Vec<_> = alerts
            .into_iter()
            .inspect(|alert| assert_eq!(alert.class, AlertClass::Detection, "{}", alert.reason))
            .map(|alert| (alert.rule_id, alert.alert_id, alert.reason, alert.event_count, alert.secret_ids))
            .collect();
        told.sort();
        told
    };
    let alerts = told(whole_lake.alerts().await.expect("alerts"));
    assert_eq!(alerts, told(lake.alerts().await.expect("alerts")));
    for rule in ["new_principal", "post_rotation_access", "unused_secret"] {
        assert!(alerts.iter().any(|alert| alert.0 == rule), "{rule}: {alerts:#?}");
    }

    // What is remembered is what the lake's views say, folded at once, in pieces, and again after a loss.
    for (table, columns) in [("pairs", PAIRS), ("secrets", SECRETS), ("rotations", ROTATIONS)] {
        let views = from_lake(&whole_lake, table, columns).await;
        assert_eq!(views, from_state(&whole, table, columns).await, "{table}, at once");
        assert_eq!(views, from_state(&reopened, table, columns).await, "{table}, in pieces");
    }

    // The packs' views are the reports' SQL, over the lake's own views.
    let as_of = first.as_of.expect("a lake with rows has a horizon");
    let verdicts = report(&lake, "unused_secret", "verdict", as_of).await;
    for (secret, verdict) in [
        (":secret:old/key-AbCdEf", "start_time_reader"),
        (":parameter/old/key", "unused"),
        (":parameter/app/key", "used"),
    ] {
        assert!(
            verdicts.iter().any(|line| line.contains(secret) && line.contains(&format!("|{verdict}|"))),
            "{verdicts:#?}"
        );
    }
    let stale = report(&lake, "post_rotation_access", "stale", as_of).await;
    assert!(stale.iter().any(|line| line.contains(":role/app/stale|") && line.contains("old/key")), "{stale:#?}");
}

async fn report(lake: &Lake, rule: &str, view: &str, as_of: Micros) -> Vec<String> {
    let packs = Packs::load(None);
    let rule = crate::rule::Rule::resolve(packs.find(rule).expect("built in").clone(), None).expect("resolves");
    let session = lake.session(&SessionSettings::default()).await.expect("a session");
    let rows = session.sql(&rule.view_sql(view, as_of).expect("bound")).await.expect("plans").collect().await;
    lines(&rows.expect("runs"))
}
