use keytrail_lake::{
    Batch, LakeSettings,
    arrow::{array::RecordBatch, util::pretty::pretty_format_batches},
    session::ReaderClass,
};
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
    Batch { rows: rows.to_vec(), objects: vec![entry], ..Batch::default() }
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

/// Reads of some secrets by some roles, each event in its own second.
fn reads(from: usize, count: usize, start: Micros) -> Vec<AccessEvent> {
    let template = history().into_iter().find(|event| event.event_name == "GetSecretValue").expect("a read");
    (from..from + count)
        .map(|number| {
            let mut event = template.clone();
            event.event_id = format!("5a1e0000-0000-4000-8000-{number:012}");
            event.event_at = start + number as Micros * time::SECOND;
            event.delivered_at = Some(event.event_at + 300 * time::SECOND);
            event.principal_id = format!("arn:aws:iam::111122223333:role/app/r{}", number % 211);
            let name = format!("app/s{}", number % 997);
            event.secret_id = Some(format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{name}-AbCdEf"));
            event.secret_name = Some(name);
            (event.version_id, event.version_stage, event.shared_event_id) = (None, None, None);
            event
        })
        .collect()
}

const LATE: Micros = 1_785_585_600_000_000;

#[tokio::test]
async fn a_late_object_in_a_live_lake_is_history_only_by_the_newest_delivery() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_in(folder.path()).await;
    let settings = RuleSettings { historical_after: time::DAY, ..settings() };
    let mut runner = Runner::open(lake.clone(), Packs::load(None), settings).await.expect("opens");
    // The secrets are known for thirty days, and the lake is live.
    lake.commit(batch(1, &reads(0, 2_000, LATE - 30 * time::DAY))).await.expect("committed");
    lake.commit(batch(2, &reads(2_000, 500, LATE))).await.expect("committed");
    runner.run(RunOptions::default()).await.expect("runs");
    let stranger = |number: usize, at: Micros| {
        let mut event = reads(number, 1, 0).remove(0);
        event.event_at = at;
        event.delivered_at = Some(at + 300 * time::SECOND);
        event.principal_id = format!("arn:aws:iam::111122223333:role/stranger/{number}");
        event
    };
    let mut raised = Vec::new();
    for (number, at) in
        [(900_001, LATE - 10 * time::DAY), (900_002, LATE - 2 * time::HOUR), (900_003, LATE + time::HOUR)]
    {
        lake.commit(batch(number, &[stranger(number, at)])).await.expect("committed");
        let summary = runner.run(RunOptions::default()).await.expect("runs");
        assert_eq!(summary.raised_alerts.len(), summary.raised);
        let told = summary.raised_alerts.iter().filter_map(|id| runner.engine().inbox().get(id));
        let told: Vec<_> = told.filter(|alert| alert.rule_id == "new_principal").collect();
        assert_eq!(told.len(), 1, "{number}: {told:#?}");
        raised.push(told[0].historical);
    }
    assert_eq!(raised, [true, false, false], "ten days ago, two hours ago, now");
    // A delivery that claims to be years ahead does not turn today into history.
    let mut far = stranger(900_004, LATE + 2 * time::HOUR);
    far.delivered_at = Some(LATE + 9_000 * time::DAY);
    let mut ahead = batch(900_004, &[far]);
    ahead.objects[0].delivered_at = Some(LATE + 9_000 * time::DAY);
    lake.commit(ahead).await.expect("committed");
    let summary = runner.run(RunOptions { as_of: None, force_schedule: false }).await.expect("runs");
    assert!(summary.as_of.is_some_and(|as_of| as_of > time::now()));
    let wall = runner.engine().inbox().get(&summary.raised_alerts[0]).expect("raised");
    assert_eq!(wall.historical, wall.last_event_at < time::now() - time::DAY, "by the clock, not by the claim");
}

