//! `keytrail rules`: list, show, check and test rule packs; replay history through them; say why one fired or did not.
//!
//! In: the packs of the program, those of `alerts.packs` or of a folder that is named. What other commands need of the
//! rules (the packs, their settings, an alert's guide) is here too.

mod backtest;
mod check;
mod diff;
mod explain;
mod history;
mod list;

use std::{path::Path, sync::Arc};

use anyhow::Result;
use keytrail_model::{Alert, display};
use keytrail_rules::{
    error::RuleError,
    pack::{Pack, Packs},
    rule::Rule,
    settings::{NetworkPolicy, ReaderClasses, RuleSettings},
    template::Templates,
};

pub(crate) use self::{
    check::{normalize, sample_fails},
    history::{event, recent},
};
use crate::{
    args::{Global, RulesCommand},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

pub(crate) async fn run(
    command: &RulesCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    match command {
        RulesCommand::List => list::list(settings, global, output).await,
        RulesCommand::Show { id } => list::show(settings, id, global, output).await,
        RulesCommand::Check { dir } => check::check(dir.as_deref(), settings, global, output).await,
        RulesCommand::Test { dir, only } => {
            check::test(dir.as_deref(), only.as_deref(), settings, global, output).await
        }
        RulesCommand::Backtest(args) => backtest::run(args, settings, global, output).await,
        RulesCommand::Explain { id, rule } => explain::run(id, rule.as_deref(), settings, global, output).await,
        RulesCommand::Diff { old, new, span } => diff::run(old, new, span, settings, global, output).await,
    }
}

/// The packs that the configuration means: the program's own, and over them those of `alerts.packs`.
pub(crate) fn packs(settings: &Settings) -> Packs {
    Packs::load(settings.file.alerts.packs.as_deref())
}

/// What the configuration tells the rules.
pub(crate) fn rule_settings(settings: &Settings) -> RuleSettings {
    let file = &settings.file;
    RuleSettings {
        networks: file
            .policy
            .network
            .iter()
            .map(|entry| NetworkPolicy {
                secrets: entry.secrets.clone(),
                principals: entry.principals.clone(),
                cidrs: entry.cidrs.clone(),
                vpc_endpoints: entry.vpc_endpoints.clone(),
            })
            .collect(),
        readers: ReaderClasses { upkeep: file.readers.upkeep.clone(), sync_agents: file.readers.sync_agents.clone() },
        overrides: file.rules.clone(),
        historical_after: i64::try_from(file.alerts.historical_after.0.as_micros()).unwrap_or(i64::MAX),
        packs: file.alerts.packs.clone(),
        ..RuleSettings::default()
    }
}

/// Refuses a configuration that names rules, parameters, networks or globs that cannot be.
pub(crate) fn check_configuration(settings: &Settings) -> Result<(), Failure> {
    if let Some(folder) = settings.file.alerts.packs.as_deref().filter(|folder| !folder.is_dir()) {
        return Err(Failure::new(ExitCode::Config, format!("alerts.packs: {} is not a folder", folder.display())));
    }
    let packs = packs(settings);
    for (id, overrides) in &settings.file.rules {
        resolve_in(&packs, id, overrides)?;
    }
    for entry in &settings.file.policy.network {
        for cidr in &entry.cidrs {
            keytrail_lake::functions::is_cidr(cidr).then_some(()).ok_or_else(|| {
                Failure::new(ExitCode::Config, format!("policy.network: `{cidr}` is not a CIDR"))
                    .hint("write for example \"10.0.0.0/8\" or \"2001:db8::/32\"")
            })?;
        }
    }
    Ok(())
}

/// A rule with parameters laid over its defaults.
pub(crate) fn resolve(settings: &Settings, id: &str, overrides: &toml::Table) -> Result<Rule> {
    Ok(resolve_in(&packs(settings), id, overrides)?)
}

fn resolve_in(packs: &Packs, id: &str, overrides: &toml::Table) -> Result<Rule, Failure> {
    let broken = packs.errors.iter().any(|error| error.rule_id == id);
    let pack = match packs.find(id) {
        Ok(pack) => pack,
        // A pack that cannot be read is an alert of its own, not a mistake of `[rules.ID]`.
        Err(_) if broken => return Err(Failure::new(ExitCode::Config, format!("the pack `{id}` cannot be read"))),
        Err(error) => return Err(Failure::new(ExitCode::Config, format!("rules.{error}"))),
    };
    Rule::resolve(Arc::clone(pack), Some(overrides)).map_err(|error| Failure::new(ExitCode::Config, error.to_string()))
}

/// What to do about an alert, from its rule's guide.
pub(crate) fn guide_for(packs: &Packs, alert: &Alert) -> Option<String> {
    let pack = packs.find(&alert.rule_id).ok()?;
    Templates::default().guide(&pack.guide, alert).ok()
}

fn folder(dir: Option<&Path>) -> Result<Option<&Path>, Failure> {
    match dir {
        Some(dir) if !dir.is_dir() => {
            Err(Failure::new(ExitCode::NotFound, format!("{} is not a folder", dir.display())))
        }
        other => Ok(other),
    }
}

/// The packs that lie in a folder, without the program's own.
fn packs_in(dir: &Path) -> Packs {
    let mut packs = Packs::load(Some(dir));
    packs.packs.retain(|pack| !pack.built_in);
    packs
}

/// The packs that are named: a folder, a rule's id, or `builtin`.
fn chosen(what: &str, settings: &Settings) -> Result<Vec<Arc<Pack>>, Failure> {
    if what == "builtin" {
        return Ok(Packs::load(None).packs);
    }
    let dir = Path::new(what);
    if dir.is_dir() {
        let packs = packs_in(dir);
        if let Some(error) = packs.errors.first() {
            return Err(
                Failure::new(ExitCode::Partial, broken(error)).hint("`keytrail rules check DIR` names every mistake")
            );
        }
        if packs.packs.is_empty() {
            return Err(Failure::new(ExitCode::NotFound, format!("there is no rule pack in {what}"))
                .hint("a pack is a folder with a rule.toml"));
        }
        return Ok(packs.packs);
    }
    let packs = packs(settings);
    let pack = packs.find(what).map_err(|error| {
        let meant = error.suggestion.map_or_else(String::new, |id| format!(" (did you mean `{id}`?)"));
        let text = format!("there is no rule and no folder `{}`{meant}", display::terminal_safe(what));
        Failure::new(ExitCode::NotFound, text).hint("`keytrail rules list` shows every id")
    })?;
    Ok(vec![Arc::clone(pack)])
}

fn broken(error: &RuleError) -> String {
    display::terminal_safe(&error.to_string())
}
