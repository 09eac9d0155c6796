//! `keytrail sinks`: who is told of alerts, a test of each, what did not arrive.
//!
//! `deliver` sends what is due now and ends, for whoever runs `keytrail ingest` under cron; a running worker does the same all
//! the time. Secrets of the configuration are never printed. Exit code 1 where something did not arrive.

pub(crate) mod deliverer;
mod failing;
pub(crate) mod open;
pub(crate) mod reach;
mod sender;

use std::time::Instant;

use anyhow::Result;
use keytrail_alerts::{
    Message,
    message::test_alert,
    sink::{Change, Outgoing},
};
use keytrail_lake::Lake;
use keytrail_model::{Delivery, DeliveryState, DeliveryStep, Micros, display, time};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::deliverer::{Deliverer, Round};
use super::{
    open as lakes,
    table::{self, Column},
};
use crate::{
    args::{FormatArg, Global, SinksCommand},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// Rounds of one `deliver`, should the log never come to rest.
const ROUNDS: usize = 10_000;

pub(crate) async fn run(
    command: &SinksCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    if settings.file.delivery.sink.is_empty() {
        output.say("no sink is configured: alerts are kept in the lake and sent nowhere; docs/SINKS.md has examples");
    }
    match command {
        SinksCommand::List => list(settings, global, output).await,
        SinksCommand::Test { name } => test(name.as_deref(), settings, global, output).await,
        SinksCommand::Retry { id, .. } => retry(id.as_deref(), settings, output).await,
        SinksCommand::Deliver => deliver(settings, output).await,
    }
}

/// One sink with what became of its deliveries.
pub(crate) struct Line {
    pub(crate) name: String,
    kind: &'static str,
    /// Where it sends to, or why it cannot be used.
    pub(crate) place: Result<String, String>,
    delivered: usize,
    waiting: usize,
    pub(crate) parked: Vec<Delivery>,
    last_at: Option<Micros>,
    last_error: Option<String>,
}

/// Every sink of the configuration, with what the log says of it.
pub(crate) async fn lines(lake: Option<&Lake>, settings: &Settings, output: Output) -> Result<Vec<Line>> {
    let deliveries: Vec<Delivery> = match lake {
        Some(lake) => lake.deliveries().await?.by_id.into_values().collect(),
        None => Vec::new(),
    };
    let mut lines = Vec::new();
    for opened in open::all(settings, output).await {
        let of_sink = || deliveries.iter().filter(|delivery| delivery.step.sink == opened.name);
        let in_state = |state| of_sink().filter(move |delivery| delivery.step.state == state);
        let mut parked: Vec<Delivery> = in_state(DeliveryState::Parked).cloned().collect();
        parked.sort_by_key(|delivery| delivery.sequence);
        lines.push(Line {
            delivered: in_state(DeliveryState::Delivered).count(),
            waiting: in_state(DeliveryState::Failed).count() + in_state(DeliveryState::Claimed).count(),
            last_at: in_state(DeliveryState::Delivered).map(|delivery| delivery.step.at).max(),
            last_error: of_sink()
                .filter(|delivery| matches!(delivery.step.state, DeliveryState::Failed | DeliveryState::Parked))
                .max_by_key(|delivery| delivery.sequence)
                .and_then(|delivery| delivery.step.detail.clone()),
            parked,
            place: opened.sink.map(|sink| sink.place().to_owned()),
            kind: opened.kind,
            name: opened.name,
        });
    }
    Ok(lines)
}

async fn list(settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    // Before the first run there is no lake, and nothing was sent.
    let lake = lakes::existing(settings).await.ok();
    let lines = lines(lake.as_ref(), settings, output).await?;
    let columns = [
        Column::new("sink", |line: &Line| line.name.clone()),
        Column::new("kind", |line| line.kind.to_owned()),
        Column::new("place", |line| match &line.place {
            Ok(place) => display::terminal_safe(place),
            Err(reason) => format!("cannot be used: {}", display::terminal_safe(reason)),
        }),
        Column::new("delivered", |line| line.delivered.to_string()),
        Column::new("waiting", |line| line.waiting.to_string()),
        Column::new("parked", |line| line.parked.len().to_string()),
        Column::new("last", |line| line.last_at.map_or_else(|| "never".to_owned(), display::moment)),
        Column::new("last error", |line| display::terminal_safe(line.last_error.as_deref().unwrap_or_default())),
    ];
    table::print(&lines, &columns, as_json, global.format, output)?;
    if global.format.is_none_or(|format| format == FormatArg::Table) {
        let parked: Vec<&Delivery> = lines.iter().flat_map(|line| &line.parked).collect();
        for delivery in &parked {
            output.say(format!("parked: {}", described(&delivery.step)));
        }
        if !parked.is_empty() {
            output.say("`keytrail sinks retry DELIVERY` or `retry --all` takes them up again");
        }
    }
    Ok(ExitCode::Ok)
}

fn described(step: &DeliveryStep) -> String {
    format!(
        "{}  {} to {}, {} tries: {} ({})",
        step.delivery_id,
        step.change,
        step.sink,
        step.attempt,
        display::terminal_safe(&step.title),
        display::terminal_safe(step.detail.as_deref().unwrap_or("no reason was kept")),
    )
}

fn as_json(line: &Line) -> Value {
    let parked: Vec<Value> = line
        .parked
        .iter()
        .map(|delivery| {
            let step = &delivery.step;
            json!({
                "delivery_id": step.delivery_id, "change": step.change, "alert_ids": step.alert_ids,
                "attempt": step.attempt, "at": time::to_rfc3339(step.at), "status": step.status, "detail": step.detail,
                "title": step.title,
            })
        })
        .collect();
    json!({
        "sink": line.name, "kind": line.kind, "place": line.place.as_ref().ok(), "problem": line.place.as_ref().err(),
        "delivered": line.delivered, "waiting": line.waiting, "parked": line.parked.len(),
        "last_delivered_at": line.last_at.map(time::to_rfc3339), "last_error": line.last_error,
        "parked_deliveries": parked,
    })
}

/// What a test of one sink came to.
struct Tested {
    name: String,
    kind: &'static str,
    place: String,
    ok: bool,
    answer: String,
    seconds: f64,
}

async fn test(name: Option<&str>, settings: &Settings, global: &Global, output: Output) -> Result<ExitCode> {
    let mut sinks = open::all(settings, output).await;
    if let Some(name) = name {
        sinks.retain(|sink| sink.name == name);
        if sinks.is_empty() {
            let failure = Failure::new(ExitCode::NotFound, format!("there is no sink `{name}`"));
            return Err(failure.hint("`keytrail sinks list` names them").into());
        }
    }
    let links = open::links(&settings.file.delivery)?;
    let mut tested = Vec::with_capacity(sinks.len());
    for opened in sinks {
        let (name, kind) = (opened.name, opened.kind);
        let sink = match opened.sink {
            Ok(sink) => sink,
            Err(answer) => {
                tested.push(Tested { name, kind, place: String::new(), ok: false, answer, seconds: 0.0 });
                continue;
            }
        };
        let at = time::now();
        let alerts = vec![test_alert(at)];
        let message = Message::new(Change::Test, &alerts, None, &links);
        let delivery_id = format!("{:016x}{:016x}", sender::chance(), sender::chance());
        let started = Instant::now();
        let sent = sink.send(&Outgoing { delivery_id, change: Change::Test, alerts, message, attempt: 1, at }).await;
        let status = |status: Option<u16>| status.map_or_else(|| "taken".to_owned(), |status| status.to_string());
        let (ok, answer) = match sent {
            Ok(receipt) => match receipt.detail {
                Some(detail) => (true, format!("{} ({detail})", status(receipt.status))),
                None => (true, status(receipt.status)),
            },
            Err(error) => (false, error.to_string()),
        };
        let seconds = started.elapsed().as_secs_f64();
        tested.push(Tested { name, kind, place: sink.place().to_owned(), ok, answer, seconds });
    }
    let columns = [
        Column::new("", |tested: &Tested| if tested.ok { "ok".to_owned() } else { "fail".to_owned() }),
        Column::new("sink", |tested| tested.name.clone()),
        Column::new("kind", |tested| tested.kind.to_owned()),
        Column::new("place", |tested| display::terminal_safe(&tested.place)),
        Column::new("answer", |tested| display::terminal_safe(&tested.answer)),
        Column::new("took", |tested| format!("{:.2} s", tested.seconds)),
    ];
    let as_json = |tested: &Tested| {
        json!({
            "sink": tested.name, "kind": tested.kind, "place": tested.place, "ok": tested.ok,
            "answer": tested.answer, "seconds": tested.seconds,
        })
    };
    table::print(&tested, &columns, as_json, global.format, output)?;
    Ok(if tested.iter().all(|tested| tested.ok) { ExitCode::Ok } else { ExitCode::Partial })
}

async fn retry(id: Option<&str>, settings: &Settings, output: Output) -> Result<ExitCode> {
    let lake = lakes::existing(settings).await?;
    let mut chosen: Vec<Delivery> = lake
        .deliveries()
        .await?
        .by_id
        .into_values()
        .filter(|delivery| matches!(delivery.step.state, DeliveryState::Parked | DeliveryState::Failed))
        .collect();
    if let Some(id) = id {
        let typed = id.trim().to_ascii_lowercase();
        chosen.retain(|delivery| !typed.is_empty() && delivery.step.delivery_id.starts_with(&typed));
        if chosen.len() != 1 {
            let found =
                if chosen.is_empty() { "no delivery that is parked or waits" } else { "more than one delivery" };
            let text = format!("{found} begins with `{}`", display::terminal_safe(id));
            return Err(Failure::new(ExitCode::NotFound, text).hint("`keytrail sinks list` has the ids").into());
        }
    }
    chosen.sort_by_key(|delivery| delivery.sequence);
    let now = time::now();
    let steps: Vec<DeliveryStep> = chosen
        .into_iter()
        .map(|delivery| DeliveryStep {
            state: DeliveryState::Failed,
            attempt: 0,
            at: now,
            next_at: Some(now),
            detail: Some("taken up again by hand".to_owned()),
            ..delivery.step
        })
        .collect();
    lake.append_deliveries(&steps).await?;
    output.say(format!("{} taken up again; a running worker or `keytrail sinks deliver` sends them", steps.len()));
    Ok(ExitCode::Ok)
}

async fn deliver(settings: &Settings, output: Output) -> Result<ExitCode> {
    let lake = lakes::existing(settings).await?;
    let mut deliverer = Deliverer::open(lake, settings, output).await?;
    let hurry = CancellationToken::new();
    let mut all = Round::default();
    for _ in 0..ROUNDS {
        let round = deliverer.round(&hurry).await?;
        if round.idle {
            break;
        }
        all.delivered += round.delivered;
        all.failed += round.failed;
        all.parked += round.parked;
        all.covered += round.covered;
    }
    output.say(format!(
        "{} delivered ({} more alerts told in their messages), {} failed and wait for their next try, {} parked",
        all.delivered, all.covered, all.failed, all.parked
    ));
    let is_well = all.failed == 0 && all.parked == 0 && deliverer.is_whole();
    Ok(if is_well { ExitCode::Ok } else { ExitCode::Partial })
}
