use keytrail_lake::{Batch, LakeSettings};
use keytrail_model::{AlertState, ObjectEntry, ObjectId, ObjectOutcome, Severity, time::SECOND};

use super::*;

const START: Micros = 1_785_585_600_000_000;
const MIN: Micros = 60 * SECOND;
const ONE: &str = "111122223333";
const TWO: &str = "444455556666";

/// An object delivered five minutes after its newest event.
fn object(account: &str, region: &str, at: Micros, outcome: ObjectOutcome) -> ObjectEntry {
    ObjectEntry {
        object: ObjectId {
            key: format!("s3://b/AWSLogs/{account}/CloudTrail/{region}/{at}.json.gz"),
            version: "v".into(),
        },
        outcome,
        content_kind: "cloudtrail".into(),
        account_id: Some(account.into()),
        region: Some(region.into()),
        delivered_at: Some(at + 5 * MIN),
        size_bytes: 1,
        json_bytes: 1,
        record_count: 1,
        kept_count: 0,
        ignored_count: 1,
        quarantined: Vec::new(),
        first_event_at: Some(at),
        last_event_at: Some(at),
    }
}

fn steady(account: &str, region: &str, from: Micros, until: Micros, every: Micros) -> Vec<ObjectEntry> {
    let count = (until - from) / every;
    (0..=count).map(|number| object(account, region, from + number * every, ObjectOutcome::Committed)).collect()
}

async fn lake_of(objects: Vec<ObjectEntry>) -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
    add(&lake, objects).await;
    (folder, lake)
}

async fn add(lake: &Lake, objects: Vec<ObjectEntry>) {
    lake.commit(Batch { objects, ..Batch::default() }).await.expect("committed");
}

async fn conditions(lake: &Lake, now: LiveOrHorizon) -> Vec<Condition> {
    let settings = SystemSettings::default();
    lake_conditions(lake, &SessionSettings::default(), now, &settings).await.expect("asked")
}

fn told(conditions: &[Condition]) -> Vec<(&str, Vec<&str>)> {
    let subject = |condition: &'_ Condition| condition.subject.len();
    assert!(conditions.iter().all(|condition| subject(condition) <= 3));
    conditions
        .iter()
        .map(|condition| (condition.rule_id.as_str(), condition.subject.iter().map(String::as_str).collect()))
        .collect()
}

#[tokio::test]
async fn an_empty_lake_tells_of_nothing() {
    let (_folder, lake) = lake_of(Vec::new()).await;
    assert!(conditions(&lake, LiveOrHorizon::Horizon).await.is_empty());
    assert!(conditions(&lake, LiveOrHorizon::Live(START)).await.is_empty());
    let (session, settings) = (SessionSettings::default(), SystemSettings::default());
    let nothing = check_lake(&lake, &session, LiveOrHorizon::Horizon, &settings).await;
    assert!(nothing.expect("asked").is_empty());
}

#[tokio::test]
async fn a_silent_region_is_told_by_the_horizon_and_by_the_clock() {
    let end = START + 3 * DAY;
    let mut objects = steady(ONE, "eu-west-1", START, end, 5 * MIN);
    objects.extend(steady(ONE, "us-east-1", START, end - 5 * HOUR, 5 * MIN));
    // A region that hardly ever delivers has no habit to break.
    objects.extend(steady(ONE, "sa-east-1", START, START + 2 * DAY, DAY));
    // Access logs and inline events are no sign of the trail.
    objects.push(ObjectEntry {
        content_kind: "eventbridge".into(),
        ..object(ONE, "us-east-1", end, ObjectOutcome::Committed)
    });
    let (_folder, lake) = lake_of(objects).await;
    let silent = conditions(&lake, LiveOrHorizon::Horizon).await;
    assert_eq!(told(&silent), [(REGION_SILENT, vec![ONE, "us-east-1"])]);
    assert_eq!(silent[0].since, end - 5 * HOUR);
    assert_eq!(silent[0].severity, Severity::High, "four times the hour that is let pass");
    insta::assert_snapshot!(silent[0].reason, @"Nothing was delivered for 111122223333/us-east-1 since 2026-08-04 07:00Z (5 h 5 min), where 805 objects came before and no silence is usually longer than 56 min; check that its trail still logs and delivers there: `keytrail doctor` asks AWS.");
    // By the clock the same, and after an hour everything.
    let now = end + 10 * MIN;
    assert_eq!(told(&conditions(&lake, LiveOrHorizon::Live(now)).await), [(REGION_SILENT, vec![ONE, "us-east-1"])]);
    let all = conditions(&lake, LiveOrHorizon::Live(end + 2 * HOUR)).await;
    assert_eq!(told(&all), [(ACCOUNT_SILENT, vec![ONE])]);
    assert_eq!(all[0].since, end);
    insta::assert_snapshot!(all[0].reason, @"Nothing was delivered for account 111122223333 (all 2 regions) since 2026-08-04 12:00Z (2 h), where no silence is usually longer than 56 min; check that the account's trail still logs, that its bucket policy lets CloudTrail write, and that its notifications reach the queue: `keytrail doctor` asks AWS.");
    // A patient setting.
    let patient = SystemSettings { silent_after: 12 * HOUR, ..SystemSettings::default() };
    let none = lake_conditions(&lake, &SessionSettings::default(), LiveOrHorizon::Horizon, &patient).await;
    assert!(none.expect("asked").is_empty());
}

