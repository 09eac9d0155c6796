//! What may be typed behind `keytrail alerts`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Alerts, the worst and newest first
    List(ListArgs),
    /// One alert: why it is odd, its evidence, what to do, what became of it
    Show { id: String },
    /// Say that somebody looks after it
    Ack {
        id: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Close it with a verdict
    Close {
        id: String,
        /// true_positive, expected, false_positive or duplicate
        #[arg(long)]
        verdict: String,
        #[command(flatten)]
        act: ActArgs,
    },
    /// Stop telling of some findings for a while; they are recorded all the same
    Suppress(SuppressArgs),
    /// Who silenced what, for how long and why
    Suppressions {
        /// Also those that have ended or run out
        #[arg(long)]
        all: bool,
    },
    /// End a suppression before its time
    Unsuppress {
        id: String,
        /// Who does it; without it, the user of this machine
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Write a folder that holds everything an alert rests on and reproduces it
    Evidence {
        id: String,
        /// An empty or new folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Args, Debug, Default)]
pub(crate) struct ListArgs {
    /// open, acknowledged, closed or suppressed
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// A rule's id, or a glob
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// This severity and worse: info, low, medium, high, critical
    #[arg(long)]
    pub(crate) severity: Option<String>,
    /// A part of the principal's id, or a glob
    #[arg(long, value_name = "TEXT|GLOB")]
    pub(crate) principal: Option<String>,
    /// A part of a secret's id, or a glob
    #[arg(long, value_name = "TEXT|GLOB")]
    pub(crate) secret: Option<String>,
    /// Only alerts with an event at or after this time (`2026-08-01` or RFC 3339), or this long ago (`7d`)
    #[arg(long, value_name = "TIME|DURATION")]
    pub(crate) since: Option<String>,
    /// Also those that are closed, suppressed or historical
    #[arg(long)]
    pub(crate) all: bool,
}

/// Who does it and what they say.
#[derive(Args, Debug)]
pub(crate) struct ActArgs {
    #[arg(long)]
    pub(crate) note: Option<String>,
    /// Who does it; without it, the user of this machine
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SuppressArgs {
    /// Take what is not given from this alert: its rule, principal, secret and account
    #[arg(long, value_name = "ID")]
    pub(crate) from_alert: Option<String>,
    /// A rule's id, or a glob
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// A glob on the principal's id
    #[arg(long, value_name = "GLOB")]
    pub(crate) principal: Option<String>,
    /// A glob that the id of every secret of the alert matches
    #[arg(long, value_name = "GLOB")]
    pub(crate) secret: Option<String>,
    /// A network that every address of the alert lies in
    #[arg(long, value_name = "CIDR")]
    pub(crate) network: Option<String>,
    /// The account's id
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Who answers for it
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// For how long, at most 90 days: `14d`
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
    pub(crate) lasting: Option<String>,
    /// Until when, at most 90 days ahead
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only show what it would have covered in the last 30 days
    #[arg(long, conflicts_with = "yes")]
    pub(crate) preview: bool,
    /// Also when it would have covered alerts that were true positives
    #[arg(long)]
    pub(crate) yes: bool,
    /// Who makes it; without it, the user of this machine
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
}
