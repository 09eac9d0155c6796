//! What may be typed behind `keytrail rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Every rule: its state, how often it was right, how severe it is
    List,
    /// One rule: what it means, its parameters, its SQL and its guide
    Show { id: String },
    /// Look for mistakes in rule packs without running them
    Check { dir: Option<PathBuf> },
    /// Run the samples of every rule: `fires/` must, `quiet/` must not
    Test {
        dir: Option<PathBuf>,
        /// Only the rules whose id holds this text
        #[arg(long)]
        only: Option<String>,
    },
    /// What rules would have alerted on, had they judged the lake's history
    Backtest(BacktestArgs),
    /// Why an alert was raised, or why an event raised none
    Explain {
        /// An alert's or an event's id
        #[arg(value_name = "ALERT|EVENT")]
        id: String,
        /// Only this rule
        #[arg(long, value_name = "ID")]
        rule: Option<String>,
    },
    /// What two versions of rules say about the same history
    Diff {
        /// A folder of packs, a rule's id, or `builtin`
        old: String,
        /// A folder of packs, a rule's id, or `builtin`
        new: String,
        #[command(flatten)]
        span: SpanArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct BacktestArgs {
    /// A rule's id, or a folder of packs; without it, every rule
    #[arg(value_name = "ID|DIR")]
    pub(crate) what: Option<String>,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// How many examples of each rule
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) examples: usize,
}

/// Which days alerts are counted on. Everything before is learned from, as it would have been.
#[derive(Args, Debug)]
pub(crate) struct SpanArgs {
    /// The last days that the lake holds; without it and without --since, everything
    #[arg(long, value_name = "N", conflicts_with_all = ["since"])]
    pub(crate) days: Option<u32>,
    /// From this time on (UTC; `2026-08-01` or RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}
