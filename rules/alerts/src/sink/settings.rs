//! How each sink is set: plain values, already validated in form by whoever read the configuration.
//!
//! Invariants: a secret is a [`Hidden`], which neither `Debug` nor an error can show; every default stands here once.
//! What makes no sense together (no recipient, a name that is no address) is refused by [`super::open`].

use std::{fmt, path::PathBuf, time::Duration};

/// A text that must not be shown: a webhook's address, a password, a key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// One sink of any kind but `stdout`, which the command line prints itself with [`super::render_json`].
#[derive(Clone, Debug)]
pub enum SinkSettings {
    File(FileSettings),
    Webhook(WebhookSettings),
    Slack(SlackSettings),
    PagerDuty(PagerDutySettings),
    Sns(SnsSettings),
    Email(EmailSettings),
    SecurityHub(SecurityHubSettings),
}

/// What a machine reads: our own JSON, or OCSF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `keytrail`: the delivery, the message and the alerts, as docs/SINKS.md lists them.
    #[default]
    Keytrail,
    /// `ocsf`: a Detection Finding (class 2004) of OCSF 1.8.0.
    Ocsf,
}

/// What every sink that speaks HTTP needs.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// For the whole exchange: connecting, sending, the answer. 1s to 60s.
    pub timeout: Duration,
    /// A proxy's address; proxies of the environment are not used. May hold user and password.
    pub proxy: Option<Hidden>,
    /// Whether `http://` is allowed beyond this machine. Loopback always is.
    pub allow_plaintext: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), proxy: None, allow_plaintext: false }
    }
}

/// JSON lines, appended and synced one by one.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// The file; it is created for its owner alone, its folder must exist. It may be moved away at any time.
    pub path: PathBuf,
    pub format: Format,
}

/// JSON to an address of yours, signed.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    pub url: Hidden,
    /// The key of the signature; without it nothing is signed.
    pub signing_key: Option<Hidden>,
    /// The value of an `Authorization` header, such as `Bearer …`.
    pub authorization: Option<Hidden>,
    pub format: Format,
    /// Largest body in bytes; longer lists and texts are cut to fit. 16 KiB to 4 MiB.
    pub max_body_bytes: usize,
    pub http: HttpSettings,
}

impl WebhookSettings {
    pub fn new(url: Hidden) -> Self {
        Self {
            url,
            signing_key: None,
            authorization: None,
            format: Format::Keytrail,
            max_body_bytes: 256 * 1024,
            http: HttpSettings::default(),
        }
    }
}

/// A Slack incoming webhook.
#[derive(Clone, Debug)]
pub struct SlackSettings {
    /// The webhook's address, a secret as a whole.
    pub url: Hidden,
    pub http: HttpSettings,
}

/// PagerDuty Events v2.
#[derive(Clone, Debug)]
pub struct PagerDutySettings {
    /// The integration's key, 32 characters.
    pub routing_key: Hidden,
    /// Where events go; another address is for tests and for PagerDuty's EU region.
    pub endpoint: String,
    /// What the incident names as its source.
    pub source: String,
    pub http: HttpSettings,
}

impl PagerDutySettings {
    pub const ENDPOINT: &str = "https://events.pagerduty.com/v2/enqueue";

    pub fn new(routing_key: Hidden) -> Self {
        Self {
            routing_key,
            endpoint: Self::ENDPOINT.to_owned(),
            source: "keytrail".to_owned(),
            http: HttpSettings::default(),
        }
    }
}

/// An SNS topic, with the credentials of the AWS configuration that [`super::open`] is given.
#[derive(Clone, Debug)]
pub struct SnsSettings {
    /// ARN of the topic; its region is the one that is called. A `.fifo` topic gets group and deduplication ids.
    pub topic_arn: String,
    pub format: SnsFormat,
    /// Where requests go instead of AWS: an emulator, or a private endpoint.
    pub endpoint_url: Option<String>,
    /// For the whole exchange. 1s to 60s.
    pub timeout: Duration,
}

impl SnsSettings {
    pub fn new(topic_arn: impl Into<String>) -> Self {
        Self {
            topic_arn: topic_arn.into(),
            format: SnsFormat::Text,
            endpoint_url: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// What an SNS message holds: text for people who subscribe by e-mail, or JSON for machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnsFormat {
    #[default]
    Text,
    Json(Format),
}

/// Mail over SMTP.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    pub host: String,
    /// Without it 587 for STARTTLS, 465 for TLS, 25 for none.
    pub port: Option<u16>,
    pub tls: EmailTls,
    pub user: Option<String>,
    pub password: Option<Hidden>,
    /// `Keytrail <keytrail@example.org>` or a bare address.
    pub from: String,
    /// One or more of the same.
    pub to: Vec<String>,
    /// For the whole exchange; some servers let a stranger wait before they greet. 1s to 60s.
    pub timeout: Duration,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailTls {
    /// Plain at first, then STARTTLS; refused where the server does not offer it.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// No protection: only to this machine.
    None,
}

/// AWS Security Hub, with the credentials of the AWS configuration that [`super::open`] is given.
#[derive(Clone, Debug)]
pub struct SecurityHubSettings {
    /// The account whose credentials are used; findings appear there.
    pub account_id: String,
    pub region: String,
    /// Without it the account's own product, `arn:aws:securityhub:REGION:ACCOUNT:product/ACCOUNT/default`.
    pub product_arn: Option<String>,
    /// Where requests go instead of AWS.
    pub endpoint_url: Option<String>,
    pub http: HttpSettings,
}
