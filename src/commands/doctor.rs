//! `keytrail doctor`: is everything there that a worker needs, and may it use it?
//!
//! One line for each thing that is looked at: ok, warn or fail, what was found, and what to do. Every call is one that the
//! worker makes too, so what passes here passes there. It changes nothing but a small file of its own in the lake, which
//! shows that the lake can be written. Exit code 1 when a line fails.

use anyhow::Result;
use keytrail_ingest::{
    aws::{Aws, clock},
    objects::{ObjectErrorKind, ObjectStore},
    queue::{Queue, sqs::SqsQueue},
};
use keytrail_model::{display, time};
use serde_json::{Value, json};

use super::{connect, open, rules, sinks, table, trails};
use crate::{
    args::Global,
    exit_code::ExitCode,
    output::Output,
    settings::{BucketPrefix, QueueSource, Settings},
};

/// AWS refuses requests of clocks that are off by more than 5 minutes (15 for S3).
const SKEW_FAILS: i64 = 240;
const SKEW_WARNS: i64 = 30;
/// So much of an object is read to see whether it may be read.
const PROBE_BYTES: usize = 1 << 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
struct Line {
    state: State,
    what: &'static str,
    found: String,
    /// What to do; empty where nothing is to be done.
    hint: String,
}

impl Line {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Ok, what, found: found.into(), hint: String::new() }
    }

    fn warn(what: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Warn, what, found: found.into(), hint: hint.into() }
    }

    fn fail(what: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Fail, what, found: found.into(), hint: hint.into() }
    }
}

pub(crate) async fn run(settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let mut lines = vec![configuration(global), of_rules(settings)];
    lines.extend(lake(settings).await);
    match settings.file.queue.source() {
        Err(failure) => lines.push(Line::fail("queue", failure.message, failure.hint.unwrap_or_default())),
        Ok(QueueSource::Folder(folder)) if folder.is_dir() => {
            lines.push(Line::ok("queue", format!("the folder {}", folder.display())));
        }
        Ok(QueueSource::Folder(folder)) => lines.push(Line::fail(
            "queue",
            format!("there is no folder at {}", folder.display()),
            "make it, or set queue.folder to another",
        )),
        Ok(QueueSource::Sqs(url)) => match connect::aws(settings).await {
            Err(failure) => lines.push(Line::fail("aws", failure.message, failure.hint.unwrap_or_default())),
            Ok(aws) => {
                lines.push(identity(&aws).await);
                lines.push(of_clock(&aws).await);
                lines.extend(queue(&SqsQueue::new(aws.sqs(), url.as_str())).await);
                lines.extend(buckets(&aws, settings).await);
                lines.extend(of_trails(&aws).await);
            }
        },
    }
    lines.extend(of_sinks(settings, output).await);
    let columns = [
        table::Column::new("", |line: &Line| line.state.as_str().to_owned()),
        table::Column::new("what", |line| line.what.to_owned()),
        table::Column::new("found", |line| display::terminal_safe(&line.found)),
        table::Column::new("what to do", |line| display::terminal_safe(&line.hint)),
    ];
    table::print(&lines, &columns, as_json, global.format, output)?;
    let failed = lines.iter().filter(|line| line.state == State::Fail).count();
    if failed > 0 {
        output.say(format!("{failed} of {} checks failed", lines.len()));
        return Ok(ExitCode::Partial);
    }
    Ok(ExitCode::Ok)
}

fn as_json(line: &Line) -> Value {
    json!({ "state": line.state.as_str(), "check": line.what, "found": line.found, "hint": line.hint })
}

/// It was read before anything else: what is wrong with it never comes here.
fn configuration(global: &Global) -> Line {
    match &global.config {
        Some(path) => Line::ok("config", format!("{} is valid", path.display())),
        None => {
            Line::warn("config", "no file: only defaults, environment and flags", "--config FILE or KEYTRAIL_CONFIG")
        }
    }
}

