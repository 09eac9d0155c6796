//! The deterministic id of an alert.
//!
//! In: rule, fold key, the event that opened the episode. Out: 16 hex digits. The same findings give the same id on
//! every host and after every crash, which is what makes delivery and re-judging exactly once.

use keytrail_model::{Finding, Micros};
use sha2::{Digest, Sha256};

/// What an alert's id follows from, besides its rule and fold key: the event that opened the episode.
///
/// A finding that rests on no single event (a condition, such as "unused") is told by its moment alone.
pub fn alert_id(finding: &Finding) -> String {
    let opened_by = finding.evidence.as_ref().map_or("", |evidence| evidence.event_id.as_str());
    id_of(&finding.rule_id, &finding.fold_key, finding.event_at, opened_by)
}

/// The same for a later episode that the same event opens, where that id is taken: events that came late have moved the
/// earlier one away. The first (0) is [`alert_id`].
pub(crate) fn nth_alert_id(finding: &Finding, nth: u32) -> String {
    if nth == 0 {
        return alert_id(finding);
    }
    let opened_by = finding.evidence.as_ref().map_or("", |evidence| evidence.event_id.as_str());
    id_of(&finding.rule_id, &finding.fold_key, finding.event_at, &format!("{opened_by} {nth}"))
}

/// What every episode of one rule and fold key has in common: 16 hex digits.
pub fn fingerprint(rule_id: &str, fold_key: &[String]) -> String {
    id_of(rule_id, fold_key, 0, "fingerprint")
}

/// What the id of an alert of class `system` follows from.
pub fn condition_id(rule_id: &str, subject: &[String], since: Micros) -> String {
    id_of(rule_id, subject, since, "")
}

fn id_of(rule_id: &str, fold_key: &[String], first_event_at: Micros, first_event_id: &str) -> String {
    let mut hasher = Sha256::new();
    // Every part carries its length, so that ("ab", "c") and ("a", "bc") differ.
    let mut part = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    };
    part(rule_id);
    for key in fold_key {
        part(key);
    }
    part(&first_event_at.to_string());
    part(first_event_id);
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let key = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>();
        let base = id_of("rule", &key(&["ab", "c"]), 1, "e");
        assert_eq!(base, id_of("rule", &key(&["ab", "c"]), 1, "e"));
        assert_eq!(base.len(), 16);
        for other in [
            id_of("rulf", &key(&["ab", "c"]), 1, "e"),
            id_of("rule", &key(&["a", "bc"]), 1, "e"),
            id_of("rule", &key(&["ab", "c"]), 2, "e"),
            id_of("rule", &key(&["ab", "c"]), 1, "f"),
        ] {
            assert_ne!(base, other);
        }
    }
}
