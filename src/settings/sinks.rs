//! `[[sink]]` and `[delivery]`: who is told of alerts, and how telling them behaves.
//!
//! In: the configuration. Out: one entry for each sink, whose keys fit its kind; what does not fit is a mistake with its line.
//! A secret stands here as it is, or as the name of an environment variable or a file that holds it; it is read when the
//! sink is opened, and never shown, printed or logged.

use std::{env, fmt, fs, path::PathBuf};

use serde_json::{Value as Json, json};

use super::{
    config_file::ConfigFile,
    key::{Setting, Within, section},
    names::{AccountId, EndpointUrl, Region},
    origin::Origins,
    problem::{Problem, nearest},
    units::{ByteSize, HumanDuration, words},
};

section! {
    /// One place that alerts are sent to. Which keys belong to it follows from its kind; `docs/SINKS.md` has an example of each.
    struct SinkEntry {
        /// Its name, for routes, commands and messages: lower-case letters, digits, `-` and `_`.
        name: SinkName = SinkName::default();
        /// What it is.
        kind: SinkKind = SinkKind::Webhook;
        /// Webhook, Slack: the address, a secret.
        url: Option<SecretText> = None;
        /// Webhook: the key that bodies are signed with (HMAC-SHA256); without it nothing is signed.
        signing_key: Option<SecretText> = None;
        /// Webhook: the value of an `Authorization` header.
        authorization: Option<SecretText> = None;
        /// Standard output, file, webhook, SNS: what a message holds; `text` for SNS only, and its default.
        format: Option<FormatWord> = None;
        /// Webhook: the largest body; longer lists and texts are cut to fit.
        max_body: Option<ByteSize> = None, Within(ByteSize(64 << 10), ByteSize::mib(4));
        /// PagerDuty: the integration's key, a secret of 32 characters.
        routing_key: Option<SecretText> = None;
        /// PagerDuty: what incidents name as their source; without it `keytrail`.
        source: Option<String> = None;
        /// File: where JSON lines are appended.
        path: Option<PathBuf> = None;
        /// SNS: ARN of the topic.
        topic_arn: Option<String> = None;
        /// Security Hub: the account whose credentials are used.
        account_id: Option<AccountId> = None;
        /// Security Hub: the region; without it `aws.region`.
        region: Option<Region> = None;
        /// Security Hub: ARN of the product; without it the account's own.
        product_arn: Option<String> = None;
        /// PagerDuty, SNS, Security Hub: where requests go instead; SNS and Security Hub else follow `aws.endpoint_url`.
        endpoint_url: Option<EndpointUrl> = None;
        /// E-mail: the SMTP server.
        host: Option<String> = None;
        /// E-mail: its port; without it 587 for `starttls`, 465 for `tls`, 25 for `none`.
        port: Option<u32> = None, Within(1, 65_535);
        /// E-mail: how the connection is protected; `none` only to this machine.
        tls: Option<TlsWord> = None;
        /// E-mail: the user to log in as.
        user: Option<String> = None;
        /// E-mail: the password, a secret.
        password: Option<SecretText> = None;
        /// E-mail: the sender, `Keytrail <keytrail@example.org>`.
        from: Option<String> = None;
        /// E-mail: the recipients.
        to: Option<Vec<String>> = None;
        /// How long one try may take; without it 10s. Not for files.
        timeout: Option<HumanDuration> = None, Within(HumanDuration::seconds(1), HumanDuration::seconds(60));
        /// Whoever speaks HTTP: a proxy's address, which may hold a password; proxies of the environment are not used.
        proxy: Option<SecretText> = None;
        /// Whoever speaks HTTP: allow `http://` beyond this machine.
        allow_plaintext: Option<bool> = None;
        /// Whether alerts of a storm, and those beside a graver one on the same event, become one message; without it yes, but for standard output, files and Security Hub.
        group: Option<bool> = None;
        /// Whether it is told when an alert grows; without it yes.
        update: Option<bool> = None;
        /// Whether it is told when an alert is acknowledged; without it yes, but for Slack and e-mail.
        acknowledge: Option<bool> = None;
        /// Whether it is told when an alert is closed; without it yes, but for e-mail.
        resolve: Option<bool> = None;
    }
}

