//! What a worker meets that the lake cannot know: its queue, its notifications, objects it may not read, trails.
//!
//! In: plain facts. Out: conditions, worded for the person who is called. Text from outside is made safe and short.

use keytrail_model::{
    Micros, Severity, display,
    time::{DAY, HOUR},
};

use super::{
    Condition, NOTIFICATIONS_NOT_UNDERSTOOD, OBJECTS_UNREADABLE, QUEUE_LAG, SINK_FAILING, TRAIL_MISCONFIGURED,
};

/// How many reasons a sentence names, and how long each may be.
const REASONS: usize = 3;
const REASON_LENGTH: usize = 160;
/// CloudTrail redelivers and S3 announces late, but a message this old is close to being lost where a queue keeps four days.
const GRAVE_AGE: Micros = DAY;

/// A queue that fills faster than it is worked off.
#[derive(Clone, Debug)]
pub struct QueueLag<'a> {
    pub queue: &'a str,
    /// How long the oldest message has waited.
    pub oldest_age: Micros,
    /// Since when the age has been growing.
    pub growing_since: Micros,
    /// Messages waiting, as the queue estimates.
    pub backlog: i64,
    /// The age that is usual, or allowed, here.
    pub usual_age: Micros,
    /// How long the queue keeps a message, where that is known.
    pub retention: Option<Micros>,
}

/// Messages wait longer and longer.
pub fn queue_lag(lag: &QueueLag<'_>, now: Micros) -> Condition {
    let queue = short(lag.queue);
    let near_loss = lag.retention.is_some_and(|kept| lag.oldest_age.saturating_mul(2) >= kept);
    let severity = if near_loss {
        Severity::Critical
    } else if lag.oldest_age >= GRAVE_AGE.min(6 * HOUR) {
        Severity::High
    } else {
        Severity::Medium
    };
    let lost = lag.retention.map_or_else(String::new, |kept| {
        format!(
            " (after {} the queue drops a message, and only `keytrail reconcile` finds its objects)",
            display::duration(kept)
        )
    });
    Condition {
        since: lag.growing_since,
        happened_at: now,
        known_at: lag.growing_since,
        count: lag.backlog.max(1),
        severity,
        title: format!("Queue {queue} is falling behind"),
        reason: format!(
            "The oldest of {} messages in {queue} has waited {}, growing since {}, where {} is usual{lost}; alerts come \
             that much later: add workers, or see in `/metrics` whether the lake or S3 is slow.",
            display::count(lag.backlog),
            display::duration(lag.oldest_age),
            display::moment(lag.growing_since),
            display::duration(lag.usual_age),
        ),
        ..about(QUEUE_LAG, vec![lag.queue.to_owned()])
    }
}

/// Messages that no known shape fits: they are never deleted, and end in the dead-letter queue if there is one.
pub fn notifications_not_understood(
    queue: &str,
    count: i64,
    since: Micros,
    last_at: Micros,
    last_reasons: &[String],
    dead_letter_queue: Option<&str>,
) -> Condition {
    let name = short(queue);
    let whereto = match dead_letter_queue {
        Some(dead) => format!("they go to the dead-letter queue {}", short(dead)),
        None => "there is no dead-letter queue, so they come back until the queue drops them".to_owned(),
    };
    Condition {
        since,
        happened_at: last_at,
        known_at: last_at,
        count: count.max(1),
        severity: if dead_letter_queue.is_some() { Severity::Medium } else { Severity::High },
        title: format!("Messages in {name} are not understood"),
        reason: format!(
            "{} in {name} since {} could not be understood ({}), where every message should be; {whereto}: see who else \
             sends to this queue.",
            counted(count, "message"),
            display::moment(since),
            some_of(last_reasons),
        ),
        ..about(NOTIFICATIONS_NOT_UNDERSTOOD, vec![queue.to_owned()])
    }
}

/// What a role may not do with which objects.
#[derive(Clone, Debug)]
pub struct Unreadable<'a> {
    /// Who reads: the role's ARN.
    pub role: &'a str,
    /// `s3:GetObject`, `kms:Decrypt`, …
    pub permission: &'a str,
    /// On what: `s3://bucket/key` of one of the objects, or a KMS key's ARN. One alert speaks for a bucket.
    pub resource: &'a str,
    pub count: i64,
    pub since: Micros,
    pub last_at: Micros,
}

/// Objects that wait because the worker may not read them.
pub fn objects_waiting(unreadable: &Unreadable<'_>) -> Condition {
    let (role, permission) = (display::principal_short(unreadable.role), short(unreadable.permission));
    Condition {
        since: unreadable.since,
        happened_at: unreadable.last_at,
        known_at: unreadable.since,
        count: unreadable.count.max(1),
        severity: Severity::High,
        title: format!("Objects wait: {role} lacks {permission}"),
        reason: format!(
            "{} announced since {} cannot be read, because {role} is refused {permission} on {}; nothing is lost while their \
             messages wait, and what is not mended before the queue gives up is quarantined: grant it (`keytrail \
             iam-policy` prints the whole policy).",
            counted(unreadable.count, "object"),
            display::moment(unreadable.since),
            short(unreadable.resource),
        ),
        ..about(
            OBJECTS_UNREADABLE,
            vec![unreadable.role.to_owned(), unreadable.permission.to_owned(), bucket_of(unreadable.resource)],
        )
    }
}

