use keytrail_model::{AlertClass, Severity, Verdict, time::HOUR};
use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::{
    episode::EVIDENCE_CAP,
    lifecycle::{Act, Change, apply},
};

struct Plain;

impl Folding for Plain {
    fn episode_gap(&self, _rule_id: &str) -> Micros {
        24 * HOUR
    }

    fn suppression(&self, alert: &Alert) -> Option<String> {
        alert.secret_ids.iter().any(|secret| secret == "quiet").then(|| "s1".to_owned())
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
        why: Vec::new(),
        shadow: false,
        columns: Map::new(),
    }
}

#[test]
fn one_role_reading_twelve_secrets_is_one_alert() {
    let mut inbox = Inbox::default();
    let findings = (0..12).map(|n| finding(HOUR + n, &format!("e{n}"), &format!("s{n:02}"))).collect();
    let changes = inbox.fold(findings, &Rejudged::default(), &Plain, MOMENT);
    assert_eq!((changes.raised.len(), changes.updated.len()), (1, 0));
    assert_eq!(changes.raised[0].reason, "12 secrets");
    assert_eq!(changes.raised[0].event_count, 12);
}

#[test]
fn the_same_event_twice_changes_nothing() {
    let mut inbox = Inbox::default();
    let once = inbox.fold(vec![finding(1, "e", "s")], &Rejudged::default(), &Plain, MOMENT);
    let again = inbox.fold(
        vec![finding(1, "e", "s")],
        &Rejudged::default(),
        &Plain,
        FoldMoment { now: 2_000 * HOUR, ..MOMENT },
    );
    assert_eq!(once.raised.len(), 1);
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn one_event_over_ten_secrets_is_one_event() {
    let mut inbox = Inbox::default();
    let changes =
        inbox.fold((0..10).map(|n| finding(5, "e", &format!("s{n}"))).collect(), &Rejudged::default(), &Plain, MOMENT);
    assert_eq!(changes.raised[0].event_count, 1);
    assert_eq!(changes.raised[0].secret_ids.len(), 10);
}

#[test]
fn a_gap_makes_two_alerts() {
    let mut inbox = Inbox::default();
    let changes =
        inbox.fold(vec![finding(0, "a", "s"), finding(25 * HOUR, "b", "s")], &Rejudged::default(), &Plain, MOMENT);
    assert_eq!(changes.raised.len(), 2);
}

#[test]
fn an_earlier_event_gives_the_words_but_not_the_id() {
    let mut inbox = Inbox::default();
    let first = inbox.fold(vec![finding(10 * HOUR, "b", "s")], &Rejudged::default(), &Plain, MOMENT).raised;
    let then = inbox.fold(vec![finding(9 * HOUR, "a", "s")], &Rejudged::default(), &Plain, MOMENT).updated;
    assert_eq!(then[0].alert_id, first[0].alert_id);
    assert_eq!(then[0].reason, "reason of a");
    assert_eq!(then[0].first_event_at, 9 * HOUR);
}

#[test]
fn activity_after_closing_is_a_new_alert() {
    let mut inbox = Inbox::default();
    let open = inbox.fold(vec![finding(10, "a", "s")], &Rejudged::default(), &Plain, MOMENT).raised.remove(0);
    let act = Act { by: "ana".into(), note: None, at: MOMENT.now };
    inbox.insert(apply(&open, Change::Close(Verdict::Expected), &act).expect("open"));
    assert!(inbox.fold(vec![finding(10, "a", "s")], &Rejudged::default(), &Plain, MOMENT).is_empty());
    let next = inbox.fold(vec![finding(20, "b", "s")], &Rejudged::default(), &Plain, MOMENT);
    assert_eq!((next.raised.len(), next.updated.len()), (1, 0));
    assert_ne!(next.raised[0].alert_id, open.alert_id);
}

#[test]
fn a_lasting_condition_is_told_once() {
    let mut inbox = Inbox::default();
    let condition = |at| Finding { evidence: None, ..finding(at, "", "s") };
    assert_eq!(inbox.fold(vec![condition(HOUR)], &Rejudged::default(), &Plain, MOMENT).raised.len(), 1);
    assert!(inbox.fold(vec![condition(HOUR)], &Rejudged::default(), &Plain, MOMENT).is_empty());
    assert_eq!(inbox.fold(vec![condition(2 * HOUR)], &Rejudged::default(), &Plain, MOMENT).updated.len(), 1);
}

#[test]
fn backfill_is_historical_until_something_recent_joins() {
    let mut inbox = Inbox::default();
    let moment = FoldMoment { now: 100 * HOUR, historical_before: 76 * HOUR };
    let old = inbox.fold(vec![finding(70 * HOUR, "a", "s")], &Rejudged::default(), &Plain, moment).raised.remove(0);
    assert!(old.historical);
    assert!(
        !inbox.fold(vec![finding(80 * HOUR, "b", "s")], &Rejudged::default(), &Plain, moment).updated[0].historical
    );
}

#[test]
fn an_alert_over_two_accounts_names_none() {
    let mut inbox = Inbox::default();
    let elsewhere = Finding { account_id: Some("444455556666".into()), ..finding(2, "b", "t") };
    let alert =
        inbox.fold(vec![finding(1, "a", "s"), elsewhere], &Rejudged::default(), &Plain, MOMENT).raised.remove(0);
    assert_eq!((alert.account_id, alert.region.as_deref()), (None, Some("us-east-1")));
}

#[test]
fn a_flood_is_counted_but_not_kept() {
    let mut inbox = Inbox::default();
    let flood: Vec<Finding> = (0..1_000).map(|n| finding(n / 700, &format!("e{n:04}"), "s")).collect();
    let alert = inbox.fold(flood.clone(), &Rejudged::default(), &Plain, MOMENT).raised.remove(0);
    assert_eq!((alert.evidence.len(), alert.event_count), (EVIDENCE_CAP, 1_000));
    assert!(inbox.fold(flood, &Rejudged::default(), &Plain, MOMENT).is_empty());
}

/// Judges these events again: only those of `findings` are found.
fn again(inbox: &mut Inbox, events: &[&str], findings: Vec<Finding>) -> FoldChanges {
    let rejudged = Rejudged {
        rules: BTreeSet::from(["r".to_owned()]),
        events: events.iter().map(|&event| event.to_owned()).collect(),
    };
    inbox.fold(findings, &rejudged, &Plain, MOMENT)
}

#[test]
fn a_late_event_joins_two_episodes() {
    let mut inbox = Inbox::default();
    let two =
        inbox.fold(vec![finding(0, "a", "s"), finding(40 * HOUR, "c", "t")], &Rejudged::default(), &Plain, MOMENT);
    assert_eq!(two.raised.len(), 2);
    let changes = again(&mut inbox, &[], vec![finding(20 * HOUR, "b", "s")]);
    let (standing, merged): (Vec<_>, Vec<_>) = changes.updated.into_iter().partition(stands);
    assert_eq!((standing.len(), merged.len(), changes.raised.len()), (1, 1, 0));
    assert_eq!((standing[0].event_count, standing[0].last_event_at), (3, 40 * HOUR));
    assert_eq!(standing[0].reason, "2 secrets");
    assert_eq!(merged[0].merged_into.as_ref(), Some(&standing[0].alert_id));
    assert_eq!((merged[0].state, merged[0].verdict), (AlertState::Closed, Some(Verdict::Duplicate)));
}

#[test]
fn what_late_events_disprove_is_withdrawn() {
    let mut inbox = Inbox::default();
    inbox.fold(vec![finding(1, "a", "s"), finding(2, "b", "t")], &Rejudged::default(), &Plain, MOMENT);
    // One of the two does not hold: the alert stands on the other.
    let smaller = again(&mut inbox, &["a", "b"], vec![finding(2, "b", "t")]).updated.remove(0);
    assert_eq!((smaller.event_count, smaller.secret_ids.len(), smaller.first_event_at), (1, 1, 2));
    assert_eq!(smaller.reason, "reason of b");
    // Judged again to the same end, nothing changes.
    assert!(again(&mut inbox, &["b"], vec![finding(2, "b", "t")]).is_empty());
    let gone = again(&mut inbox, &["b"], Vec::new()).updated.remove(0);
    assert!(is_withdrawn(&gone) && gone.evidence.len() == 1, "{gone:?}");
    assert!(again(&mut inbox, &["b"], Vec::new()).is_empty());
    // And found once more it is raised again.
    let back = again(&mut inbox, &["b"], vec![finding(2, "b", "t")]).raised.remove(0);
    assert_eq!((back.state, back.note), (AlertState::Open, None));
}

#[test]
fn a_hole_makes_two_episodes() {
    let mut inbox = Inbox::default();
    let chain = vec![finding(0, "a", "s"), finding(20 * HOUR, "b", "s"), finding(40 * HOUR, "c", "s")];
    assert_eq!(inbox.fold(chain, &Rejudged::default(), &Plain, MOMENT).raised.len(), 1);
    let ends = vec![finding(0, "a", "s"), finding(40 * HOUR, "c", "s")];
    let changes = again(&mut inbox, &["a", "b", "c"], ends);
    assert_eq!((changes.raised.len(), changes.updated.len()), (1, 1));
}

#[test]
fn what_a_person_closed_is_left_alone() {
    let mut inbox = Inbox::default();
    let open = inbox.fold(vec![finding(10, "a", "s")], &Rejudged::default(), &Plain, MOMENT).raised.remove(0);
    let act = Act { by: "ana".into(), note: None, at: MOMENT.now };
    inbox.insert(apply(&open, Change::Close(Verdict::TruePositive), &act).expect("open"));
    assert!(again(&mut inbox, &["a"], Vec::new()).is_empty());
    let next = again(&mut inbox, &["a"], vec![finding(10, "a", "s"), finding(20, "b", "s")]);
    assert_eq!(next.updated.len(), 0);
    assert_eq!(next.raised[0].previous_alert_id.as_ref(), Some(&open.alert_id));
    assert_eq!(next.raised[0].fingerprint, open.fingerprint);
}

#[test]
fn a_suppressed_alert_is_kept_and_opens_when_more_happens() {
    let mut inbox = Inbox::default();
    let quiet = inbox.fold(vec![finding(1, "a", "quiet")], &Rejudged::default(), &Plain, MOMENT).raised.remove(0);
    assert_eq!((quiet.state, quiet.suppressed_by.as_deref()), (AlertState::Suppressed, Some("s1")));
    let shadow = Finding { shadow: true, fold_key: vec!["other".into()], ..finding(1, "b", "s") };
    let trial = inbox.fold(vec![shadow], &Rejudged::default(), &Plain, MOMENT).raised.remove(0);
    assert_eq!(trial.suppressed_by.as_deref(), Some(SHADOW));
    let more = Finding { fold_key: vec!["other".into()], ..finding(2, "c", "s") };
    let open = inbox.fold(vec![more], &Rejudged::default(), &Plain, MOMENT).updated.remove(0);
    assert_eq!((open.state, open.suppressed_by), (AlertState::Open, None));
}

#[test]
fn a_rule_that_works_again_closes_its_error() {
    let mut inbox = Inbox::default();
    let error = Finding { class: AlertClass::RuleError, evidence: None, ..finding(1, "", "s") };
    inbox.fold(vec![error], &Rejudged::default(), &Plain, MOMENT);
    assert!(inbox.close_rule_errors(&BTreeSet::from(["other".to_owned()]), 5).is_empty());
    let working = BTreeSet::from(["r".to_owned()]);
    assert_eq!(inbox.close_rule_errors(&working, 5).len(), 1);
    assert!(inbox.close_rule_errors(&working, 6).is_empty());
}

/// What stands, without ids and times of telling: these depend on who came first.
fn standing(inbox: &Inbox) -> Vec<Alert> {
    let mut all: Vec<Alert> = inbox
        .alerts()
        .filter(|alert| stands(alert))
        .map(|alert| Alert { alert_id: String::new(), raised_at: 0, updated_at: 0, ..alert.clone() })
        .collect();
    all.sort_by_key(|alert| alert.first_event_at);
    all
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
        whole.fold(findings.clone(), &Rejudged::default(), &Plain, MOMENT);
        let mut pieces = Inbox::default();
        let mut batch = Vec::new();
        for (one, cut) in findings.into_iter().zip(cuts) {
            batch.push(one);
            if cut {
                pieces.fold(batch.clone(), &Rejudged::default(), &Plain, MOMENT);
                pieces.fold(std::mem::take(&mut batch), &Rejudged::default(), &Plain, MOMENT);
            }
        }
        pieces.fold(batch, &Rejudged::default(), &Plain, MOMENT);
        let all = |inbox: &Inbox| inbox.alerts().cloned().collect::<Vec<_>>();
        prop_assert_eq!(all(&whole), all(&pieces));
    }

    /// Whatever the order and the batches, and with events judged again in between, the same stands in the end.
    #[test]
    fn order_does_not_matter(
        times in prop::collection::vec(0i64..300, 1..40),
        keys in prop::collection::vec((any::<u16>(), any::<bool>(), any::<bool>()), 40),
    ) {
        let findings: Vec<Finding> = times
            .iter()
            .enumerate()
            .map(|(n, hours)| Finding {
                severity: if n % 7 == 0 { Severity::High } else { Severity::Low },
                ..finding(hours * HOUR, &format!("e{n:03}"), &format!("s{}", n % 5))
            })
            .collect();
        // Some are found at first and disproved later on.
        let holds: Vec<Finding> =
            findings.iter().zip(&keys).filter(|(_, (.., wrong))| !wrong).map(|(one, _)| one.clone()).collect();
        let mut whole = Inbox::default();
        whole.fold(holds.clone(), &Rejudged::default(), &Plain, MOMENT);
        let mut shuffled: Vec<(Finding, (u16, bool, bool))> = findings.into_iter().zip(keys).collect();
        shuffled.sort_by_key(|(_, (key, ..))| *key);
        let mut pieces = Inbox::default();
        let mut batch = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for (one, (_, cut, _)) in shuffled {
            seen.extend(one.evidence.as_ref().map(|evidence| evidence.event_id.clone()));
            batch.push(one);
            if cut {
                pieces.fold(std::mem::take(&mut batch), &Rejudged::default(), &Plain, MOMENT);
            }
        }
        pieces.fold(batch, &Rejudged::default(), &Plain, MOMENT);
        let events: Vec<&str> = seen.iter().map(String::as_str).collect();
        again(&mut pieces, &events, holds);
        prop_assert_eq!(standing(&whole), standing(&pieces));
    }
}
