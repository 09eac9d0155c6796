//! Event time, not arrival time: any order and any batches of the same rows give the same standing alerts.

use std::cell::RefCell;

use async_trait::async_trait;
use keytrail_lake::encode_access_events;
use keytrail_model::AccessEvent;
use proptest::{prelude::*, test_runner::TestRunner};

use super::*;
use crate::{
    history::{History, HistoryError, Wanted, Within},
    lines::Lines,
    pack::Packs,
    samples::{Standing, standing, tests::normalize_records},
    settings::NetworkPolicy,
};

const START: Micros = 1_772_355_600_000_000;

/// One thing that happens in the little fleet.
#[derive(Clone, Copy, Debug)]
struct Act {
    minute: i64,
    role: u8,
    secret: u8,
    network: u8,
    kind: u8,
}

fn act() -> impl Strategy<Value = Act> {
    // A few hours of some days, so that moments coincide and habits can form.
    (0i64..12, 0i64..90, 0u8..4, 0u8..3, 0u8..3, 0u8..12).prop_map(|(day, minute, role, secret, network, kind)| Act {
        minute: day * 1_440 + minute,
        role,
        secret,
        network,
        kind,
    })
}

/// The events as the program's own normaliser makes them, in event order.
fn events(acts: &[Act]) -> Vec<AccessEvent> {
    let records: Vec<_> = acts
        .iter()
        .enumerate()
        .map(|(number, act)| {
            let Act { minute, role, secret, network, kind } = *act;
            let arn = format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/s{secret}-AbCdEf");
            let name = match kind {
                0 => "PutSecretValue",
                1 => "DescribeSecret",
                _ => "GetSecretValue",
            };
            let mut record = serde_json::json!({
                "eventVersion": "1.11", "eventTime": time::to_rfc3339(START + minute * 60 * time::SECOND),
                "eventID": format!("00000000-0000-4000-8000-{number:012}"),
                "eventSource": "secretsmanager.amazonaws.com", "eventName": name, "awsRegion": "us-east-1",
                "recipientAccountId": "111122223333", "eventType": "AwsApiCall",
                "sourceIPAddress": format!("198.51.{network}.20"), "userAgent": format!("agent{}/1.0", kind % 2),
                "requestParameters": {"secretId": arn},
                "userIdentity": {
                    "type": "AssumedRole", "principalId": format!("AROAROLE{role}EXAMPLE:s"),
                    "accountId": "111122223333",
                    "arn": format!("arn:aws:sts::111122223333:assumed-role/r{role}/s"),
                    "accessKeyId": format!("ASIAEXAMPLE{role}"),
                    "sessionContext": {
                        "sessionIssuer": {"type": "Role", "arn": format!("arn:aws:iam::111122223333:role/r{role}")},
                    },
                },
            });
            if kind == 2 || kind == 3 {
                record["errorCode"] = "AccessDenied".into();
            }
            if kind == 4 {
                record["requestParameters"]["versionStage"] = "AWSPREVIOUS".into();
            }
            record
        })
        .collect();
    let json = serde_json::json!({ "Records": records }).to_string();
    let mut events = normalize_records("p", json.as_bytes()).expect("understood");
    events.sort_by(|a, b| (a.event_at, &a.event_id).cmp(&(b.event_at, &b.event_id)));
    events
}

fn batch(events: &[AccessEvent]) -> RecordBatch {
    encode_access_events(events, START, "b").expect("columns")
}

fn settings() -> RuleSettings {
    let policy = NetworkPolicy { cidrs: vec!["198.51.0.0/24".to_owned()], ..NetworkPolicy::default() };
    let overrides =
        [("new_principal", "learning = \"1h\""), ("post_rotation_access", "grace = \"1h\"\nlearning = \"1h\"")];
    let packs = Packs::load(None);
    let overrides = overrides
        .into_iter()
        .filter_map(|(id, text)| {
            // Only parameters that the packs have.
            let known = &packs.find(id).ok()?.manifest.params;
            let mut table: toml::Table = text.parse().expect("TOML");
            table.retain(|key, _| known.contains_key(key));
            Some((id.to_owned(), table))
        })
        .collect();
    RuleSettings { networks: vec![policy], overrides, ..RuleSettings::default() }
}

