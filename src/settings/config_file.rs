//! The configuration as a whole: which sections there are, and by which path each is reached.
//!
//! One list serves the reader, the environment, `config show` and the reference, so that they cannot differ.

use std::collections::BTreeMap;

use super::{
    aws::AwsSection,
    ingest::{AccessLogSection, IngestSection},
    judging::{AlertsSection, PolicySection, QuerySection, ReadersSection},
    key::{Section, section},
    lake_place::LakePlace,
    queue::QueueSection,
    reconcile::{CoverageSection, ReconcileSection},
    service::{HttpSection, LogSection},
    sinks::DeliverySection,
    worker::WorkerSection,
};

section! {
    /// Keys that belong to no section.
    struct RootSection {
        /// Where the lake is: a folder, or `s3://bucket/prefix`.
        lake: LakePlace = LakePlace::default();
    }
}

/// Everything that can be configured, with the defaults where nothing is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ConfigFile {
    pub(crate) root: RootSection,
    pub(crate) aws: AwsSection,
    pub(crate) queue: QueueSection,
    pub(crate) worker: WorkerSection,
    pub(crate) reconcile: ReconcileSection,
    pub(crate) coverage: CoverageSection,
    pub(crate) http: HttpSection,
    pub(crate) log: LogSection,
    pub(crate) ingest: IngestSection,
    pub(crate) access_log: AccessLogSection,
    pub(crate) policy: PolicySection,
    pub(crate) readers: ReadersSection,
    pub(crate) query: QuerySection,
    pub(crate) alerts: AlertsSection,
    pub(crate) delivery: DeliverySection,
    /// `[rules.RULE_ID]`: parameters of one rule; the rule itself says which exist.
    pub(crate) rules: BTreeMap<String, toml::Table>,
}

/// `[access_log.fields]`: its keys are the names of our fields.
pub(crate) const FIELDS: &str = "access_log.fields";
/// `[rules.RULE_ID]`: its keys are the rule's own.
pub(crate) const RULES: &str = "rules";

macro_rules! registry {
    ($( $path:literal => $($part:ident).+ ; )+) => {
        /// Paths of the sections, in the order of the reference; "" is what stands before the first.
        pub(crate) const SECTIONS: &[&str] = &[$($path),+];

        impl ConfigFile {
            pub(crate) fn section(&self, path: &str) -> Option<&dyn Section> {
                match path { $( $path => Some(&self.$($part).+), )+ _ => None }
            }

            pub(crate) fn section_mut(&mut self, path: &str) -> Option<&mut dyn Section> {
                match path { $( $path => Some(&mut self.$($part).+), )+ _ => None }
            }
        }
    };
}

registry! {
    "" => root;
    "aws" => aws;
    "aws.assume_role" => aws.assume_role;
    "queue" => queue;
    "worker" => worker;
    "reconcile" => reconcile;
    "coverage" => coverage;
    "http" => http;
    "log" => log;
    "ingest" => ingest;
    "access_log" => access_log;
    "policy" => policy;
    "readers" => readers;
    "query" => query;
    "alerts" => alerts;
    "delivery" => delivery;
}

/// A section that may stand there many times: `[[aws.accounts]]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeated {
    pub(crate) path: &'static str,
    pub(crate) required: &'static [&'static str],
}

impl Repeated {
    /// The section it is shown after: the one above it, and for lists of the top level the one they belong to.
    pub(crate) fn shown_after(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("delivery", |(above, _)| above)
    }
}

pub(crate) const REPEATED: &[Repeated] = &[
    Repeated { path: "aws.accounts", required: &["id", "role_arn"] },
    Repeated { path: "policy.network", required: &[] },
    Repeated { path: "sink", required: &["name", "kind"] },
    Repeated { path: "route", required: &["sinks"] },
];

impl ConfigFile {
    /// The entries of a repeated section, in the order of the file.
    pub(crate) fn entries(&self, path: &str) -> Vec<&dyn Section> {
        fn all<T: Section>(entries: &[T]) -> Vec<&dyn Section> {
            entries.iter().map(|entry| entry as &dyn Section).collect()
        }
        match path {
            "aws.accounts" => all(&self.aws.accounts),
            "policy.network" => all(&self.policy.network),
            "sink" => all(&self.delivery.sink),
            "route" => all(&self.delivery.route),
            _ => Vec::new(),
        }
    }

    /// Adds an entry with its defaults, to be filled.
    pub(crate) fn add_entry(&mut self, path: &str) -> Option<&mut dyn Section> {
        fn added<T: Section + Default>(entries: &mut Vec<T>) -> Option<&mut dyn Section> {
            entries.push(T::default());
            entries.last_mut().map(|entry| entry as &mut dyn Section)
        }
        match path {
            "aws.accounts" => added(&mut self.aws.accounts),
            "policy.network" => added(&mut self.policy.network),
            "sink" => added(&mut self.delivery.sink),
            "route" => added(&mut self.delivery.route),
            _ => None,
        }
    }
}

/// Names that may stand directly below a path: keys, sections, lists.
pub(crate) fn names_below(path: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = ConfigFile::default()
        .section(path)
        .map_or_else(Vec::new, |section| section.keys().iter().map(|key| key.name).collect());
    let tables = SECTIONS.iter().copied().chain(REPEATED.iter().map(|list| list.path)).chain([FIELDS, RULES]);
    for table in tables {
        let below = if path.is_empty() {
            Some(table)
        } else {
            table.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'))
        };
        if let Some(name) = below.and_then(|below| below.split('.').next()).filter(|name| !name.is_empty())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}
