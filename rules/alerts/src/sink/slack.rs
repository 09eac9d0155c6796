//! Slack, through an incoming webhook.
//!
//! A new alert is a message in blocks; what follows (more, acknowledged, closed) is one short message, for a webhook can
//! neither edit nor thread. Every text is escaped and kept within Slack's limits, because Slack refuses a message whole where
//! one part is too long. Text of an alert never becomes a link or a mention: it is escaped, `verbatim`, unfurling is off.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{
    Change, Outgoing, Receipt, SendError, Sink,
    http::Http,
    settings::SlackSettings,
    text::{cut, escape_within},
};
use crate::message::{Link, Message};

/// Slack's own limits, in characters; ours stay a little below.
const HEADER: usize = 150;
const SECTION: usize = 2_900;
const FIELD: usize = 1_900;
const FIELDS: usize = 10;
const FALLBACK: usize = 1_000;

pub(crate) struct Slack {
    http: Http,
}

impl Slack {
    pub(crate) fn new(name: &str, settings: &SlackSettings) -> Result<Self, SendError> {
        Ok(Self { http: Http::new(name, settings.url.reveal(), true, &[], &settings.http)? })
    }
}

#[async_trait::async_trait]
impl Sink for Slack {
    fn name(&self) -> &str {
        self.http.sink()
    }

    fn kind(&self) -> &'static str {
        "slack"
    }

    fn place(&self) -> &str {
        self.http.place()
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let answer = self.http.post(headers, payload(&outgoing.message).to_string().into_bytes()).await?;
        Ok(Receipt { status: Some(answer.status), detail: None })
    }
}

/// The whole request body.
pub(crate) fn payload(message: &Message) -> Value {
    json!({
        "text": escape(&format!("{}\n{}", message.headline, message.reason), FALLBACK),
        "blocks": blocks(message),
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn blocks(message: &Message) -> Vec<Value> {
    let is_short = matches!(message.change, Change::Update | Change::Acknowledge | Change::Resolve | Change::StormOver);
    let mut blocks = Vec::new();
    if is_short {
        blocks.push(section(format!("*{}*", escape(&message.headline, HEADER))));
    } else {
        blocks.push(json!({
            "type": "header",
            "text": { "type": "plain_text", "text": escape(&message.headline, HEADER), "emoji": false },
        }));
    }
    if matches!(message.change, Change::Acknowledge | Change::Resolve) {
        blocks.extend(message.by.iter().map(|by| section(format!("By {}", escape(by, SECTION)))));
    } else if !message.reason.is_empty() {
        // Slack refuses an empty text.
        blocks.push(section(escape(&message.reason, SECTION)));
    }
    if !is_short {
        let fields: Vec<Value> = message
            .facts
            .iter()
            .take(FIELDS)
            .map(|fact| mrkdwn(format!("*{}*\n{}", escape(fact.name, 50), code(&fact.value, FIELD))))
            .collect();
        if !fields.is_empty() {
            blocks.push(json!({ "type": "section", "fields": fields }));
        }
    }
    let unusual = message.unusual_lines();
    if !unusual.is_empty() {
        blocks.push(section(format!("*Unusual*\n{}", list(&unusual))));
    }
    if !is_short {
        blocks.extend(message.first_step.iter().map(|step| section(format!("*First* {}", escape(step, SECTION)))));
        let storm = message.storm_lines();
        if !storm.is_empty() {
            blocks.push(section(list(&storm)));
        }
        let behind: Vec<String> = [("Before", &message.before), ("Also", &message.also)]
            .iter()
            .filter_map(|(name, text)| Some(format!("*{name}* {}", escape(text.as_ref()?, SECTION / 2))))
            .collect();
        if !behind.is_empty() {
            blocks.push(section(behind.join("\n")));
        }
    }
    blocks.push(section(match &message.link {
        Link::Url(url) => format!("<{}|Open in Keytrail>", escape(&url.replace('|', "%7C"), FIELD)),
        Link::Command(command) => code(command, FIELD),
    }));
    blocks.push(json!({ "type": "context", "elements": [mrkdwn(escape(&message.about, FIELD))] }));
    blocks
}

/// Lines as a list, all of them together within one section.
fn list(lines: &[String]) -> String {
    let room = SECTION / lines.len().max(1) - 4;
    lines.iter().map(|line| format!("• {}", escape(line, room))).collect::<Vec<_>>().join("\n")
}

fn section(text: String) -> Value {
    json!({ "type": "section", "text": mrkdwn(text) })
}

fn mrkdwn(text: String) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

fn escape(text: &str, limit: usize) -> String {
    escape_within(text, limit, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

/// Text that is shown as it is, without formatting.
fn code(text: &str, limit: usize) -> String {
    let shown = escape(&cut(text, limit).replace('`', "'"), limit);
    if shown.is_empty() { shown } else { format!("`{shown}`") }
}

#[cfg(test)]
#[path = "slack_tests.rs"]
mod tests;
