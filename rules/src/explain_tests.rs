use std::{collections::BTreeMap, sync::Arc};

use keytrail_alerts::Inbox;
use keytrail_lake::encode_access_events;
use keytrail_model::{
    AccessEvent,
    time::{self, DAY},
};

use super::*;
use crate::{pack::Pack, samples::tests::normalize_records, settings::RuleSettings, state::State};

const MANIFEST: &str = "id = \"mine\"\ntitle = \"t\"\nversion = \"1\"\nseverity = \"low\"\ndescription = \"d\"\n\
    run = [\"batch\"]\nfold_by = [\"principal_id\"]\nepisode_gap = \"1h\"\n\
    [text]\ntitle = \"t\"\nreason = \"r\"\n";
const SQL: &str = "WITH uses AS (
    SELECT * FROM new_events WHERE action = 'read' AND outcome = 'ok'
)
SELECT
    uses.event_at, uses.event_id, event_name, uses.principal_id, uses.secret_id, account_id, region, source_ip, object_key,
    record_index
FROM uses
JOIN pairs AS pair
    ON pair.principal_id = uses.principal_id
    AND pair.secret_id = uses.secret_id
    AND pair.first_event_id = uses.event_id
WHERE NOT EXISTS (SELECT 1 FROM pairs AS other WHERE other.secret_id = uses.secret_id AND other.principal_id <> uses.principal_id)
UNION ALL
SELECT
    event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key, record_index
FROM new_events
WHERE outcome = 'denied' AND region <> 'us-east-1'";

