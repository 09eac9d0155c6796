//! Flags, environment and file become validated settings.
//!
//! In: the TOML text of `--config` (or `KEYTRAIL_CONFIG`) and the flags; flags win over the environment, the environment
//! over the file, the file over the defaults. Out: [`Settings`]. An unknown key or a bad value is an error that names
//! file, line and key, with the nearest known key; nothing is ignored.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::Deserialize;

use crate::{
    args::Global,
    exit_code::{ExitCode, Failure},
};

/// Where the lake is when nobody says otherwise.
const DEFAULT_LAKE: &str = "keytrail-lake";

/// Everything a command needs to know.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) lake: PathBuf,
    pub(crate) file: ConfigFile,
}

/// The configuration file, section by section. `docs/CONFIG.md` documents each key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// Folder of the lake.
    pub(crate) lake: Option<PathBuf>,
    pub(crate) ingest: IngestSection,
    pub(crate) access_log: AccessLogSection,
    pub(crate) policy: PolicySection,
    pub(crate) readers: ReadersSection,
    pub(crate) query: QuerySection,
    pub(crate) alerts: AlertsSection,
    /// `[rules.RULE_ID]`: parameters of one rule; the rule itself says which exist.
    pub(crate) rules: BTreeMap<String, toml::Table>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IngestSection {
    /// `secrets` or `all`.
    pub(crate) scope: Option<String>,
    pub(crate) max_object_bytes: Option<ByteSize>,
    pub(crate) max_record_bytes: Option<ByteSize>,
    pub(crate) max_depth: Option<usize>,
    pub(crate) max_gzip_ratio: Option<usize>,
    pub(crate) batch_rows: Option<usize>,
    pub(crate) batch_objects: Option<usize>,
    pub(crate) batch_bytes: Option<ByteSize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessLogSection {
    /// Canonical field name to the key in your access-log template.
    pub(crate) fields: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicySection {
    /// The first entry that matches secret and principal decides.
    pub(crate) network: Vec<NetworkEntry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkEntry {
    #[serde(default = "everything")]
    pub(crate) secrets: Vec<String>,
    #[serde(default = "everything")]
    pub(crate) principals: Vec<String>,
    #[serde(default)]
    pub(crate) cidrs: Vec<String>,
    #[serde(default)]
    pub(crate) vpc_endpoints: Vec<String>,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReadersSection {
    /// Globs over `principal_id`: rotation functions, replication, scanners, infrastructure as code.
    pub(crate) upkeep: Vec<String>,
    /// Globs over `principal_id`: agents that copy secrets elsewhere.
    pub(crate) sync_agents: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QuerySection {
    pub(crate) max_rows: Option<usize>,
    pub(crate) timeout: Option<String>,
    pub(crate) max_memory: Option<ByteSize>,
    pub(crate) max_temp_disk: Option<ByteSize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AlertsSection {
    /// Findings older than this, against the newest delivery, are recorded as historical.
    pub(crate) historical_after: Option<String>,
}

/// A number of bytes, written `268435456` or `"256 MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct ByteSize(pub(crate) u64);

impl TryFrom<toml::Value> for ByteSize {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match &value {
            toml::Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            toml::Value::String(text) => parse_bytes(text),
            _ => None,
        }
        .map(Self)
        .ok_or_else(|| format!("{value} is not a size; write for example \"256 MiB\""))
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A length of time, written `500ms`, `30s`, `5m`, `24h` or `7d`.
pub(crate) fn parse_duration(text: &str) -> Option<std::time::Duration> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let milliseconds: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(std::time::Duration::from_millis)
}

impl Settings {
    /// Reads the file, if one is named, and lays the flags over it.
    pub(crate) fn load(global: &Global) -> Result<Self, Failure> {
        let file = match &global.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        let lake = match &global.lake {
            Some(text) if text.contains("://") => {
                return Err(Failure::new(ExitCode::Config, format!("the lake `{text}` is not a folder"))
                    .hint("this version keeps its lake in a folder; give a path"));
            }
            Some(text) => PathBuf::from(text),
            None => file.lake.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_LAKE)),
        };
        Ok(Self { lake, file })
    }
}

impl ConfigFile {
    /// Reads and checks one configuration file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(ExitCode::Config, format!("failed to read {}: {error}", path.display())))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Checks configuration text; `place` is the file's name for messages.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
            let failure = Failure::new(ExitCode::Config, format!("{place}:{line}: {}", error.message()));
            match nearest_key(error.message()) {
                Some(key) => failure.hint(format!("did you mean `{key}`?")),
                None => failure,
            }
        })
    }
}

/// The known key that is nearest to the unknown one in serde's message, when one is near.
fn nearest_key(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        let failure = ConfigFile::parse("lake = \"x\"\n[readers]\nupkep = []\n", "keytrail.toml").expect_err("a typo");
        assert!(failure.message.starts_with("keytrail.toml:3: unknown field `upkep`"), "{}", failure.message);
        assert_eq!(failure.hint.as_deref(), Some("did you mean `upkeep`?"));
        assert_eq!(failure.code, ExitCode::Config);
    }

    #[test]
    fn human_units_are_read() {
        let file = ConfigFile::parse("[ingest]\nmax_object_bytes = \"256 MiB\"\n", "c").expect("valid");
        assert_eq!(file.ingest.max_object_bytes, Some(ByteSize(256 << 20)));
        assert_eq!(parse_duration("24h"), Some(std::time::Duration::from_secs(86_400)));
        assert_eq!(parse_duration("24 parsecs"), None);
        let failure = ConfigFile::parse("[ingest]\nmax_object_bytes = \"lots\"\n", "c").expect_err("no size");
        assert!(failure.message.contains("is not a size"), "{}", failure.message);
    }

    #[test]
    fn every_section_has_a_default() {
        let file = ConfigFile::parse("", "c").expect("empty is valid");
        assert!(file.policy.network.is_empty() && file.rules.is_empty());
    }
}
