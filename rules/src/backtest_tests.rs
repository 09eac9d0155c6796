use keytrail_alerts::Inbox;
use keytrail_lake::encode_access_events;
use keytrail_model::{AccessEvent, Verdict};

use super::*;
use crate::{
    pack::{Packs, SampleKind},
    sample::Sample,
    samples::tests::normalize_records,
};

/// A sample's records as events, day by day.
fn days(rule: &str, sample: &str) -> BTreeMap<i64, Vec<AccessEvent>> {
    let packs = Packs::load(None);
    let pack = packs.find(rule).expect("built in");
    let file =
        pack.samples.iter().find(|file| file.kind == SampleKind::Fires && file.name == sample).expect("a sample");
    let records = Sample::parse(rule, file).expect("right").records;
    let json = serde_json::json!({ "Records": records }).to_string();
    let mut events = normalize_records(sample, json.as_bytes()).expect("understood");
    events.sort_by(|a, b| (a.event_at, &a.event_id).cmp(&(b.event_at, &b.event_id)));
    let mut days: BTreeMap<i64, Vec<AccessEvent>> = BTreeMap::new();
    for event in events {
        days.entry(event.event_at.div_euclid(DAY)).or_default().push(event);
    }
    days
}

#[tokio::test]
async fn history_is_learned_from_and_the_span_is_counted() {
    let packs = Packs::load(None);
    let pack = packs.find("new_principal").expect("built in").clone();
    let mut replay = Replay::new(&[pack], RuleSettings::default());
    let days = days("new_principal", "first_read_after_learning");
    for (day, events) in &days {
        let rows = encode_access_events(events, day * DAY, "b").expect("columns");
        replay.day(&[rows], &[], (day + 1) * DAY).await.expect("judged");
    }
    let alerts = replay.finish();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let alert = alerts.first().expect("one");
    let whole = Span { from: 0, until: Micros::MAX };
    let last = Span { from: alert.first_event_at, until: alert.first_event_at + 1 };
    let before = Span { from: 0, until: alert.first_event_at };
    let judged = Alert { verdict: Some(Verdict::Expected), alert_id: "an older episode".into(), ..alert.clone() };
    let of = |span| forecast(&["new_principal"], &alerts, std::slice::from_ref(&judged), span, 3).remove(0);
    assert_eq!((of(whole).alerts, of(last).alerts, of(before).alerts), (1, 1, 0));
    let counted = of(last);
    assert_eq!(counted.per_day, 1.0);
    assert_eq!(counted.busiest(), Some((time::utc_day(alert.first_event_at).as_str(), 1)));
    assert_eq!(counted.by_principal, [(alert.principal_id.clone().expect("a principal"), 1)]);
    assert_eq!(counted.verdicts, BTreeMap::from([("expected", 1)]));
    assert_eq!(counted.examples, std::slice::from_ref(alert));
}

#[tokio::test]
async fn a_replay_in_days_says_what_one_judging_says() {
    let packs = Packs::load(None);
    let pack = packs.find("new_principal").expect("built in").clone();
    let days = days("new_principal", "first_read_after_learning");
    let mut replay = Replay::new(std::slice::from_ref(&pack), RuleSettings::default());
    for (day, events) in &days {
        let rows = encode_access_events(events, day * DAY, "b").expect("columns");
        replay.day(&[rows], &[], (day + 1) * DAY).await.expect("judged");
    }
    let mut engine = Engine::new(&[pack], RuleSettings::default(), State::default(), Inbox::default());
    let all: Vec<AccessEvent> = days.into_values().flatten().collect();
    let rows = encode_access_events(&all, 0, "b").expect("columns");
    engine.judge_batch(&rows, vec![false; all.len()], all.last().expect("rows").event_at).await.expect("judged");
    let ids = |alerts: &[Alert]| alerts.iter().map(|it| (it.alert_id.clone(), it.reason.clone())).collect::<Vec<_>>();
    assert_eq!(ids(&replay.finish()), ids(&engine.inbox().alerts().cloned().collect::<Vec<_>>()));
}

#[tokio::test]
async fn a_rule_that_fails_says_so() {
    let packs = Packs::load(None);
    let pack = packs.find("new_principal").expect("built in").clone();
    let settings = RuleSettings { max_findings: 0, ..RuleSettings::default() };
    let mut replay = Replay::new(&[pack], settings);
    for (day, events) in &days("new_principal", "first_read_after_learning") {
        let rows = encode_access_events(events, day * DAY, "b").expect("columns");
        replay.day(&[rows], &[], (day + 1) * DAY).await.expect("judged");
    }
    let found = forecast(&["new_principal"], &replay.finish(), &[], Span { from: 0, until: Micros::MAX }, 3).remove(0);
    assert_eq!(found.alerts, 0);
    assert!(found.error.expect("an error").contains("more than 0 findings"));
}

#[test]
fn days_are_counted_whole() {
    assert_eq!(Span { from: 0, until: DAY }.days(), 1);
    assert_eq!(Span { from: 5, until: DAY + 1 }.days(), 2);
    assert_eq!(Span { from: 5, until: 5 }.days(), 1);
    assert!(Span { from: 5, until: 6 }.has(5) && !Span { from: 5, until: 6 }.has(6));
}
