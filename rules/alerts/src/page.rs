//! One alert as a page that a tired person reads: what, why it is odd, the evidence, what to do, what became of it.
//!
//! In: an alert and what belongs to it ([`Page`]); what is not known is left empty and not shown. Out: plain text without
//! colour. Everything that an attacker can write is made safe for a terminal here.

use keytrail_model::{
    Alert, Micros, Suppression,
    display::{count, duration, moment, principal_short, secret_short, terminal_safe},
};

use crate::related::Related;

/// How many events and secrets the page shows before it only counts the rest.
const SHOWN: usize = 10;
/// The same for lines of history and related alerts.
const LINES: usize = 12;
/// Widest cell of the table, in characters.
const CELL: usize = 44;

/// What a page says, besides the alert itself.
#[derive(Debug, Default)]
pub struct Page<'a> {
    /// The rule's guide, filled for this alert.
    pub guide: Option<&'a str>,
    /// When the last event's record was delivered, where that is known.
    pub delivered_at: Option<Micros>,
    /// `7 of 9 judged alerts were true positives`.
    pub precision: Option<String>,
    pub suppression: Option<&'a Suppression>,
    /// The episode before this one.
    pub previous: Option<&'a Alert>,
    /// The episode after this one.
    pub next: Option<&'a Alert>,
    /// Later episodes that turned out to be parts of this one.
    pub merged: Vec<&'a Alert>,
    pub history: Vec<Step>,
    pub related: Vec<Related<'a>>,
}

/// One line of an alert's history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub at: Micros,
    /// What happened: `raised`, `acknowledged`, `sent to slack: delivered (200)`.
    pub what: String,
    pub by: Option<String>,
    pub note: Option<String>,
}

/// The page.
pub fn page(alert: &Alert, page: &Page<'_>) -> String {
    let mut lines = head(alert);
    facts(&mut lines, alert, page);
    episodes(&mut lines, page);
    why(&mut lines, alert);
    evidence(&mut lines, alert);
    if let Some(guide) = page.guide {
        lines.extend(["".to_owned(), "what to do".to_owned()]);
        lines.extend(guide.trim().lines().map(|line| indented(&terminal_safe(line))));
    }
    history(&mut lines, &page.history);
    related(&mut lines, &page.related);
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn head(alert: &Alert) -> Vec<String> {
    let verdict = alert.verdict.map_or_else(String::new, |verdict| format!(" ({verdict})"));
    let past = if alert.historical { ", historical" } else { "" };
    vec![
        format!(
            "{}  {}{verdict}{past}  {}",
            alert.severity.as_str().to_uppercase(),
            alert.state,
            terminal_safe(&alert.title)
        ),
        terminal_safe(&alert.reason),
        String::new(),
    ]
}

fn fact(lines: &mut Vec<String>, name: &str, value: &str) {
    lines.push(format!("{name:<10}{value}"));
}

fn facts(lines: &mut Vec<String>, alert: &Alert, page: &Page<'_>) {
    let both = |short: String, full: String| if short == full { full } else { format!("{short}  {full}") };
    if let Some(principal) = &alert.principal_id {
        fact(lines, "who", &both(principal_short(principal), terminal_safe(principal)));
    }
    for (position, secret) in alert.secret_ids.iter().take(SHOWN).enumerate() {
        let name = if position == 0 { "secret" } else { "" };
        fact(lines, name, &both(secret_short(secret), terminal_safe(secret)));
    }
    if alert.secret_ids.len() > SHOWN {
        fact(lines, "", &format!("and {} more", count((alert.secret_ids.len() - SHOWN) as i64)));
    }
    let events =
        if alert.event_count == 1 { "1 event".to_owned() } else { format!("{} events", count(alert.event_count)) };
    let span = if alert.first_event_at == alert.last_event_at {
        moment(alert.first_event_at)
    } else {
        format!("{} to {}", moment(alert.first_event_at), moment(alert.last_event_at))
    };
    fact(lines, "when", &format!("{span}, {events}"));
    fact(lines, "", &times(alert, page.delivered_at));
    if let Some(account) = &alert.account_id {
        let region = alert.region.as_ref().map_or_else(String::new, |region| format!(" / {}", terminal_safe(region)));
        fact(lines, "account", &format!("{}{region}", terminal_safe(account)));
    }
    let precision = page.precision.as_ref().map_or_else(String::new, |said| format!(", {said}"));
    fact(
        lines,
        "rule",
        &format!("{} v{}{precision}", terminal_safe(&alert.rule_id), terminal_safe(&alert.rule_version)),
    );
    fact(lines, "alert", &format!("{}, fingerprint {}", alert.alert_id, alert.fingerprint));
    if let Some(by) = &alert.changed_by {
        let note = alert.note.as_ref().map_or_else(String::new, |note| format!(": {}", terminal_safe(note)));
        fact(lines, "by", &format!("{}{note}", terminal_safe(by)));
    }
    match (&alert.suppressed_by, page.suppression) {
        (Some(id), _) if id == "shadow" => {
            fact(lines, "silent", "its rule is in the state `shadow`: recorded, told nobody")
        }
        (Some(_), Some(it)) => fact(
            lines,
            "silent",
            &format!(
                "suppression {} by {} until {}: {}",
                it.suppression_id,
                terminal_safe(&it.owner),
                moment(it.expires_at),
                terminal_safe(&it.reason)
            ),
        ),
        (Some(id), None) => fact(lines, "silent", &format!("suppression {}", terminal_safe(id))),
        (None, _) => {}
    }
}

/// How long each step took: where an alert came late, this says whose delay it was.
fn times(alert: &Alert, delivered_at: Option<Micros>) -> String {
    let raised = |since: Micros| match alert.raised_at - since {
        after if after >= 0 => format!("raised {} ({} later)", moment(alert.raised_at), duration(after)),
        _ => format!("raised {}", moment(alert.raised_at)),
    };
    match delivered_at {
        Some(delivered) if delivered >= alert.first_event_at => format!(
            "delivered {} ({} later), {}",
            moment(delivered),
            duration(delivered - alert.first_event_at),
            raised(delivered)
        ),
        _ => raised(alert.first_event_at),
    }
}

fn episodes(lines: &mut Vec<String>, page: &Page<'_>) {
    let told = |alert: &Alert| {
        let verdict = alert.verdict.map_or_else(String::new, |verdict| format!(" as {verdict}"));
        let by = alert.changed_by.as_ref().map_or_else(String::new, |by| format!(" by {}", terminal_safe(by)));
        let note = alert.note.as_ref().map_or_else(String::new, |note| format!(": {}", terminal_safe(note)));
        format!("{}, {}{verdict}{by}, last event {}{note}", alert.alert_id, alert.state, moment(alert.last_event_at))
    };
    if let Some(previous) = page.previous {
        fact(lines, "before", &told(previous));
    }
    if let Some(next) = page.next {
        fact(lines, "after", &told(next));
    }
    for merged in page.merged.iter().take(LINES) {
        fact(lines, "merged", &told(merged));
    }
}

fn why(lines: &mut Vec<String>, alert: &Alert) {
    if alert.why.is_empty() {
        return;
    }
    let mut rows = vec![["why it is odd", "this alert", "usual", "seen", "word"].map(str::to_owned)];
    rows.extend(alert.why.iter().map(|odd| {
        [
            cell(&odd.dimension),
            cell(&odd.value),
            cell(&odd.usual),
            format!("{} of {} {}", count(odd.seen), count(odd.sample), terminal_safe(&odd.unit)),
            odd.word.as_str().to_owned(),
        ]
    }));
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    lines.push(String::new());
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        lines.push(cells.join("  "));
    }
}

