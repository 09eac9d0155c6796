//! Where the lake is: a folder, or a place in a bucket.

use std::{fmt, path::PathBuf};

use keytrail_lake::Location;
use serde_json::{Value as Json, json};

use super::{key::Setting, names::BucketPrefix};
use crate::exit_code::{ExitCode, Failure};

/// A folder, or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LakePlace {
    Folder(PathBuf),
    Bucket(BucketPrefix),
}

impl LakePlace {
    /// The same in the lake's own words.
    pub(crate) fn location(&self) -> Result<Location, Failure> {
        match self {
            Self::Folder(folder) => Ok(Location::Folder(folder.clone())),
            Self::Bucket(place) => {
                Location::parse(&place.to_string()).map_err(|error| Failure::new(ExitCode::Config, error.to_string()))
            }
        }
    }
}

impl Default for LakePlace {
    fn default() -> Self {
        Self::Folder(PathBuf::from("keytrail-lake"))
    }
}

impl fmt::Display for LakePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket(place) => write!(f, "{place}"),
        }
    }
}

impl Setting for LakePlace {
    const KIND: &'static str = "a folder, or `s3://bucket/prefix`";
    const EXAMPLE: &'static str = "\"/var/lib/keytrail/lake\"";

    fn from_text(text: &str) -> Option<Self> {
        if text.contains("://") {
            let place = BucketPrefix::from_text(text)?;
            // A lake at the root of a bucket could not be told from what else the bucket holds.
            return (!place.prefix.trim_matches('/').is_empty()).then_some(Self::Bucket(place));
        }
        PathBuf::from_text(text).map(Self::Folder)
    }

    fn show(&self) -> Json {
        json!(self.to_string())
    }
}
