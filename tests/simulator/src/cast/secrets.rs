//! The secrets and parameters, with the reason each of them exists.

use super::accounts::{DATA, PLATFORM, PROD, Place, SECURITY, STAGING};
use crate::random::{alnum, random_for, uuid};

/// How a secret is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Secrets Manager.
    Manager,
    /// Parameter Store, `SecureString`: reads have KMS evidence.
    Secure,
    /// Parameter Store, `String`: reads have none.
    Plain,
}

/// What happens to a secret apart from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Ordinary,
    /// Rotated every thirty days, first on this day and thirds of a day.
    Rotated(i64),
    /// Read by the infrastructure-as-code refresh as well.
    Refreshed,
    /// Made in the middle of the window.
    New,
    /// Deleted in the middle of the window.
    Deleted,
    /// Read only once, when its only task started.
    StartTime,
    /// Only ever reached through a path read that names nothing.
    ByPath,
    /// Read on the first day, and then by nobody for a long time.
    Dormant,
    /// Rotated every week until somebody switches the function off.
    Stalled,
    /// Rotated every week until the schedule is cancelled.
    Cancelled,
    /// Bait: nothing is configured with it, so nobody has a reason to read it.
    Decoy,
}

/// A secret of the table.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) fate: Fate,
    /// The canonical id.
    pub(crate) id: String,
    /// The KMS key that protects it.
    pub(crate) key_arn: String,
}

type Row = (&'static str, &'static str, Kind, Fate, &'static [&'static str]);

const USE1: &str = "us-east-1";
const EUW1: &str = "eu-west-1";
const EUC1: &str = "eu-central-1";