section! {
    /// How telling the sinks behaves.
    struct DeliverySection {
        /// More alerts of one rule than this within `storm_window` become one message for each sink.
        storm_alerts: usize = 25, Within(1, 10_000);
        /// How long alerts of one rule are counted together.
        storm_window: HumanDuration = HumanDuration::minutes(10), Within(HumanDuration::seconds(1), HumanDuration::days(1));
        /// A storm's message is sent again, with what it grew by, not sooner than this, unless it becomes graver.
        storm_every: HumanDuration = HumanDuration::minutes(10), Within(HumanDuration::seconds(1), HumanDuration::days(1));
        /// After so many failed tries a delivery is parked; `keytrail sinks retry` takes it up again.
        tries: u32 = 20, Within(1, 1_000);
        /// The pause after the first failed try; it doubles with each.
        first_pause: HumanDuration = HumanDuration::seconds(5), Within(HumanDuration(std::time::Duration::from_millis(100)), HumanDuration::hours(1));
        /// The longest pause between two tries, unless a sink asks for a longer one.
        longest_pause: HumanDuration = HumanDuration::minutes(15), Within(HumanDuration::seconds(1), HumanDuration::days(1));
        /// How long a worker's claim on a delivery holds: what a dead worker had claimed is sent by another one after it.
        claim: HumanDuration = HumanDuration::minutes(5), Within(HumanDuration::seconds(5), HumanDuration::hours(1));
        /// Address of the pages that messages link to; without it they name a command.
        base_url: Option<EndpointUrl> = None;
    }
    with {
        /// Who is told.
        sink: Vec<SinkEntry>,
        /// Who is told of what; in order, the first that matches decides.
        route: Vec<super::routes::RouteEntry>,
    }
}

words! {
    /// What a sink is.
    enum SinkKind ("one of `stdout`, `file`, `webhook`, `slack`, `pagerduty`, `sns`, `email`, `securityhub`", "\"slack\"") {
        Stdout = "stdout", File = "file", Webhook = "webhook", Slack = "slack", PagerDuty = "pagerduty", Sns = "sns",
        Email = "email", SecurityHub = "securityhub",
    }
}

words! {
    /// What a message holds.
    enum FormatWord ("one of `keytrail`, `ocsf`, `text`", "\"ocsf\"") { Keytrail = "keytrail", Ocsf = "ocsf", Text = "text" }
}

words! {
    /// How a connection to a mail server is protected.
    enum TlsWord ("one of `starttls`, `tls`, `none`", "\"starttls\"") { StartTls = "starttls", Tls = "tls", None = "none" }
}

/// A sink's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SinkName(String);

impl SinkName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for SinkName {
    const KIND: &'static str = "a name (1 to 64 of a-z 0-9 _ -)";
    const EXAMPLE: &'static str = "\"on-call\"";

    fn from_text(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}

/// A text that must not be shown: itself, or where it is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SecretText {
    Plain(String),
    Env(String),
    File(PathBuf),
}

