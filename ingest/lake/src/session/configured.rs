//! Tables that come from the configuration: `reader_classes` and `policy_networks`.
//!
//! In: the parsed settings. Out: small in-memory tables, empty where nothing is configured, so that rules and queries
//! need not ask whether they exist.

use std::sync::Arc;

use deltalake::{
    arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
    },
    datafusion::{catalog::MemTable, common::Result},
};

/// One pattern of `[readers]` and its class (`upkeep`, `sync_agent`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderClass {
    pub pattern: String,
    pub class: String,
}

/// One `[[policy.network]]`: which networks may use which secrets. An empty list of globs means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyNetwork {
    pub secrets: Vec<String>,
    pub principals: Vec<String>,
    pub cidrs: Vec<String>,
    pub vpc_endpoints: Vec<String>,
}

pub(super) fn reader_classes(classes: &[ReaderClass]) -> Result<MemTable> {
    let schema = Arc::new(Schema::new(vec![text("pattern", false), text("class", false)]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(classes.iter().map(|class| &class.pattern))),
        Arc::new(StringArray::from_iter_values(classes.iter().map(|class| &class.class))),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    MemTable::try_new(schema, vec![vec![batch]])
}

/// One row for each (policy, secret glob, principal glob, allowed network or endpoint); a policy that allows nothing is
/// one row with both null, for it still forbids.
pub(super) fn policy_networks(policies: &[PolicyNetwork]) -> Result<MemTable> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("policy", DataType::Int64, false),
        text("secret_pattern", false),
        text("principal_pattern", false),
        text("cidr", true),
        text("vpc_endpoint_id", true),
    ]));
    let any = ["*".to_owned()];
    let mut rows = Vec::new();
    for (number, policy) in (1_i64..).zip(policies) {
        let or_any = |patterns: &'_ [String]| if patterns.is_empty() { any.to_vec() } else { patterns.to_vec() };
        let mut allowed: Vec<(Option<&str>, Option<&str>)> =
            policy.cidrs.iter().map(|cidr| (Some(cidr.as_str()), None)).collect();
        allowed.extend(policy.vpc_endpoints.iter().map(|endpoint| (None, Some(endpoint.as_str()))));
        if allowed.is_empty() {
            allowed.push((None, None));
        }
        for secret in or_any(&policy.secrets) {
            for principal in or_any(&policy.principals) {
                for (cidr, endpoint) in &allowed {
                    rows.push((number, secret.clone(), principal.clone(), *cidr, *endpoint));
                }
            }
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.1))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.2))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.4))),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    MemTable::try_new(schema, vec![vec![batch]])
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}