/// Safe text that is not wider than a cell may be.
fn cell(text: &str) -> String {
    let safe = terminal_safe(text);
    if safe.chars().count() <= CELL {
        return safe;
    }
    safe.chars().take(CELL - 1).chain(['…']).collect()
}

fn evidence(lines: &mut Vec<String>, alert: &Alert) {
    if alert.evidence.is_empty() {
        return;
    }
    lines.extend(["".to_owned(), "evidence".to_owned()]);
    for event in alert.evidence.iter().take(SHOWN) {
        let secret = event.secret_id.as_ref().map_or_else(|| "no secret named".to_owned(), |id| secret_short(id));
        let source = event.source_ip.as_ref().map_or_else(String::new, |ip| format!("  from {}", terminal_safe(ip)));
        lines.push(format!("  {}  {}  {secret}{source}", moment(event.event_at), terminal_safe(&event.event_name)));
        lines.push(format!("      {}#{}", terminal_safe(&event.object_key), event.record_index));
    }
    let shown = alert.evidence.len().min(SHOWN) as i64;
    if alert.event_count > shown {
        lines.push(format!(
            "  and {} more: keytrail alerts evidence {} --out DIR",
            count(alert.event_count - shown),
            alert.alert_id
        ));
    }
}

fn history(lines: &mut Vec<String>, steps: &[Step]) {
    if steps.is_empty() {
        return;
    }
    lines.extend(["".to_owned(), "history".to_owned()]);
    let left_out = steps.len().saturating_sub(LINES);
    if left_out > 0 {
        lines.push(format!("  {} earlier steps", count(left_out as i64)));
    }
    for step in steps.iter().skip(left_out) {
        let by = step.by.as_ref().map_or_else(String::new, |by| format!(" by {}", terminal_safe(by)));
        let note = step.note.as_ref().map_or_else(String::new, |note| format!(": {}", terminal_safe(note)));
        lines.push(format!("  {}  {}{by}{note}", moment(step.at), terminal_safe(&step.what)));
    }
}