/// A trail that leaves out what Keytrail needs. `problem` reads as a sentence without its full stop; it is part of what the
/// alert is about, so it must not hold numbers that change. `found_at` may be the moment of each look: the first one counts,
/// and what a person closed stays closed for this trail and problem.
pub fn trail_misconfigured(
    account_id: &str,
    trail: &str,
    problem: &str,
    mending_command: &str,
    found_at: Micros,
) -> Condition {
    let name = short(trail);
    Condition {
        since: found_at,
        happened_at: found_at,
        known_at: Micros::MIN,
        severity: Severity::High,
        title: format!("Trail {name} leaves out what Keytrail needs"),
        reason: format!(
            "{} (trail {name} of account {}, found {}), so reads may go unseen that are usually logged; mend it with: {}",
            short(problem),
            short(account_id),
            display::moment(found_at),
            cut(mending_command, 4 * REASON_LENGTH),
        ),
        account_id: Some(account_id.to_owned()),
        ..about(TRAIL_MISCONFIGURED, vec![account_id.to_owned(), trail.to_owned(), cut(problem, REASON_LENGTH)])
    }
}

/// A sink that alerts do not get through to.
#[derive(Clone, Debug)]
pub struct SinkFailing<'a> {
    /// The sink's name in the configuration.
    pub sink: &'a str,
    /// Deliveries that are not tried again by themselves.
    pub parked: i64,
    /// Deliveries that are tried again and again, in vain.
    pub waiting: i64,
    /// When the first of them was due.
    pub since: Micros,
    pub last_at: Micros,
    /// What the sink, or the way to it, said last.
    pub reason: &'a str,
}

impl<'a> SinkFailing<'a> {
    /// Nothing counted yet.
    pub fn of(sink: &'a str, at: Micros) -> Self {
        Self { sink, parked: 0, waiting: 0, since: at, last_at: at, reason: "" }
    }
}

/// Alerts do not get through to a sink.
pub fn sink_failing(failing: &SinkFailing<'_>) -> Condition {
    let sink = short(failing.sink);
    let what = match (failing.parked, failing.waiting) {
        (0, 0) => "it cannot be used".to_owned(),
        (0, waiting) => format!("{} not gone through", counted_has(waiting)),
        (parked, 0) => format!("{} parked", counted_is(parked)),
        (parked, waiting) => format!("{} parked and {} not gone through", counted_is(parked), counted_has(waiting)),
    };
    let reason = if failing.reason.is_empty() { "no reason was given".to_owned() } else { short(failing.reason) };
    Condition {
        since: failing.since,
        happened_at: failing.last_at,
        known_at: failing.last_at,
        count: (failing.parked + failing.waiting).max(1),
        severity: Severity::High,
        title: format!("Alerts do not reach {sink}"),
        reason: format!(
            "Sink {sink}: {what} since {}, where every message should arrive within seconds ({reason}); every alert stands in \
             `keytrail alerts list`: mend the sink, try it with `keytrail sinks test {sink}`, then `keytrail sinks retry --all`.",
            display::moment(failing.since),
        ),
        ..about(SINK_FAILING, vec![failing.sink.to_owned()])
    }
}

fn counted_is(number: i64) -> String {
    format!("{} {}", counted(number, "message"), if number == 1 { "is" } else { "are" })
}

fn counted_has(number: i64) -> String {
    format!("{} {}", counted(number, "message"), if number == 1 { "has" } else { "have" })
}

/// `s3://bucket` of `s3://bucket/key`; anything else as it is.
fn bucket_of(resource: &str) -> String {
    let bucket = resource.strip_prefix("s3://").and_then(|rest| rest.split('/').next());
    bucket.map_or_else(|| resource.to_owned(), |bucket| format!("s3://{bucket}"))
}

fn about(rule_id: &str, subject: Vec<String>) -> Condition {
    Condition {
        rule_id: rule_id.to_owned(),
        subject,
        since: 0,
        happened_at: 0,
        known_at: 0,
        count: 1,
        severity: Severity::Medium,
        title: String::new(),
        reason: String::new(),
        account_id: None,
        region: None,
    }
}

fn counted(number: i64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{} {word}s", display::count(number)) }
}

fn some_of(reasons: &[String]) -> String {
    if reasons.is_empty() {
        return "no reason was kept".to_owned();
    }
    let named: Vec<String> = reasons.iter().take(REASONS).map(|reason| short(reason)).collect();
    named.join("; ")
}

fn short(text: &str) -> String {
    cut(text, REASON_LENGTH)
}

/// The text, safe for a terminal, at most so many characters.
fn cut(text: &str, most: usize) -> String {
    let mut kept: String = text.chars().take(most).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    display::terminal_safe(&kept)
}
