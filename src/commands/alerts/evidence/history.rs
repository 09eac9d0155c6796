//! The records that a bundle keeps, and whether they raise the alert again.
//!
//! In: an alert. Out: its events' records, and those that the rule compared them with: what the principal did and what was done with the
//! secrets and their neighbours up to the alert's last event, the newest first where there are too many. They become a sample of the
//! rule, which is judged here as `keytrail rules test` will.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, Result};
use keytrail_lake::{Lake, encode_access_events};
use keytrail_model::{Alert, Micros, time, time::DAY};
use keytrail_rules::{backtest::Replay, manifest::Run, pack::Pack, settings::RuleSettings};
use serde_json::{Map, Value, json};

use crate::{
    commands::{
        open::{self, quoted},
        rules,
    },
    settings::Settings,
};

/// Records of a bundle; a sample takes no more than 10,000.
const MOST_RECORDS: usize = 9_000;
/// How far back the trail's coverage is told.
const COVERED: Micros = 100 * DAY;

/// The records that are kept.
pub(super) struct Kept {
    pub(super) records: Vec<Value>,
    /// How many the lake has of the same principal, secrets and namespaces.
    pub(super) known: usize,
    /// Records that are no CloudTrail and cannot be judged from a sample.
    pub(super) foreign: usize,
    /// Names that were completed to the ARN that the lake knows.
    pub(super) completed: usize,
}

/// Whether the bundle raises the alert.
pub(super) enum Reproduced {
    /// With so many others of the same rule.
    Yes {
        others: usize,
    },
    No(String),
}

/// The alert's own events with their records.
pub(super) async fn events(lake: &Lake, settings: &Settings, alert: &Alert) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    for event in &alert.evidence {
        let sql = format!(
            "SELECT event_id, event_at, delivered_at, ingested_at, event_name, outcome, principal_id, secret_id, source_ip, \
             account_id, region, object_key, record_index, raw FROM access_events WHERE event_id = {} AND event_date = '{}' \
             ORDER BY secret_id",
            quoted(&event.event_id),
            time::utc_day(event.event_at)
        );
        for mut row in open::rows(lake, settings, &sql).await? {
            let record = row["raw"].as_str().and_then(|raw| serde_json::from_str::<Value>(raw).ok());
            if let (Some(fields), Some(record)) = (row.as_object_mut(), record) {
                fields.remove("raw");
                fields.insert("record".to_owned(), record);
            }
            events.push(row);
        }
    }
    Ok(events)
}

/// What was seen of the trail around the alert.
pub(super) async fn coverage(lake: &Lake, settings: &Settings, alert: &Alert) -> Result<Value> {
    let until = open::moment(alert.raised_at.max(alert.last_event_at));
    let from = open::moment(alert.first_event_at.saturating_sub(COVERED));
    let hours = open::rows(
        lake,
        settings,
        &format!(
            "SELECT account_id, region, hour_at, state FROM coverage WHERE hour_at >= {from} \
             AND hour_at <= {until} ORDER BY account_id, region, hour_at"
        ),
    )
    .await?;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut spans: Vec<Value> = Vec::new();
    for place in
        hours.chunk_by(|a, b| text(a, "account_id") == text(b, "account_id") && text(a, "region") == text(b, "region"))
    {
        let (Some(first), Some(last)) = (place.first(), place.last()) else { continue };
        let hour = |row: &Value| row["hour_at"].as_str().and_then(time::parse_rfc3339);
        let end = |row: &Value| hour(row).map(|at| time::to_rfc3339(at + time::HOUR));
        let gaps: Vec<Value> = place
            .chunk_by(|a, b| (text(a, "state") == "gap") == (text(b, "state") == "gap"))
            .filter(|run| run.first().is_some_and(|row| text(row, "state") == "gap"))
            .filter_map(|run| Some(json!([run.first()?["hour_at"], end(run.last()?)?])))
            .collect();
        spans.push(json!({
            "account_id": text(first, "account_id"), "region": text(first, "region"), "from": first["hour_at"],
            "to": end(last), "gaps": gaps,
        }));
    }
    Ok(Value::Array(spans))
}

