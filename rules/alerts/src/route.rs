//! Which sinks are told of an alert.
//!
//! In: an alert, the routes in the order of the configuration, and who owns its secrets. Out: names of sinks, each once.
//! The first route that matches decides, unless it says `continue`; an alert that no route matches is told to nobody.
//! What is told at all (no history, nothing suppressed) is decided in `delivery`, not here.

use std::collections::HashMap;

use keytrail_model::{Alert, AlertClass, Severity, glob::glob_match};

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The least severe alert it takes.
    pub min_severity: Severity,
    /// Classes it takes; empty for every class.
    pub classes: Vec<AlertClass>,
    /// Globs over the rule's id; empty for every rule.
    pub rules: Vec<String>,
    /// Accounts it takes; empty for every account. An alert over several accounts has none.
    pub accounts: Vec<String>,
    /// Globs over the owner of the alert's secrets; empty for any. Where nobody is known to own them, none matches.
    pub owners: Vec<String>,
    /// Who is told.
    pub sinks: Vec<String>,
    /// Whether later routes are asked too.
    pub goes_on: bool,
}

impl Route {
    /// What holds where no route is written: everything from medium on goes everywhere.
    pub fn default_to(sinks: Vec<String>) -> Self {
        Self {
            min_severity: Severity::Medium,
            classes: Vec::new(),
            rules: Vec::new(),
            accounts: Vec::new(),
            owners: Vec::new(),
            sinks,
            goes_on: false,
        }
    }

    fn takes(&self, alert: &Alert, owners: &Owners) -> bool {
        let some = |globs: &[String], text: &str| globs.is_empty() || globs.iter().any(|glob| glob_match(glob, text));
        alert.severity >= self.min_severity
            && (self.classes.is_empty() || self.classes.contains(&alert.class))
            && some(&self.rules, &alert.rule_id)
            && (self.accounts.is_empty() || alert.account_id.as_ref().is_some_and(|id| self.accounts.contains(id)))
            && (self.owners.is_empty()
                || owners.of(alert).any(|owner| self.owners.iter().any(|glob| glob_match(glob, owner))))
    }
}

/// Who answers for which secret, as far as the inventory knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(HashMap<String, String>);

impl Owners {
    /// From secret ids and their owners.
    pub fn new(owners: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(owners.into_iter().collect())
    }

    fn of<'a>(&'a self, alert: &'a Alert) -> impl Iterator<Item = &'a str> {
        alert.secret_ids.iter().filter_map(|secret| self.0.get(secret)).map(String::as_str)
    }
}

/// Whether any route asks for owners: only then they need to be looked up.
pub fn asks_for_owners(routes: &[Route]) -> bool {
    routes.iter().any(|route| !route.owners.is_empty())
}

/// The sinks that are told of the alert, in the order of the routes.
pub fn sinks_of<'a>(routes: &'a [Route], alert: &Alert, owners: &Owners) -> Vec<&'a str> {
    let mut told: Vec<&str> = Vec::new();
    for route in routes.iter().filter(|route| route.takes(alert, owners)) {
        for sink in &route.sinks {
            if !told.contains(&sink.as_str()) {
                told.push(sink);
            }
        }
        if !route.goes_on {
            break;
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::sample;

    fn route(sinks: &[&str]) -> Route {
        Route { min_severity: Severity::Info, ..Route::default_to(sinks.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn the_first_match_decides_unless_it_goes_on() {
        let alert = Alert { severity: Severity::High, rule_id: "root_use".into(), ..sample() };
        let routes = [
            Route { rules: vec!["off_*".into()], ..route(&["never"]) },
            Route { rules: vec!["root_*".into()], goes_on: true, ..route(&["siem", "pager"]) },
            Route { min_severity: Severity::High, ..route(&["pager", "chat"]) },
            route(&["last"]),
        ];
        assert_eq!(sinks_of(&routes, &alert, &Owners::default()), ["siem", "pager", "chat"]);
        let low = Alert { severity: Severity::Low, rule_id: "other".into(), ..sample() };
        assert_eq!(sinks_of(&routes, &low, &Owners::default()), ["last"]);
        assert!(sinks_of(&routes[..3], &low, &Owners::default()).is_empty());
    }

    #[test]
    fn every_criterion_must_agree() {
        let owners = Owners::new([("s1".to_owned(), "team-payments".to_owned())]);
        let alert =
            Alert { account_id: Some("111122223333".into()), secret_ids: vec!["s0".into(), "s1".into()], ..sample() };
        let whole = Route {
            classes: vec![alert.class],
            accounts: vec!["111122223333".into()],
            owners: vec!["team-*".into()],
            ..route(&["x"])
        };
        assert!(whole.takes(&alert, &owners));
        for other in [
            Route { classes: vec![AlertClass::RuleError], ..whole.clone() },
            Route { accounts: vec!["444455556666".into()], ..whole.clone() },
            Route { owners: vec!["team-search".into()], ..whole.clone() },
            Route { min_severity: Severity::Critical, ..whole.clone() },
        ] {
            assert!(!other.takes(&alert, &owners), "{other:?}");
        }
        // Nobody is known to own it, and an alert over several accounts has none.
        assert!(!whole.takes(&alert, &Owners::default()));
        assert!(!whole.takes(&Alert { account_id: None, ..alert }, &owners));
    }

    #[test]
    fn without_routes_medium_and_graver_goes_everywhere() {
        let routes = [Route::default_to(vec!["a".into(), "b".into()])];
        let of = |severity| sinks_of(&routes, &Alert { severity, ..sample() }, &Owners::default()).len();
        assert_eq!([Severity::Info, Severity::Low, Severity::Medium, Severity::Critical].map(of), [0, 0, 2, 2]);
        assert!(!asks_for_owners(&routes));
    }
}