#[tokio::test]
async fn two_runners_on_one_lake_raise_what_one_would() {
    let seed: u64 = std::env::var("KEYTRAIL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    let events = history();
    let (one_folder, two_folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (alone, shared) = (lake_in(one_folder.path()).await, lake_in(two_folder.path()).await);
    let parts: Vec<&[AccessEvent]> = events.chunks(events.len() / 8 + 1).collect();
    let mut random = seed;
    let mut roll = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut single = Runner::open(alone.clone(), Packs::load(None), settings()).await.expect("opens");
    // Each worker has its own handle, as in its own process, and its own view of the log.
    let mut workers = Vec::new();
    for _ in 0..2 {
        let lake = lake_in(two_folder.path()).await;
        workers.push(Runner::open(lake, Packs::load(None), settings()).await.expect("opens"));
    }
    let mut both = workers.iter_mut();
    let (first, second) = (both.next().expect("one"), both.next().expect("another"));
    let (mut raised, mut conflicts) = (Vec::new(), 0);
    for (number, part) in parts.iter().enumerate() {
        alone.commit(batch(number, part)).await.expect("committed");
        single.run(RunOptions::default()).await.expect("runs");
        shared.commit(batch(number, part)).await.expect("committed");
        match roll(4) {
            // The last part is left for both, so that they meet at least once.
            _ if number + 1 == parts.len() => {}
            0 => raised.push(first.run(RunOptions::default()).await.expect("runs")),
            1 => raised.push(second.run(RunOptions::default()).await.expect("runs")),
            2 => {}
            _ => {
                let both = tokio::join!(first.run(RunOptions::default()), second.run(RunOptions::default()));
                raised.extend([both.0.expect("runs"), both.1.expect("runs")]);
            }
        }
    }
    let end = tokio::join!(first.run(RunOptions::default()), second.run(RunOptions::default()));
    raised.extend([end.0.expect("runs"), end.1.expect("runs")]);
    let mut ids = Vec::new();
    for summary in &raised {
        conflicts += summary.conflicts;
        ids.extend(summary.raised_alerts.iter().cloned());
    }
    assert!(conflicts > 0, "seed {seed}: the workers never met");
    let told = |alerts: Vec<keytrail_model::Alert>| {
        let mut told: Vec<_> = alerts
            .into_iter()
            .map(|alert| (alert.rule_id, alert.alert_id, alert.reason, alert.event_count, alert.secret_ids))
            .collect();
        told.sort();
        told
    };
    let wanted = told(alone.alerts().await.expect("alerts"));
    let found = told(shared.alerts().await.expect("alerts"));
    assert!(!wanted.is_empty());
    assert_eq!(wanted, found, "seed {seed}");
    ids.sort();
    let count = ids.len();
    ids.dedup();
    // Scheduled rules carry no position; two workers may both raise one alert of theirs, under one id.
    let scheduled = found.iter().filter(|alert| alert.0 == "unused_secret").count();
    assert!(count - ids.len() <= scheduled, "seed {seed}: {count} raised, {} different", ids.len());
    for (table, columns) in [("pairs", PAIRS), ("secrets", SECRETS), ("rotations", ROTATIONS)] {
        let wanted = from_lake(&shared, table, columns).await;
        assert_eq!(wanted, from_state(first, table, columns).await, "seed {seed}: {table} of the first");
        assert_eq!(wanted, from_state(second, table, columns).await, "seed {seed}: {table} of the second");
    }
}

#[tokio::test]
async fn a_decision_made_while_judging_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = lake_in(folder.path()).await;
    let mut runner = Runner::open(lake.clone(), Packs::load(None), settings()).await.expect("opens");
    lake.commit(batch(1, &history())).await.expect("committed");
    let summary = runner.run(RunOptions::default()).await.expect("runs");
    let alert = runner.engine().inbox().get(&summary.raised_alerts[0]).expect("raised").clone();
    let act = keytrail_alerts::Act { by: "ana".into(), note: Some("mine".into()), at: time::now() };
    let acknowledged =
        keytrail_alerts::lifecycle::apply(&alert, keytrail_alerts::Change::Acknowledge, &act).expect("open");
    lake.append_alerts(std::slice::from_ref(&acknowledged), None).await.expect("written");
    // What the runner holds is older; recording it must not undo what she did.
    let more = keytrail_model::Alert { event_count: alert.event_count + 1, ..alert };
    let merged = runner.with_decisions(vec![more]).await.expect("merged");
    assert_eq!((merged[0].state, merged[0].note.as_deref()), (acknowledged.state, Some("mine")));
    assert_eq!(merged[0].event_count, acknowledged.event_count + 1);
}

#[tokio::test]
async fn a_run_that_was_dropped_half_way_is_done_again_as_a_whole() {
    let (folder, whole_folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let lake = lake_in(folder.path()).await;
    let whole = lake_in(whole_folder.path()).await;
    let events = history();
    for lake in [&lake, &whole] {
        for (number, part) in events.chunks(events.len() / 4 + 1).enumerate() {
            lake.commit(batch(number, part)).await.expect("committed");
        }
    }
    let small = RuleSettings { max_rows: 1, ..settings() };
    let mut runner = Runner::open(lake.clone(), Packs::load(None), small.clone()).await.expect("opens");
    // Dropped at ever later moments until it is done.
    let mut patience = std::time::Duration::from_millis(1);
    let mut dropped = 0;
    while tokio::time::timeout(patience, runner.run(RunOptions::default())).await.is_err() {
        dropped += 1;
        patience *= 2;
    }
    assert!(dropped > 2, "it was dropped only {dropped} times");
    Runner::open(whole.clone(), Packs::load(None), small)
        .await
        .expect("opens")
        .run(RunOptions::default())
        .await
        .expect("runs");
    let ids = |alerts: Vec<keytrail_model::Alert>| {
        let mut ids: Vec<_> = alerts.into_iter().map(|alert| (alert.alert_id, alert.event_count)).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(lake.alerts().await.expect("alerts")), ids(whole.alerts().await.expect("alerts")));
    for (table, columns) in [("pairs", PAIRS), ("secrets", SECRETS)] {
        assert_eq!(from_lake(&lake, table, columns).await, from_state(&runner, table, columns).await, "{table}");
    }
}

/// A few rules: what is looked at here is the lake behind them.
fn some_packs() -> Packs {
    let mut packs = Packs::load(None);
    let wanted = ["new_principal", "new_network", "post_rotation_access"];
    packs.packs.retain(|pack| wanted.contains(&pack.manifest.id.as_str()));
    packs
}

#[tokio::test]
async fn late_files_that_memory_does_not_reach_give_the_same_alerts() {
    let events = history();
    let as_of = events.last().map(|event| event.event_at);
    let (ordered, backwards) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut told = Vec::new();
    for (folder, small, rows) in [(&ordered, false, 100_000), (&backwards, true, 5)] {
        let lake = lake_in(folder.path()).await;
        let settings = RuleSettings { recent_rows: rows, again_rows: rows, ..settings() };
        let mut parts: Vec<&[AccessEvent]> = events.chunks(events.len() / 5 + 1).collect();
        if small {
            parts.reverse();
        }
        let mut runner = Runner::open(lake.clone(), some_packs(), settings.clone()).await.expect("opens");
        for (number, part) in parts.iter().enumerate() {
            lake.commit(batch(number, part)).await.expect("committed");
            // The process ends in between: what is left to judge again must outlive it.
            if number == 2 {
                runner.close().await.expect("saved");
                runner = Runner::open(lake.clone(), some_packs(), settings.clone()).await.expect("opens");
            }
            runner.run(RunOptions { as_of, force_schedule: false }).await.expect("runs");
        }
        assert!(runner.late.is_empty());
        told.push(crate::samples::standing(&lake.alerts().await.expect("alerts")));
    }
    assert!(told[0].len() >= 4, "{:#?}", told[0]);
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn a_broken_pack_keeps_its_last_good_version_and_says_so_until_it_is_mended() {
    let (folder, own) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let manifest = |version: &str, state: &str| {
        format!(
            "id = \"mine\"\ntitle = \"t\"\nversion = \"{version}\"\nseverity = \"low\"\ndescription = \"d\"\nrun = [\"batch\"]\n\
             fold_by = [\"event_id\"]\nepisode_gap = \"1h\"\nstate = \"{state}\"\n[when]\nactions = [\"read\"]\n\
             [text]\ntitle = \"v{version}\"\nreason = \"r\"\n\
             [[why]]\ndimension = \"secrets\"\nvalue = \"1\"\nusual = \"0\"\nseen = \"record_index\"\nsample = \"record_index\"\nunit = \"days\"\n"
        )
    };
    let write = |name: &str, text: &str| std::fs::write(own.path().join("mine").join(name), text).expect("written");
    let packs = || {
        let mut packs = Packs::load(Some(own.path()));
        packs.packs.retain(|pack| !pack.built_in);
        packs
    };
    std::fs::create_dir(own.path().join("mine")).expect("a folder");
    write("rule.toml", &manifest("1", "on"));
    write("detect.sql", "SELECT * FROM new_events");
    write("guide.md", "g");
    let lake = lake_in(folder.path()).await;
    let mut runner = Runner::open(lake.clone(), packs(), settings()).await.expect("opens");
    let mut number = 0;
    let mut next = async |runner: &mut Runner| {
        number += 1;
        lake.commit(batch(number, &reads(number, 1, LATE))).await.expect("committed");
        let summary = runner.run(RunOptions::default()).await.expect("runs");
        let raised = summary.raised_alerts.iter().filter_map(|id| runner.engine().inbox().get(id)).cloned();
        raised.collect::<Vec<_>>()
    };
    let first = next(&mut runner).await;
    assert_eq!((first.len(), first[0].title.as_str()), (1, "v1"));
    assert_eq!(first[0].why[0].dimension, "secrets", "the rule's own line comes first");
    assert!(first[0].why.len() > 1, "and the habits behind it: {:?}", first[0].why);

    // The SQL of the second version does not plan.
    write("rule.toml", &manifest("2", "on"));
    write("detect.sql", "SELECT *\nFROM new_evens");
    runner.reload(packs()).await.expect("reloads");
    let second = next(&mut runner).await;
    let error = second.iter().find(|alert| alert.class == AlertClass::RuleError).expect("it is told");
    assert!(error.reason.contains("mine/detect.sql:2:6") && error.reason.contains("(1) stays"), "{}", error.reason);
    assert!(second.iter().any(|alert| alert.title == "v1"), "{second:#?}");
    let third = next(&mut runner).await;
    assert!(third.iter().all(|alert| alert.class == AlertClass::Detection), "told once: {third:#?}");

    // Mended, and on trial.
    write("rule.toml", &manifest("3", "shadow"));
    write("detect.sql", "SELECT * FROM new_events");
    runner.reload(packs()).await.expect("reloads");
    let fourth = next(&mut runner).await;
    assert_eq!((fourth.len(), fourth[0].title.as_str()), (1, "v3"));
    assert_eq!(fourth[0].suppressed_by.as_deref(), Some("shadow"));
    let closed = lake.alerts().await.expect("alerts").into_iter().find(|alert| alert.alert_id == error.alert_id);
    assert_eq!(closed.expect("kept").state, keytrail_model::AlertState::Closed);
}
