//! How an alert reads on a terminal.
//!
//! In: an alert, and the rule's guide already filled for it. Out: plain text without colour; the command line adds
//! colour. Everything that an attacker can write (names, user agents, keys) is made safe for a terminal here.

use keytrail_model::{
    Alert,
    display::{count, moment, principal_short, secret_short, terminal_safe},
};

/// How many events and secrets the page shows before it only counts the rest.
const SHOWN: usize = 10;

/// One line for a list: severity, reason, who, which secrets, when, id.
pub fn line(alert: &Alert) -> String {
    format!(
        "{:<8} {}  {}  [{}]",
        alert.severity.as_str(),
        moment(alert.last_event_at),
        terminal_safe(&alert.reason),
        alert.alert_id
    )
}

/// `prod/db, prod/api and 9 more`.
pub fn secrets_phrase(secret_ids: &[String], shown: usize) -> String {
    let names: Vec<String> = secret_ids.iter().take(shown).map(|id| secret_short(id)).collect();
    match (names.split_last(), secret_ids.len().saturating_sub(names.len())) {
        (None, 0) => "no secret".to_owned(),
        (None, more) => format!("{} secrets", count(more as i64)),
        (Some((last, [])), 0) => last.clone(),
        (Some((last, rest)), 0) => format!("{} and {last}", rest.join(", ")),
        (Some(_), more) => format!("{} and {} more", names.join(", "), count(more as i64)),
    }
}

/// The alert as a page: what happened, who, which secrets, when, the evidence, what to do.
pub fn page(alert: &Alert, what_to_do: Option<&str>) -> String {
    let mut text = String::new();
    let verdict = alert.verdict.map_or_else(String::new, |verdict| format!(" ({verdict})"));
    let past = if alert.historical { ", from backfill" } else { "" };
    line_of(
        &mut text,
        format_args!("{}  {}{verdict}{past}", alert.severity.as_str().to_uppercase(), terminal_safe(&alert.title)),
    );
    line_of(&mut text, format_args!("{}", terminal_safe(&alert.reason)));
    line_of(&mut text, format_args!(""));
    let mut fact = |name: &str, value: &str| line_of(&mut text, format_args!("{name:<10}{value}"));
    if let Some(principal) = &alert.principal_id {
        let short = principal_short(principal);
        let full = terminal_safe(principal);
        fact("who", &if short == full { full } else { format!("{short}  {full}") });
    }
    for (position, secret) in alert.secret_ids.iter().take(SHOWN).enumerate() {
        let name = if position == 0 { "secret" } else { "" };
        let (short, full) = (secret_short(secret), terminal_safe(secret));
        fact(name, &if short == full { full } else { format!("{short}  {full}") });
    }
    if alert.secret_ids.len() > SHOWN {
        fact("", &format!("and {} more", count((alert.secret_ids.len() - SHOWN) as i64)));
    }
    let events =
        if alert.event_count == 1 { "1 event".to_owned() } else { format!("{} events", count(alert.event_count)) };
    if alert.first_event_at == alert.last_event_at {
        fact("when", &format!("{}, {events}", moment(alert.first_event_at)));
    } else {
        fact("when", &format!("{} to {}, {events}", moment(alert.first_event_at), moment(alert.last_event_at)));
    }
    if let Some(account) = &alert.account_id {
        let region = alert.region.as_ref().map_or_else(String::new, |region| format!(" / {}", terminal_safe(region)));
        fact("account", &format!("{}{region}", terminal_safe(account)));
    }
    fact("rule", &format!("{} v{}", terminal_safe(&alert.rule_id), terminal_safe(&alert.rule_version)));
    fact("alert", &format!("{}, {}, raised {}", alert.alert_id, alert.state, moment(alert.raised_at)));
    if let Some(by) = &alert.changed_by {
        let note = alert.note.as_ref().map_or_else(String::new, |note| format!(": {}", terminal_safe(note)));
        fact("by", &format!("{}{note}", terminal_safe(by)));
    }
    evidence(&mut text, alert);
    if let Some(guide) = what_to_do {
        line_of(&mut text, format_args!("\nwhat to do"));
        for guide_line in guide.trim().lines() {
            let safe = terminal_safe(guide_line);
            line_of(&mut text, format_args!("{}", if safe.is_empty() { safe } else { format!("  {safe}") }));
        }
    }
    text
}

