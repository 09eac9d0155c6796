//! `[policy]`, `[readers]`, `[query]` and `[alerts]`: what rules and queries are told.

use std::path::PathBuf;

use super::{
    key::{Within, section},
    units::{ByteSize, HumanDuration},
};

section! {
    /// From where secrets may be read: `[[policy.network]]`.
    struct PolicySection {}
    with {
        /// The first entry that matches secret and principal decides.
        network: Vec<NetworkEntry>,
    }
}

section! {
    /// Networks for some secrets and principals; the first entry that matches both decides.
    struct NetworkEntry {
        /// Globs over the secret's name or ARN.
        secrets: Vec<String> = vec!["*".to_owned()];
        /// Globs over the principal.
        principals: Vec<String> = vec!["*".to_owned()];
        /// Networks that reads may come from.
        cidrs: Vec<String> = Vec::new();
        /// VPC endpoints that reads may come through.
        vpc_endpoints: Vec<String> = Vec::new();
    }
}

section! {
    /// Readers that are no consumers.
    struct ReadersSection {
        /// Globs over `principal_id`: rotation functions, replication, scanners, infrastructure as code. They never make a secret used.
        upkeep: Vec<String> = Vec::new();
        /// Globs over `principal_id`: agents that copy secrets elsewhere; what only they read is `sync_only`.
        sync_agents: Vec<String> = Vec::new();
    }
}

section! {
    /// Limits of one query.
    struct QuerySection {
        /// Rows shown; without it 10,000 in tables and 1,000,000 in the other formats.
        max_rows: Option<usize> = None, Within(1, 1_000_000_000);
        /// How long it may run.
        timeout: HumanDuration = HumanDuration::seconds(60), Within(HumanDuration(std::time::Duration::from_millis(1)), HumanDuration::days(1));
        /// Memory for sorts, groups and joins; beyond it they spill.
        max_memory: ByteSize = ByteSize::mib(512), Within(ByteSize::mib(16), ByteSize::mib(1 << 20));
        /// Temporary files for what spills.
        max_temp_disk: ByteSize = ByteSize::mib(4096), Within(ByteSize(0), ByteSize::mib(1 << 24));
    }
}

section! {
    /// What becomes of findings.
    struct AlertsSection {
        /// Folder with rule packs of your own, one folder each; they replace built-in ones of the same id.
        packs: Option<PathBuf> = None;
        /// Findings older than this, against the newest delivery, are recorded as historical and never sent.
        historical_after: HumanDuration = HumanDuration::hours(24), Within(HumanDuration::minutes(1), HumanDuration::days(36_500));
    }
}