fn of_rules(settings: &Settings) -> Line {
    match rules::check_configuration(settings) {
        Err(error) => Line::fail("rules", error.to_string(), "`keytrail rules check` names the place"),
        Ok(()) => {
            let packs = rules::packs(settings);
            Line::ok("rules", format!("{} rules", packs.packs.len()))
        }
    }
}

async fn lake(settings: &Settings) -> Vec<Line> {
    let place = settings.lake.to_string();
    let lake = match open::existing(settings).await {
        Ok(lake) => lake,
        Err(error) => {
            return vec![Line::warn("lake", error.to_string(), "`keytrail run` makes it; its place must be writable")];
        }
    };
    let mut lines = vec![match lake.put_state("doctor", time::now().to_be_bytes().to_vec()).await {
        Ok(()) => Line::ok("lake", format!("{place} can be read and written")),
        Err(error) => Line::fail("lake", error.to_string(), "the worker must be able to write there"),
    }];
    lines.push(match open::data_line(&lake, settings).await {
        Ok(text) if text.contains("silent for") || !text.contains("nothing quarantined") => Line::warn(
            "coverage",
            text,
            "`keytrail alerts list` says what is wrong; `keytrail quarantine list` has the reasons",
        ),
        Ok(text) => Line::ok("coverage", text),
        Err(error) => Line::fail("coverage", error.to_string(), ""),
    });
    lines
}

async fn identity(aws: &Aws) -> Line {
    match aws.identity().await {
        Ok(identity) => Line::ok("identity", format!("{} in {}", identity.arn, aws.region())),
        Err(error) => Line::fail("identity", error.to_string(), "AWS's credential chain found none that AWS accepts"),
    }
}

async fn of_clock(aws: &Aws) -> Line {
    match clock::skew_seconds(aws).await {
        Err(error) => Line::warn("clock", format!("it could not be compared with AWS's: {error}"), ""),
        Ok(skew) if skew.abs() >= SKEW_FAILS => {
            Line::fail("clock", format!("{skew} s off AWS's"), "AWS refuses requests signed with a wrong time: run NTP")
        }
        Ok(skew) if skew.abs() >= SKEW_WARNS => Line::warn("clock", format!("{skew} s off AWS's"), "run NTP"),
        Ok(skew) => Line::ok("clock", format!("{skew} s off AWS's")),
    }
}

async fn queue(queue: &SqsQueue) -> Vec<Line> {
    let mut lines = Vec::new();
    match queue.depth().await {
        Err(error) => {
            let hint = "`keytrail iam-policy` prints the policy that the worker's role needs";
            return vec![Line::fail("queue", error.to_string(), hint)];
        }
        Ok(depth) => lines.push(Line::ok(
            "queue",
            format!("{} messages waiting, {} in flight, {} delayed", depth.visible, depth.in_flight, depth.delayed),
        )),
    }
    lines.push(match queue.redrive().await {
        Err(error) => Line::fail("redrive", error.to_string(), "the worker reads it with sqs:GetQueueAttributes"),
        Ok(redrive) => match (redrive.max_receive_count, redrive.dead_letter_queue) {
            (Some(count), Some(dead)) if count < 3 => Line::warn(
                "redrive",
                format!("after {count} deliveries to {dead}"),
                "a worker that is restarted uses up a delivery: give maxReceiveCount at least 5",
            ),
            (Some(count), Some(dead)) => Line::ok("redrive", format!("after {count} deliveries to {dead}")),
            _ => Line::warn(
                "redrive",
                "no dead-letter queue",
                "give the queue one: what cannot be understood comes back until it expires",
            ),
        },
    });
    lines
}

async fn buckets(aws: &Aws, settings: &Settings) -> Vec<Line> {
    let named = &settings.file.reconcile.buckets;
    if named.is_empty() {
        return vec![Line::warn(
            "bucket",
            "none is named",
            "set reconcile.buckets: only so is found what no notification announced",
        )];
    }
    let store = connect::buckets(aws, settings);
    let mut lines = Vec::with_capacity(named.len());
    for place in named {
        lines.push(bucket(&store, place).await);
    }
    lines
}

