//! Which alerts belong together: the same principal, a secret in common, or the same network, within seven days.
//!
//! In: one alert and all of them. Out: the others that share something with it and how, nearest in time first. Only alerts about
//! detections are related; what is wrong with the pipe has its own alerts.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use keytrail_model::{Alert, AlertClass, Micros, time::DAY};

/// How far apart alerts may lie and still be related, both ways.
pub const REACH: Micros = 7 * DAY;

/// Another alert and what it shares.
#[derive(Clone, Debug, PartialEq)]
pub struct Related<'a> {
    pub alert: &'a Alert,
    pub principal: bool,
    /// How many secrets both name.
    pub secrets: usize,
    pub network: bool,
}

impl Related<'_> {
    /// `same principal, 2 secrets in common, same network`.
    pub fn shared(&self) -> String {
        let secrets = match self.secrets {
            0 => None,
            1 => Some("same secret".to_owned()),
            many => Some(format!("{many} secrets in common")),
        };
        let principal = self.principal.then(|| "same principal".to_owned());
        let network = self.network.then(|| "same network".to_owned());
        principal.into_iter().chain(secrets).chain(network).collect::<Vec<_>>().join(", ")
    }
}

/// The alerts that are related to one of them.
pub fn related<'a>(alert: &Alert, all: &'a [Alert]) -> Vec<Related<'a>> {
    let networks = networks(alert);
    let mut found: Vec<(Micros, Related<'a>)> = all
        .iter()
        .filter(|other| other.alert_id != alert.alert_id && other.class == AlertClass::Detection)
        .filter_map(|other| {
            let distance = distance(alert, other);
            let related = Related {
                alert: other,
                principal: alert.principal_id.is_some() && alert.principal_id == other.principal_id,
                secrets: alert.secret_ids.iter().filter(|id| other.secret_ids.contains(id)).count(),
                network: !networks.is_disjoint(&self::networks(other)),
            };
            let shares = related.principal || related.secrets > 0 || related.network;
            (shares && distance <= REACH).then_some((distance, related))
        })
        .collect();
    found.sort_by(|(near, a), (far, b)| near.cmp(far).then_with(|| a.alert.alert_id.cmp(&b.alert.alert_id)));
    found.into_iter().map(|(_, related)| related).collect()
}

/// The time between two alerts; nothing where they overlap.
fn distance(a: &Alert, b: &Alert) -> Micros {
    let gap = a.first_event_at.saturating_sub(b.last_event_at).max(b.first_event_at.saturating_sub(a.last_event_at));
    gap.max(0)
}

/// The networks that an alert's events came from: /16 of private and /24 of public IPv4, /48 of IPv6.
fn networks(alert: &Alert) -> BTreeSet<IpAddr> {
    let addresses = alert.evidence.iter().filter_map(|event| event.source_ip.as_deref()?.parse::<IpAddr>().ok());
    addresses.map(network_of).collect()
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, if address.is_private() { 0 } else { c }, 0])
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use keytrail_model::Evidence;

    use super::*;
    use crate::render::tests::sample;

    fn other(id: &str, change: impl FnOnce(&mut Alert)) -> Alert {
        let evidence = Evidence { source_ip: Some("198.51.100.1".into()), ..sample().evidence.remove(0) };
        let mut other = Alert {
            alert_id: id.into(),
            principal_id: Some("p".into()),
            secret_ids: vec!["s".into()],
            evidence: vec![evidence],
            ..sample()
        };
        change(&mut other);
        other
    }

    #[test]
    fn what_is_shared_is_named() {
        let alert = sample();
        let all = [
            alert.clone(),
            other("nothing", |_| {}),
            other("who", |it| it.principal_id = alert.principal_id.clone()),
            other("what", |it| {
                it.secret_ids = alert.secret_ids.clone();
                it.first_event_at += DAY;
                it.last_event_at += DAY;
            }),
            other("where", |it| {
                it.evidence[0].source_ip = Some("203.0.113.200".into());
                it.first_event_at -= 2 * DAY;
                it.last_event_at -= 2 * DAY;
            }),
            other("late", |it| {
                it.principal_id = alert.principal_id.clone();
                it.first_event_at += 8 * DAY;
                it.last_event_at += 8 * DAY;
            }),
        ];
        let said: Vec<String> =
            related(&alert, &all).iter().map(|it| format!("{}: {}", it.alert.alert_id, it.shared())).collect();
        assert_eq!(said, ["who: same principal", "what: same secret", "where: same network"]);
    }

    #[test]
    fn networks_are_as_wide_as_their_kind() {
        let network = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(network("10.1.2.3"), "10.1.0.0");
        assert_eq!(network("203.0.113.9"), "203.0.113.0");
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.0");
        assert_eq!(network("2001:db8:1:2::3"), "2001:db8:1::");
    }
}