#[tokio::test]
async fn when_every_account_is_silent_it_is_the_pipe() {
    let end = START + 2 * DAY;
    let mut objects = steady(ONE, "eu-west-1", START, end, 5 * MIN);
    objects.extend(steady(TWO, "eu-west-1", START, end - 10 * MIN, 10 * MIN));
    objects.extend(steady(TWO, "eu-west-2", START, end - 20 * MIN, 10 * MIN));
    let (_folder, lake) = lake_of(objects).await;
    assert!(conditions(&lake, LiveOrHorizon::Live(end + 30 * MIN)).await.is_empty());
    let all = conditions(&lake, LiveOrHorizon::Live(end + 3 * HOUR)).await;
    assert_eq!(told(&all), [(LAKE_SILENT, Vec::new())]);
    assert_eq!((all[0].since, all[0].severity), (end, Severity::Critical));
    insta::assert_snapshot!(all[0].reason, @"Nothing was delivered for any of 2 accounts since 2026-08-03 12:00Z (3 h), where no silence is usually longer than 54 min; check what they share, which is the bucket's notifications, the queue and this worker's permissions: `keytrail doctor` asks AWS, and `keytrail reconcile` takes in what was delivered meanwhile.");
    // One account speaks again.
    add(&lake, vec![object(ONE, "eu-west-1", end + 3 * HOUR, ObjectOutcome::Committed)]).await;
    let one = conditions(&lake, LiveOrHorizon::Live(end + 3 * HOUR + 10 * MIN)).await;
    assert_eq!(told(&one), [(ACCOUNT_SILENT, vec![TWO])]);
}

#[tokio::test]
async fn nights_and_past_gaps_are_not_silences() {
    // Eight busy hours a day for two weeks, with an outage of half a day on the third.
    let mut objects = Vec::new();
    for day in 0..14 {
        let from = START + day * DAY;
        let until = if day == 3 { from + 2 * HOUR } else { from + 8 * HOUR };
        objects.extend(steady(ONE, "eu-west-1", from, until, 5 * MIN));
    }
    let evening = START + 13 * DAY + 8 * HOUR;
    // Another account keeps the horizon moving.
    objects.extend(steady(TWO, "eu-west-1", START, evening + 20 * HOUR, 10 * MIN));
    let (_folder, lake) = lake_of(objects).await;
    let at = |after: Micros| conditions(&lake, LiveOrHorizon::Live(evening + after));
    assert!(at(12 * HOUR).await.is_empty(), "a night");
    assert!(at(16 * HOUR).await.is_empty(), "still as long as a night");
    // Nobody came in the morning.
    assert_eq!(told(&at(21 * HOUR).await), [(ACCOUNT_SILENT, vec![ONE])]);
}

