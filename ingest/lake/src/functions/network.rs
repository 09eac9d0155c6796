//! Addresses and networks: `cidr_contains`, `ip_family`, `is_private_ip`, `network_of`.
//!
//! In: text. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address, in addresses and in networks.
//! Text that is no address (CloudTrail puts a service's name there) is in no network: false, or null for the family.
//! A network that cannot be read is an error, because a typing mistake must not read as "nothing is inside".

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::text::{Answer, Function, Kernel, Returns};

pub(super) static CIDR_CONTAINS: Function = Function {
    name: "cidr_contains",
    arguments: &[("cidr", "a network such as `10.0.0.0/8` or `2001:db8::/32`, or one address"), ("ip", "an address")],
    returns: Returns::Boolean,
    description: "True when the address lies in the network. IPv4 and IPv6; an IPv4 address written as IPv6 counts as IPv4. \
                  False when `ip` is no address (such as a service's name); an error when `cidr` is no network; null when either is null.",
    examples: &[
        ("cidr_contains('10.0.0.0/8', '10.1.2.3')", "true"),
        ("cidr_contains('2001:db8::/32', '2001:db8::1')", "true"),
        ("cidr_contains('10.0.0.0/8', '::ffff:10.1.2.3')", "true"),
        ("cidr_contains('0.0.0.0/0', 'rds.amazonaws.com')", "false"),
        ("cidr_contains('203.0.113.7', '203.0.113.7')", "true"),
        ("cidr_contains('0.0.0.0/0', '2001:db8::1')", "false"),
        ("cidr_contains('10.0.0.0/8', NULL)", "NULL"),
    ],
    takes_nulls: false,
    kernel: cidr_contains,
};

pub(super) static IP_FAMILY: Function = Function {
    name: "ip_family",
    arguments: &[("ip", "an address")],
    returns: Returns::Integer,
    description: "4 or 6; an IPv4 address written as IPv6 is 4. Null when `ip` is null or no address.",
    examples: &[
        ("ip_family('203.0.113.7')", "4"),
        ("ip_family('2001:db8::1')", "6"),
        ("ip_family('::ffff:203.0.113.7')", "4"),
        ("ip_family('rds.amazonaws.com')", "NULL"),
    ],
    takes_nulls: false,
    kernel: ip_family,
};

pub(super) static IS_PRIVATE_IP: Function = Function {
    name: "is_private_ip",
    arguments: &[("ip", "an address")],
    returns: Returns::Boolean,
    description: "True for addresses that the public internet does not route to: RFC 1918, shared (100.64.0.0/10), loopback, \
                  link-local and unique-local ones. False for all others and for text that is no address; null when `ip` is null.",
    examples: &[
        ("is_private_ip('172.16.0.9')", "true"),
        ("is_private_ip('fd00::1')", "true"),
        ("is_private_ip('203.0.113.7')", "false"),
        ("is_private_ip('rds.amazonaws.com')", "false"),
    ],
    takes_nulls: false,
    kernel: is_private_ip,
};

pub(super) static NETWORK_OF: Function = Function {
    name: "network_of",
    arguments: &[
        ("ip", "an address, such as `source_ip`"),
        ("vpc_endpoint_id", "the VPC endpoint that the call went through, or null"),
    ],
    returns: Returns::Text,
    description: "The network that a call counts for when habits are told: the VPC endpoint where there is one, else the address's /16 \
                  (private IPv4, as `is_private_ip` says), /24 (public IPv4) or /48 (IPv6). Null when there is no endpoint and `ip` is \
                  null or no address; one of the two may be null.",
    examples: &[
        ("network_of('10.20.30.40', NULL)", "'10.20.0.0/16'"),
        ("network_of('203.0.113.7', NULL)", "'203.0.113.0/24'"),
        ("network_of('2001:db8:1:2::7', NULL)", "'2001:db8:1::/48'"),
        ("network_of('::ffff:203.0.113.7', NULL)", "'203.0.113.0/24'"),
        ("network_of('10.20.30.40', 'vpce-0a1b2c3d')", "'vpce-0a1b2c3d'"),
        ("network_of('rds.amazonaws.com', NULL)", "NULL"),
    ],
    takes_nulls: true,
    kernel: network_kernel,
};

fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Whether the text is a network that `cidr_contains` takes.
pub fn is_cidr(text: &str) -> bool {
    network(text).is_ok()
}

/// The network that an address counts for, as the SQL function of this name says.
pub fn network_of(ip: Option<&str>, vpc_endpoint_id: Option<&str>) -> Option<String> {
    if let Some(endpoint) = vpc_endpoint_id.filter(|endpoint| !endpoint.is_empty()) {
        return Some(endpoint.to_owned());
    }
    let ip = address(ip?)?;
    let length = match ip {
        IpAddr::V4(_) if is_private(ip) => 16,
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    };
    IpNet::new(ip, length).ok().map(|network| network.trunc().to_string())
}

/// A network, or one address as the smallest network.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = match address(text) {
        Some(ip) => Some(IpNet::from(ip)),
        None => text.parse::<IpNet>().ok().map(canonical),
    };
    parsed.ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        format!(
            "`{}` is no network; write one like `10.0.0.0/8`, `2001:db8::/32` or a single address",
            shown.escape_default()
        )
    })
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn canonical(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(six) if six.prefix_len() >= 96 => match Ipv6Addr::to_ipv4_mapped(&six.addr()) {
            Some(four) => Ipv4Net::new(four, six.prefix_len() - 96).map_or(network, IpNet::V4),
            None => network,
        },
        _ => network,
    }
}

fn cidr_contains() -> Kernel {
    let mut last: Option<(String, IpNet)> = None;
    Box::new(move |texts| {
        let [cidr, ip] = texts else { return Ok(Answer::Null) };
        if last.as_ref().is_none_or(|(text, _)| text != cidr) {
            last = Some(((*cidr).to_owned(), network(cidr)?));
        }
        let inside = match (&last, address(ip)) {
            (Some((_, network)), Some(ip)) => network.contains(&ip),
            _ => false,
        };
        Ok(Answer::Boolean(inside))
    })
}

fn ip_family() -> Kernel {
    Box::new(|texts| {
        Ok(match texts.first().and_then(|text| address(text)) {
            Some(IpAddr::V4(_)) => Answer::Integer(4),
            Some(IpAddr::V6(_)) => Answer::Integer(6),
            None => Answer::Null,
        })
    })
}

fn is_private_ip() -> Kernel {
    Box::new(|texts| Ok(Answer::Boolean(texts.first().and_then(|text| address(text)).is_some_and(is_private))))
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && (64..128).contains(&second);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn network_kernel() -> Kernel {
    Box::new(|texts| {
        let [ip, endpoint] = texts else { return Ok(Answer::Null) };
        Ok(network_of(Some(ip), Some(endpoint)).map_or(Answer::Null, Answer::Text))
    })
}
