//! The workloads that read secrets: where they run, what they read, how often they are deployed.

use super::accounts::{DATA, PLATFORM, PROD, Place, STAGING};

/// Where a service runs, which decides the shape of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Ecs,
    Ec2,
}

/// A service that reads its secrets when a task starts.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) host: Host,
    pub(crate) tasks: usize,
    /// Days between deploys.
    pub(crate) deploy_days: i64,
    /// Whether its calls leave through the VPC endpoint rather than the NAT gateway.
    pub(crate) through_endpoint: bool,
    pub(crate) secrets: &'static [&'static str],
}

impl Service {
    pub(crate) fn role_name(&self) -> String {
        format!("svc-{}", self.name)
    }
}

/// A Lambda function that keeps a secret for some minutes.
#[derive(Debug)]
pub(crate) struct Caching {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) secrets: &'static [&'static str],
}

const fn at(account: &'static str, region: &'static str) -> Place {
    Place { account, region }
}

macro_rules! service {
    ($name:literal, $place:expr, $host:ident, $tasks:literal, $days:literal, $endpoint:literal, [$($secret:literal),*]) => {
        Service {
            name: $name, place: $place, host: Host::$host, tasks: $tasks, deploy_days: $days,
            through_endpoint: $endpoint, secrets: &[$($secret),*],
        }
    };
}

pub(crate) const SERVICES: &[Service] = &[
    service!(
        "orders",
        at(PROD, "us-east-1"),
        Ecs,
        3,
        4,
        true,
        ["orders/db", "orders/stripe-webhook", "/orders/feature-token", "/orders/tax-token", "/orders/mail-token"]
    ),
    service!(
        "payments",
        at(PROD, "us-east-1"),
        Ecs,
        3,
        5,
        true,
        ["payments/db", "payments/psp-token", "payments/signing-key", "/payments/fraud-key", "/payments/ledger-token"]
    ),
    service!(
        "catalog",
        at(PROD, "us-east-1"),
        Ec2,
        2,
        6,
        false,
        ["catalog/db", "catalog/search-key", "/catalog/cdn-key"]
    ),
    service!("users", at(PROD, "us-east-1"), Ecs, 2, 4, true, ["users/db", "users/jwt-key", "/users/smtp-password"]),
    service!(
        "checkout",
        at(PROD, "us-east-1"),
        Ec2,
        2,
        7,
        true,
        ["checkout/session-key", "orders/stripe-webhook", "checkout-flag-token"]
    ),
    service!(
        "partner-gateway",
        at(PROD, "us-east-1"),
        Ecs,
        2,
        9,
        true,
        [
            "shared/partner-01",
            "shared/partner-02",
            "shared/partner-03",
            "shared/partner-04",
            "shared/partner-05",
            "shared/partner-06",
            "shared/partner-07",
            "shared/partner-08",
            "/shared/partner-09",
            "/shared/partner-10",
            "/shared/partner-11",
            "/shared/partner-12"
        ]
    ),
    service!(
        "eu-orders",
        at(PROD, "eu-west-1"),
        Ecs,
        2,
        5,
        true,
        ["eu-orders/db", "eu-orders/api-key", "/eu-orders/tax-key"]
    ),
    service!("eu-search", at(PROD, "eu-west-1"), Ec2, 2, 8, false, ["eu-search/api-key"]),
    service!("berlin-pos", at(PROD, "eu-central-1"), Ec2, 1, 6, true, ["berlin-pos/db", "berlin-pos/terminal-key"]),
    service!("eu-edge", at(PLATFORM, "eu-west-1"), Ec2, 1, 7, false, ["eu-edge/tls-key"]),
    service!(
        "stg-orders",
        at(STAGING, "us-east-1"),
        Ecs,
        1,
        3,
        true,
        ["stg/orders-db", "stg/payments-db", "/stg/feature-token"]
    ),
    service!("ml-trainer", at(DATA, "us-east-1"), Ec2, 1, 9, true, ["ml/hf-key"]),
];

pub(crate) const CACHING: &[Caching] = &[
    Caching {
        name: "webhook-dispatch",
        place: at(PROD, "us-east-1"),
        secrets: &["orders/stripe-webhook", "users/jwt-key"],
    },
    Caching {
        name: "secrets-proxy",
        place: at(PLATFORM, "us-east-1"),
        secrets: &["proxy/stripe-key", "proxy/sendgrid-key"],
    },
    Caching { name: "etl-trigger", place: at(DATA, "us-east-1"), secrets: &["etl/s3-partner-key"] },
];
