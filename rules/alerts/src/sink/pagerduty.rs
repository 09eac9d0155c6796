//! PagerDuty, through Events API v2.
//!
//! One incident for each alert: the key is made of the alert's fingerprint and its own id, so that a later episode of the same
//! pages again and closing one never closes the other. A storm is one incident, named by its first alert.

use std::time::Duration;

use keytrail_model::{Severity, time::to_rfc3339};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    Change, Outgoing, Receipt, SendError, SendErrorKind, Sink, http::Http, json as bounded,
    settings::PagerDutySettings, text::clean,
};

/// PagerDuty's own limits.
const DEDUP_KEY: usize = 255;
const SUMMARY: usize = 1_024;
const BODY: usize = 500 * 1024;
const EVIDENCE: usize = 10;
/// PagerDuty wants minutes between tries, and says so in its documentation instead of in a header.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct PagerDuty {
    http: Http,
    routing_key: super::Hidden,
    source: String,
}

impl PagerDuty {
    pub(crate) fn new(name: &str, settings: &PagerDutySettings) -> Result<Self, SendError> {
        let http = Http::new(name, &settings.endpoint, false, &[&settings.routing_key], &settings.http)?;
        if settings.routing_key.reveal().is_empty() {
            return Err(SendError::misconfigured(name, http.place(), "the routing key is empty"));
        }
        Ok(Self { http, routing_key: settings.routing_key.clone(), source: settings.source.clone() })
    }
}

#[async_trait::async_trait]
impl Sink for PagerDuty {
    fn name(&self) -> &str {
        self.http.sink()
    }

    fn kind(&self) -> &'static str {
        "pagerduty"
    }

    fn place(&self) -> &str {
        self.http.place()
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let mut event = event(outgoing, &self.source);
        event.insert("routing_key".to_owned(), json!(self.routing_key.reveal()));
        let too_large = || self.http.error(SendErrorKind::TooLarge { limit: BODY }, None, None);
        let body = bounded::fit(&Value::Object(event), BODY).ok_or_else(too_large)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.http.post(headers, body.into_bytes()).await.map_err(patient)?;
        Ok(Receipt { status: Some(answer.status), detail: Some(dedup_key(outgoing)) })
    }
}

fn patient(mut error: SendError) -> SendError {
    if let SendErrorKind::Throttled { retry_after } | SendErrorKind::Unavailable { retry_after } = &mut error.kind {
        retry_after.get_or_insert(PATIENCE);
    }
    error
}

/// What makes two events belong to one incident.
pub(crate) fn dedup_key(outgoing: &Outgoing) -> String {
    let key = match (outgoing.change, outgoing.alerts.first()) {
        (Change::Storm | Change::StormOver, Some(first)) => format!("keytrail/storm/{}", first.alert_id),
        (Change::Test, _) | (_, None) => format!("keytrail/test/{}", outgoing.delivery_id),
        (_, Some(alert)) => format!("keytrail/{}/{}", alert.fingerprint, alert.alert_id),
    };
    if key.len() <= DEDUP_KEY && !key.chars().any(|it| it.is_control()) {
        return key;
    }
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().fold("keytrail/".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The event without the routing key.
pub(crate) fn event(outgoing: &Outgoing, source: &str) -> Map<String, Value> {
    let message = &outgoing.message;
    let action = match outgoing.change {
        Change::Acknowledge => "acknowledge",
        Change::Resolve | Change::StormOver => "resolve",
        Change::Trigger | Change::Update | Change::Storm | Change::Test => "trigger",
    };
    let mut event = Map::new();
    event.insert("event_action".to_owned(), json!(action));
    event.insert("dedup_key".to_owned(), json!(dedup_key(outgoing)));
    if action != "trigger" {
        return event;
    }
    let mut payload = json!({
        "summary": clean(&message.headline, SUMMARY),
        "source": clean(source, 255),
        "severity": match message.severity {
            Severity::Critical => "critical",
            Severity::High => "error",
            Severity::Medium => "warning",
            Severity::Low | Severity::Info => "info",
        },
        "custom_details": details(outgoing),
    });
    if let (Some(alert), Some(fields)) = (outgoing.alerts.first(), payload.as_object_mut()) {
        fields.insert("timestamp".to_owned(), json!(to_rfc3339(alert.first_event_at)));
        fields.insert("class".to_owned(), json!(clean(&alert.rule_id, 255)));
        fields.insert("component".to_owned(), json!("keytrail"));
        if let Some(account) = &alert.account_id {
            fields.insert("group".to_owned(), json!(clean(account, 255)));
        }
    }
    event.insert("payload".to_owned(), payload);
    event.insert("client".to_owned(), json!("Keytrail"));
    if let Some(url) = message.link.url() {
        event.insert("client_url".to_owned(), json!(url));
    }
    event
}

/// What the responder reads: the message, part by part, and the first events.
fn details(outgoing: &Outgoing) -> Value {
    let message = &outgoing.message;
    let mut details = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            details.insert(name.to_owned(), value);
        }
    };
    put("reason", json!(message.reason));
    for fact in &message.facts {
        put(fact.name, json!(fact.value));
    }
    put("unusual", json!(message.unusual_lines()));
    put("first step", json!(message.first_step));
    put("storm", json!(message.storm_lines()));
    put("before", json!(message.before));
    put("also", json!(message.also));
    put("about", json!(message.about));
    put("look", json!(message.link.as_str()));
    put("delivery", json!(clean(&outgoing.delivery_id, 255)));
    if let Some(alert) = outgoing.alerts.first() {
        let line = |event: &keytrail_model::Evidence| {
            let parts = [
                to_rfc3339(event.event_at),
                event.event_name.clone(),
                event.secret_id.clone().unwrap_or_default(),
                event.source_ip.clone().unwrap_or_default(),
                format!("{}#{}", event.object_key, event.record_index),
            ];
            clean(&parts.join(" "), 1_000)
        };
        put("evidence", json!(alert.evidence.iter().take(EVIDENCE).map(line).collect::<Vec<_>>()));
    }
    Value::Object(details)
}

#[cfg(test)]
#[path = "pagerduty_tests.rs"]
mod tests;
