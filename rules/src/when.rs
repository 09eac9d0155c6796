//! Which rules a batch can concern at all: a rule's `[when]` against what the batch's rows are like.
//!
//! In: rows. Out: for each rule, whether one row agrees with every list that the rule gives. A rule that is left out is
//! neither planned nor run.

use std::collections::BTreeSet;

use crate::{lines::Lines, manifest::When};

/// What the rows of a batch are like: each combination once.
#[derive(Debug, Default)]
pub(crate) struct Facets<'a> {
    seen: BTreeSet<[&'a str; 5]>,
}

impl<'a> Facets<'a> {
    pub(crate) fn of(rows: &'a [Lines]) -> Self {
        let seen = rows.iter().flat_map(Lines::iter).map(|row| {
            let credentials = row.credential_kind.unwrap_or_default();
            [row.action, row.outcome, row.event_name, row.principal_kind, credentials]
        });
        Self { seen: seen.collect() }
    }

    /// Whether a row agrees with all that is given.
    pub(crate) fn agree(&self, when: &When) -> bool {
        let lists = [&when.actions, &when.outcomes, &when.event_names, &when.principal_kinds, &when.credential_kinds];
        self.seen.iter().any(|facet| {
            lists.iter().zip(facet).all(|(list, value)| list.is_empty() || list.iter().any(|known| known == value))
        })
    }
}
