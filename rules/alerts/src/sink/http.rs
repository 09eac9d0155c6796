//! One POST, bounded in time and in what is read, and what its answer means.
//!
//! In: an address of the configuration, headers, a body. Out: an [`Answer`] for any 2xx, else a [`SendError`].
//! Invariants: redirects are not followed; proxies of the environment are not used; plain HTTP goes to this machine only,
//! unless it was allowed; of an answer at most [`ANSWER_CAP`] bytes are read; addresses and keys that are secret do not
//! appear in any error, even where the other side repeats them.

use std::{net::IpAddr, time::Duration};

use reqwest::{
    Client, Proxy, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use url::{Host, Url};

use super::{
    SendError, SendErrorKind,
    settings::{Hidden, HttpSettings},
    text::clean,
};

/// Bytes of an answer that are looked at.
const ANSWER_CAP: usize = 16 * 1024;
/// Characters of an answer that an error repeats.
const DETAIL: usize = 200;
/// The longest wait that another side can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Parts of an address shorter than this say nothing, so they are not hidden.
const SHORT: usize = 8;

pub(crate) struct Http {
    client: Client,
    sink: String,
    place: String,
    url: Url,
    secrets: Vec<String>,
}

/// A 2xx answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The start of its body; none where the body broke off.
    pub(crate) body: Option<String>,
}

impl Http {
    /// `secrets` are the keys that the body or the headers will hold. The address's path, query and user are secret
    /// where `is_url_secret`.
    pub(crate) fn new(
        sink: &str,
        url: &str,
        is_url_secret: bool,
        secrets: &[&Hidden],
        settings: &HttpSettings,
    ) -> Result<Self, SendError> {
        let wrong = |place: &str, why| SendError::misconfigured(sink, place, why);
        let url = Url::parse(url).map_err(|_| wrong("no address", "the address is none"))?;
        let place = place(&url).ok_or_else(|| wrong("no address", "the address has no host"))?;
        match url.scheme() {
            "https" => {}
            "http" if settings.allow_plaintext || is_loopback(&url) => {}
            "http" => return Err(wrong(&place, "the address is not https; `allow_plaintext` would allow it")),
            _ => return Err(wrong(&place, "the address is neither https nor http")),
        }
        let mut builder = Client::builder()
            .user_agent(concat!("keytrail/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            .redirect(Policy::none())
            .referer(false)
            .no_proxy();
        let mut hidden: Vec<String> = secrets.iter().map(|secret| secret.reveal().to_owned()).collect();
        if let Some(proxy) = &settings.proxy {
            let through = Proxy::all(proxy.reveal()).map_err(|_| wrong(&place, "the proxy's address is none"))?;
            builder = builder.proxy(through);
            hidden.push(proxy.reveal().to_owned());
        }
        if is_url_secret {
            hidden.push(url.as_str().to_owned());
            hidden.extend(url.path_segments().into_iter().flatten().map(str::to_owned));
            hidden.extend([url.path(), url.query().unwrap_or_default(), url.username()].map(str::to_owned));
            hidden.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        }
        hidden.extend(url.password().map(str::to_owned));
        hidden.retain(|secret| secret.len() >= SHORT);
        // The longest first, so that a part does not spoil the whole.
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let client = builder.build().map_err(|_| wrong(&place, "no HTTP client could be made (root certificates?)"))?;
        Ok(Self { client, sink: sink.to_owned(), place, url, secrets: hidden })
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn sink(&self) -> &str {
        &self.sink
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) async fn post(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, SendError> {
        let sent = self.client.post(self.url.clone()).headers(headers).body(body).send().await;
        let mut response = sent.map_err(|error| self.failed(&error))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let mut read = Vec::new();
        let whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = ANSWER_CAP - read.len();
                    read.extend(chunk.iter().take(room));
                    if chunk.len() >= room {
                        break true;
                    }
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let body = whole.then(|| String::from_utf8_lossy(&read).into_owned());
        if status.is_success() {
            return Ok(Answer { status: status.as_u16(), body });
        }
        let detail = self.shown(&String::from_utf8_lossy(&read));
        Err(self.error(kind_of(status, retry_after), Some(status.as_u16()), detail))
    }

    pub(crate) fn error(&self, kind: SendErrorKind, status: Option<u16>, detail: Option<String>) -> SendError {
        SendError { status, detail, ..SendError::of(&self.sink, &self.place, kind) }
    }

    /// Text of the other side, fit for an error.
    pub(crate) fn shown(&self, text: &str) -> Option<String> {
        let hidden = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "(hidden)"));
        let shown = clean(&hidden, DETAIL);
        (!shown.is_empty()).then_some(shown)
    }

    fn failed(&self, error: &reqwest::Error) -> SendError {
        let kind = if error.is_timeout() {
            SendErrorKind::Timeout
        } else if error.is_builder() {
            SendErrorKind::Misconfigured("the request could not be made")
        } else {
            SendErrorKind::Unreachable
        };
        // The outermost text names the address; the innermost says what happened.
        let mut source: &dyn std::error::Error = error;
        while let Some(next) = source.source() {
            source = next;
        }
        let is_outermost = std::ptr::addr_eq(std::ptr::from_ref(source), std::ptr::from_ref(error));
        let detail = if is_outermost { None } else { self.shown(&source.to_string()) };
        self.error(kind, None, detail)
    }
}

fn kind_of(status: StatusCode, retry_after: Option<Duration>) -> SendErrorKind {
    match status.as_u16() {
        300..=399 => SendErrorKind::Redirected,
        425 | 429 => SendErrorKind::Throttled { retry_after },
        408 | 500..=599 => SendErrorKind::Unavailable { retry_after },
        _ => SendErrorKind::Refused,
    }
}

/// `Retry-After`, as seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            (at.to_utc() - chrono::Utc::now()).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Host, and port where it is not the usual one.
fn place(url: &Url) -> Option<String> {
    let host = clean(url.host_str()?, 200);
    Some(url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}")))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => is_local_name(name),
        None => false,
    }
}

/// Whether a host's name or address means this machine.
pub(crate) fn is_local_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
