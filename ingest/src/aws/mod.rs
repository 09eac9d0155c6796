//! The connection to AWS: whose credentials, which endpoint, which clients; and what can be told about trails.
//!
//! ```text
//! AwsSettings ──▶ Aws::connect ── standard credential chain ── [assume_role] ──▶ s3(region)  sqs()  sts()
//!                                                                  └─ [accounts.X] ──▶ cloudtrail(account, region)
//! ```
//!
//! Invariants: no secret is read, printed or kept here (credentials live in the SDK's providers); every call has time limits;
//! a role in another account is assumed when it is first needed, and once.

pub mod clock;
mod connect;
mod failure;
mod settings;
pub mod trail;

pub(crate) use self::failure::{Answer, Failure, chain as error_text};
pub use self::{
    connect::{Aws, AwsError, AwsErrorKind, Identity},
    settings::{AccountRole, AssumeRole, AwsSettings, TimeLimits},
};
