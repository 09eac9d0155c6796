//! Exactly what was typed: no environment beyond clap's, no files, no decisions.

mod alerts;
mod rules;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::{
    alerts::{ActArgs, AlertsCommand, ListArgs, SuppressArgs},
    rules::{BacktestArgs, RulesCommand, SpanArgs},
};

/// Who used which secret, from where, should they still be able to, and did we see everything?
#[derive(Debug, Parser)]
#[command(
    name = "keytrail",
    version,
    max_term_width = 110,
    after_help = "Exit codes and the configuration: docs/CLI.md"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Folder of the lake, or `s3://bucket/prefix`
    #[arg(long, global = true, env = "KEYTRAIL_LAKE", value_name = "DIR|s3://…")]
    pub(crate) lake: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, global = true, env = "KEYTRAIL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How data is printed on standard output
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
    /// Print nothing on standard error but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    Table,
    Json,
    Ndjson,
    Csv,
    Parquet,
    Arrow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeArg {
    /// Keep what touches secrets
    Secrets,
    /// Also keep every record, in the table `events`
    All,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Simulate an organisation, ingest it, judge it and show what was found
    Demo(DemoArgs),
    /// Read CloudTrail files, folders, buckets or standard input into the lake, then judge what is new
    Ingest(IngestArgs),
    /// Work: take notifications from the queue, read what they announce, judge it, and keep watch
    Run(RunArgs),
    /// Compare what the buckets hold with the ledger and read what no notification announced
    Reconcile(ReconcileArgs),
    /// Judge what has not been judged yet
    Detect,
    /// Run a named query or SQL over the lake
    Query(QueryArgs),
    /// List and show alerts, say what became of them, silence what is expected, keep evidence
    #[command(subcommand)]
    Alerts(AlertsCommand),
    /// List, show, check and test rules; replay history through them, and say why they did or did not fire
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Who is told of alerts: list, test, deliver now, take up again what was parked
    #[command(subcommand)]
    Sinks(SinksCommand),
    /// Reports about the lake
    #[command(subcommand)]
    Report(ReportCommand),
    /// What could not be read, and why; and reading it again
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Check queue, buckets, permissions, lake, trails, clock and sinks
    Doctor(DoctorArgs),
    /// Show the settings in force and where each comes from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the least-privilege IAM policy that the worker needs
    IamPolicy(IamPolicyArgs),
    /// Look after the lake: compaction, retention
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Write the CloudTrail of an organisation that does not exist, with labels of what must be found
    Simulate(SimulateArgs),
    /// Judge a simulated folder and compare the alerts with its labels
    Eval(EvalArgs),
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Where to keep the simulated bucket and the lake
    #[arg(long, default_value = "keytrail-demo", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The same seed gives the same organisation
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Days of history; `unused_secret` needs more than 90
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(3..=400))]
    pub(crate) days: u32,
    /// Leave without serving pages (there are none to serve yet: accepted so that scripts stay valid)
    #[arg(long, hide = true)]
    pub(crate) no_serve: bool,
}

