//! From the configuration to sinks that can be sent to.
//!
//! In: the settings. Out: each sink opened, or why it cannot be. Secrets are read here and go no further than the sink. One that
//! cannot be opened keeps no other from its alerts: it is told by `doctor`, by `sinks list` and by an alert.

use std::sync::Arc;

use async_trait::async_trait;
use keytrail_alerts::{
    Links,
    delivery::{DeliverySettings, Target},
    sink::{
        self, Format, Hidden, Outgoing, Receipt, SendError, Sink, SinkSettings,
        settings::{
            EmailSettings, EmailTls, FileSettings, HttpSettings, PagerDutySettings, SecurityHubSettings, SlackSettings,
            SnsFormat, SnsSettings, WebhookSettings,
        },
    },
};
use keytrail_ingest::aws::Aws;

use crate::{
    commands::connect,
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{DeliverySection, FormatWord, SecretText, Settings, SinkEntry, SinkKind, TlsWord},
};

/// A sink that can be sent to, or why it cannot.
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) sink: Result<Arc<dyn Sink>, String>,
}

/// Every sink of the configuration, in its order.
pub(crate) async fn all(settings: &Settings, output: Output) -> Vec<Opened> {
    let entries = &settings.file.delivery.sink;
    let needs_aws = entries.iter().any(|entry| matches!(entry.kind, SinkKind::Sns | SinkKind::SecurityHub));
    let aws = if needs_aws { Some(connect::aws(settings).await.map_err(|failure| failure.message)) } else { None };
    let mut opened = Vec::with_capacity(entries.len());
    for entry in entries {
        let sink = match entry.kind {
            SinkKind::Stdout => Ok(Arc::new(Stdout::of(entry, output)) as Arc<dyn Sink>),
            _ => of_crate(entry, settings, aws.as_ref()),
        };
        opened.push(Opened { name: entry.name.as_str().to_owned(), kind: entry.kind.as_str(), sink });
    }
    opened
}

fn of_crate(
    entry: &SinkEntry,
    settings: &Settings,
    aws: Option<&Result<Aws, String>>,
) -> Result<Arc<dyn Sink>, String> {
    let aws = match (entry.kind, aws) {
        (SinkKind::Sns | SinkKind::SecurityHub, Some(Ok(aws))) => Some(aws.config()),
        (SinkKind::Sns | SinkKind::SecurityHub, Some(Err(text))) => return Err(text.clone()),
        _ => None,
    };
    let plain = plain(entry, settings)?;
    sink::open(entry.name.as_str(), &plain, aws).map(Arc::from).map_err(|error| error.to_string())
}

/// The entry in the words of the sinks, its secrets read.
fn plain(entry: &SinkEntry, settings: &Settings) -> Result<SinkSettings, String> {
    let needed = |key: &str| format!("`{key}` is missing");
    let text = |key: &str, value: &Option<String>| value.clone().ok_or_else(|| needed(key));
    let secret = |key: &str, value: &Option<SecretText>| {
        value
            .as_ref()
            .map(|value| value.reveal().map(Hidden::new))
            .transpose()
            .map_err(|error| format!("{key}: {error}"))
    };
    let needed_secret =
        |key: &str, value: &Option<SecretText>| secret(key, value).and_then(|found| found.ok_or_else(|| needed(key)));
    let defaults = HttpSettings::default();
    let timeout = entry.timeout.map_or(defaults.timeout, |timeout| timeout.0);
    let http = HttpSettings {
        timeout,
        proxy: secret("proxy", &entry.proxy)?,
        allow_plaintext: entry.allow_plaintext.unwrap_or(defaults.allow_plaintext),
    };
    let endpoint = || entry.endpoint_url.as_ref().map(|url| url.as_str().to_owned());
    let of_aws = || endpoint().or_else(|| settings.file.aws.endpoint_url.as_ref().map(|url| url.as_str().to_owned()));
    Ok(match entry.kind {
        SinkKind::Stdout => return Err("standard output is opened elsewhere".to_owned()),
        SinkKind::File => SinkSettings::File(FileSettings {
            path: entry.path.clone().ok_or_else(|| needed("path"))?,
            format: format(entry.format),
        }),
        SinkKind::Webhook => {
            let base = WebhookSettings::new(needed_secret("url", &entry.url)?);
            SinkSettings::Webhook(WebhookSettings {
                signing_key: secret("signing_key", &entry.signing_key)?,
                authorization: secret("authorization", &entry.authorization)?,
                format: format(entry.format),
                max_body_bytes: entry.max_body.map_or(base.max_body_bytes, |size| size.as_usize()),
                http,
                ..base
            })
        }
        SinkKind::Slack => SinkSettings::Slack(SlackSettings { url: needed_secret("url", &entry.url)?, http }),
        SinkKind::PagerDuty => {
            let base = PagerDutySettings::new(needed_secret("routing_key", &entry.routing_key)?);
            SinkSettings::PagerDuty(PagerDutySettings {
                endpoint: endpoint().unwrap_or_else(|| base.endpoint.clone()),
                source: entry.source.clone().unwrap_or_else(|| base.source.clone()),
                http,
                ..base
            })
        }
        SinkKind::Sns => SinkSettings::Sns(SnsSettings {
            format: match entry.format {
                None | Some(FormatWord::Text) => SnsFormat::Text,
                some => SnsFormat::Json(format(some)),
            },
            endpoint_url: of_aws(),
            timeout,
            ..SnsSettings::new(text("topic_arn", &entry.topic_arn)?)
        }),
        SinkKind::Email => SinkSettings::Email(EmailSettings {
            host: text("host", &entry.host)?,
            port: entry.port.and_then(|port| u16::try_from(port).ok()),
            tls: match entry.tls {
                None | Some(TlsWord::StartTls) => EmailTls::StartTls,
                Some(TlsWord::Tls) => EmailTls::Tls,
                Some(TlsWord::None) => EmailTls::None,
            },
            user: entry.user.clone(),
            password: secret("password", &entry.password)?,
            from: text("from", &entry.from)?,
            to: entry.to.clone().ok_or_else(|| needed("to"))?,
            timeout,
        }),
        SinkKind::SecurityHub => SinkSettings::SecurityHub(SecurityHubSettings {
            account_id: entry
                .account_id
                .as_ref()
                .map(|id| id.as_str().to_owned())
                .ok_or_else(|| needed("account_id"))?,
            region: entry
                .region
                .as_ref()
                .or(settings.file.aws.region.as_ref())
                .map(|region| region.as_str().to_owned())
                .ok_or_else(|| needed("region"))?,
            product_arn: entry.product_arn.clone(),
            endpoint_url: of_aws(),
            http,
        }),
    })
}

