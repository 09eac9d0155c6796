//! Where a value comes from, for `config show` and for messages.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// Who set a value. The order of precedence: flag, environment, file, default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    #[default]
    Default,
    File {
        file: Arc<str>,
        line: usize,
    },
    Environment(String),
    Flag(&'static str),
}

impl Origin {
    /// One word for programs.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File { .. } => "file",
            Self::Environment(_) => "environment",
            Self::Flag(_) => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// The origin of each value that was set, by its path (`worker.lease`, `aws.accounts[0].id`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub(crate) fn of(&self, path: &str) -> Origin {
        self.0.get(path).cloned().unwrap_or_default()
    }

    pub(crate) fn is_set(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(crate) fn note(&mut self, path: impl Into<String>, origin: Origin) {
        self.0.insert(path.into(), origin);
    }
}
