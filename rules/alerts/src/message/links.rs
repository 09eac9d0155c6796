//! Where a message leads: a page under the configured address, else a command.

use serde::Serialize;
use url::Url;

use crate::sink::text::clean;

/// Where the pages are.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// The address of the pages, `https://keytrail.example.org/`; without it messages name a command.
    pub base_url: Option<Url>,
}

/// The way from a message to the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    Url(String),
    Command(String),
}

impl Link {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Url(text) | Self::Command(text) => text,
        }
    }

    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url(url) => Some(url),
            Self::Command(_) => None,
        }
    }
}

impl Links {
    /// The page of one alert.
    pub fn alert(&self, alert_id: &str) -> Link {
        self.page(&["alerts", alert_id])
            .unwrap_or_else(|| Link::Command(format!("keytrail alerts show {}", id(alert_id))))
    }

    /// The list of all alerts.
    pub fn all(&self) -> Link {
        self.page(&["alerts"]).unwrap_or_else(|| Link::Command("keytrail alerts list".to_owned()))
    }

    fn page(&self, segments: &[&str]) -> Option<Link> {
        let mut url = self.base_url.clone()?;
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut().ok()?.pop_if_empty().extend(segments.iter().map(|segment| id(segment)));
        Some(Link::Url(url.into()))
    }
}

/// An alert's id is our own hash; anything else is kept from becoming a command or a path.
fn id(text: &str) -> String {
    clean(text, 64).chars().filter(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_under_the_address_or_a_command() {
        let links = Links { base_url: Some("https://keytrail.example.org/base/?q=1#f".parse().expect("an address")) };
        assert_eq!(links.alert("0123").as_str(), "https://keytrail.example.org/base/alerts/0123");
        assert_eq!(links.alert("../..//x; rm").as_str(), "https://keytrail.example.org/base/alerts/xrm");
        assert_eq!(links.all().url(), Some("https://keytrail.example.org/base/alerts"));
        let none = Links::default();
        assert_eq!(none.alert("0123"), Link::Command("keytrail alerts show 0123".into()));
        assert_eq!(none.all().url(), None);
    }
}
