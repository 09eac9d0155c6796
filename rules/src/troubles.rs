//! Rules that do not work, as alerts of class `rule_error`: raised once for each mistake, closed when the rule works again.
//!
//! In: what is wrong with the packs, what went wrong in a judging, the alerts. Out: findings to raise and alerts that are
//! closed. The same mistake, met again in every batch, says nothing new.

use std::collections::{BTreeMap, BTreeSet};

use keytrail_alerts::Inbox;
use keytrail_model::{Alert, AlertClass, AlertState, Finding, Micros};

use crate::{error::RuleError, finding::error_finding};

/// What is wrong, and what was told of it.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// Of several mistakes of one rule the first is told.
    broken: Vec<RuleError>,
    /// By rule: the version that runs in place of the broken one.
    kept: BTreeMap<String, String>,
    /// By rule: its alert that is not closed, and what it says.
    told: BTreeMap<String, (String, String)>,
}

impl Troubles {
    pub(crate) fn new(inbox: &Inbox) -> Self {
        let mut troubles = Self::default();
        troubles.look_at(inbox.alerts());
        troubles
    }

    /// The same without the packs' mistakes.
    pub(crate) fn emptied(&self) -> Self {
        Self { told: self.told.clone(), ..Self::default() }
    }

    pub(crate) fn add(&mut self, error: RuleError, kept: Option<String>) {
        if let Some(version) = kept {
            self.kept.insert(error.rule_id.clone(), version);
        }
        self.broken.push(error);
    }

    pub(crate) fn broken(&self) -> &[RuleError] {
        &self.broken
    }

    /// Whether there is anything to raise or to close.
    pub(crate) fn is_quiet(&self) -> bool {
        self.broken.is_empty() && self.told.is_empty()
    }

    /// Notes which alerts of this class stand.
    pub(crate) fn look_at<'a>(&mut self, alerts: impl IntoIterator<Item = &'a Alert>) {
        for alert in alerts.into_iter().filter(|alert| alert.class == AlertClass::RuleError) {
            if alert.state == AlertState::Closed {
                let is_this = |told: &(String, String)| told.0 == alert.alert_id;
                if self.told.get(&alert.rule_id).is_some_and(is_this) {
                    self.told.remove(&alert.rule_id);
                }
            } else {
                self.told.insert(alert.rule_id.clone(), (alert.alert_id.clone(), alert.reason.clone()));
            }
        }
    }

    /// What is to be raised, and the rules whose alert is to be closed: those that work, and those whose mistake is
    /// another one by now.
    pub(crate) fn tell(
        &self,
        failed: &[RuleError],
        worked: impl Fn(&str) -> bool,
        now: Micros,
    ) -> (Vec<Finding>, BTreeSet<String>) {
        let packs = self.broken.iter().map(|error| (error, self.kept.get(&error.rule_id).map(String::as_str)));
        let mut wrong: BTreeMap<&str, (&RuleError, Option<&str>)> = BTreeMap::new();
        for (error, kept) in packs.chain(failed.iter().map(|error| (error, None))) {
            wrong.entry(&error.rule_id).or_insert((error, kept));
        }
        let mut findings = Vec::new();
        let mut closed: BTreeSet<String> =
            self.told.keys().filter(|id| !wrong.contains_key(id.as_str()) && worked(id)).cloned().collect();
        for (id, (error, kept)) in wrong {
            let finding = error_finding(error, kept, now);
            match self.told.get(id) {
                Some((_, reason)) if *reason == finding.reason => continue,
                Some(_) => {
                    closed.insert(id.to_owned());
                }
                None => {}
            }
            findings.push(finding);
        }
        (findings, closed)
    }
}