fn related(lines: &mut Vec<String>, related: &[Related<'_>]) {
    if related.is_empty() {
        return;
    }
    lines.extend(["".to_owned(), "related (7 days before and after)".to_owned()]);
    for it in related.iter().take(LINES) {
        let other = it.alert;
        lines.push(format!(
            "  {}  {}  {}  {}  {}",
            other.alert_id,
            other.severity,
            other.state,
            moment(other.last_event_at),
            it.shared()
        ));
        lines.push(format!("      {}", terminal_safe(&other.reason)));
    }
    if related.len() > LINES {
        lines.push(format!("  and {} more", count((related.len() - LINES) as i64)));
    }
}

fn indented(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!("  {line}") }
}

#[cfg(test)]
mod tests {
    use keytrail_model::{AlertState, Frequency, Odd, Verdict};

    use super::*;
    use crate::{related, render::tests::sample};

    #[test]
    fn an_alert_reads_like_this() {
        let mut alert = sample();
        alert.why = vec![Odd {
            dimension: "source network".into(),
            value: "203.0.113.0/24\u{1b}[2J".into(),
            usual: "10.0.0.0/16".into(),
            seen: 0,
            sample: 23,
            unit: "active days".into(),
            word: Frequency::Unseen,
        }];
        let earlier = Alert {
            alert_id: "00000000aaaaaaaa".into(),
            state: AlertState::Closed,
            verdict: Some(Verdict::Expected),
            changed_by: Some("ana".into()),
            note: Some("a deploy".into()),
            ..sample()
        };
        let all = [earlier.clone()];
        let said = page(
            &alert,
            &Page {
                guide: Some("1. Ask the owner.\n\n2. Revoke \u{7}sessions."),
                delivered_at: Some(alert.first_event_at + 240_000_000),
                precision: Some("7 of 9 judged alerts were true positives".into()),
                previous: Some(&earlier),
                history: vec![
                    Step { at: alert.raised_at, what: "raised".into(), by: None, note: None },
                    Step {
                        at: alert.raised_at + 60_000_000,
                        what: "acknowledged".into(),
                        by: Some("bo".into()),
                        note: Some("looking\u{202e}".into()),
                    },
                ],
                related: related::related(&alert, &all),
                ..Page::default()
            },
        );
        insta::assert_snapshot!(said, @r"
        MEDIUM  open  New reader of prod/db
        role/app/billing read prod/db for the first time.

        who       role/app/billing  arn:aws:iam::111122223333:role/app/billing
        secret    prod/db  arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf
        when      2026-08-01 11:54Z to 2026-08-01 11:55Z, 2 events
                  delivered 2026-08-01 11:58Z (4 min later), raised 2026-08-01 11:59Z (1 min later)
        account   111122223333 / us-east-1
        rule      new_principal v1, 7 of 9 judged alerts were true positives
        alert     0123456789abcdef, fingerprint 89abcdef01234567
        before    00000000aaaaaaaa, closed as expected by ana, last event 2026-08-01 11:55Z: a deploy

        why it is odd   this alert               usual        seen                 word
        source network  203.0.113.0/24\u{1b}[2J  10.0.0.0/16  0 of 23 active days  UNSEEN

        evidence
          2026-08-01 11:54Z  GetSecretValue  prod/db  from 203.0.113.9
              trail/\u{1b}[2J.json.gz#17
          and 1 more: keytrail alerts evidence 0123456789abcdef --out DIR

        what to do
          1. Ask the owner.

          2. Revoke \u{7}sessions.

        history
          2026-08-01 11:59Z  raised
          2026-08-01 12:00Z  acknowledged by bo: looking\u{202e}

        related (7 days before and after)
          00000000aaaaaaaa  medium  closed  2026-08-01 11:55Z  same principal, same secret, same network
              role/app/billing read prod/db for the first time.
        ");
    }

    #[test]
    fn nothing_that_is_written_steers_the_terminal() {
        let hostile = "\u{1b}[2J\u{202e}\u{7}".to_owned();
        let mut alert = sample();
        alert.title = hostile.clone();
        alert.reason = hostile.clone();
        alert.note = Some(hostile.clone());
        alert.changed_by = Some(hostile.clone());
        alert.principal_id = Some(hostile.clone());
        alert.secret_ids = vec![hostile.clone()];
        alert.region = Some(hostile.clone());
        alert.suppressed_by = Some(hostile.clone());
        alert.evidence[0].event_name = hostile.clone();
        alert.why = vec![Odd {
            dimension: hostile.clone(),
            value: hostile.clone(),
            usual: hostile.repeat(20),
            seen: 0,
            sample: 0,
            unit: hostile.clone(),
            word: Frequency::Unseen,
        }];
        let step = Step { at: 0, what: hostile.clone(), by: Some(hostile.clone()), note: Some(hostile.clone()) };
        let other = Alert { alert_id: "o".into(), ..alert.clone() };
        let said = page(
            &alert,
            &Page {
                guide: Some(&hostile),
                previous: Some(&other),
                history: vec![step],
                related: related::related(&alert, std::slice::from_ref(&other)),
                ..Page::default()
            },
        );
        assert!(!said.chars().any(|it| (it.is_control() && it != '\n') || it == '\u{202e}'), "{said:?}");
    }
}
