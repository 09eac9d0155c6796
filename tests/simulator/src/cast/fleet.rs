//! The services and people beyond the table, drawn from the seed: as many as the wanted number of secrets needs.
//!
//! In: the seed, the number of secrets wanted in all, and the table's secrets, which the new ones are appended to. Out: the
//! services (called units) with the indices of what they read, and the permission sets of the teams. A unit's secrets are
//! named after it (`billing-api/db`, `/billing-api/smtp-password`). Some units read a secret of a sibling as well (a shared
//! label), and most read something under `common/`. Nothing here is drawn from the plan's generator, so a larger fleet
//! does not move the table's behaviour.

use rand::Rng;

use super::{
    accounts::{DATA, PLATFORM, PROD, Place, SECURITY, STAGING},
    secrets::{Fate, Kind, Secret},
    services::Host,
};
use crate::random::{Random, chance, pick, random_for};

/// How a unit's calls leave its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Egress {
    Endpoint,
    Nat,
    /// Secrets Manager through its endpoint, Parameter Store through the NAT gateway.
    Mixed,
}

/// When a unit reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// When a task starts: at deploys.
    Deploys,
    /// As well when load starts another task, at any hour.
    Scaling,
    /// A function that keeps a value for minutes.
    Function,
    /// Once a day at its hour.
    Daily,
    /// Once in thirty days.
    Monthly,
    /// At deploys, everything below its own path.
    ByPath,
    /// Read on the first days, then switched off.
    Retired,
    /// Made in the middle of the window, with new secrets.
    New,
}

/// A service beyond the table.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) host: Host,
    pub(crate) egress: Egress,
    pub(crate) style: Style,
    pub(crate) tasks: usize,
    pub(crate) deploy_days: i64,
    /// The hour of a daily or monthly run.
    pub(crate) hour: i64,
    /// Its own secrets.
    pub(crate) own: Vec<usize>,
    /// What it reads beside them since ever.
    pub(crate) others: Vec<usize>,
    /// The one shared secret that it starts to read later on.
    pub(crate) adopts: Option<usize>,
    /// Which SDK it is written with.
    pub(crate) sdk: usize,
    /// Units of one family share the first word of their names.
    pub(crate) family: usize,
}

impl Unit {
    pub(crate) fn role_name(&self) -> String {
        format!("svc-{}", self.name)
    }

    pub(crate) fn is_running(&self) -> bool {
        !matches!(self.style, Style::Retired | Style::New)
    }
}

/// A team's permission set.
#[derive(Debug, Clone)]
pub(crate) struct People {
    pub(crate) permission_set: String,
    pub(crate) account: &'static str,
    pub(crate) names: Vec<String>,
    /// The UTC hour at which the team's day begins.
    pub(crate) morning: i64,
    /// Whether somebody of it reads at night now and then.
    pub(crate) on_call: bool,
    pub(crate) secrets: Vec<usize>,
}

const WORDS: [&str; 24] = [
    "billing",
    "shipping",
    "inventory",
    "pricing",
    "profile",
    "loyalty",
    "refunds",
    "tax",
    "fraud",
    "ledger",
    "media",
    "reviews",
    "coupons",
    "returns",
    "support",
    "notify",
    "consent",
    "geo",
    "feeds",
    "stock",
    "quotes",
    "identity",
    "bookings",
    "metrics",
];
const KINDS: [&str; 10] =
    ["api", "worker", "web", "sync", "export", "gateway", "scheduler", "ingest", "events", "batch"];
const MANAGED: [&str; 6] = ["db", "signing-key", "webhook-key", "partner-key", "cache-auth", "oauth-client"];
const PARAMETERS: [&str; 4] = ["smtp-password", "feature-token", "api-token", "tls-passphrase"];
const COMMON: [&str; 6] = [
    "common/datadog-key",
    "common/kafka-password",
    "common/otel-token",
    "common/redis-auth",
    "common/sentry-dsn",
    "common/ldap-bind",
];
const GIVEN: [&str; 20] = [
    "ana", "ben", "chloe", "dmitri", "elif", "farid", "greta", "hugo", "ines", "jonas", "kaja", "liam", "maya", "noor",
    "oscar", "priya", "quinn", "rosa", "sven", "tara",
];
const FAMILY: [&str; 10] =
    ["adler", "brandt", "costa", "dubois", "eriksen", "fischer", "garcia", "haas", "ivanov", "jensen"];

