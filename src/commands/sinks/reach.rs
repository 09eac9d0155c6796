//! Whether a sink can be reached, without sending anything.
//!
//! In: the entry. Out: what was found, or what is wrong. A connection is opened and closed; no byte is sent. Where a proxy stands between,
//! or AWS's own services are called, only a test tells.

use std::time::Duration;

use keytrail_alerts::Links;
use tokio::net::TcpStream;

use crate::settings::{SecretText, SinkEntry, SinkKind, TlsWord};

const PATIENCE: Duration = Duration::from_secs(5);

/// What was found; the error says what is wrong.
pub(crate) async fn look(entry: &SinkEntry) -> Result<String, String> {
    match entry.kind {
        SinkKind::Stdout => Ok("standard output".to_owned()),
        SinkKind::File => {
            let path = entry.path.clone().unwrap_or_default();
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            match folder {
                Some(folder) if !folder.is_dir() => Err(format!("there is no folder {}", folder.display())),
                _ => Ok(path.display().to_string()),
            }
        }
        SinkKind::Sns | SinkKind::SecurityHub => Ok("not asked".to_owned()),
        _ if entry.proxy.is_some() => Ok("behind a proxy, not asked".to_owned()),
        SinkKind::Webhook | SinkKind::Slack => {
            let url = entry.url.as_ref().map(SecretText::reveal).transpose()?.unwrap_or_default();
            of_url(&url).await
        }
        SinkKind::PagerDuty => {
            let own = keytrail_alerts::sink::settings::PagerDutySettings::ENDPOINT;
            of_url(entry.endpoint_url.as_ref().map_or(own, |url| url.as_str())).await
        }
        SinkKind::Email => {
            let port = match (entry.port, entry.tls) {
                (Some(port), _) => u16::try_from(port).unwrap_or_default(),
                (None, None | Some(TlsWord::StartTls)) => 587,
                (None, Some(TlsWord::Tls)) => 465,
                (None, Some(TlsWord::None)) => 25,
            };
            connect(entry.host.as_deref().unwrap_or_default(), port).await
        }
    }
}

/// The host alone is told: the rest of the address may be a secret.
async fn of_url(text: &str) -> Result<String, String> {
    let links = Links { base_url: text.parse().ok() };
    let url = links.base_url.ok_or("its address is none")?;
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => connect(host, port).await,
        _ => Err("its address names no host".to_owned()),
    }
}

async fn connect(host: &str, port: u16) -> Result<String, String> {
    // The URL parser keeps the brackets of an IPv6 address; the resolver wants none.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match tokio::time::timeout(PATIENCE, TcpStream::connect((bare, port))).await {
        Ok(Ok(_)) => Ok(format!("{host}:{port} answers")),
        Ok(Err(error)) => Err(format!("{host}:{port} is not reached: {error}")),
        Err(_) => Err(format!("{host}:{port} does not answer within {} s", PATIENCE.as_secs())),
    }
}
