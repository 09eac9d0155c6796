//! The crates depend on each other only along the allowed edges, and each heavy dependency has one owner.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crate, and which of our crates it may use. Growing this table needs a sentence in `docs/adr`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("keytrail-model", &[]),
    ("keytrail-lake", &["keytrail-model"]),
    ("keytrail-ingest", &["keytrail-model", "keytrail-lake"]),
    ("keytrail-alerts", &["keytrail-model"]),
    ("keytrail-rules", &["keytrail-model", "keytrail-lake", "keytrail-alerts"]),
    ("keytrail-queries", &["keytrail-model", "keytrail-lake"]),
    ("keytrail-dashboards", &[]),
    ("keytrail-simulator", &[]),
    (
        "keytrail",
        &[
            "keytrail-model",
            "keytrail-lake",
            "keytrail-ingest",
            "keytrail-alerts",
            "keytrail-rules",
            "keytrail-queries",
            "keytrail-dashboards",
            "keytrail-simulator",
        ],
    ),
];

/// Outside crates that only one of ours may name.
const OWNED: &[(&str, &str)] = &[
    ("deltalake", "keytrail-lake"),
    ("parquet", "keytrail-lake"),
    ("datafusion", "keytrail-lake"),
    ("arrow", "keytrail-lake"),
    ("axum", "keytrail-dashboards"),
    ("aws-sdk-cloudtrail", "keytrail-ingest"),
    ("aws-sdk-s3", "keytrail-ingest"),
    ("aws-sdk-sqs", "keytrail-ingest"),
    ("aws-sdk-sns", "keytrail-alerts"),
    ("lettre", "keytrail-alerts"),
    ("reqwest", "keytrail-alerts"),
    ("clap", "keytrail"),
];

#[test]
fn crates_use_each_other_only_along_the_allowed_edges() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ALLOWED.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(may_use) = allowed.get(name) else {
            wrong.push(format!("crate {name} is not in the table"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|it| it.kind == DependencyKind::Normal) {
            let used = dependency.name.as_str();
            if used.starts_with("keytrail") && !may_use.contains(used) {
                wrong.push(format!("{name} -> {used}"));
            }
            if let Some((_, owner)) = OWNED.iter().find(|(owned, _)| *owned == used)
                && *owner != name
            {
                wrong.push(format!("{name} -> {used}, which belongs to {owner}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(metadata.packages.len(), ALLOWED.len(), "a crate in the table is gone");
}
