//! From an alert to the people who must know: one file per kind of sink.
//!
//! ```text
//! Alert(s) + guide -> Message   ../message.rs      the text, designed once
//! Outgoing (message, alerts, delivery id)
//!   -> body                     keytrail_json.rs, ocsf.rs, slack.rs, pagerduty.rs, asff.rs …   escaped and cut for the target
//!   -> transport                http.rs, sns.rs, email.rs, file.rs      one try, bounded in time and bytes
//!   -> Receipt or SendError     error.rs           retry or park: the queue in front of the sinks decides when
//! ```
//!
//! Invariants:
//! - One call is one try. Nothing here waits and tries again: the delivery id stays the same for whoever does.
//! - Every try ends within its timeout; of an answer no more than a few kilobytes are read; no redirect is followed; no
//!   address of an alert's text is ever called.
//! - Every field of an alert is text that an attacker wrote: it is escaped for the target, control characters do not pass,
//!   and whatever its length the message stays within the target's limits.
//! - No error, receipt or log line holds a secret.

mod asff;
mod aws;
mod email;
mod error;
mod file;
mod http;
mod json;
mod keytrail_json;
mod ocsf;
mod pagerduty;
mod security_hub;
pub mod settings;
mod slack;
mod sns;
pub(crate) mod text;
mod webhook;

pub use aws_config::SdkConfig;
use keytrail_model::{Alert, DeliveryChange, Micros};
use serde::{Deserialize, Serialize};

pub use error::{Response, SendError, SendErrorKind};
pub use settings::{Format, Hidden, SinkSettings};

use crate::message::Message;

/// What happened that somebody is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The alert is new, or opened after it had been suppressed.
    Trigger,
    /// It grew: more events, more secrets, a higher severity.
    Update,
    Acknowledge,
    /// It was closed, by a person or because it ended.
    Resolve,
    /// More alerts at once than a person reads: one message for all of them, which comes again as the storm grows, always
    /// with the same first alert.
    Storm,
    /// Every alert of a storm is closed.
    StormOver,
    /// Somebody tries the sink out.
    Test,
}

impl Change {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Update => "update",
            Self::Acknowledge => "acknowledge",
            Self::Resolve => "resolve",
            Self::Storm => "storm",
            Self::StormOver => "storm_over",
            Self::Test => "test",
        }
    }
}

impl From<DeliveryChange> for Change {
    fn from(change: DeliveryChange) -> Self {
        match change {
            DeliveryChange::Trigger => Self::Trigger,
            DeliveryChange::Update => Self::Update,
            DeliveryChange::Acknowledge => Self::Acknowledge,
            DeliveryChange::Resolve => Self::Resolve,
            DeliveryChange::Storm => Self::Storm,
            DeliveryChange::StormOver => Self::StormOver,
        }
    }
}

/// One thing to tell one sink.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The same on every try, so that the other side can tell a repetition.
    pub delivery_id: String,
    pub change: Change,
    /// Never empty. The first is what the message is about, the others are related ("also"), or the storm's.
    pub alerts: Vec<Alert>,
    pub message: Message,
    /// 1 on the first try.
    pub attempt: u32,
    /// The moment of this try.
    pub at: Micros,
}

/// A message that the other side took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The answer's status, where there is one (HTTP or SMTP).
    pub status: Option<u16>,
    /// What the other side calls it, such as a message id; short and cleaned.
    pub detail: Option<String>,
}

/// A place that messages go to.
#[async_trait::async_trait]
pub trait Sink: Send + Sync {
    /// The name in the configuration.
    fn name(&self) -> &str;

    /// `slack`, `email`, ….
    fn kind(&self) -> &'static str;

    /// Where it sends to, fit to be shown: a host, a topic, a file; never a secret.
    fn place(&self) -> &str;

    /// One try.
    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError>;
}

/// Builds a sink as it is configured. Nothing is sent. `aws` is what the sinks in AWS take their credentials from.
pub fn open(name: &str, settings: &SinkSettings, aws: Option<&SdkConfig>) -> Result<Box<dyn Sink>, SendError> {
    let with_aws = || aws.ok_or_else(|| SendError::misconfigured(name, "AWS", "AWS is not configured"));
    Ok(match settings {
        SinkSettings::File(settings) => Box::new(file::FileSink::new(name, settings)),
        SinkSettings::Webhook(settings) => Box::new(webhook::Webhook::new(name, settings)?),
        SinkSettings::Slack(settings) => Box::new(slack::Slack::new(name, settings)?),
        SinkSettings::PagerDuty(settings) => Box::new(pagerduty::PagerDuty::new(name, settings)?),
        SinkSettings::Sns(settings) => Box::new(sns::Sns::new(name, settings, with_aws()?)?),
        SinkSettings::Email(settings) => Box::new(email::Email::new(name, settings)?),
        SinkSettings::SecurityHub(settings) => Box::new(security_hub::SecurityHub::new(name, settings, with_aws()?)?),
    })
}

/// The delivery as JSON lines without a line end after the last: one line in our own format, one for each alert in OCSF.
/// This is what the sinks `stdout` and `file` write.
pub fn render_json(outgoing: &Outgoing, format: Format) -> String {
    match format {
        Format::Keytrail => json::line(&keytrail_json::delivery(outgoing)),
        Format::Ocsf => ocsf::events(outgoing).iter().map(json::line).collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
