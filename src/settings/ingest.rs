//! `[ingest]` and `[access_log]`: what is kept of an object, its caps, and when a commit is due.

use std::collections::BTreeMap;

use super::{
    key::{Within, section},
    units::{ByteSize, words},
};

/// No cap may be so small that nothing passes.
const LEAST: ByteSize = ByteSize(1 << 10);

section! {
    /// What is kept, what caps one object, and when a commit is due.
    struct IngestSection {
        /// `secrets` keeps what touches secrets; `all` also keeps every record, in the table `events`.
        scope: ScopeWord = ScopeWord::Secrets;
        /// One object, decompressed; over it the object is quarantined.
        max_object_bytes: ByteSize = ByteSize::mib(192), Within(LEAST, ByteSize::mib(4096));
        /// How many times its own size an object may unpack to.
        max_gzip_ratio: usize = 300, Within(2, 100_000);
        /// One record.
        max_record_bytes: ByteSize = ByteSize::mib(1), Within(LEAST, ByteSize::mib(1024));
        /// Nesting of JSON.
        max_depth: usize = 96, Within(8, 128);
        /// A commit is due at this many rows.
        batch_rows: usize = 100_000, Within(1, 10_000_000);
        /// A commit is due at this many objects.
        batch_objects: usize = 1_000, Within(1, 1_000_000);
        /// A commit is due at this much redacted JSON.
        batch_bytes: ByteSize = ByteSize::mib(32), Within(LEAST, ByteSize::mib(4096));
    }
}

words! {
    /// What is kept of the records.
    enum ScopeWord ("`secrets` or `all`", "\"secrets\"") { Secrets = "secrets", All = "all" }
}

section! {
    /// Your API Gateway access-log template, in `[access_log.fields]`: our name = your key.
    struct AccessLogSection {}
    with {
        /// Canonical field name to the key in your access-log template.
        fields: BTreeMap<String, String>,
    }
}