fn evidence(text: &mut String, alert: &Alert) {
    if alert.evidence.is_empty() {
        return;
    }
    line_of(text, format_args!("\nevidence"));
    for event in alert.evidence.iter().take(SHOWN) {
        let secret = event.secret_id.as_ref().map_or_else(|| "no secret named".to_owned(), |id| secret_short(id));
        let source = event.source_ip.as_ref().map_or_else(String::new, |ip| format!("  from {}", terminal_safe(ip)));
        line_of(
            text,
            format_args!(
                "  {}  {}  {secret}{source}  {}#{}",
                moment(event.event_at),
                terminal_safe(&event.event_name),
                terminal_safe(&event.object_key),
                event.record_index
            ),
        );
    }
    if alert.evidence.len() > SHOWN {
        let more = count((alert.evidence.len() - SHOWN) as i64);
        line_of(text, format_args!("  and {more} more: keytrail alerts evidence {}", alert.alert_id));
    }
}

fn line_of(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.push_str(&line.to_string());
    text.push('\n');
}

#[cfg(test)]
pub(crate) mod tests {
    use keytrail_model::{AlertClass, AlertState, Evidence, Severity};

    use super::*;

    pub(crate) fn sample() -> Alert {
        let at = 1_785_585_240_000_000;
        Alert {
            alert_id: "0123456789abcdef".into(),
            rule_id: "new_principal".into(),
            rule_version: "1".into(),
            severity: Severity::Medium,
            class: AlertClass::Detection,
            state: AlertState::Open,
            verdict: None,
            title: "New reader of prod/db".into(),
            reason: "role/app/billing read prod/db for the first time.".into(),
            principal_id: Some("arn:aws:iam::111122223333:role/app/billing".into()),
            secret_ids: vec!["arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf".into()],
            account_id: Some("111122223333".into()),
            region: Some("us-east-1".into()),
            first_event_at: at,
            last_event_at: at + 60_000_000,
            event_count: 2,
            raised_at: at + 300_000_000,
            updated_at: at + 300_000_000,
            historical: false,
            fold_key: vec!["arn:aws:iam::111122223333:role/app/billing".into()],
            note: None,
            changed_by: None,
            evidence: vec![Evidence {
                event_at: at,
                event_id: "e1".into(),
                event_name: "GetSecretValue".into(),
                secret_id: Some("arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf".into()),
                source_ip: Some("203.0.113.9".into()),
                object_key: "trail/\u{1b}[2J.json.gz".into(),
                record_index: 17,
            }],
            fingerprint: "89abcdef01234567".into(),
            previous_alert_id: None,
            merged_into: None,
            suppressed_by: None,
            why: Vec::new(),
        }
    }

    #[test]
    fn an_alert_reads_like_this() {
        insta::assert_snapshot!(page(&sample(), Some("1. Ask the owner.\n\n2. Revoke \u{7}sessions.")), @r"
        MEDIUM  New reader of prod/db
        role/app/billing read prod/db for the first time.

        who       role/app/billing  arn:aws:iam::111122223333:role/app/billing
        secret    prod/db  arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf
        when      2026-08-01 11:54Z to 2026-08-01 11:55Z, 2 events
        account   111122223333 / us-east-1
        rule      new_principal v1
        alert     0123456789abcdef, open, raised 2026-08-01 11:59Z

        evidence
          2026-08-01 11:54Z  GetSecretValue  prod/db  from 203.0.113.9  trail/\u{1b}[2J.json.gz#17

        what to do
          1. Ask the owner.

          2. Revoke \u{7}sessions.
        ");
        assert_eq!(
            line(&sample()),
            "medium   2026-08-01 11:55Z  role/app/billing read prod/db for the first time.  [0123456789abcdef]"
        );
    }

    #[test]
    fn many_secrets_are_counted() {
        let ids: Vec<String> = (0..12).map(|number| format!("s{number:02}")).collect();
        assert_eq!(secrets_phrase(&ids, 3), "s00, s01, s02 and 9 more");
        assert_eq!(secrets_phrase(&ids[..2], 3), "s00 and s01");
        assert_eq!(secrets_phrase(&ids[..1], 3), "s00");
        assert_eq!(secrets_phrase(&[], 3), "no secret");
        let many = Alert { secret_ids: ids, ..sample() };
        assert!(page(&many, None).contains("and 2 more"));
    }
}
