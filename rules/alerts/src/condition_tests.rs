use keytrail_model::time::DAY;
use proptest::prelude::*;

use super::*;
use crate::lifecycle::{Act, Change, apply};

const START: Micros = 1_785_585_600_000_000;

fn silence(region: &str, since: Micros) -> Condition {
    Condition {
        rule_id: REGION_SILENT.into(),
        subject: vec!["111122223333".into(), region.into()],
        since,
        happened_at: since,
        known_at: since,
        count: 1,
        severity: Severity::Medium,
        title: format!("{region} is silent"),
        reason: "Nothing came.".into(),
        account_id: Some("111122223333".into()),
        region: Some(region.into()),
    }
}

fn quarantined(count: i64, since: Micros, newest: Micros) -> Condition {
    Condition {
        rule_id: QUARANTINE.into(),
        happened_at: newest,
        known_at: newest,
        count,
        ..silence("eu-west-1", since)
    }
}

fn lag(since: Micros) -> Condition {
    Condition { rule_id: QUEUE_LAG.into(), subject: vec!["queue".into()], ..silence("", since) }
}

/// An alert log: what is appended takes the place of what was there.
#[derive(Default)]
struct Log {
    alerts: Vec<Alert>,
    rows: usize,
}

impl Log {
    fn report(&mut self, checked: &[&str], conditions: &[Condition], now: Micros) -> Reconciled {
        let moment = FoldMoment { now, historical_before: now - DAY };
        let changes = reconcile(&self.alerts, checked, conditions, moment, |_| over_since(now));
        self.put(changes.all());
        changes
    }

    fn put(&mut self, alerts: Vec<Alert>) {
        self.rows += alerts.len();
        for alert in alerts {
            match self.alerts.iter_mut().find(|known| known.alert_id == alert.alert_id) {
                Some(known) => *known = alert,
                None => self.alerts.push(alert),
            }
        }
    }

    fn act(&mut self, change: Change, at: Micros) {
        let act = Act { by: "ana".into(), note: Some("seen".into()), at };
        let waiting = self.alerts.iter().find(|alert| alert.state != AlertState::Closed).expect("an open alert");
        let changed = apply(waiting, change, &act).expect("possible");
        self.put(vec![changed]);
    }

    fn open(&self) -> Vec<&Alert> {
        self.alerts.iter().filter(|alert| alert.state != AlertState::Closed).collect()
    }
}

const MIN: Micros = MINUTE;

#[test]
fn a_condition_raises_once_and_ends_with_itself() {
    let mut log = Log::default();
    let first = log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + HOUR);
    let alert = first.raised.first().expect("raised").clone();
    assert_eq!((alert.class, alert.state, alert.historical), (AlertClass::System, AlertState::Open, false));
    assert_eq!(alert.alert_id, condition_id(REGION_SILENT, &alert.fold_key, START));
    let again = log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + HOUR + MIN);
    assert!(again.is_empty(), "{again:?}");
    // Not checked: nothing is known of it.
    assert!(log.report(&[QUARANTINE], &[], START + 2 * HOUR).is_empty());
    let over = log.report(&[REGION_SILENT], &[], START + 2 * HOUR);
    let closed = over.closed.first().expect("closed");
    assert_eq!((closed.state, closed.verdict), (AlertState::Closed, None));
    assert_eq!(closed.changed_by.as_deref(), Some("keytrail"));
    assert!(closed.note.as_deref().is_some_and(|note| note.starts_with("resolved: ")), "{closed:?}");
    assert!(log.report(&[REGION_SILENT], &[], START + 3 * HOUR).is_empty(), "closing is told once");
    let later = log.report(&[REGION_SILENT], &[silence("eu-west-1", START + 5 * HOUR)], START + 6 * HOUR);
    assert_ne!(later.raised.first().expect("another").alert_id, alert.alert_id);
}

#[test]
fn a_week_of_silence_is_a_handful_of_rows() {
    let mut log = Log::default();
    for minute in 60..7 * 24 * 60 {
        log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + minute * MIN);
    }
    assert!((5..=9).contains(&log.rows), "{} rows", log.rows);
    assert_eq!(log.open().len(), 1);
}

