//! Mail over SMTP: one message in text and HTML.
//!
//! The Message-ID is made of the delivery id, so a repetition is the same mail; all mails of an alert, or of a storm, refer to
//! one root, so that they form a thread. The connection is made for each mail. Header values are single lines without control
//! characters, and lettre encodes them.

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message as Mail, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::{
    Change, Outgoing, Receipt, SendError, SendErrorKind, Sink, aws,
    http::is_local_name,
    settings::{EmailSettings, EmailTls},
    text::{clean, html},
};
use crate::message::{Link, Message};

/// Mail servers take a subject of any length; phones show sixty characters of it.
const SUBJECT: usize = 200;
const TEXT: usize = 64 * 1024;

pub(crate) struct Email {
    name: String,
    place: String,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    envelope: Addresses,
    timeout: std::time::Duration,
    password: Option<super::Hidden>,
}

/// From, to, and what stands behind the `@` of our ids.
pub(crate) struct Addresses {
    from: Mailbox,
    to: Vec<Mailbox>,
    domain: String,
}

impl Addresses {
    pub(crate) fn new(from: &str, to: &[String]) -> Result<Self, &'static str> {
        let from: Mailbox = from.parse().map_err(|_| "`from` is no mail address")?;
        let to: Vec<Mailbox> = to
            .iter()
            .map(|to| to.parse())
            .collect::<Result<_, _>>()
            .map_err(|_| "`to` holds what is no mail address")?;
        if to.is_empty() {
            return Err("`to` is empty");
        }
        let domain = id(from.email.domain());
        Ok(Self { from, to, domain })
    }
}

impl Email {
    pub(crate) fn new(name: &str, settings: &EmailSettings) -> Result<Self, SendError> {
        let usual = match settings.tls {
            EmailTls::StartTls => 587,
            EmailTls::Tls => 465,
            EmailTls::None => 25,
        };
        let port = settings.port.unwrap_or(usual);
        let place = format!("{}:{port}", clean(&settings.host, 200));
        let wrong = |why| SendError::misconfigured(name, &place, why);
        let parameters = || TlsParameters::new(settings.host.clone()).map_err(|_| wrong("no TLS to that host name"));
        let tls = match settings.tls {
            EmailTls::StartTls => Tls::Required(parameters()?),
            EmailTls::Tls => Tls::Wrapper(parameters()?),
            EmailTls::None if is_local_name(&settings.host) => Tls::None,
            EmailTls::None => return Err(wrong("without TLS mail goes to this machine only")),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.clone())
            .port(port)
            .tls(tls)
            .timeout(Some(settings.timeout));
        match (&settings.user, &settings.password) {
            (Some(user), Some(password)) => {
                builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
            }
            (None, None) => {}
            _ => return Err(wrong("user and password belong together")),
        }
        let envelope = Addresses::new(&settings.from, &settings.to).map_err(wrong)?;
        let password = settings.password.clone();
        Ok(Self {
            name: name.to_owned(),
            place,
            transport: builder.build(),
            envelope,
            timeout: settings.timeout,
            password,
        })
    }

    fn failed(&self, error: &lettre::transport::smtp::Error) -> SendError {
        let status = error.status().map(u16::from);
        let kind = if error.is_permanent() {
            SendErrorKind::Refused
        } else if error.is_transient() {
            SendErrorKind::Unavailable { retry_after: None }
        } else if error.is_timeout() {
            SendErrorKind::Timeout
        } else if error.is_client() {
            // The server lacks what was asked for: STARTTLS, a way to log in.
            SendErrorKind::Misconfigured("the server does not offer what the settings ask for")
        } else {
            SendErrorKind::Unreachable
        };
        let detail = aws::chain(error).map(|text| match &self.password {
            Some(password) if !password.reveal().is_empty() => text.replace(password.reveal(), "(hidden)"),
            _ => text,
        });
        SendError { status, detail, ..SendError::of(&self.name, &self.place, kind) }
    }
}

