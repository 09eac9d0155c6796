use keytrail_model::{
    AlertClass, Evidence, Severity,
    time::{DAY, HOUR},
};

use super::*;
use crate::state::tests::{Event, batch, fold, read};

fn seen(id: &str, day: i64, hour: i64, principal: &str, ip: &str, name: &str) -> Event {
    let mut event = read(id, day * DAY + hour * HOUR, principal);
    event.source_ip = Some(ip.into());
    event.user_agent_family = Some("boto3".into());
    event.secret_id = Some(format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{name}-AbCdEf"));
    event.secret_name = Some(name.into());
    event
}

const APP: &str = "arn:aws:iam::111122223333:role/app/payments-api";
const OTHER: &str = "arn:aws:iam::111122223333:role/app/reporting";

/// Thirty days of work between eight and eighteen, sometimes from a second network; another reader of the same secret.
fn history() -> Vec<Event> {
    let mut events = Vec::new();
    for day in 0..30 {
        for hour in [8, 10, 12, 14, 16, 17] {
            let ip = if day % 7 == 0 { "10.30.0.9" } else { "10.20.0.7" };
            events.push(seen(&format!("{day}-{hour}"), day, hour, APP, ip, "payments/db"));
        }
        if day % 2 == 0 {
            events.push(seen(&format!("{day}-key"), day, 9, APP, "10.20.0.7", "payments/api-key"));
            events.push(seen(&format!("{day}-o"), day, 9, OTHER, "10.40.0.1", "reporting/db"));
        }
    }
    events
}

fn said(state: &State, event: &Event) -> String {
    let batch = batch(std::slice::from_ref(event));
    let rows = Rows::new(&batch, Vec::new()).expect("all columns");
    let row = rows.iter().next().expect("one row");
    let lines = why(state, &ReaderClasses::default(), &row).into_iter().map(|odd| {
        let Odd { dimension, value, usual, seen, sample, unit, word } = odd;
        format!("{dimension} | {value} | {usual} | {seen}/{sample} {unit} | {word}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_table_says_what_is_odd_against_what() {
    let mut state = State::default();
    let mut odd = seen("odd", 30, 3, APP, "203.0.113.7", "reporting/db");
    odd.user_agent_family = Some("aws-cli".into());
    odd.region = "eu-west-1".into();
    fold(&mut state, &history(), false);
    fold(&mut state, std::slice::from_ref(&odd), false);
    insta::assert_snapshot!(said(&state, &odd), @"
source network | 203.0.113.0/24 | 10.20.0.0/16 on 28 of 30 active days, 10.30.0.0/16 on 5 | 0/30 days active | UNSEEN
user agent | aws-cli | boto3 on 30 of 30 active days | 0/30 days active | UNSEEN
hour of day (UTC) | 03:00-04:00 | 08:00-18:00 on 30 of 30 active days | 0/30 days active | UNSEEN
region | eu-west-1 | us-east-1 on 30 of 30 active days | 0/30 days active | UNSEEN
this secret | reporting/db | payments/db on 30 of 30 active days, payments/api-key on 15 | 0/30 days active | UNSEEN
secret namespace | reporting | payments on 30 of 30 active days | 0/30 days active | UNSEEN
readers of this secret | role/app/payments-api | role/app/reporting on 15 of 15 days used | 0/15 days used | UNSEEN
");
}

#[test]
fn what_is_usual_is_told_as_well() {
    let mut state = State::default();
    fold(&mut state, &history(), false);
    insta::assert_snapshot!(said(&state, &seen("29-12", 29, 12, APP, "10.20.0.7", "payments/db")), @"
source network | 10.20.0.0/16 | 10.20.0.0/16 on 27 of 29 active days, 10.30.0.0/16 on 5 | 27/29 days active | FREQUENT
user agent | boto3 | boto3 on 29 of 29 active days | 29/29 days active | FREQUENT
hour of day (UTC) | 12:00-13:00 | 08:00-18:00 on 29 of 29 active days | 29/29 days active | FREQUENT
region | us-east-1 | us-east-1 on 29 of 29 active days | 29/29 days active | FREQUENT
this secret | payments/db | payments/db on 29 of 29 active days, payments/api-key on 15 | 29/29 days active | FREQUENT
secret namespace | payments | payments on 29 of 29 active days | 29/29 days active | FREQUENT
readers of this secret | role/app/payments-api | role/app/payments-api on 29 of 29 days used | 29/29 days used | FREQUENT
");
}

#[test]
fn short_histories_say_so() {
    let mut state = State::default();
    let first = seen("a", 0, 23, APP, "10.20.0.7", "plain");
    let next = seen("b", 1, 0, APP, "10.20.0.7", "plain");
    fold(&mut state, &[first.clone(), next.clone()], false);
    insta::assert_snapshot!(said(&state, &first), @"
source network | 10.20.0.0/16 | no day known before this one | 0/0 days active | UNSEEN
user agent | boto3 | no day known before this one | 0/0 days active | UNSEEN
hour of day (UTC) | 23:00-00:00 | no day known before this one | 0/0 days active | UNSEEN
region | us-east-1 | no day known before this one | 0/0 days active | UNSEEN
this secret | plain | no day known before this one | 0/0 days active | UNSEEN
readers of this secret | role/app/payments-api | no day known before this one | 0/0 days used | UNSEEN
");
    insta::assert_snapshot!(said(&state, &next), @"
source network | 10.20.0.0/16 | 10.20.0.0/16 on 1 of 1 active days (only 1 day known) | 1/1 days active | FREQUENT
user agent | boto3 | boto3 on 1 of 1 active days (only 1 day known) | 1/1 days active | FREQUENT
hour of day (UTC) | 00:00-01:00 | 23:00-00:00 on 1 of 1 active days (only 1 day known) | 1/1 days active | FREQUENT
region | us-east-1 | us-east-1 on 1 of 1 active days (only 1 day known) | 1/1 days active | FREQUENT
this secret | plain | plain on 1 of 1 active days (only 1 day known) | 1/1 days active | FREQUENT
readers of this secret | role/app/payments-api | role/app/payments-api on 1 of 1 days used (only 1 day known) | 1/1 days used | FREQUENT
");
}

#[test]
fn hours_are_spans() {
    let sample = |days: &[(i32, u32)]| Sample { days: days.len() as i64, unit: "active days" }.hours(days);
    let all = |hours: u32| -> Vec<(i32, u32)> { (0..10).map(|day| (day, hours)).collect() };
    assert_eq!(sample(&all(0x55_5555)), "around the clock on 10 of 10 active days");
    assert_eq!(sample(&all(0b11 << 22 | 1)), "22:00-01:00 on 10 of 10 active days", "over midnight");
    assert_eq!(sample(&all(0b111 << 14 | 0b1 << 5 | 0b11)), "00:00-02:00, 14:00-17:00 on 10 of 10 active days");
    let scattered: Vec<(i32, u32)> = (0..10).map(|day| (day, 1 << (day * 2))).collect();
    assert_eq!(sample(&scattered), "00:00-01:00 on 1 of 10 active days", "no hour is usual");
}

#[test]
fn attackers_text_is_safe_and_short() {
    let mut state = State::default();
    let mut event = seen("a", 1, 3, "role\u{1b}[2J", "10.20.0.7", &format!("x/{}", "long".repeat(100)));
    event.user_agent_family = Some("\u{202e}".repeat(500));
    event.vpc_endpoint_id = Some("vpce\n".repeat(100));
    let before = Event { event_id: "0".into(), event_at: 0, ..event.clone() };
    fold(&mut state, &[before, event.clone()], false);
    let text = said(&state, &event);
    assert!(text.lines().count() == 7 && !text.contains(['\u{1b}', '\u{202e}']), "{text}");
    assert!(text.lines().all(|line| line.chars().count() < 1_000), "{text}");
}

#[test]
fn findings_get_the_habits_of_their_own_row() {
    let finding = |event_id: &str, secret_id: Option<&str>| Finding {
        rule_id: "mine".into(),
        rule_version: "1.0".into(),
        severity: Severity::Low,
        class: AlertClass::Detection,
        title: String::new(),
        reason: String::new(),
        fold_key: Vec::new(),
        principal_id: None,
        secret_id: secret_id.map(str::to_owned),
        account_id: None,
        region: None,
        event_at: 0,
        evidence: Some(Evidence {
            event_at: 0,
            event_id: event_id.into(),
            event_name: String::new(),
            secret_id: None,
            source_ip: None,
            object_key: String::new(),
            record_index: 0,
        }),
        why: Vec::new(),
        shadow: false,
        columns: serde_json::Map::new(),
    };
    let mut state = State::default();
    let events = [seen("a", 1, 0, APP, "10.0.0.1", "x/one"), seen("a", 1, 0, APP, "10.0.0.1", "x/two")];
    fold(&mut state, &events, false);
    let mut findings = [finding("a", events[1].secret_id.as_deref()), finding("a", None), finding("elsewhere", None)];
    findings[1].why.push(Odd {
        dimension: "region".into(),
        value: "the rule's own".into(),
        usual: String::new(),
        seen: 0,
        sample: 0,
        unit: String::new(),
        word: Frequency::Unseen,
    });
    explain(&state, &ReaderClasses::default(), &[batch(&events)], &mut findings).expect("rows");
    let value = |at: usize, dimension: &str| -> Vec<&str> {
        findings[at].why.iter().filter(|odd| odd.dimension == dimension).map(|odd| odd.value.as_str()).collect()
    };
    assert_eq!(value(0, "this secret"), ["x/two"]);
    assert_eq!(value(1, "this secret"), [""; 0]);
    assert_eq!(value(1, "region"), ["the rule's own"]);
    assert_eq!(value(1, "source network"), ["10.0.0.0/16"]);
    assert!(findings[2].why.is_empty());
}