fn pack(manifest: &str, sql: &str) -> Arc<Pack> {
    let files = [("rule.toml", manifest), ("detect.sql", sql), ("guide.md", "g")];
    let files: BTreeMap<String, String> = files.into_iter().map(|(name, text)| (name.into(), text.into())).collect();
    Arc::new(Pack::from_files("mine", &files, false).expect("a pack"))
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

fn batch(events: &[AccessEvent]) -> RecordBatch {
    encode_access_events(events, DAY, "b").expect("columns")
}

/// The history of two reads of one secret by one role, and of one by another.
fn events() -> Vec<AccessEvent> {
    let records = [read(1, 0, 1, 1), read(2, 30, 1, 1), read(3, 40, 2, 2)];
    normalize_records("h", serde_json::json!({ "Records": records }).to_string().as_bytes()).expect("understood")
}

fn engine(manifest: &str, sql: &str, settings: RuleSettings) -> Engine {
    let mut engine = Engine::new(&[pack(manifest, sql)], settings, State::default(), Inbox::default());
    let events = events();
    engine.remember(&batch(&events), vec![false; events.len()]).expect("folded");
    engine
}

async fn asked(engine: &mut Engine, event: &AccessEvent) -> Answer {
    let rows = batch(std::slice::from_ref(event));
    let mut found = explain(engine, &Event { rows: &rows, recent: &[] }, None, 0).await.expect("asked");
    assert_eq!(found.len(), 1);
    found.remove(0).answer
}

fn said(conditions: &[Condition]) -> Vec<String> {
    let values =
        |it: &Condition| it.values.iter().map(|(name, value)| format!("{name} is {value}")).collect::<Vec<_>>();
    conditions.iter().map(|it| format!("{} {}: {}", it.text, it.said, values(it).join(", "))).collect()
}

#[tokio::test]
async fn the_first_use_fires_and_names_what_it_met() {
    let mut engine = engine(MANIFEST, SQL, RuleSettings::default());
    let Answer::Fires { findings, conditions } = asked(&mut engine, &events()[0]).await else { panic!("it fires") };
    assert_eq!(findings.len(), 1);
    let said = said(&conditions);
    assert!(said.iter().any(|it| it.contains("outcome = 'ok'") && it.contains("outcome is ok")), "{said:#?}");
    assert!(said.iter().any(|it| it.contains("first_event_id = uses.event_id")), "{said:#?}");
    assert!(!said.iter().any(|it| it.contains("denied")), "the other branch was not met: {said:#?}");
}

#[tokio::test]
async fn a_later_use_names_the_join_that_finds_nothing() {
    let mut engine = engine(MANIFEST, SQL, RuleSettings::default());
    let Answer::Quiet(conditions) = asked(&mut engine, &events()[1]).await else { panic!("it is quiet") };
    let said = said(&conditions);
    let (first, second) = (&events()[0].event_id, &events()[1].event_id);
    let join =
        said.iter().find(|it| it.contains("pair.first_event_id = uses.event_id finds nothing")).expect("the join");
    assert!(join.contains(first.as_str()) && join.contains(second.as_str()), "{join}");
    assert!(said.iter().any(|it| it.contains("outcome = 'denied' is not so: outcome is ok")), "{said:#?}");
    assert!(!said.iter().any(|it| it.contains("action = 'read'")), "what holds is not named: {said:#?}");
}

#[tokio::test]
async fn a_denied_read_names_the_outcome() {
    let mut engine = engine(MANIFEST, SQL, RuleSettings::default());
    let denied = AccessEvent { outcome: keytrail_model::Outcome::Denied, event_id: "new".into(), ..events().remove(0) };
    let Answer::Quiet(conditions) = asked(&mut engine, &denied).await else { panic!("it is quiet") };
    let said = said(&conditions);
    assert!(said.iter().any(|it| it.contains("outcome = 'ok' is not so: outcome is denied")), "{said:#?}");
    assert!(said.iter().any(|it| it.contains("region <> 'us-east-1' is not so: region is us-east-1")), "{said:#?}");
}

#[tokio::test]
async fn what_somebody_else_did_is_named_too() {
    let mut engine = engine(MANIFEST, SQL, RuleSettings::default());
    let other = AccessEvent {
        principal_id: "arn:aws:iam::111122223333:role/other".into(),
        event_id: "other".into(),
        ..events().remove(0)
    };
    let rows = batch(std::slice::from_ref(&other));
    engine.remember(&rows, vec![false]).expect("folded");
    let Answer::Quiet(conditions) = asked(&mut engine, &other).await else { panic!("it is quiet") };
    assert!(said(&conditions).iter().any(|it| it.contains("EXISTS")), "{conditions:#?}");
}

#[tokio::test]
async fn a_rule_that_is_not_asked_says_why() {
    let when = MANIFEST.replace("[text]", "[when]\noutcomes = [\"denied\", \"error\"]\n[text]");
    let mut filtered = engine(&when, SQL, RuleSettings::default());
    let answer = asked(&mut filtered, &events()[0]).await;
    assert_eq!(answer, Answer::NotAsked("`when.outcomes` wants outcome to be denied or error; it is ok".to_owned()));

    let overrides = BTreeMap::from([("mine".to_owned(), "enabled = false".parse().expect("TOML"))]);
    let mut off = engine(MANIFEST, SQL, RuleSettings { overrides, ..RuleSettings::default() });
    assert!(matches!(asked(&mut off, &events()[0]).await, Answer::NotAsked(why) if why.contains("enabled = false")));

    let scheduled = MANIFEST.replace("[\"batch\"]", "[\"schedule\"]\nevery = \"1d\"");
    let mut scheduled = engine(&scheduled, SQL, RuleSettings::default());
    assert!(matches!(asked(&mut scheduled, &events()[0]).await, Answer::NotAsked(why) if why.contains("schedule")));

    let mut broken = engine(MANIFEST, "SELECT * FROM nowhere", RuleSettings::default());
    assert!(matches!(asked(&mut broken, &events()[0]).await, Answer::Fails(why) if why.contains("nowhere")));
}

#[tokio::test]
async fn asking_twice_changes_no_answer() {
    let mut engine = engine(MANIFEST, SQL, RuleSettings::default());
    let first = asked(&mut engine, &events()[0]).await;
    assert_eq!(asked(&mut engine, &events()[0]).await, first);
    assert_eq!(engine.inbox().alerts().count(), 0, "nothing is recorded");
}