/// Where units run: production mostly.
const PLACES: [(Place, u32); 7] = [
    (Place { account: PROD, region: "us-east-1" }, 42),
    (Place { account: PROD, region: "eu-west-1" }, 16),
    (Place { account: STAGING, region: "us-east-1" }, 14),
    (Place { account: DATA, region: "us-east-1" }, 12),
    (Place { account: PLATFORM, region: "us-east-1" }, 9),
    (Place { account: PLATFORM, region: "eu-west-1" }, 4),
    (Place { account: SECURITY, region: "us-east-1" }, 3),
];

fn some_place(random: &mut Random) -> Place {
    let mut left = random.random_range(0..PLACES.iter().map(|(_, weight)| weight).sum());
    for (place, weight) in PLACES {
        if left < weight {
            return place;
        }
        left -= weight;
    }
    PLACES[0].0
}

fn some_style(random: &mut Random, index: usize) -> Style {
    // The first of each kind are there in the smallest fleet too.
    match index {
        0..=2 | 4 | 5 | 13 | 16 => Style::Deploys,
        3 => Style::ByPath,
        6 => Style::Monthly,
        9 => Style::Function,
        12 => Style::New,
        15 => Style::Retired,
        18 | 20 => Style::Scaling,
        21 | 22 => Style::Daily,
        _ => match random.random_range(0..100_u8) {
            0..=61 => Style::Deploys,
            62..=69 => Style::Scaling,
            70..=79 => Style::Function,
            80..=87 => Style::Daily,
            88..=91 => Style::Monthly,
            92..=94 => Style::ByPath,
            95..=96 => Style::Retired,
            _ => Style::New,
        },
    }
}

/// Draws services until there are `size` secrets, then the teams that look after them.
pub(super) fn fleet(seed: u64, size: usize, secrets: &mut Vec<Secret>) -> (Vec<Unit>, Vec<People>) {
    let mut random = random_for(seed, "fleet");
    let mut units: Vec<Unit> = Vec::new();
    if size <= secrets.len() {
        return (units, Vec::new());
    }
    let home = PLACES[0].0;
    for (index, name) in COMMON.iter().enumerate() {
        for (place, _) in PLACES {
            if place == home || index < 3 {
                secrets.push(Secret::new(seed, place, Kind::Manager, Fate::Ordinary, name));
            }
        }
    }
    for name in ["backup/root-credentials", "vault/break-glass-admin", "/payments/card-master-key"] {
        let kind = if name.starts_with('/') { Kind::Secure } else { Kind::Manager };
        secrets.push(Secret::new(seed, home, kind, Fate::Decoy, name));
    }
    for name in ["archive/ledger-2023-db", "archive/mainframe-ftp", "archive/settlement-key"] {
        secrets.push(Secret::new(seed, home, Kind::Manager, Fate::Dormant, name));
    }
    for (name, fate) in [("payroll/db", Fate::Stalled), ("audit-trail/db", Fate::Cancelled)] {
        secrets.push(Secret::new(seed, home, Kind::Manager, fate, name));
    }
    for run in 1..=3 {
        let place = Place { account: STAGING, region: "us-east-1" };
        secrets.push(Secret::new(seed, place, Kind::Manager, Fate::New, &format!("e2e-run-{run}/db")));
    }
    for index in 0.. {
        if secrets.len() >= size || index >= WORDS.len() * KINDS.len() {
            break;
        }
        let unit = unit(&mut random, seed, index, &units, secrets);
        units.push(unit);
    }
    let people = people(&mut random, &units, size);
    (units, people)
}

