//! What the configuration tells the rules: networks, reader classes, overrides, limits.
//!
//! Plain structs; the program's settings file is read elsewhere. `[rules.ID]` tables are checked when a pack is
//! resolved, so that a mistake names the rule and its parameter.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use keytrail_model::{Micros, time::DAY};
use serde::{Deserialize, Serialize};

use keytrail_lake::functions;

/// One `[[policy.network]]`: who may use which secrets from where. The first entry that matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkPolicy {
    /// Globs on the secret's id or name.
    pub secrets: Vec<String>,
    /// Globs on the principal's id.
    pub principals: Vec<String>,
    pub cidrs: Vec<String>,
    pub vpc_endpoints: Vec<String>,
}

/// `[readers]`: globs on principals whose reads are not use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReaderClasses {
    pub upkeep: Vec<String>,
    pub sync_agents: Vec<String>,
}

impl ReaderClasses {
    /// Every glob with its class, in the order in which they are tried.
    pub fn patterns(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let upkeep = self.upkeep.iter().map(|glob| (glob.as_str(), "upkeep"));
        upkeep.chain(self.sync_agents.iter().map(|glob| (glob.as_str(), "sync_agent")))
    }

    /// The configured class of a principal.
    pub fn class_of(&self, principal_id: &str) -> Option<&'static str> {
        self.patterns().find(|(glob, _)| functions::glob_match(glob, principal_id)).map(|(_, class)| class)
    }

    /// The same for the lake's `reader_class` function.
    pub fn to_functions(&self) -> functions::ReaderClasses {
        functions::ReaderClasses::new(self.patterns().map(|(glob, class)| (glob.to_owned(), class.to_owned())))
    }
}

/// How the rules run.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    pub networks: Vec<NetworkPolicy>,
    pub readers: ReaderClasses,
    /// `[rules.ID]` tables, by rule id.
    pub overrides: BTreeMap<String, toml::Table>,
    /// Findings whose event is older than this, seen from the judging's "now", are historical.
    pub historical_after: Micros,
    /// How long one rule may take over one batch.
    pub time_budget: Duration,
    /// How many findings one rule may give in one run.
    pub max_findings: usize,
    /// How many rows are judged at a time.
    pub max_rows: usize,
    /// How many of the newest rows are kept in memory, for what comes late and for rules that look back.
    pub recent_rows: usize,
    /// How many rows are judged again at a time, when something came late.
    pub again_rows: usize,
    /// A folder with rule packs of the user's own, over the built-in ones.
    pub packs: Option<PathBuf>,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            readers: ReaderClasses::default(),
            overrides: BTreeMap::new(),
            historical_after: DAY,
            time_budget: Duration::from_secs(300),
            max_findings: 100_000,
            max_rows: 200_000,
            recent_rows: 100_000,
            again_rows: 50_000,
            packs: None,
        }
    }
}
