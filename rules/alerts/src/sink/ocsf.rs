//! Alerts as OCSF 1.8.0 Detection Findings (class 2004).
//!
//! In: a delivery. Out: one event for each of its alerts. `finding_info.uid` is the alert's id, so create, update and close of
//! one alert belong together; `metadata.uid` is the same on every try. Profile `cloud`.
//! The schema: <https://schema.ocsf.io/1.8.0/classes/detection_finding>.

use std::net::IpAddr;

use keytrail_model::{Alert, AlertClass, AlertState, Evidence, Micros, Severity, arn::Arn, display};
use serde_json::{Map, Value, json};

use super::{Change, Outgoing};

const VERSION: &str = "1.8.0";
const CLASS: u32 = 2004;
/// Events of evidence in one finding; `finding_info.related_events_count` is the true number.
const EVIDENCES: usize = 50;
const RESOURCES: usize = 100;

/// One event for each alert.
pub(crate) fn events(outgoing: &Outgoing) -> Vec<Value> {
    outgoing.alerts.iter().enumerate().map(|(position, alert)| event(outgoing, position, alert)).collect()
}

fn event(outgoing: &Outgoing, position: usize, alert: &Alert) -> Value {
    let (activity, activity_name) = match outgoing.change {
        Change::Trigger | Change::Storm | Change::Test => (1, "Create"),
        Change::Update | Change::Acknowledge => (2, "Update"),
        Change::Resolve | Change::StormOver => (3, "Close"),
    };
    let (status, status_name) = match alert.state {
        AlertState::Open => (1, "New"),
        AlertState::Acknowledged => (2, "In Progress"),
        AlertState::Suppressed => (3, "Suppressed"),
        AlertState::Closed => (4, "Resolved"),
    };
    let (severity, severity_name) = match alert.severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    };
    let is_alert = matches!(outgoing.change, Change::Trigger | Change::Storm | Change::Update);
    let mut event = json!({
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("Detection Finding: {activity_name}"),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": ms(alert.raised_at),
        "start_time": ms(alert.first_event_at),
        "end_time": ms(alert.last_event_at),
        "is_alert": is_alert,
        "message": alert.reason,
        "metadata": {
            "version": VERSION,
            "uid": if position == 0 { outgoing.delivery_id.clone() } else { format!("{}/{position}", outgoing.delivery_id) },
            "profiles": ["cloud"],
            "correlation_uid": alert.fingerprint,
            "modified_time": ms(alert.updated_at),
            "product": {
                "name": "Keytrail",
                "vendor_name": "Keytrail",
                "version": env!("CARGO_PKG_VERSION"),
                "uid": "keytrail",
            },
        },
        "cloud": cloud(alert),
        "finding_info": finding_info(alert, outgoing, position),
        "evidences": alert.evidence.iter().take(EVIDENCES).map(|event| evidence(alert, event)).collect::<Vec<_>>(),
        "resources": alert.secret_ids.iter().take(RESOURCES).map(|id| resource(id)).collect::<Vec<_>>(),
        "unmapped": {
            "keytrail_class": alert.class,
            "change": outgoing.change,
            "historical": alert.historical,
            "previous_alert_id": alert.previous_alert_id,
            "secret_count": alert.secret_ids.len(),
            "verdict": alert.verdict,
            "why": alert.why,
        },
    });
    if let (Some(note), Some(fields)) = (&alert.note, event.as_object_mut()) {
        fields.insert("comment".to_owned(), json!(note));
    }
    event
}

fn finding_info(alert: &Alert, outgoing: &Outgoing, position: usize) -> Value {
    let types = match alert.class {
        AlertClass::Detection => "Credential Access",
        AlertClass::RuleError | AlertClass::System => "Monitoring",
    };
    let mut info = json!({
        "uid": alert.alert_id,
        "title": alert.title,
        "desc": alert.reason,
        "types": [types],
        "created_time": ms(alert.raised_at),
        "modified_time": ms(alert.updated_at),
        "first_seen_time": ms(alert.first_event_at),
        "last_seen_time": ms(alert.last_event_at),
        "related_events_count": alert.event_count,
        "product": { "name": "Keytrail", "vendor_name": "Keytrail" },
        "analytic": { "type_id": 1, "type": "Rule", "uid": alert.rule_id, "name": alert.rule_id, "version": alert.rule_version },
    });
    if let (0, Some(url), Some(fields)) = (position, outgoing.message.link.url(), info.as_object_mut()) {
        fields.insert("src_url".to_owned(), json!(url));
    }
    info
}

fn cloud(alert: &Alert) -> Value {
    let mut cloud = Map::new();
    cloud.insert("provider".to_owned(), json!("AWS"));
    if let Some(account) = &alert.account_id {
        cloud.insert("account".to_owned(), json!({ "uid": account, "type": "AWS Account", "type_id": 10 }));
    }
    if let Some(region) = &alert.region {
        cloud.insert("region".to_owned(), json!(region));
    }
    Value::Object(cloud)
}

/// One event: who, which call, from where, which secret, and where its record lies.
fn evidence(alert: &Alert, event: &Evidence) -> Value {
    let mut evidence = json!({
        "uid": event.event_id,
        "name": event.event_name,
        "api": { "operation": event.event_name, "request": { "uid": event.event_id } },
        "data": { "event_time": ms(event.event_at), "object_key": event.object_key, "record_index": event.record_index },
    });
    let Some(fields) = evidence.as_object_mut() else { return evidence };
    if let Some(principal) = &alert.principal_id {
        fields.insert(
            "actor".to_owned(),
            json!({ "user": { "uid": principal, "name": display::principal_short(principal) } }),
        );
    }
    if let Some(source) = &event.source_ip {
        // Calls that a service makes carry its name instead of an address.
        let field = if source.parse::<IpAddr>().is_ok() { "ip" } else { "domain" };
        fields.insert("src_endpoint".to_owned(), json!({ field: source }));
    }
    if let Some(secret) = &event.secret_id {
        fields.insert("resources".to_owned(), json!([resource(secret)]));
    }
    evidence
}

fn resource(secret_id: &str) -> Value {
    let kind = match Arn::parse(secret_id) {
        Some(arn) if arn.service == "secretsmanager" => "AWS::SecretsManager::Secret",
        Some(arn) if arn.service == "ssm" => "AWS::SSM::Parameter",
        _ => "Secret",
    };
    let mut resource = json!({ "uid": secret_id, "name": display::secret_short(secret_id), "type": kind });
    if let (Some(arn), Some(fields)) = (Arn::parse(secret_id), resource.as_object_mut()) {
        fields.insert("region".to_owned(), json!(arn.region));
        fields.insert("cloud_partition".to_owned(), json!(arn.partition));
        fields.insert("owner".to_owned(), json!({ "account": { "uid": arn.account } }));
    }
    resource
}

fn ms(at: Micros) -> i64 {
    at.div_euclid(1_000)
}