#[tokio::test]
async fn a_delivery_from_the_future_hides_nothing() {
    let end = START + 2 * DAY;
    let mut objects = steady(ONE, "eu-west-1", START, end, 5 * MIN);
    objects.push(object(ONE, "eu-west-1", START + 40_000 * DAY, ObjectOutcome::Committed));
    let (_folder, lake) = lake_of(objects).await;
    let silent = conditions(&lake, LiveOrHorizon::Live(end + 3 * HOUR)).await;
    assert_eq!(told(&silent), [(ACCOUNT_SILENT, vec![ONE])]);
}

#[tokio::test]
async fn quarantine_is_one_alert_for_each_place() {
    let end = START + HOUR;
    let broken = |reason: &str| ObjectOutcome::Quarantined(reason.into());
    let mut objects = steady(ONE, "eu-west-1", START, end, 5 * MIN);
    for number in 0..3 {
        objects.push(object(ONE, "us-east-1", end + number, broken("gzip: corrupt \u{1b}[2J")));
    }
    objects.push(object(ONE, "us-east-1", end + 10, broken("not JSON")));
    objects.push(ObjectEntry {
        quarantined: vec![keytrail_model::QuarantinedRecord {
            record_index: 4,
            reason: "no eventTime".into(),
            byte_offset: 0,
            byte_length: 1,
        }],
        ..object(TWO, "eu-west-1", end, ObjectOutcome::Committed)
    });
    let mut unknown = object(ONE, "x", end, broken("unknown content"));
    (unknown.account_id, unknown.region) = (None, None);
    objects.push(unknown);
    let (_folder, lake) = lake_of(objects).await;
    let found = conditions(&lake, LiveOrHorizon::Horizon).await;
    let mut places = told(&found);
    places.sort();
    assert_eq!(
        places,
        [(QUARANTINE, vec!["", ""]), (QUARANTINE, vec![ONE, "us-east-1"]), (QUARANTINE, vec![TWO, "eu-west-1"])]
    );
    let region = found.iter().find(|condition| condition.region.as_deref() == Some("us-east-1")).expect("told");
    assert_eq!((region.count, region.severity), (4, Severity::High));
    insta::assert_snapshot!(region.reason, @r#"4 objects from 111122223333/us-east-1, delivered since 2026-08-01 13:05Z, are quarantined and not judged, where usually nothing is: gzip: corrupt \u{1b}[2J (3 times); not JSON; `keytrail quarantine list` names them, and `keytrail quarantine retry` reads them again once the cause is mended."#);
    let record = found.iter().find(|condition| condition.account_id.as_deref() == Some(TWO)).expect("told");
    assert_eq!((record.count, record.severity), (1, Severity::Medium));
}

#[tokio::test]
async fn alerts_of_the_lake_come_and_go() {
    let end = START + 2 * DAY;
    let mut objects = steady(ONE, "eu-west-1", START, end + 4 * HOUR, 5 * MIN);
    objects.extend(steady(ONE, "us-east-1", START, end, 5 * MIN));
    let (_folder, lake) = lake_of(objects).await;
    let settings = SystemSettings::default();
    let session = SessionSettings::default();
    let check = |now: Micros| check_lake(&lake, &session, LiveOrHorizon::Live(now), &settings);
    // Two workers at once, again and again: one alert.
    let now = end + 4 * HOUR;
    let (one, other) = tokio::join!(check(now), check(now));
    assert!(!one.expect("asked").raised.is_empty() || !other.expect("asked").raised.is_empty());
    assert!(check(now + MIN).await.expect("asked").is_empty());
    let alerts = lake.alerts().await.expect("alerts");
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!((alerts[0].rule_id.as_str(), alerts[0].historical), (REGION_SILENT, false));

    add(&lake, vec![object(ONE, "us-east-1", end + 4 * HOUR, ObjectOutcome::Committed)]).await;
    let over = check(end + 4 * HOUR + 10 * MIN).await.expect("asked");
    assert_eq!((over.raised.len(), over.closed.len()), (0, 1), "{over:?}");
    let alerts = lake.alerts().await.expect("alerts");
    assert_eq!((alerts[0].state, alerts[0].verdict), (AlertState::Closed, None));
    assert!(alerts[0].note.as_deref().is_some_and(|note| note.contains("arrive again")), "{:?}", alerts[0].note);
    // Then all of it: first the regions one by one or at once, in the end the account alone.
    let all = check(end + 9 * HOUR).await.expect("asked");
    let ids: Vec<&str> = all.raised.iter().map(|alert| alert.rule_id.as_str()).collect();
    assert_eq!(ids, [ACCOUNT_SILENT]);
}

#[tokio::test]
async fn a_region_becomes_part_of_its_accounts_silence() {
    let end = START + 2 * DAY;
    let mut objects = steady(ONE, "eu-west-1", START, end + 4 * HOUR, 5 * MIN);
    objects.extend(steady(ONE, "us-east-1", START, end, 5 * MIN));
    let (_folder, lake) = lake_of(objects).await;
    let settings = SystemSettings::default();
    let session = SessionSettings::default();
    let check = |now: Micros| check_lake(&lake, &session, LiveOrHorizon::Live(now), &settings);
    assert_eq!(check(end + 4 * HOUR).await.expect("asked").raised.len(), 1);
    let all = check(end + 8 * HOUR).await.expect("asked");
    assert_eq!((all.raised.len(), all.closed.len()), (1, 1));
    assert_eq!(all.closed[0].note.as_deref(), Some("resolved: the whole account is silent now"));
}

#[test]
fn what_a_worker_meets_is_said_in_a_sentence() {
    let now = START + 2 * HOUR;
    let lag = worker::QueueLag {
        queue: "keytrail-events",
        oldest_age: 47 * MIN,
        growing_since: START,
        backlog: 12_000,
        usual_age: MIN,
        retention: Some(4 * DAY),
    };
    let falling = worker::queue_lag(&lag, now);
    assert_eq!((falling.severity, falling.count), (Severity::Medium, 12_000));
    insta::assert_snapshot!(falling.reason, @"The oldest of 12,000 messages in keytrail-events has waited 47 min, growing since 2026-08-01 12:00Z, where 1 min is usual (after 4 days the queue drops a message, and only `keytrail reconcile` finds its objects); alerts come that much later: add workers, or see in `/metrics` whether the lake or S3 is slow.");
    let near = worker::queue_lag(&worker::QueueLag { oldest_age: 3 * DAY, ..lag.clone() }, now);
    assert_eq!(near.severity, Severity::Critical);

    let reasons = ["no shape fits\u{1b}[2J".to_owned(), "x".repeat(5_000)];
    let alien = worker::notifications_not_understood("q", 3, START, now, &reasons, Some("q-dead"));
    assert!(alien.reason.chars().count() < 800, "{}", alien.reason);
    assert!(!alien.reason.contains('\u{1b}'));
    let none = worker::notifications_not_understood("q", 1, START, now, &reasons[..1], None);
    assert_eq!(none.severity, Severity::High);
    insta::assert_snapshot!(none.reason, @r#"1 message in q since 2026-08-01 12:00Z could not be understood (no shape fits\u{1b}[2J), where every message should be; there is no dead-letter queue, so they come back until the queue drops them: see who else sends to this queue."#);

    let waiting = worker::objects_waiting(&worker::Unreadable {
        role: "arn:aws:iam::111122223333:role/keytrail",
        permission: "kms:Decrypt",
        resource: "arn:aws:kms:eu-west-1:111122223333:key/0a",
        count: 7,
        since: START,
        last_at: now,
    });
    insta::assert_snapshot!(waiting.reason, @"7 objects announced since 2026-08-01 12:00Z cannot be read, because role/keytrail is refused kms:Decrypt on arn:aws:kms:eu-west-1:111122223333:key/0a; nothing is lost while their messages wait, and what is not mended before the queue gives up is quarantined: grant it (`keytrail iam-policy` prints the whole policy).");

    let command = "aws cloudtrail put-event-selectors --trail-name org --event-selectors file://selectors.json";
    let trail = worker::trail_misconfigured(ONE, "org", "Read events are not logged", command, START);
    insta::assert_snapshot!(trail.reason, @"Read events are not logged (trail org of account 111122223333, found 2026-08-01 12:00Z), so reads may go unseen that are usually logged; mend it with: aws cloudtrail put-event-selectors --trail-name org --event-selectors file://selectors.json");
    assert_eq!(trail.subject.len(), 3);
}