fn engine(settings: RuleSettings) -> Engine {
    let packs = Packs::load(None);
    let engine = Engine::new(&packs.packs, settings, State::default(), Inbox::default());
    assert!(engine.broken().is_empty(), "{:?}", engine.broken());
    engine
}

/// What is given back to an engine whose memory is short: all rows that it was ever given.
struct Everything(Vec<RecordBatch>);

#[async_trait]
impl History for Everything {
    async fn rows(&self, wanted: &Wanted) -> Result<Vec<RecordBatch>, HistoryError> {
        let mut picked = Vec::new();
        for batch in &self.0 {
            let lines = Lines::new(batch).map_err(|error| HistoryError(error.into()))?;
            let keep = lines.iter().map(|line| Some(wanted.has(&line))).collect();
            let kept = keytrail_lake::arrow::compute::filter_record_batch(batch, &keep);
            picked.push(kept.map_err(|error| HistoryError(error.into()))?);
        }
        Ok(picked)
    }
}

/// Judges batches as the runner does, and gives the engine back for its plans.
async fn judged(mut engine: Engine, batches: &[Vec<AccessEvent>]) -> (Engine, Vec<Standing>) {
    let now = START + 20 * DAY;
    let mut given = Everything(Vec::new());
    let mut late = std::collections::BTreeMap::new();
    for rows in batches {
        let rows = batch(rows);
        let changed = vec![false; rows.num_rows()];
        let mut taken = engine.take_in(vec![(rows.clone(), changed)], 10).expect("rows");
        given.0.push(rows);
        for (key, since) in std::mem::take(&mut taken.late) {
            let known = late.entry(key).or_insert(since);
            *known = since.min(*known);
        }
        engine.judge(taken, &given, now).await.expect("judged");
    }
    // What memory did not reach, a day at a time.
    for day in 0..(if late.is_empty() { 0 } else { 30 }) {
        let first = (START + day * DAY).div_euclid(DAY) * DAY;
        let within = Within { first, last: first + DAY - 1 };
        let rows = given.rows(&Wanted { since: late.clone(), within, ..Wanted::default() }).await.expect("rows");
        let taken = engine.take_again(rows, &given).await.expect("rows");
        engine.judge(taken, &given, now).await.expect("judged");
    }
    let standing = standing(engine.inbox().alerts());
    (engine, standing)
}

/// Cuts a permutation of the events into batches.
fn cut(events: &[AccessEvent], order: &[prop::sample::Index], sizes: &[usize]) -> Vec<Vec<AccessEvent>> {
    let mut rest = events.to_vec();
    let mut mixed = Vec::new();
    for index in order {
        if rest.is_empty() {
            break;
        }
        mixed.push(rest.swap_remove(index.index(rest.len())));
    }
    mixed.extend(rest);
    let mut batches = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !mixed.is_empty() {
        let size = (*sizes.next().expect("a cycle")).min(mixed.len());
        batches.push(mixed.drain(..size).collect());
    }
    batches
}

fn any_order(settings: RuleSettings, cases: u32) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (whole, pieces) = (RefCell::new(Some(engine(self::settings()))), RefCell::new(Some(engine(settings))));
    let told = RefCell::new(0);
    let strategy = (
        prop::collection::vec(act(), 10..40),
        prop::collection::vec(any::<prop::sample::Index>(), 40),
        prop::collection::vec(1usize..9, 1..6),
    );
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&strategy, |(acts, order, sizes)| {
        let events = events(&acts);
        let one = whole.take().unwrap_or_else(|| engine(self::settings()));
        let (one, wanted) = runtime.block_on(judged(one.emptied(), std::slice::from_ref(&events)));
        whole.replace(Some(one));
        let other = pieces.take().unwrap_or_else(|| engine(self::settings()));
        let (other, found) = runtime.block_on(judged(other.emptied(), &cut(&events, &order, &sizes)));
        pieces.replace(Some(other));
        *told.borrow_mut() += wanted.len();
        prop_assert_eq!(wanted, found);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    told.take()
}

#[test]
fn any_order_and_any_batches_give_the_same_alerts() {
    let told = any_order(RuleSettings { again_rows: 10, ..settings() }, 6);
    assert!(told > 6, "only {told} alerts stood in all cases");
}

#[test]
fn a_short_memory_changes_nothing() {
    let told = any_order(RuleSettings { recent_rows: 6, ..settings() }, 6);
    assert!(told > 6, "only {told} alerts stood in all cases");
}