/// The records that the rule had: the principal's, the secrets' and their namespaces'.
pub(super) async fn keep(lake: &Lake, settings: &Settings, alert: &Alert) -> Result<Kept> {
    let secrets: Vec<String> = alert.secret_ids.iter().map(|id| quoted(id)).collect();
    let evidence: Vec<String> = alert.evidence.iter().map(|event| quoted(&event.event_id)).collect();
    let mut about =
        vec![format!("event_id IN ({})", if evidence.is_empty() { "''".to_owned() } else { evidence.join(", ") })];
    if let Some(principal) = &alert.principal_id {
        about.push(format!("principal_id = {}", quoted(principal)));
    }
    if !secrets.is_empty() {
        about.push(format!("secret_id IN ({})", secrets.join(", ")));
        about.push(format!(
            "split_part(ltrim(secret_name, '/'), '/', 1) IN (SELECT split_part(ltrim(secret_name, '/'), '/', 1) FROM access_events \
             WHERE secret_id IN ({}) AND strpos(ltrim(secret_name, '/'), '/') > 0)",
            secrets.join(", ")
        ));
    }
    let until = alert.last_event_at;
    let until = if alert.evidence.is_empty() { alert.raised_at } else { until };
    let own = format!("event_id IN ({})", if evidence.is_empty() { "''".to_owned() } else { evidence.join(", ") });
    // Its own events first, then whoever was the first to use what, then the newest: what a limit cuts off is what matters least.
    let sql = format!(
        "SELECT event_id, event_at, secret_id, secret_resolution, raw, object_key, record_index FROM ( \
         SELECT *, row_number() OVER (PARTITION BY principal_id, secret_id ORDER BY event_at, event_id) AS turn FROM access_events \
         WHERE event_at <= {} AND ({})) \
         ORDER BY {own} DESC, turn <= 2 DESC, event_at DESC, event_id LIMIT {}",
        open::moment(until),
        about.join(" OR "),
        4 * MOST_RECORDS
    );
    let rows = open::rows(lake, settings, &sql).await?;
    let mut kept = Kept { records: Vec::new(), known: 0, foreign: 0, completed: 0 };
    let mut seen = BTreeSet::new();
    for row in &rows {
        // A record that names many secrets is one record.
        let raw = row["raw"].as_str().unwrap_or_default();
        if !seen.insert((row["event_id"].to_string(), raw)) {
            continue;
        }
        kept.known += 1;
        if kept.records.len() >= MOST_RECORDS {
            continue;
        }
        match serde_json::from_str::<Value>(raw) {
            Ok(mut record) if record.get("eventSource").is_some() && record.get("eventID").is_some() => {
                kept.completed += usize::from(complete(&mut record, row));
                kept.records.push(record);
            }
            _ => kept.foreign += 1,
        }
    }
    kept.records.sort_by_key(|record| (record["eventTime"].to_string(), record["eventID"].to_string()));
    Ok(kept)
}

/// Puts the ARN in place of a name that only the lake can resolve. Whether it did.
fn complete(record: &mut Value, row: &Value) -> bool {
    let is_learned = matches!(row["secret_resolution"].as_str(), Some("name" | "partial_arn"));
    let arn = row["secret_id"].as_str().filter(|id| id.contains(":secretsmanager:"));
    let (Some(arn), true) = (arn, is_learned) else { return false };
    match record.pointer_mut("/requestParameters/secretId") {
        Some(typed) if typed.is_string() && typed.as_str() != Some(arn) => {
            *typed = json!(arn);
            true
        }
        _ => false,
    }
}