fn format(word: Option<FormatWord>) -> Format {
    match word {
        Some(FormatWord::Ocsf) => Format::Ocsf,
        _ => Format::Keytrail,
    }
}

/// JSON lines on standard output.
struct Stdout {
    name: String,
    format: Format,
    output: Output,
}

impl Stdout {
    fn of(entry: &SinkEntry, output: Output) -> Self {
        Self { name: entry.name.as_str().to_owned(), format: format(entry.format), output }
    }
}

#[async_trait]
impl Sink for Stdout {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "stdout"
    }

    fn place(&self) -> &str {
        "standard output"
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let done = self.output.line(sink::render_json(outgoing, self.format));
        match done {
            Ok(()) => Ok(Receipt { status: None, detail: None }),
            // Nobody reads any more; somebody may after the next start.
            Err(error) => Err(SendError {
                sink: self.name.clone(),
                place: self.place().to_owned(),
                kind: sink::SendErrorKind::Unreachable,
                status: None,
                detail: Some(error.to_string()),
            }),
        }
    }
}

/// What each sink is told, as deciding needs to know it.
pub(crate) fn targets(section: &DeliverySection) -> Vec<Target> {
    section
        .sink
        .iter()
        .map(|entry| {
            // Mail has no place to be marked as seen or done, and a channel is told of ends only.
            let (acknowledge, resolve) = match entry.kind {
                SinkKind::Email => (false, false),
                SinkKind::Slack => (false, true),
                _ => (true, true),
            };
            Target {
                name: entry.name.as_str().to_owned(),
                // Programs that keep alerts want each of them.
                group: entry
                    .group
                    .unwrap_or(!matches!(entry.kind, SinkKind::Stdout | SinkKind::File | SinkKind::SecurityHub)),
                update: entry.update.unwrap_or(true),
                acknowledge: entry.acknowledge.unwrap_or(acknowledge),
                resolve: entry.resolve.unwrap_or(resolve),
            }
        })
        .collect()
}

pub(crate) fn delivery_settings(section: &DeliverySection) -> DeliverySettings {
    let micros = |length: std::time::Duration| i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    DeliverySettings {
        storm_alerts: section.storm_alerts,
        storm_window: micros(section.storm_window.0),
        storm_every: micros(section.storm_every.0),
        claim: micros(section.claim.0),
        tries: section.tries,
        first_pause: micros(section.first_pause.0),
        longest_pause: micros(section.longest_pause.0),
    }
}

/// Where messages lead to.
pub(crate) fn links(section: &DeliverySection) -> Result<Links, Failure> {
    let base_url = section.base_url.as_ref().map(|url| url.as_str().parse()).transpose();
    base_url.map(|base_url| Links { base_url }).map_err(|_| {
        Failure::new(ExitCode::Config, "delivery.base_url is no address")
            .hint("write for example \"https://keytrail.example.org/\"")
    })
}
