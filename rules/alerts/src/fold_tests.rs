use keytrail_model::{AlertClass, Severity, Verdict, time::HOUR};
use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::lifecycle::{Act, Change, apply};

struct Plain;

impl Folding for Plain {
    fn episode_gap(&self, _rule_id: &str) -> Micros {
        24 * HOUR
    }

    fn wording(&self, alert: &Alert) -> Option<Wording> {
        Some(Wording { title: "many".into(), reason: format!("{} secrets", alert.secret_ids.len()) })
    }
}

const MOMENT: FoldMoment = FoldMoment { now: 1_000 * HOUR, historical_before: 0 };

fn finding(at: Micros, event: &str, secret: &str) -> Finding {
    Finding {
        rule_id: "r".into(),
        rule_version: "1".into(),
        severity: Severity::Medium,
        class: AlertClass::Detection,
        title: format!("title of {event}"),
        reason: format!("reason of {event}"),
        fold_key: vec!["role".into()],
        principal_id: Some("role".into()),
        secret_id: Some(secret.into()),
        account_id: Some("111122223333".into()),
        region: Some("us-east-1".into()),
        event_at: at,
        evidence: Some(Evidence {
            event_at: at,
            event_id: event.into(),
            event_name: "GetSecretValue".into(),
            secret_id: Some(secret.into()),
            source_ip: None,
            object_key: "o".into(),
            record_index: 0,
        }),
        columns: Map::new(),
    }
}

#[test]
fn one_role_reading_twelve_secrets_is_one_alert() {
    let mut inbox = Inbox::default();
    let findings = (0..12).map(|n| finding(HOUR + n, &format!("e{n}"), &format!("s{n:02}"))).collect();
    let changes = inbox.fold(findings, &Plain, MOMENT);
    assert_eq!((changes.raised.len(), changes.updated.len()), (1, 0));
    assert_eq!(changes.raised[0].reason, "12 secrets");
    assert_eq!(changes.raised[0].event_count, 12);
}

#[test]
fn the_same_event_twice_changes_nothing() {
    let mut inbox = Inbox::default();
    let once = inbox.fold(vec![finding(1, "e", "s")], &Plain, MOMENT);
    let again = inbox.fold(vec![finding(1, "e", "s")], &Plain, FoldMoment { now: 2_000 * HOUR, ..MOMENT });
    assert_eq!(once.raised.len(), 1);
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn one_event_over_ten_secrets_is_one_event() {
    let mut inbox = Inbox::default();
    let changes = inbox.fold((0..10).map(|n| finding(5, "e", &format!("s{n}"))).collect(), &Plain, MOMENT);
    assert_eq!(changes.raised[0].event_count, 1);
    assert_eq!(changes.raised[0].secret_ids.len(), 10);
}

#[test]
fn a_gap_makes_two_alerts() {
    let mut inbox = Inbox::default();
    let changes = inbox.fold(vec![finding(0, "a", "s"), finding(25 * HOUR, "b", "s")], &Plain, MOMENT);
    assert_eq!(changes.raised.len(), 2);
}

#[test]
fn an_earlier_event_gives_the_words_but_not_the_id() {
    let mut inbox = Inbox::default();
    let first = inbox.fold(vec![finding(10 * HOUR, "b", "s")], &Plain, MOMENT).raised;
    let then = inbox.fold(vec![finding(9 * HOUR, "a", "s")], &Plain, MOMENT).updated;
    assert_eq!(then[0].alert_id, first[0].alert_id);
    assert_eq!(then[0].reason, "reason of a");
    assert_eq!(then[0].first_event_at, 9 * HOUR);
}

#[test]
fn activity_after_closing_is_a_new_alert() {
    let mut inbox = Inbox::default();
    let open = inbox.fold(vec![finding(10, "a", "s")], &Plain, MOMENT).raised.remove(0);
    let act = Act { by: "ana".into(), note: None, at: MOMENT.now };
    inbox.insert(apply(&open, Change::Close(Verdict::Expected), &act).expect("open"));
    assert!(inbox.fold(vec![finding(10, "a", "s")], &Plain, MOMENT).is_empty());
    let next = inbox.fold(vec![finding(20, "b", "s")], &Plain, MOMENT);
    assert_eq!((next.raised.len(), next.updated.len()), (1, 0));
    assert_ne!(next.raised[0].alert_id, open.alert_id);
}

#[test]
fn a_lasting_condition_is_told_once() {
    let mut inbox = Inbox::default();
    let condition = |at| Finding { evidence: None, ..finding(at, "", "s") };
    assert_eq!(inbox.fold(vec![condition(HOUR)], &Plain, MOMENT).raised.len(), 1);
    assert!(inbox.fold(vec![condition(HOUR)], &Plain, MOMENT).is_empty());
    assert_eq!(inbox.fold(vec![condition(2 * HOUR)], &Plain, MOMENT).updated.len(), 1);
}

#[test]
fn backfill_is_historical_until_something_recent_joins() {
    let mut inbox = Inbox::default();
    let moment = FoldMoment { now: 100 * HOUR, historical_before: 76 * HOUR };
    let old = inbox.fold(vec![finding(70 * HOUR, "a", "s")], &Plain, moment).raised.remove(0);
    assert!(old.historical);
    assert!(!inbox.fold(vec![finding(80 * HOUR, "b", "s")], &Plain, moment).updated[0].historical);
}

#[test]
fn an_alert_over_two_accounts_names_none() {
    let mut inbox = Inbox::default();
    let elsewhere = Finding { account_id: Some("444455556666".into()), ..finding(2, "b", "t") };
    let alert = inbox.fold(vec![finding(1, "a", "s"), elsewhere], &Plain, MOMENT).raised.remove(0);
    assert_eq!((alert.account_id, alert.region.as_deref()), (None, Some("us-east-1")));
}

#[test]
fn a_flood_is_counted_but_not_kept() {
    let mut inbox = Inbox::default();
    let flood: Vec<Finding> = (0..1_000).map(|n| finding(n / 700, &format!("e{n:04}"), "s")).collect();
    let alert = inbox.fold(flood.clone(), &Plain, MOMENT).raised.remove(0);
    assert_eq!((alert.evidence.len(), alert.event_count), (EVIDENCE_CAP, 1_000));
    assert!(inbox.fold(flood, &Plain, MOMENT).is_empty());
}

proptest! {
    /// In event order, where the batches are cut makes no difference, and a batch given twice none either.
    #[test]
    fn batch_boundaries_do_not_matter(
        times in prop::collection::vec(0i64..200, 1..40),
        cuts in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut times = times;
        times.sort_unstable();
        let findings: Vec<Finding> = times
            .iter()
            .enumerate()
            .map(|(n, hours)| finding(hours * HOUR, &format!("e{n:03}"), &format!("s{}", n % 5)))
            .collect();
        let mut whole = Inbox::default();
        whole.fold(findings.clone(), &Plain, MOMENT);
        let mut pieces = Inbox::default();
        let mut batch = Vec::new();
        for (one, cut) in findings.into_iter().zip(cuts) {
            batch.push(one);
            if cut {
                pieces.fold(batch.clone(), &Plain, MOMENT);
                pieces.fold(std::mem::take(&mut batch), &Plain, MOMENT);
            }
        }
        pieces.fold(batch, &Plain, MOMENT);
        let all = |inbox: &Inbox| inbox.alerts().cloned().collect::<Vec<_>>();
        prop_assert_eq!(all(&whole), all(&pieces));
    }
}