#[test]
fn a_changing_number_is_told_when_it_doubles_and_not_every_minute() {
    let mut log = Log::default();
    for minute in 0..600 {
        let now = START + minute * MIN;
        log.report(&[QUARANTINE], &[quarantined(1 + minute, START, now)], now);
    }
    assert!((6..=16).contains(&log.rows), "{} rows", log.rows);
    let told = log.open()[0].event_count;
    assert!(told > 300, "{told}");
    let mut swinging = Log::default();
    for minute in 0..600 {
        let count = if minute % 2 == 0 { 1 } else { 100 };
        swinging.report(&[QUARANTINE], &[quarantined(count, START, START)], START + minute * MIN);
    }
    assert!(swinging.rows <= 61, "{} rows", swinging.rows);
}

#[test]
fn a_graver_condition_is_told_at_once_and_severity_never_falls() {
    let mut log = Log::default();
    log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + HOUR);
    let graver = Condition { severity: Severity::High, ..silence("eu-west-1", START) };
    let told = log.report(&[REGION_SILENT], &[graver], START + HOUR + MIN);
    assert_eq!(told.updated.first().map(|alert| alert.severity), Some(Severity::High));
    assert!(log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + HOUR + 2 * MIN).is_empty());
    assert_eq!(log.open()[0].severity, Severity::High);
}

#[test]
fn people_act_on_alerts_and_conditions_respect_it() {
    let mut log = Log::default();
    log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + HOUR);
    log.act(Change::Acknowledge, START + 2 * HOUR);
    let updated = log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + 5 * HOUR);
    assert_eq!(updated.updated.first().map(|alert| alert.state), Some(AlertState::Acknowledged));
    assert_eq!(updated.updated[0].note.as_deref(), Some("seen"));
    let over = log.report(&[REGION_SILENT], &[], START + 6 * HOUR);
    assert_eq!(over.closed.len(), 1, "an acknowledged alert ends by itself all the same");

    let mut log = Log::default();
    log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + HOUR);
    log.act(Change::Close(Verdict::Expected), START + 2 * HOUR);
    for hour in 3..200 {
        let lasting = log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + hour * HOUR);
        assert!(lasting.is_empty(), "{lasting:?}");
    }
    // A late object moves the silence's start, and it is still the same silence.
    assert!(log.report(&[REGION_SILENT], &[silence("eu-west-1", START + 30 * MIN)], START + 200 * HOUR).is_empty());
    let next = log.report(&[REGION_SILENT], &[silence("eu-west-1", START + 201 * HOUR)], START + 203 * HOUR);
    assert_eq!(next.raised.len(), 1);
}

#[test]
fn what_comes_after_a_person_closed_it_is_raised_again() {
    let mut log = Log::default();
    log.report(&[QUARANTINE], &[quarantined(1, START, START)], START + MIN);
    log.act(Change::Close(Verdict::Expected), START + 10 * MIN);
    assert!(log.report(&[QUARANTINE], &[quarantined(1, START, START)], START + HOUR).is_empty());
    // The first one cannot be mended; a second one comes.
    let more = log.report(&[QUARANTINE], &[quarantined(2, START, START + HOUR)], START + HOUR + MIN);
    assert_eq!(more.raised.len(), 1, "{more:?}");
    assert_eq!(log.alerts.len(), 2);
    assert!(
        log.report(&[QUARANTINE], &[quarantined(2, START, START + HOUR)], START + 2 * HOUR + MIN).raised.is_empty()
    );
}

#[test]
fn a_person_named_keytrail_is_a_person() {
    let mut log = Log::default();
    log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + HOUR);
    let act = Act { by: BY_KEYTRAIL.into(), note: None, at: START + 2 * HOUR };
    let closed = apply(&log.alerts[0], Change::Close(Verdict::Expected), &act).expect("open");
    log.put(vec![closed]);
    assert!(log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + 3 * HOUR).is_empty());
}

#[test]
fn history_is_marked_until_something_new_joins_it() {
    let mut log = Log::default();
    let now = START + 90 * DAY;
    let old = log.report(&[QUARANTINE], &[quarantined(200, START, START)], now);
    assert!(old.raised[0].historical);
    let fresh = log.report(&[QUARANTINE], &[quarantined(201, START, now)], now + MIN);
    assert_eq!(fresh.updated.first().map(|alert| alert.historical), Some(false));
}

