use keytrail_model::{Alert, AlertClass, AlertState, Severity};
use proptest::prelude::*;

use super::*;
use crate::{
    message::{Link, Links, test_alert},
    render::tests::sample,
    sink::{
        Change,
        testing::{closed, full, hostile_outgoing, outgoing},
        text::is_hostile,
    },
};

fn text(change: Change, alerts: Vec<Alert>) -> String {
    outgoing(change, alerts).message.text(10_000)
}

#[test]
fn a_new_alert_reads_like_this() {
    let also = Alert { title: "New reader of prod/x".into(), ..sample() };
    insta::assert_snapshot!(text(Change::Trigger, vec![full(), also]), @r"
    HIGH: Bulk read of <prod> by role/app/billing

    role/app/billing read 5 secrets in 3 min & usually reads 1 a day.

    Who: role/app/billing, account 111122223333, us-east-1
    Secrets: prod/a, prod/b, prod/c and 2 more
    From: 203.0.113.9

    Source network 203.0.113.0/24: UNSEEN (0 of 30 days active); usual: 10.0.0.0/16 on 28 of 30
    User agent aws-cli: RARE (1 of 30 days active); usual: Boto3 on 30 of 30

    First: Was something deployed? Ask the owner of role/app/billing: the tag says who.

    Before: an earlier alert of the same was closed, https://keytrail.example.org/alerts/00112233445566aa
    Also: 1 related alert: New reader of prod/x

    https://keytrail.example.org/alerts/0123456789abcdef
    2 events, 2026-08-01 11:54Z to 11:55Z, rule new_principal v1, alert 0123456789abcdef
    ");
}

#[test]
fn more_of_an_alert_reads_like_this() {
    insta::assert_snapshot!(text(Change::Update, vec![sample()]), @r"
    MEDIUM, more: New reader of prod/db

    role/app/billing read prod/db for the first time.

    Who: role/app/billing, account 111122223333, us-east-1
    Secret: prod/db
    From: 203.0.113.9

    First: Was something deployed? Ask the owner of role/app/billing: the tag says who.

    https://keytrail.example.org/alerts/0123456789abcdef
    2 events, 2026-08-01 11:54Z to 11:55Z, rule new_principal v1, alert 0123456789abcdef
    ");
}

#[test]
fn an_acknowledged_and_a_closed_alert_read_like_this() {
    let seen = Alert { state: AlertState::Acknowledged, verdict: None, ..closed() };
    insta::assert_snapshot!(text(Change::Acknowledge, vec![seen]), @r"
    Acknowledged: Bulk read of <prod> by role/app/billing

    role/app/billing read 5 secrets in 3 min & usually reads 1 a day.

    Who: role/app/billing, account 111122223333, us-east-1
    Secrets: prod/a, prod/b, prod/c and 2 more
    From: 203.0.113.9
    By: ana: the billing deploy

    https://keytrail.example.org/alerts/0123456789abcdef
    2 events, 2026-08-01 11:54Z to 11:55Z, rule new_principal v1, alert 0123456789abcdef
    ");
    insta::assert_snapshot!(text(Change::Resolve, vec![closed()]), @r"
    Closed (expected): Bulk read of <prod> by role/app/billing

    role/app/billing read 5 secrets in 3 min & usually reads 1 a day.

    Who: role/app/billing, account 111122223333, us-east-1
    Secrets: prod/a, prod/b, prod/c and 2 more
    From: 203.0.113.9
    By: ana: the billing deploy

    https://keytrail.example.org/alerts/0123456789abcdef
    2 events, 2026-08-01 11:54Z to 11:55Z, rule new_principal v1, alert 0123456789abcdef
    ");
}

#[test]
fn a_storm_reads_like_this() {
    let number = |number: usize| Alert {
        alert_id: format!("{number:016x}"),
        title: format!("New reader of prod/{number:02}"),
        severity: if number < 3 { Severity::Critical } else { Severity::Medium },
        rule_id: if number.is_multiple_of(4) { "bulk_read".into() } else { "new_principal".into() },
        ..sample()
    };
    assert!(text(Change::StormOver, (0..40).map(number).collect()).starts_with(
        "Over: 40 alerts, most of new_principal (30)\n\nEvery alert of this storm is closed.\n\nBy rule: new_principal 30"
    ));
    insta::assert_snapshot!(text(Change::Storm, (0..40).map(number).collect()), @r"
    CRITICAL: 40 alerts at once, most of new_principal (30)

    40 alerts came together and are told in one message. None is lost: each stands in the list by itself.

    By rule: new_principal 30, bulk_read 10
    CRITICAL: New reader of prod/00
    CRITICAL: New reader of prod/01
    CRITICAL: New reader of prod/02
    MEDIUM: New reader of prod/03
    MEDIUM: New reader of prod/04
    MEDIUM: New reader of prod/05
    MEDIUM: New reader of prod/06
    MEDIUM: New reader of prod/07
    MEDIUM: New reader of prod/08
    MEDIUM: New reader of prod/09
    and 30 more

    https://keytrail.example.org/alerts
    events 2026-08-01 11:54Z to 11:55Z, 1 min in all
    ");
}

#[test]
fn trouble_of_keytrail_itself_and_a_test_read_like_this() {
    let silent = Alert {
        class: AlertClass::System,
        rule_id: "region_silent".into(),
        title: "us-east-1 of 111122223333 is silent".into(),
        reason: "No object since 11:54Z; the usual gap is 5 min.".into(),
        principal_id: None,
        secret_ids: Vec::new(),
        evidence: Vec::new(),
        ..sample()
    };
    insta::assert_snapshot!(text(Change::Trigger, vec![silent]), @r"
    MEDIUM: us-east-1 of 111122223333 is silent

    No object since 11:54Z; the usual gap is 5 min.

    Where: account 111122223333, us-east-1

    First: Was something deployed? Ask the owner of role/app/billing: the tag says who.

    https://keytrail.example.org/alerts/0123456789abcdef
    2 events, 2026-08-01 11:54Z to 11:55Z, rule region_silent v1, alert 0123456789abcdef
    ");
    insta::assert_snapshot!(text(Change::Test, vec![test_alert(0)]), @r"
    TEST: A test of this sink

    Somebody tried this sink out with `keytrail sinks test`. Nothing happened, nothing needs to be done.

    https://keytrail.example.org/alerts
    1970-01-01 00:00Z, rule keytrail_test v1, alert 0000000000000000
    ");
}

#[test]
fn without_an_address_the_message_names_a_command() {
    let message = Message::new(Change::Trigger, &[sample()], None, &Links::default());
    assert_eq!(message.link, Link::Command("keytrail alerts show 0123456789abcdef".into()));
    assert_eq!(message.first_step, None);
    assert_eq!(Message::new(Change::Trigger, &[], None, &Links::default()).severity, Severity::Info);
}

#[test]
fn usual_things_are_told_only_where_nothing_is_unusual() {
    let mut alert = full();
    alert.why.truncate(1);
    assert_eq!(outgoing(Change::Trigger, vec![alert]).message.unusual_lines().len(), 1);
    let words: Vec<&str> =
        outgoing(Change::Trigger, vec![full()]).message.unusual.iter().map(|it| it.word.as_str()).collect();
    assert_eq!(words, ["UNSEEN", "RARE"]);
}

#[test]
fn a_comparison_with_nothing_says_so() {
    let mut alert = full();
    alert.why.retain(|odd| odd.dimension == "source network");
    alert.why[0].sample = 0;
    let lines = outgoing(Change::Trigger, vec![alert]).message.unusual_lines();
    assert_eq!(lines, ["Source network 203.0.113.0/24: UNSEEN (no history); usual: 10.0.0.0/16 on 28 of 30"]);
}

#[test]
fn the_first_step_is_the_first_numbered_line_with_its_continuation() {
    let step = |guide: &str| Message::new(Change::Trigger, &[sample()], Some(guide), &Links::default()).first_step;
    assert_eq!(step("text\n\n1. Look at `x`,\n   **then** ask.\n2. Two."), Some("Look at x, then ask.".into()));
    assert_eq!(step("no steps"), None);
    assert_eq!(step("1. \n2. Two."), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn whatever_an_alert_holds_the_message_is_short_and_plain(outgoing in hostile_outgoing(), limit in 0_usize..4_000) {
        let message = &outgoing.message;
        let whole = message.text(usize::MAX);
        prop_assert!(whole.chars().count() < 6_000, "{}", whole.len());
        prop_assert!(whole.chars().all(|it| it == '\n' || !is_hostile(it)), "{whole:?}");
        prop_assert!(!message.headline.contains('\n') && message.headline.chars().count() <= 200);
        prop_assert!(message.text(limit).len() <= limit);
        if let Some(url) = message.link.url() {
            prop_assert!(url.starts_with("https://keytrail.example.org/alerts"));
        }
    }
}
