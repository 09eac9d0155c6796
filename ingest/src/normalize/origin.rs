//! Where a call came from.
//!
//! In: `sourceIPAddress`, `vpcEndpointId`, and whether a service called on somebody's behalf. Out: [`Origin`].
//!
//! Invariants: `source_ip` is the caller's own address or nothing; when a service acted for somebody, neither the address
//! nor the VPC endpoint is the caller's (the endpoint is AWS's own then), so both are dropped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The caller's own place, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source_ip: Option<String>,
    pub(super) source_network: Option<&'static str>,
    pub(super) vpc_endpoint_id: Option<String>,
}

/// Judges the address of one call.
pub(super) fn of(address: Option<&str>, vpc_endpoint_id: Option<&str>, on_behalf: bool) -> Origin {
    if on_behalf {
        return Origin { source_network: Some("service"), ..Origin::default() };
    }
    let vpc_endpoint_id = vpc_endpoint_id.map(str::to_owned);
    let Some(address) = address.map(str::trim).filter(|address| !address.is_empty()) else {
        return Origin { vpc_endpoint_id, ..Origin::default() };
    };
    match address.parse::<IpAddr>() {
        Ok(ip) => {
            let ip = ip.to_canonical();
            let network = if is_private(ip) { "private" } else { "public" };
            Origin { source_ip: Some(ip.to_string()), source_network: Some(network), vpc_endpoint_id }
        }
        Err(_) => {
            Origin { source_network: is_service(address).then_some("service"), vpc_endpoint_id, ..Origin::default() }
        }
    }
}

/// `secretsmanager.amazonaws.com`, `AWS Internal`, `AWS Internal/3`.
fn is_service(address: &str) -> bool {
    address.starts_with("AWS Internal")
        || (address.contains('.') && !address.contains(|c: char| c.is_whitespace() || c == '/'))
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || ip == Ipv4Addr::UNSPECIFIED
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip == Ipv6Addr::UNSPECIFIED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_networks_apart() {
        for (address, ip, network) in [
            ("203.0.113.7", Some("203.0.113.7"), Some("public")),
            ("172.31.4.5", Some("172.31.4.5"), Some("private")),
            ("100.64.0.1", Some("100.64.0.1"), Some("private")),
            ("::ffff:10.0.0.1", Some("10.0.0.1"), Some("private")),
            ("2001:DB8:0:0::1", Some("2001:db8::1"), Some("public")),
            ("fd00::1", Some("fd00::1"), Some("private")),
            ("AWS Internal/7", None, Some("service")),
            ("secretsmanager.amazonaws.com", None, Some("service")),
            ("10.0.0.1; drop table", None, None),
            ("", None, None),
        ] {
            let origin = of(Some(address), None, false);
            assert_eq!((origin.source_ip.as_deref(), origin.source_network), (ip, network), "{address}");
        }
    }

    #[test]
    fn a_service_acting_for_somebody_has_no_address() {
        let origin = of(Some("203.0.113.7"), Some("vpce-1"), true);
        assert_eq!(origin, Origin { source_network: Some("service"), ..Origin::default() });
    }
}