impl SecretText {
    /// The text itself, for the one place that sends it; the error names where it was looked for.
    pub(crate) fn reveal(&self) -> Result<String, String> {
        let text = match self {
            Self::Plain(text) => text.clone(),
            Self::Env(name) => env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?,
            Self::File(path) => {
                fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()))?
            }
        };
        let text = text.trim().to_owned();
        if text.is_empty() { Err(format!("{self:?} is empty")) } else { Ok(text) }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("(hidden)"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Setting for SecretText {
    const KIND: &'static str = "a text, `{ env = \"NAME\" }` or `{ file = \"PATH\" }`";
    const EXAMPLE: &'static str = "{ env = \"KEYTRAIL_ON_CALL_URL\" }";
    const SECRET: bool = true;

    fn from_toml(value: &toml::Value) -> Option<Self> {
        let text = |value: &toml::Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
        match value {
            toml::Value::String(text) => Self::from_text(text),
            toml::Value::Table(table) if table.len() == 1 => match table.iter().next()? {
                (key, value) if key == "env" => text(value).map(Self::Env),
                (key, value) if key == "file" => text(value).map(PathBuf::from).map(Self::File),
                _ => None,
            },
            _ => None,
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| Self::Plain(text.to_owned()))
    }

    fn show(&self) -> Json {
        match self {
            Self::Plain(_) => json!("***"),
            Self::Env(name) => json!({ "env": name }),
            Self::File(path) => json!({ "file": path.display().to_string() }),
        }
    }
}

impl SinkKind {
    /// Keys that it cannot do without, and those that it takes besides the common ones.
    const fn keys(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Stdout => (&[], &["format"]),
            Self::File => (&["path"], &["format"]),
            Self::Webhook => (
                &["url"],
                &["signing_key", "authorization", "format", "max_body", "timeout", "proxy", "allow_plaintext"],
            ),
            Self::Slack => (&["url"], &["timeout", "proxy", "allow_plaintext"]),
            Self::PagerDuty => (&["routing_key"], &["endpoint_url", "source", "timeout", "proxy", "allow_plaintext"]),
            Self::Sns => (&["topic_arn"], &["format", "endpoint_url", "timeout"]),
            Self::Email => (&["host", "from", "to"], &["port", "tls", "user", "password", "timeout"]),
            Self::SecurityHub => {
                (&["account_id"], &["region", "product_arn", "endpoint_url", "timeout", "proxy", "allow_plaintext"])
            }
        }
    }
}

/// Keys of every sink.
const COMMON: [&str; 6] = ["name", "kind", "group", "update", "acknowledge", "resolve"];

/// Mistakes that no key can tell by itself.
pub(crate) fn check(config: &ConfigFile, origins: &Origins) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut refuse = |path: &str, text: String, hint: String| {
        problems.push(Problem::new(origins.of(path), format!("{path}: {text}")).hint(Some(hint)));
    };
    let sinks = &config.delivery.sink;
    for (position, sink) in sinks.iter().enumerate() {
        let place = format!("sink[{position}]");
        let (name, kind) = (sink.name.as_str(), sink.kind.as_str());
        if sinks.iter().take(position).any(|other| other.name == sink.name) {
            refuse(&format!("{place}.name"), format!("there is a sink `{name}` already"), "choose another name".into());
        }
        let (required, more) = sink.kind.keys();
        let is_set = |key: &str| origins.is_set(&format!("{place}.{key}"));
        for key in required.iter().filter(|key| !is_set(key)) {
            refuse(&place, format!("`{key}` is missing"), format!("a sink of kind {kind} needs it"));
        }
        let strangers = super::key::Section::keys(sink)
            .iter()
            .map(|key| key.name)
            .filter(|key| is_set(key) && !COMMON.contains(key) && !required.contains(key) && !more.contains(key));
        for key in strangers {
            let fits: Vec<String> = required.iter().chain(more).map(|key| format!("`{key}`")).collect();
            refuse(
                &format!("{place}.{key}"),
                format!("a sink of kind {kind} has no `{key}`"),
                format!("it takes {}", fits.join(", ")),
            );
        }
        if sink.format == Some(FormatWord::Text) && sink.kind != SinkKind::Sns {
            refuse(
                &format!("{place}.format"),
                format!("a sink of kind {kind} takes no text"),
                "write `keytrail` or `ocsf`".into(),
            );
        }
        if sink.kind == SinkKind::SecurityHub && sink.region.is_none() && config.aws.region.is_none() {
            refuse(&place, "`region` is missing".into(), "set it here or as aws.region".into());
        }
    }
    for (position, route) in config.delivery.route.iter().enumerate() {
        let path = format!("route[{position}].sinks");
        for name in route.sinks.iter().filter(|name| !sinks.iter().any(|sink| sink.name.as_str() == name.as_str())) {
            let near = nearest(name, sinks.iter().map(|sink| sink.name.as_str()));
            let hint =
                near.map_or("write a [[sink]] with this name".to_owned(), |near| format!("did you mean `{near}`?"));
            refuse(&path, format!("there is no sink `{name}`"), hint);
        }
    }
    problems
}

#[cfg(test)]
mod tests;