#[derive(Args, Debug)]
pub(crate) struct IngestArgs {
    /// Files or folders, `s3://bucket/prefix`, or `-` for standard input
    #[arg(required = true, value_name = "PATH|s3://…")]
    pub(crate) paths: Vec<String>,
    /// What to keep
    #[arg(long, value_enum)]
    pub(crate) scope: Option<ScopeArg>,
    /// Only objects delivered at or after this time, where the path tells (UTC; `2026-08-01` or RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only objects delivered before this time, where the path tells
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Do not judge what was read; `keytrail detect` does it later
    #[arg(long)]
    pub(crate) no_rules: bool,
    /// Of a bucket: only these accounts
    #[arg(long = "account", value_name = "ID")]
    pub(crate) accounts: Vec<String>,
    /// Of a bucket: only these regions
    #[arg(long = "region", value_name = "REGION")]
    pub(crate) regions: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// URL of the SQS queue
    #[arg(long, value_name = "URL", conflicts_with = "folder")]
    pub(crate) queue_url: Option<String>,
    /// Watch a folder instead of a queue: every file put there is read
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics answer
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,
    /// What to keep
    #[arg(long, value_enum)]
    pub(crate) scope: Option<ScopeArg>,
    /// Do not judge; another process does it with `keytrail detect`
    #[arg(long)]
    pub(crate) no_rules: bool,
    /// End once the queue has had nothing for this long, for example `30s`
    #[arg(long, value_name = "DURATION")]
    pub(crate) until_idle: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ReconcileArgs {
    /// What to compare; without any, `reconcile.buckets` of the configuration
    #[arg(value_name = "s3://…")]
    pub(crate) buckets: Vec<String>,
    /// How far back, for example `3d`
    #[arg(long, value_name = "DURATION")]
    pub(crate) look_back: Option<String>,
    /// Do not judge what was read; `keytrail detect` does it later
    #[arg(long)]
    pub(crate) no_rules: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Only ask the worker that runs here whether it is alive: a health check for containers
    #[arg(long)]
    pub(crate) live: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting, its value and its origin
    Show,
}

#[derive(Args, Debug)]
pub(crate) struct IamPolicyArgs {
    /// A bucket of trail objects, besides those in the configuration
    #[arg(long = "bucket", value_name = "NAME")]
    pub(crate) buckets: Vec<String>,
    /// The KMS key that the trail's objects are encrypted with
    #[arg(long, value_name = "ARN")]
    pub(crate) kms_key: Option<String>,
    /// The policy of the role that is assumed in other accounts, instead of the worker's
    #[arg(long)]
    pub(crate) reader_role: bool,
}

#[derive(Args, Debug)]
pub(crate) struct QueryArgs {
    /// A named query; without one, and without -e or -f, the queries are listed
    #[arg(value_name = "NAME", conflicts_with_all = ["sql", "file"])]
    pub(crate) name: Option<String>,
    /// SQL to run
    #[arg(short = 'e', long = "execute", value_name = "SQL", conflicts_with = "file")]
    pub(crate) sql: Option<String>,
    /// A file of SQL to run, `-` for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// A parameter of the query, `name=value`; in SQL it is `$name`
    #[arg(long = "param", short = 'p', value_name = "K=V")]
    pub(crate) params: Vec<String>,
    /// At most this many rows
    #[arg(long, value_name = "N")]
    pub(crate) max_rows: Option<usize>,
    /// At most this long, for example `30s`
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
    /// Show the SQL and parameters of a named query instead of running it
    #[arg(long, requires = "name")]
    pub(crate) show: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SinksCommand {
    /// Every sink, what it was sent and what waits or is parked
    List,
    /// Send a test message to one sink, or to each
    Test {
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Take up again what was parked or waits for its next try
    Retry {
        /// A delivery's id, or how it begins
        #[arg(value_name = "DELIVERY", required_unless_present = "all")]
        id: Option<String>,
        /// Everything that is parked or waits
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Send what is due now, then end: for `keytrail ingest` under cron
    Deliver,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Secrets that nobody uses, with what cannot be told and why
    Unused {
        /// How long a secret must have been silent
        #[arg(long)]
        days: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Objects and records that could not be read
    List,
    /// Everything known of one object that could not be read
    Show {
        /// Its key, or the end of it
        key: String,
    },
    /// Read again what could not be read, after permissions, limits or the program have changed
    Retry {
        /// Keys, or the ends of them; without any and without --all nothing is done
        #[arg(value_name = "KEY", required_unless_present = "all")]
        keys: Vec<String>,
        /// Everything that is quarantined
        #[arg(long, conflicts_with = "keys")]
        all: bool,
        /// The folder that files were read from: their keys are relative to it
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Tables, files, rows and versions
    Info,
    /// Merge small files; rows stay as they are
    Compact,
    /// Drop the days that are older than this
    Retain {
        #[arg(long)]
        days: u32,
    },
    /// Delete files that no table version of the last 7 days needs
    Vacuum,
}

#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// Folder to write; empty, or made by the same options
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(3..=400))]
    pub(crate) days: u32,
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Multiplies the unrelated traffic
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// How large the organisation is: `small`, `full` (1,000 secrets, 300 principals), or a number of secrets
    #[arg(long, default_value = "small", value_parser = keytrail_simulator::fleet_size, value_name = "small|full|N")]
    pub(crate) fleet: u32,
    /// Minutes of traffic in one object; CloudTrail itself writes about every 5
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=720))]
    pub(crate) file_minutes: u32,
}

#[derive(Args, Debug)]
pub(crate) struct EvalArgs {
    /// Folders that `keytrail simulate` wrote; several are measured each by itself, then together
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
}
