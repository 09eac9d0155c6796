//! Alerts and labels side by side: what counts as found, as noise, as explained.

use keytrail_model::{Evidence, Severity};
use keytrail_simulator::Options;

use super::*;

const AT: &str = "2026-10-01T10:00:00Z";

fn label(rule: &str, must_fire: bool, event: &str) -> Label {
    Label {
        rule_id: rule.to_owned(),
        must_fire,
        principal_id: Some("arn:aws:iam::111122223333:role/one".to_owned()),
        secret_ids: vec!["arn:aws:secretsmanager:us-east-1:111122223333:secret:a-AbCdEf".to_owned()],
        first_event_at: AT.to_owned(),
        last_event_at: None,
        account_id: None,
        region: None,
        event_ids: vec![event.to_owned()],
        also: Vec::new(),
        why: "why".to_owned(),
    }
}

fn labels(expected: Vec<Label>, quiet: Vec<Label>) -> Labels {
    Labels {
        options: Options::new("nowhere"),
        horizon: "2026-11-01T00:00:00Z".to_owned(),
        expected,
        quiet,
        unused: keytrail_simulator::Unused::default(),
        stale_consumers: Vec::new(),
        rotations: Vec::new(),
        gaps: Vec::new(),
        secrets: Vec::new(),
        policy: keytrail_simulator::Policy { network: Vec::new(), upkeep: Vec::new(), sync_agents: Vec::new() },
        config_toml: String::new(),
    }
}

fn alert(rule: &str, event: &str) -> Alert {
    let at = time::parse_rfc3339(AT).expect("a time");
    let evidence = Evidence {
        event_at: at,
        event_id: event.to_owned(),
        event_name: "GetSecretValue".to_owned(),
        secret_id: None,
        source_ip: None,
        object_key: "key".to_owned(),
        record_index: 0,
    };
    Alert {
        alert_id: "id".to_owned(),
        rule_id: rule.to_owned(),
        rule_version: "1".to_owned(),
        severity: Severity::Low,
        class: AlertClass::Detection,
        state: AlertState::Open,
        verdict: None,
        title: String::new(),
        reason: "reason".to_owned(),
        principal_id: Some("arn:aws:iam::111122223333:role/other".to_owned()),
        secret_ids: Vec::new(),
        account_id: None,
        region: None,
        first_event_at: at,
        last_event_at: at,
        event_count: 1,
        raised_at: at,
        updated_at: at,
        historical: false,
        fold_key: Vec::new(),
        note: None,
        changed_by: None,
        evidence: vec![evidence],
        fingerprint: String::new(),
        previous_alert_id: None,
        merged_into: None,
        suppressed_by: None,
        why: Vec::new(),
    }
}

#[test]
fn an_alert_on_a_labelled_event_finds_the_case_and_is_timed() {
    let labels = labels(vec![label("bulk_read", true, "e1"), label("root_use", true, "e2")], Vec::new());
    let delivered = Delivered::from([("e1".to_owned(), time::parse_rfc3339(AT).expect("a time") / time::SECOND + 240)]);
    let compared = compare(&labels, &[alert("bulk_read", "e1")], &[], &delivered);
    assert_eq!(compared.expected.iter().map(|one| one.good).collect::<Vec<_>>(), [true, false]);
    assert_eq!(compared.expected[0].seconds, Some(240));
    assert!(compared.unexplained.is_empty());
}

#[test]
fn another_rule_on_a_planted_event_is_explained_and_elsewhere_it_is_not() {
    let labels = labels(vec![label("bulk_read", true, "e1")], Vec::new());
    let compared =
        compare(&labels, &[alert("new_principal", "e1"), alert("new_principal", "e9")], &[], &Delivered::new());
    assert_eq!(compared.unexplained.len(), 1);
    assert!(!compared.expected[0].good, "the planted rule itself has not fired");
}

#[test]
fn a_look_alike_that_alerts_is_noise_unless_its_label_allows_the_rule() {
    let mut tolerant = label("human_read", false, "e2");
    tolerant.also.push("new_principal".to_owned());
    let labels = labels(Vec::new(), vec![label("bulk_read", false, "e1"), tolerant]);
    let alerts = [alert("bulk_read", "e1"), alert("new_principal", "e2")];
    let compared = compare(&labels, &alerts, &[], &Delivered::new());
    assert_eq!(compared.quiet.iter().map(|one| one.good).collect::<Vec<_>>(), [false, true]);
    assert_eq!(compared.unexplained.iter().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>(), ["bulk_read"]);
}

#[test]
fn what_nobody_was_told_counts_for_nothing() {
    let labels = labels(vec![label("bulk_read", true, "e1")], Vec::new());
    let withdrawn = Alert {
        state: AlertState::Closed,
        note: Some("withdrawn: an earlier read arrived late".to_owned()),
        ..alert("bulk_read", "e1")
    };
    let shadow = Alert { state: AlertState::Suppressed, ..alert("bulk_read", "e1") };
    let compared = compare(&labels, &[withdrawn, shadow], &[], &Delivered::new());
    assert!(!compared.expected[0].good && compared.told.is_empty() && compared.unexplained.is_empty());
}
