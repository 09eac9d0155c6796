//! `[[route]]`: which sinks are told of which alerts.

use keytrail_alerts::route::Route;
use keytrail_model::{AlertClass, Severity};
use serde_json::{Value as Json, json};

use super::{
    key::{Setting, section},
    names::AccountId,
    sinks::DeliverySection,
    units::Item,
};

section! {
    /// Who is told of what. Routes are asked in order; the first whose every criterion agrees decides. Without any, every sink is told of what is medium or graver; with some, an alert that none takes is told to nobody.
    struct RouteEntry {
        /// The least severe alert it takes.
        min_severity: Severity = Severity::Info;
        /// Classes of alerts (`detection`, `rule_error`, `system`); empty for every class.
        classes: Vec<AlertClass> = Vec::new();
        /// Globs over the rule's id; empty for every rule.
        rules: Vec<String> = Vec::new();
        /// Accounts; empty for every account.
        accounts: Vec<AccountId> = Vec::new();
        /// Globs over the owner of the secret; empty for any. A secret whose owner is not known matches none.
        owners: Vec<String> = Vec::new();
        /// Names of the sinks that are told; empty to tell nobody.
        sinks: Vec<String> = Vec::new();
        /// Go on to the next routes, too.
        r#continue: bool = false;
    }
}

impl Setting for Severity {
    const KIND: &'static str = "one of `info`, `low`, `medium`, `high`, `critical`";
    const EXAMPLE: &'static str = "\"high\"";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn show(&self) -> Json {
        json!(self.as_str())
    }
}

impl Setting for AlertClass {
    const KIND: &'static str = "one of `detection`, `rule_error`, `system`";
    const EXAMPLE: &'static str = "\"system\"";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn show(&self) -> Json {
        json!(self.as_str())
    }
}

impl Item for AlertClass {
    const LIST: &'static str = "a list of `detection`, `rule_error`, `system`";
    const LIST_EXAMPLE: &'static str = "[\"detection\", \"system\"]";
}

impl Item for AccountId {
    const LIST: &'static str = "a list of account ids (twelve digits, in quotes)";
    const LIST_EXAMPLE: &'static str = "[\"111122223333\"]";
}

impl DeliverySection {
    /// The routes in force.
    pub(crate) fn routes(&self) -> Vec<Route> {
        if self.route.is_empty() {
            return vec![Route::default_to(self.sink.iter().map(|sink| sink.name.as_str().to_owned()).collect())];
        }
        self.route
            .iter()
            .map(|entry| Route {
                min_severity: entry.min_severity,
                classes: entry.classes.clone(),
                rules: entry.rules.clone(),
                accounts: entry.accounts.iter().map(|account| account.as_str().to_owned()).collect(),
                owners: entry.owners.clone(),
                sinks: entry.sinks.clone(),
                goes_on: entry.r#continue,
            })
            .collect()
    }
}