const TABLE: &[Row] = &[
    (PROD, USE1, Kind::Manager, Fate::Rotated(4), &["orders/db"]),
    (PROD, USE1, Kind::Manager, Fate::Rotated(6), &["payments/db"]),
    (PROD, USE1, Kind::Manager, Fate::Rotated(8), &["catalog/db"]),
    (PROD, USE1, Kind::Manager, Fate::Rotated(10), &["users/db"]),
    (PROD, USE1, Kind::Manager, Fate::Rotated(12), &["checkout/session-key"]),
    (PROD, USE1, Kind::Manager, Fate::Rotated(14), &["catalog/search-key"]),
    (PROD, EUW1, Kind::Manager, Fate::Rotated(19), &["eu-orders/db"]),
    (DATA, USE1, Kind::Manager, Fate::Rotated(11), &["etl/warehouse-db"]),
    (DATA, USE1, Kind::Manager, Fate::Rotated(13), &["archive/warehouse-db"]),
    (PROD, USE1, Kind::Manager, Fate::Refreshed, &["payments/psp-token", "users/jwt-key", "orders/stripe-webhook"]),
    (PROD, USE1, Kind::Manager, Fate::Refreshed, &["infra/bootstrap-token"]),
    (
        PROD,
        USE1,
        Kind::Manager,
        Fate::Ordinary,
        &["payments/signing-key", "reporting/replica-db", "legacy/ftp-password"],
    ),
    (
        PROD,
        USE1,
        Kind::Manager,
        Fate::Ordinary,
        &["legacy/partner-sftp", "rds!cluster-6f0b9c1e-52d7-4c0e-9a61-3f0d4b7c8e21"],
    ),
    (PROD, USE1, Kind::Manager, Fate::StartTime, &["licensing/license-key"]),
    (PROD, USE1, Kind::Manager, Fate::Deleted, &["old/reporting-db"]),
    (PROD, USE1, Kind::Manager, Fate::New, &["invoicing/db", "invoicing/signing-key", "invoicing/tax-api-key"]),
    (
        PROD,
        USE1,
        Kind::Manager,
        Fate::Ordinary,
        &["k8s/registry-cred", "k8s/datadog-key", "k8s/slack-hook", "k8s/tls-bundle"],
    ),
    (
        PROD,
        USE1,
        Kind::Manager,
        Fate::Ordinary,
        &[
            "shared/partner-01",
            "shared/partner-02",
            "shared/partner-03",
            "shared/partner-04",
            "shared/partner-05",
            "shared/partner-06",
            "shared/partner-07",
            "shared/partner-08",
        ],
    ),
    (
        PROD,
        USE1,
        Kind::Secure,
        Fate::Ordinary,
        &["/shared/partner-09", "/shared/partner-10", "/shared/partner-11", "/shared/partner-12"],
    ),
    (PROD, USE1, Kind::Secure, Fate::Ordinary, &["/orders/feature-token", "/payments/fraud-key", "/catalog/cdn-key"]),
    (PROD, USE1, Kind::Secure, Fate::Ordinary, &["/orders/tax-token", "/orders/mail-token", "/payments/ledger-token"]),
    (
        PROD,
        USE1,
        Kind::Secure,
        Fate::Ordinary,
        &["/users/smtp-password", "checkout-flag-token", "/legacy-app/api-token"],
    ),
    (PROD, USE1, Kind::Secure, Fate::Ordinary, &["/legacy-app/smtp-password"]),
    (PROD, USE1, Kind::Secure, Fate::New, &["/invoicing/mail-token"]),
    (PROD, EUW1, Kind::Manager, Fate::Ordinary, &["eu-orders/api-key", "eu-search/api-key"]),
    (PROD, EUW1, Kind::Secure, Fate::Ordinary, &["/eu-orders/tax-key"]),
    (
        PROD,
        EUC1,
        Kind::Manager,
        Fate::Ordinary,
        &["berlin-pos/db", "berlin-pos/terminal-key", "berlin-pos/old-terminal-key"],
    ),
    (PROD, EUC1, Kind::Secure, Fate::Ordinary, &["/berlin-pos/old-pin-pad-key"]),
    (PLATFORM, USE1, Kind::Manager, Fate::Ordinary, &["proxy/stripe-key", "proxy/sendgrid-key", "ci/deploy-token"]),
    (PLATFORM, USE1, Kind::Manager, Fate::Refreshed, &["ci/npm-token", "platform/grafana-admin"]),
    (PLATFORM, USE1, Kind::Manager, Fate::Ordinary, &["loader/feed-a", "loader/feed-b", "loader/feed-c"]),
    (PLATFORM, USE1, Kind::Secure, Fate::Ordinary, &["/ci/sonar-token"]),
    (PLATFORM, USE1, Kind::Plain, Fate::ByPath, &["/legacy/config/endpoint-key", "/legacy/config/tenant-key"]),
    (PLATFORM, USE1, Kind::Secure, Fate::ByPath, &["/legacy/config/token"]),
    (PLATFORM, EUW1, Kind::Manager, Fate::Ordinary, &["eu-edge/tls-key"]),
    (DATA, USE1, Kind::Manager, Fate::Ordinary, &["etl/s3-partner-key", "ml/hf-key"]),
    (DATA, USE1, Kind::Secure, Fate::Ordinary, &["/etl/jdbc-password"]),
    (STAGING, USE1, Kind::Manager, Fate::Ordinary, &["stg/orders-db", "stg/payments-db"]),
    (STAGING, USE1, Kind::Secure, Fate::Ordinary, &["/stg/feature-token"]),
    (SECURITY, USE1, Kind::Manager, Fate::Ordinary, &["sec/siem-token"]),
];

impl Secret {
    /// A secret with the identifiers that follow from the seed and its name.
    pub(super) fn new(seed: u64, place: Place, kind: Kind, fate: Fate, name: &str) -> Self {
        let Place { account, region } = place;
        let key = uuid(&mut random_for(seed, &format!("key {account} {region}")));
        let id = match kind {
            Kind::Manager => {
                let suffix = alnum(&mut random_for(seed, &format!("suffix {account} {region} {name}")), 6);
                format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{suffix}")
            }
            Kind::Secure | Kind::Plain => {
                format!("arn:aws:ssm:{region}:{account}:parameter/{}", name.trim_start_matches('/'))
            }
        };
        let key_arn = format!("arn:aws:kms:{region}:{account}:key/{key}");
        Self { name: name.to_owned(), kind, place, fate, id, key_arn }
    }
}

/// The whole table, with the identifiers of one seed.
pub(crate) fn secrets(seed: u64) -> Vec<Secret> {
    let mut all = Vec::new();
    for &(account, region, kind, fate, names) in TABLE {
        all.extend(names.iter().map(|name| Secret::new(seed, Place { account, region }, kind, fate, name)));
    }
    all
}