fn unit(random: &mut Random, seed: u64, index: usize, units: &[Unit], secrets: &mut Vec<Secret>) -> Unit {
    let (family, kind) = (index % WORDS.len(), KINDS[index / WORDS.len()]);
    // The small fleet must have room for everything that is planted, so its first units are at home.
    let place = if index < 12 { PLACES[index % 2 * 2].0 } else { some_place(random) };
    let name = if place.account == STAGING {
        format!("stg-{}-{kind}", WORDS[family])
    } else {
        format!("{}-{kind}", WORDS[family])
    };
    let style = some_style(random, index);
    let host = if chance(random, 0.65) { Host::Ecs } else { Host::Ec2 };
    let egress = match (index, random.random_range(0..10_u8)) {
        (2 | 13, _) => Egress::Mixed,
        (5 | 16, _) => Egress::Nat,
        (_, 0..=5) => Egress::Endpoint,
        (_, 6 | 7) => Egress::Nat,
        _ => Egress::Mixed,
    };
    let fate = if style == Style::New { Fate::New } else { Fate::Ordinary };
    let mut own = Vec::new();
    let mut push = |secrets: &mut Vec<Secret>, kind, fate, name: String| {
        own.push(secrets.len());
        secrets.push(Secret::new(seed, place, kind, fate, &name));
    };
    let managed = if style == Style::ByPath { 0 } else { random.random_range(1..5_usize) };
    for secret in MANAGED.iter().take(managed) {
        let turns = *secret == "db" && style != Style::New && style != Style::Retired && chance(random, 0.5);
        let fate = if turns { Fate::Rotated(random.random_range(3..20)) } else { fate };
        push(secrets, Kind::Manager, fate, format!("{name}/{secret}"));
    }
    let parameters = match style {
        Style::ByPath => 4,
        _ if egress == Egress::Mixed => random.random_range(1..4_usize),
        _ => random.random_range(0..4_usize),
    };
    for parameter in PARAMETERS.iter().take(parameters) {
        push(secrets, Kind::Secure, fate, format!("/{name}/{parameter}"));
    }
    // One in twelve has a secret that nobody reads any more.
    if chance(random, 0.08) && style != Style::New {
        let name = format!("{name}/old-{}", pick::<&str>(random, &["token", "db", "ftp"]));
        secrets.push(Secret::new(seed, place, Kind::Manager, Fate::Ordinary, &name));
    }
    let mut others = Vec::new();
    let common: Vec<_> = (0..secrets.len())
        .filter(|&at| secrets[at].place == place && secrets[at].name.starts_with("common/"))
        .collect();
    if style != Style::Retired && !common.is_empty() && chance(random, 0.7) {
        others.push(*pick(random, &common));
    }
    let sibling = units.iter().find(|unit| unit.family == family && unit.place == place && unit.is_running());
    if let Some(first) = sibling.and_then(|unit| unit.own.first())
        && style != Style::New
        && chance(random, 0.5)
    {
        others.push(*first);
    }
    let rest: Vec<_> = common.into_iter().filter(|secret| !others.contains(secret)).collect();
    let adopts = (chance(random, 0.08) && !rest.is_empty() && style == Style::Deploys).then(|| *pick(random, &rest));
    Unit {
        name,
        place,
        host,
        egress,
        style,
        tasks: random.random_range(1..4),
        deploy_days: random.random_range(2..12),
        hour: random.random_range(0..24),
        own,
        others,
        adopts,
        sdk: random.random_range(0..5),
        family,
    }
}

/// One team for every seven units: half in Europe, some in America and India.
fn people(random: &mut Random, units: &[Unit], size: usize) -> Vec<People> {
    let mut all = Vec::new();
    for (index, some) in units.chunks(7).enumerate() {
        let account = some[0].place.account;
        let secrets: Vec<_> = some
            .iter()
            .filter(|unit| unit.place.account == account && unit.is_running())
            .filter_map(|unit| unit.own.last().copied())
            .take(3)
            .collect();
        if secrets.is_empty() {
            continue;
        }
        let count = random.random_range(2..if size < 500 { 4 } else { 7 });
        let names = (0..count)
            .map(|person| format!("{}.{}", GIVEN[(index * 5 + person) % GIVEN.len()], FAMILY[index % FAMILY.len()]))
            .collect();
        all.push(People {
            permission_set: format!(
                "Team{}",
                ["Blue", "Green", "Amber", "Violet", "Red", "Grey"][index % 6].to_owned() + &"I".repeat(index / 6)
            ),
            account,
            names,
            morning: [8, 7, 14, 8, 4][index % 5],
            on_call: index % 3 == 1,
            secrets,
        });
    }
    all
}