async fn bucket<O: ObjectStore>(store: &O, place: &BucketPrefix) -> Line {
    let page = match store.list(&place.bucket, &place.prefix, None).await {
        Ok(page) => page,
        Err(error) => return Line::fail("bucket", error.to_string(), "s3:ListBucket is needed to reconcile"),
    };
    let Some(first) = page.objects.first() else {
        return Line::warn(
            "bucket",
            format!("{place} holds nothing"),
            "is it the bucket and prefix that the trail writes to?",
        );
    };
    match store.get(first, PROBE_BYTES).await {
        Ok(_) => Line::ok("bucket", format!("{place} can be listed and read")),
        // Large enough to be refused is readable.
        Err(error) if matches!(error.kind, ObjectErrorKind::TooLarge { .. }) => {
            Line::ok("bucket", format!("{place} can be listed and read"))
        }
        Err(error) => Line::fail("bucket", error.to_string(), "s3:GetObject, and kms:Decrypt on the trail's key"),
    }
}

async fn of_trails(aws: &Aws) -> Vec<Line> {
    let mut lines = Vec::new();
    for account in trails::ask(aws).await {
        match account.trails {
            Err(error) => lines.push(Line::warn(
                "trail",
                error.to_string(),
                "cloudtrail:DescribeTrails, GetTrailStatus and GetEventSelectors let it be checked",
            )),
            Ok(trails) if trails.facts.is_empty() => lines.push(Line::fail(
                "trail",
                format!("account {} has none in {}", account.account_id, aws.region()),
                "make a trail for management events, reads included, in all regions",
            )),
            Ok(trails) => {
                let is_covered = trails.is_covered();
                for trail in trails.facts {
                    if trail.is_sound() {
                        lines.push(Line::ok("trail", format!("{}: logs reads and KMS", trail.name)));
                    }
                    lines.extend(
                        trail.unknown.iter().map(|text| Line::warn("trail", format!("{}: {text}", trail.name), "")),
                    );
                    lines.extend(trail.findings.into_iter().map(|finding| {
                        let found = format!("{}: {}", trail.name, finding.missed);
                        // Another trail sees what this one leaves out.
                        let state = if is_covered { State::Warn } else { State::Fail };
                        Line { state, what: "trail", found, hint: finding.mend }
                    }));
                }
            }
        }
    }
    lines
}

/// Each sink: whether it can be used and reached, and whether something is parked. Nothing is sent.
async fn of_sinks(settings: &Settings, output: Output) -> Vec<Line> {
    let entries = &settings.file.delivery.sink;
    if entries.is_empty() {
        return vec![Line::warn(
            "sinks",
            "none: alerts are kept in the lake and sent nowhere",
            "read them with `keytrail alerts list`, or write a [[sink]]",
        )];
    }
    let lake = open::existing(settings).await.ok();
    let known = match sinks::lines(lake.as_ref(), settings, output).await {
        Ok(known) => known,
        Err(error) => return vec![Line::fail("sinks", error.to_string(), "the lake must be readable")],
    };
    let mut lines = Vec::new();
    for (entry, line) in entries.iter().zip(known) {
        let name = &line.name;
        let test = format!("`keytrail sinks test {name}` sends a message");
        let found = match &line.place {
            Err(reason) => Err(format!("{name} cannot be used: {reason}")),
            Ok(_) => match sinks::reach::look(entry).await {
                Ok(found) => Ok(format!("{name}: {found}")),
                Err(reason) => Err(format!("{name}: {reason}")),
            },
        };
        lines.push(match found {
            Err(text) => Line::fail("sink", text, test),
            Ok(text) if !line.parked.is_empty() => Line::warn(
                "sink",
                format!("{text}; {} messages are parked", line.parked.len()),
                "`keytrail sinks list` says why; `keytrail sinks retry --all` takes them up again",
            ),
            Ok(text) => Line::ok("sink", format!("{text} ({test})")),
        });
    }
    lines
}
