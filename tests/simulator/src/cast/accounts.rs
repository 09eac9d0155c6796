//! Accounts, regions, and the networks calls come from.

use rand::Rng;

use crate::random::{Random, hex, random_for};

pub(crate) const ORGANISATION: &str = "o-4kt9x2mz7q";
pub(crate) const PLATFORM: &str = "418204159035";
pub(crate) const PROD: &str = "527316084912";
pub(crate) const STAGING: &str = "639042817760";
pub(crate) const DATA: &str = "704418293651";
pub(crate) const SECURITY: &str = "815530274409";

/// The network nobody in the organisation uses.
pub(crate) const FOREIGN_V4: &str = "198.51.100.";
pub(crate) const FOREIGN_V6: &str = "2001:db8:dead:beef::";

/// An account and a region in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) account: &'static str,
    pub(crate) region: &'static str,
}

/// The small place whose deliveries have a hole.
pub(crate) const GAP_PLACE: Place = Place { account: PROD, region: "eu-central-1" };

/// A place the trail delivers for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) place: Place,
    /// Records an hour that have nothing to do with secrets, at scale 1.
    pub(crate) hourly: f64,
    /// Quiet places are delivered in longer slots when files are coarse anyway, to keep the number of files down.
    pub(crate) quiet: bool,
    /// The second number of its private addresses.
    net: u8,
}

const fn stream(account: &'static str, region: &'static str, hourly: f64, quiet: bool, net: u8) -> Stream {
    Stream { place: Place { account, region }, hourly, quiet, net }
}

pub(crate) const STREAMS: [Stream; 8] = [
    stream(PROD, "us-east-1", 37.0, false, 20),
    stream(PROD, "eu-west-1", 16.0, false, 21),
    stream(PLATFORM, "us-east-1", 20.0, false, 10),
    stream(STAGING, "us-east-1", 11.0, true, 30),
    stream(DATA, "us-east-1", 11.0, true, 40),
    stream(SECURITY, "us-east-1", 5.0, true, 50),
    stream(PLATFORM, "eu-west-1", 4.0, true, 11),
    stream(PROD, "eu-central-1", 4.0, true, 22),
];

fn net(place: Place) -> u8 {
    STREAMS.iter().find(|stream| stream.place == place).map_or(20, |stream| stream.net)
}

/// An address inside the VPC of a place.
pub(crate) fn private_address(random: &mut Random, place: Place) -> String {
    format!("10.{}.{}.{}", net(place), random.random_range(0..32_u8), random.random_range(4..250_u8))
}

/// The VPC endpoint that the hosts of a place use for secrets.
pub(crate) fn endpoint(seed: u64, place: Place) -> String {
    format!("vpce-0{}", hex(&mut random_for(seed, &format!("endpoint {} {}", place.account, place.region)), 16))
}

/// The public addresses behind which a place's hosts go out.
pub(crate) fn nat_address(random: &mut Random, place: Place) -> String {
    format!("198.18.{}.{}", net(place), random.random_range(1..5_u8))
}

/// The other public addresses of a place: a second gateway that deploys take turns with.
pub(crate) fn green_nat_address(random: &mut Random, place: Place) -> String {
    format!("198.18.{}.{}", net(place) + 100, random.random_range(1..5_u8))
}

/// A build machine of a provider whose range is large: hardly ever from the same network again.
pub(crate) fn hosted_runner_address(random: &mut Random) -> String {
    format!("198.19.{}.{}", random.random_range(0..255_u8), random.random_range(1..255_u8))
}

/// A hosted build machine: another address every time, from the provider's range.
pub(crate) fn ci_address(random: &mut Random) -> String {
    format!("192.0.2.{}", random.random_range(1..255_u8))
}

/// The office, its IPv6 network, or the VPN.
pub(crate) fn office_address(random: &mut Random) -> String {
    match random.random_range(0..10_u8) {
        0..=5 => format!("203.0.113.{}", random.random_range(10..40_u8)),
        6..=8 => format!("203.0.113.{}", random.random_range(140..200_u8)),
        _ => format!("2001:db8:10:{:x}::{:x}", random.random_range(1..9_u16), random.random_range(1..0xffff_u16)),
    }
}
