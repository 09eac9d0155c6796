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

#[cfg(test)]
mod tests {
    use keytrail_lake::encode_access_events;

    use super::*;
    use crate::samples::tests::normalize_records;

    #[test]
    fn one_row_must_agree_with_every_list() {
        let record = serde_json::json!({"Records": [{
            "eventVersion": "1.11", "eventTime": "2026-03-01T09:00:00Z", "eventID": "00000000-0000-4000-8000-000000000001",
            "eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue", "awsRegion": "us-east-1",
            "recipientAccountId": "111122223333", "eventType": "AwsApiCall", "sourceIPAddress": "198.51.100.20",
            "requestParameters": {"secretId": "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf"},
            "userIdentity": {"type": "Root", "accountId": "111122223333", "arn": "arn:aws:iam::111122223333:root"},
        }]});
        let events = normalize_records("w", record.to_string().as_bytes()).expect("understood");
        let batch = encode_access_events(&events, 0, "b").expect("columns");
        let lines = [Lines::new(&batch).expect("rows")];
        let facets = Facets::of(&lines);
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let when = When { actions: list(&["write", "read"]), outcomes: list(&["ok"]), ..When::default() };
        assert!(facets.agree(&When::default()) && facets.agree(&when));
        assert!(facets.agree(&When { principal_kinds: list(&["root"]), ..when.clone() }));
        assert!(!facets.agree(&When { principal_kinds: list(&["role"]), ..when.clone() }));
        assert!(!facets.agree(&When { event_names: list(&["GetParameter"]), ..when }));
    }
}
