//! Flags, environment and file become validated settings.
//!
//! ```text
//! defaults ──▶ file (--config, KEYTRAIL_CONFIG) ──▶ environment (KEYTRAIL__SECTION__KEY, KEYTRAIL_LAKE) ──▶ flags ──▶ checks ──▶ Settings
//! ```
//!
//! In: the TOML text, the environment and the flags; each layer wins over the one before. Out: [`Settings`], with the [`Origin`] of each
//! value. A key that nobody knows or a value that does not fit is an error that names its place, the key and what is expected; nothing is ignored.
//! Each key's type, default, limits and explanation stand once, in the `section!` declarations; the reference in `docs/CONFIG.md` is made from them.

mod aws;
mod check;
mod config_file;
mod environment;
mod explain;
mod file;
mod ingest;
mod judging;
mod key;
mod lake_place;
mod names;
mod origin;
mod problem;
mod queue;
mod reconcile;
mod routes;
mod service;
mod sinks;
mod units;
mod worker;

use std::{env, ffi::OsString, fs, path::Path};

pub(crate) use self::{
    config_file::ConfigFile,
    explain::Line,
    ingest::ScopeWord,
    lake_place::LakePlace,
    names::BucketPrefix,
    origin::{Origin, Origins},
    queue::{QueueAddress, QueueSource, partition_of},
    service::{LogFormat, LogLevel},
    sinks::{DeliverySection, FormatWord, SecretText, SinkEntry, SinkKind, TlsWord},
    units::parse_duration,
};
use crate::{
    args::Global,
    exit_code::{ExitCode, Failure},
    settings::{
        key::{Input, Setting},
        problem::Problem,
    },
};

/// Everything a command needs to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) lake: LakePlace,
    pub(crate) file: ConfigFile,
    pub(crate) origins: Origins,
}

impl Settings {
    /// Reads the file, if one is named, and lays environment and flags over it.
    pub(crate) fn load(global: &Global) -> Result<Self, Failure> {
        let text = match &global.config {
            Some(path) => Some((read(path)?, path.display().to_string())),
            None => None,
        };
        let text = text.as_ref().map(|(text, name)| (text.as_str(), name.as_str()));
        Self::assemble(text, env::vars_os(), global.lake.as_deref())
    }

    /// All layers; `text` is the file's content and name, `lake` what the flag or its variable says.
    fn assemble(
        text: Option<(&str, &str)>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        lake: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut settings = Self::default();
        let variables: Vec<(OsString, OsString)> = variables.into_iter().collect();
        let mut problems = match text {
            Some((text, name)) => file::read(text, name, &mut settings.file, &mut settings.origins),
            None => Vec::new(),
        };
        let is_variable =
            |lake: &str| variables.iter().any(|(name, value)| name == "KEYTRAIL_LAKE" && value.to_str() == Some(lake));
        if let Some(lake) = lake {
            let origin = if is_variable(lake) {
                Origin::Environment("KEYTRAIL_LAKE".to_owned())
            } else {
                Origin::Flag("--lake")
            };
            match LakePlace::from_text(lake) {
                Some(place) => {
                    settings.file.root.lake = place;
                    settings.origins.note("lake", origin);
                }
                None => problems.push(Problem::new(origin, format!("`{lake}` is not {}", LakePlace::KIND))),
            }
        }
        problems.extend(environment::read(variables, &mut settings.file, &mut settings.origins));
        // What is wrong by itself need not be told a second time as not going together.
        if problems.is_empty() {
            problems = check::check(&settings.file, &settings.origins);
        }
        problem::refuse(problems)?;
        settings.lake = settings.file.root.lake.clone();
        Ok(settings)
    }

    /// Lays a flag over what file and environment say: `set_flag("http.listen", "--http", "127.0.0.1:0")`. Call [`Self::recheck`] after
    /// the last one.
    pub(crate) fn set_flag(&mut self, path: &str, flag: &'static str, text: &str) -> Result<(), Failure> {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        let outcome = match self.file.section_mut(section) {
            Some(section) => section.set(key, Input::Text(text)),
            None => Err(format!("there is no section `{section}`")),
        };
        outcome.map_err(|error| Failure::new(ExitCode::Usage, format!("{flag}: {error}")))?;
        self.origins.note(path, Origin::Flag(flag));
        Ok(())
    }

    /// Whether the values go together, after flags changed some.
    pub(crate) fn recheck(&self) -> Result<(), Failure> {
        problem::refuse(check::check(&self.file, &self.origins))
    }
}

#[cfg(test)]
impl Settings {
    /// A file's text alone.
    pub(crate) fn from_text(text: &str) -> Result<Self, Failure> {
        Self::assemble(Some((text, "keytrail.toml")), [], None)
    }
}

impl ConfigFile {
    /// Checks configuration text; `place` is the file's name for messages.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self, Failure> {
        Settings::assemble(Some((text, place)), [], None).map(|settings| settings.file)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(ExitCode::Config, format!("failed to read {}: {error}", path.display())))
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
