//! A webhook of one's own: JSON, signed, the same bytes on every try.
//!
//! The signature is `v1=` and the hex of HMAC-SHA256 over `timestamp.delivery_id.body`: a receiver that checks it, refuses
//! timestamps more than five minutes off and remembers delivery ids cannot be fooled by a replay (docs/SINKS.md).

use aws_lc_rs::hmac;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::{
    Format, Outgoing, Receipt, SendError, SendErrorKind, Sink, http::Http, json, keytrail_json, ocsf,
    settings::WebhookSettings,
};

pub(crate) struct Webhook {
    http: Http,
    signing_key: Option<hmac::Key>,
    authorization: Option<HeaderValue>,
    format: Format,
    max_body_bytes: usize,
}

impl Webhook {
    pub(crate) fn new(name: &str, settings: &WebhookSettings) -> Result<Self, SendError> {
        let secrets: Vec<_> = settings.signing_key.iter().chain(&settings.authorization).collect();
        let http = Http::new(name, settings.url.reveal(), true, &secrets, &settings.http)?;
        let wrong = |why| SendError::misconfigured(name, http.place(), why);
        if settings.max_body_bytes < json::LEAST_ROOM {
            return Err(wrong("the largest body is less than 64 KiB"));
        }
        let signing_key = match &settings.signing_key {
            Some(key) if key.reveal().len() < 16 => return Err(wrong("the signing key is shorter than 16 bytes")),
            Some(key) => Some(hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes())),
            None => None,
        };
        let authorization = settings.authorization.as_ref().map(|value| HeaderValue::from_str(value.reveal()));
        let mut authorization = authorization.transpose().map_err(|_| wrong("`authorization` is no header's value"))?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Self { signing_key, authorization, format: settings.format, max_body_bytes: settings.max_body_bytes, http })
    }

    fn headers(&self, outgoing: &Outgoing, delivery_id: String, body: &str) -> Result<HeaderMap, SendError> {
        let timestamp = outgoing.at.div_euclid(1_000_000).to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let signature = self.signing_key.as_ref().map(|key| signature(key, &timestamp, &delivery_id, body));
        let own = [
            ("keytrail-delivery", Some(delivery_id)),
            ("keytrail-change", Some(outgoing.change.as_str().to_owned())),
            ("keytrail-attempt", Some(outgoing.attempt.to_string())),
            ("keytrail-timestamp", Some(timestamp)),
            ("keytrail-signature", signature),
        ];
        for (name, value) in own {
            let Some(value) = value else { continue };
            let value = HeaderValue::from_str(&value).map_err(|_| {
                self.http.error(SendErrorKind::Misconfigured("the delivery id is no header's value"), None, None)
            })?;
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// `v1=` and the hex of the HMAC.
fn signature(key: &hmac::Key, timestamp: &str, delivery_id: &str, body: &str) -> String {
    let tag = hmac::sign(key, format!("{timestamp}.{delivery_id}.{body}").as_bytes());
    tag.as_ref().iter().fold("v1=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The bodies of a delivery in the wanted format, each of at most so many bytes. Our own is one object. OCSF is a list of
/// events, and as many lists as it takes: no alert of a storm is left out.
pub(crate) fn bodies(outgoing: &Outgoing, format: Format, max_bytes: usize) -> Option<Vec<String>> {
    if format == Format::Keytrail {
        return Some(vec![json::fit(&keytrail_json::delivery(outgoing), max_bytes)?]);
    }
    let mut lists: Vec<String> = Vec::new();
    for event in ocsf::events(outgoing) {
        let event = json::fit(&event, max_bytes.saturating_sub("[]".len()))?;
        match lists.last_mut() {
            Some(list) if list.len() + event.len() + ",]".len() <= max_bytes => {
                list.push(',');
                list.push_str(&event);
            }
            _ => lists.push(format!("[{event}")),
        }
    }
    lists.iter_mut().for_each(|list| list.push(']'));
    Some(lists)
}

/// The first part of a delivery has its id, the others one of their own, so that a receiver keeps them all.
pub(crate) fn part_id(delivery_id: &str, part: usize) -> String {
    if part == 0 { delivery_id.to_owned() } else { format!("{delivery_id}-{part}") }
}

#[async_trait::async_trait]
impl Sink for Webhook {
    fn name(&self) -> &str {
        self.http.sink()
    }

    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn place(&self) -> &str {
        self.http.place()
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let too_large = || self.http.error(SendErrorKind::TooLarge { limit: self.max_body_bytes }, None, None);
        let mut status = None;
        for (part, body) in
            bodies(outgoing, self.format, self.max_body_bytes).ok_or_else(too_large)?.into_iter().enumerate()
        {
            let headers = self.headers(outgoing, part_id(&outgoing.delivery_id, part), &body)?;
            status = Some(self.http.post(headers, body.into_bytes()).await?.status);
        }
        Ok(Receipt { status, detail: None })
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