#[test]
fn what_flickers_does_not_flap() {
    let mut log = Log::default();
    let lasting = [silence("eu-west-1", START)];
    log.report(&[REGION_SILENT], &lasting, START + HOUR);
    log.report(&[REGION_SILENT], &[], START + HOUR + MIN);
    // A worker that looked a moment earlier still sees it.
    assert!(log.report(&[REGION_SILENT], &lasting, START + HOUR + MIN + SECOND).is_empty());
    // It is really back: a new alert, because a closed one stays closed.
    let back = log.report(&[REGION_SILENT], &lasting, START + HOUR + 5 * MIN);
    assert_eq!(back.raised.len(), 1);
    assert_eq!((log.alerts.len(), log.open().len()), (2, 1));
}

#[test]
fn what_one_worker_sees_another_does_not_close() {
    let mut log = Log::default();
    for minute in 0..120 {
        let now = START + minute * MIN;
        log.report(&[QUEUE_LAG], &[lag(START)], now);
        let other = log.report(&[QUEUE_LAG], &[], now + 30 * SECOND);
        assert!(other.is_empty(), "{other:?}");
    }
    assert!(log.rows <= 13, "{} rows", log.rows);
    let over = log.report(&[QUEUE_LAG], &[], START + 120 * MIN + HELD_FOR);
    assert_eq!(over.closed.len(), 1);
}

#[test]
fn of_two_alerts_for_one_thing_the_earlier_stays() {
    let mut log = Log::default();
    log.report(&[QUEUE_LAG], &[lag(START)], START + MIN);
    let mut racing = Log::default();
    racing.report(&[QUEUE_LAG], &[lag(START + SECOND)], START + MIN);
    log.put(racing.alerts);
    assert_eq!(log.open().len(), 2);
    let healed = log.report(&[QUEUE_LAG], &[lag(START)], START + 2 * MIN);
    assert_eq!(healed.closed.first().and_then(|alert| alert.verdict), Some(Verdict::Duplicate));
    assert_eq!(log.open().len(), 1);
    assert_eq!(log.open()[0].first_event_at, START);
}

#[test]
fn a_lake_judged_once_a_month_tells_two_silences_apart() {
    let mut log = Log::default();
    log.report(&[REGION_SILENT], &[silence("eu-west-1", START)], START + 2 * HOUR);
    let month = log.report(&[REGION_SILENT], &[silence("eu-west-1", START + 30 * DAY)], START + 30 * DAY + 2 * HOUR);
    assert_eq!((month.closed.len(), month.raised.len()), (1, 1));
}

#[test]
fn what_is_found_anew_each_time_is_one_alert_and_stays_closed() {
    let found =
        |at: Micros| Condition { rule_id: TRAIL_MISCONFIGURED.into(), known_at: Micros::MIN, ..silence("trail", at) };
    let mut log = Log::default();
    for quarter in 0..400 {
        let now = START + quarter * 15 * MIN;
        log.report(&[TRAIL_MISCONFIGURED], &[found(now)], now);
    }
    assert_eq!(log.alerts.len(), 1);
    assert!(log.rows <= 10, "{} rows", log.rows);
    log.act(Change::Close(Verdict::Expected), START + 5 * DAY);
    for day in 6..40 {
        let lasting = log.report(&[TRAIL_MISCONFIGURED], &[found(START + day * DAY)], START + day * DAY);
        assert!(lasting.is_empty(), "{lasting:?}");
    }
}

#[test]
fn an_alert_of_a_rule_is_left_alone() {
    let detection = Alert { rule_id: REGION_SILENT.into(), ..crate::render::tests::sample() };
    let moment = FoldMoment { now: START, historical_before: 0 };
    assert!(reconcile(&[detection], &[REGION_SILENT], &[], moment, |_| String::new()).is_empty());
}

proptest! {
    /// Whatever workers report in whatever order, at most one alert stands for one thing, ids are unique, and once the
    /// condition is gone for everybody nothing stands.
    #[test]
    fn one_thing_is_one_alert(steps in proptest::collection::vec((0_i64..40, 0_usize..3, any::<bool>()), 1..60)) {
        let mut log = Log::default();
        let mut now = START;
        let mut since = [START; 3];
        for (minutes, region, holds) in steps {
            now += minutes * MIN;
            let name = ["a", "b", "c"][region];
            if holds {
                log.report(&[], &[silence(name, since[region])], now);
            } else {
                since[region] = now;
                log.report(&[REGION_SILENT], &[], now);
            }
            let mut keys: Vec<_> = log.open().iter().map(|alert| alert.fold_key.clone()).collect();
            let count = keys.len();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), count);
        }
        log.report(&[REGION_SILENT], &[], now + HOUR);
        prop_assert!(log.open().is_empty());
    }
}