#[async_trait::async_trait]
impl Sink for Email {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "email"
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let mail = mail(outgoing, &self.envelope)
            .map_err(|_| SendError::misconfigured(&self.name, &self.place, "no mail could be made of the addresses"))?;
        let error = |kind| SendError::of(&self.name, &self.place, kind);
        match tokio::time::timeout(self.timeout, self.transport.send(mail)).await {
            Err(_) => Err(error(SendErrorKind::Timeout)),
            Ok(Err(failure)) => Err(self.failed(&failure)),
            Ok(Ok(answer)) => {
                Ok(Receipt { status: Some(answer.code().into()), detail: answer.first_line().and_then(aws::shown) })
            }
        }
    }
}

/// The mail as it goes out.
pub(crate) fn mail(outgoing: &Outgoing, addresses: &Addresses) -> Result<Mail, lettre::error::Error> {
    let message = &outgoing.message;
    let root = match (outgoing.change, outgoing.alerts.first()) {
        (Change::Test, _) | (_, None) => None,
        (Change::Storm | Change::StormOver, Some(first)) => {
            Some(format!("<storm.{}@{}>", id(&first.alert_id), addresses.domain))
        }
        (_, Some(alert)) => Some(format!("<alert.{}@{}>", id(&alert.alert_id), addresses.domain)),
    };
    let sent_at =
        std::time::UNIX_EPOCH + std::time::Duration::from_micros(u64::try_from(outgoing.at).unwrap_or_default());
    let mut builder = Mail::builder()
        .from(addresses.from.clone())
        .subject(clean(&message.headline, SUBJECT))
        .date(sent_at)
        .message_id(Some(format!("<{}@{}>", id(&outgoing.delivery_id), addresses.domain)))
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-Keytrail-Change", outgoing.change.as_str()))
        .raw_header(raw("X-Keytrail-Severity", message.severity.as_str()));
    for to in &addresses.to {
        builder = builder.to(to.clone());
    }
    if let Some(root) = root {
        if !matches!(outgoing.change, Change::Trigger | Change::Storm) {
            builder = builder.in_reply_to(root.clone());
        }
        builder = builder.references(root);
    }
    builder.multipart(MultiPart::alternative_plain_html(message.text(TEXT), page(message)))
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The message as a small page without any image, script or foreign address.
fn page(message: &Message) -> String {
    let mut parts = vec![format!("<h2>{}</h2>", html(&message.headline)), format!("<p>{}</p>", html(&message.reason))];
    let row =
        |name: &str, value: &str| format!("<tr><th align=\"left\">{}</th><td>{}</td></tr>", html(name), html(value));
    let mut rows: String = message.facts.iter().map(|fact| row(fact.name, &fact.value)).collect();
    for (name, text) in [("by", &message.by), ("before", &message.before), ("also", &message.also)] {
        rows.extend(text.iter().map(|text| row(name, text)));
    }
    if !rows.is_empty() {
        parts.push(format!("<table cellpadding=\"4\">{rows}</table>"));
    }
    let list = |title: &str, lines: &[String]| {
        let items: String = lines.iter().map(|line| format!("<li>{}</li>", html(line))).collect();
        format!("<p><b>{title}</b></p><ul>{items}</ul>")
    };
    let (unusual, storm) = (message.unusual_lines(), message.storm_lines());
    if !unusual.is_empty() {
        parts.push(list("Unusual", &unusual));
    }
    if !storm.is_empty() {
        parts.push(list("Alerts", &storm));
    }
    parts.extend(message.first_step.iter().map(|step| format!("<p><b>First:</b> {}</p>", html(step))));
    parts.push(match &message.link {
        Link::Url(url) => format!("<p><a href=\"{0}\">{0}</a></p>", html(url)),
        Link::Command(command) => format!("<p><code>{}</code></p>", html(command)),
    });
    parts.push(format!("<p><small>{}</small></p>", html(&message.about)));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"></head><body>\n{}\n</body></html>\n",
        parts.join("\n")
    )
}

/// The characters that an id in a header may have.
fn id(text: &str) -> String {
    let id: String =
        text.chars().filter(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.')).take(128).collect();
    if id.is_empty() { "keytrail".to_owned() } else { id }
}

#[cfg(test)]
#[path = "email_tests.rs"]
mod tests;