/// The sample that raises the alert, judged once here.
pub(super) async fn sample(
    pack: &Arc<Pack>,
    settings: &Settings,
    alert: &Alert,
    kept: &Kept,
    coverage: &Value,
) -> Result<(Value, Reproduced)> {
    let rule_settings = rules::rule_settings(settings);
    let is_scheduled = pack.manifest.run.contains(&Run::Schedule);
    let overrides = rule_settings.overrides.get(&alert.rule_id).cloned().unwrap_or_default();
    let mut sample = json!({
        "description": format!("The records that alert {} rests on and was compared with.", alert.alert_id),
        "config": {
            "rule": overrides,
            "networks": rule_settings.networks.iter().map(|it| json!({
                "secrets": it.secrets, "principals": it.principals, "cidrs": it.cidrs, "vpc_endpoints": it.vpc_endpoints,
            })).collect::<Vec<_>>(),
            "readers": {"upkeep": rule_settings.readers.upkeep, "sync_agents": rule_settings.readers.sync_agents},
        },
        "coverage": if is_scheduled { coverage.clone() } else { json!([]) },
        "records": kept.records,
    });
    if is_scheduled && let Some(fields) = sample.as_object_mut() {
        fields.insert("as_of".to_owned(), json!(time::to_rfc3339(alert.raised_at)));
    }
    let raised = replay(pack, rule_settings, alert, kept).await;
    let (expect, reproduced) = match raised {
        _ if is_scheduled => {
            // The schedule needs the coverage, which only a sample's judging has.
            let expect = json!({"principal_id": alert.principal_id});
            (expect, Reproduced::Yes { others: 0 })
        }
        Err(error) => (json!({}), Reproduced::No(error.to_string())),
        Ok(alerts) => match alerts.iter().find(|it| it.alert_id == alert.alert_id) {
            None => {
                let near = alerts.iter().find(|it| it.fingerprint == alert.fingerprint);
                let why = match near {
                    Some(near) => format!("the same subject gives alert {}: {}", near.alert_id, near.reason),
                    None if alerts.is_empty() => "the rule finds nothing in the kept records".to_owned(),
                    None => format!("the rule finds {} other alerts in the kept records", alerts.len()),
                };
                (json!({"alerts": alerts.len()}), Reproduced::No(why))
            }
            Some(same) => {
                let mut expect = Map::from_iter([("alerts".to_owned(), json!(alerts.len()))]);
                if alerts.len() == 1 {
                    expect.insert("principal_id".to_owned(), json!(same.principal_id));
                    expect.insert("secret_ids".to_owned(), json!(same.secret_ids));
                    expect.insert("severity".to_owned(), json!(same.severity));
                    expect.insert("reason".to_owned(), json!(same.reason));
                }
                expect.retain(|_, value| !value.is_null());
                (Value::Object(expect), Reproduced::Yes { others: alerts.len() - 1 })
            }
        },
    };
    if let Some(fields) = sample.as_object_mut() {
        fields.insert("expect".to_owned(), without_nulls(expect));
    }
    let reproduced = match reproduced {
        Reproduced::Yes { others } => match fails(pack, &sample).await? {
            None => Reproduced::Yes { others },
            Some(why) => Reproduced::No(why),
        },
        no => no,
    };
    Ok((sample, reproduced))
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// The alerts that the rule raises from the kept records alone.
async fn replay(pack: &Arc<Pack>, settings: RuleSettings, alert: &Alert, kept: &Kept) -> Result<Vec<Alert>> {
    let json = json!({ "Records": kept.records }).to_string();
    let mut events = rules::normalize("evidence", json.as_bytes()).map_err(anyhow::Error::msg)?;
    events.sort_by(|a, b| (a.event_at, &a.event_id, a.record_index).cmp(&(b.event_at, &b.event_id, b.record_index)));
    let overrides = settings.overrides.into_iter().filter(|(id, _)| id == &alert.rule_id).collect();
    let mut replay = Replay::new(std::slice::from_ref(pack), RuleSettings { overrides, ..settings });
    let end = events.last().map_or(0, |event| event.event_at);
    replay
        .day(&[encode_access_events(&events, end, "evidence")?], &[], end)
        .await
        .context("failed to judge the records")?;
    Ok(replay.finish())
}

/// Runs the sample as `keytrail rules test` will; what is wrong with it, in words.
async fn fails(pack: &Arc<Pack>, sample: &Value) -> Result<Option<String>> {
    let file = keytrail_rules::pack::SampleFile {
        kind: keytrail_rules::pack::SampleKind::Fires,
        name: "evidence".to_owned(),
        text: sample.to_string(),
    };
    let alone = Arc::new(Pack { samples: vec![file], ..Pack::clone(pack) });
    Ok(rules::sample_fails(&alone).await)
}
