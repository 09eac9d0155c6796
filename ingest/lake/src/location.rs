//! Where a lake lies: a folder, or a prefix of an S3 bucket.
//!
//! In: `PATH` or `s3://bucket[/prefix]`. Out: a [`Location`], or what is wrong with the text. A prefix has plain segments
//! only: nothing that a bucket's tools, a URL and Delta's paths could read in different ways.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use url::Url;

use crate::error::{LakeError, LakeErrorKind};

const SCHEME: &str = "s3://";

/// Where a lake lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// Keys of a bucket that start with the prefix and a slash.
    S3 {
        bucket: String,
        /// Without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
}

impl Location {
    /// Reads a location as people write it.
    ///
    /// # Errors
    /// A bucket or a prefix that cannot be one.
    pub fn parse(text: &str) -> Result<Self, LakeError> {
        let wrong = |what: &str| LakeError::new(text, LakeErrorKind::BadLocation(what.to_owned()));
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return match text.split_once("://") {
                _ if text.is_empty() => Err(wrong("it is empty")),
                Some(_) => Err(wrong("a lake is a folder or s3://bucket/prefix")),
                None => Ok(Self::Folder(PathBuf::from(text))),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let ends = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let sound = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(inside)
            && bucket.bytes().next().is_some_and(ends)
            && bucket.bytes().next_back().is_some_and(ends)
            && !bucket.contains("..");
        if !sound {
            return Err(wrong("the bucket's name has 3 to 63 small letters, digits, `-` and `.`"));
        }
        let prefix = prefix.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(prefix);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
        let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
        if !prefix.is_empty() && !prefix.split('/').all(segment) {
            return Err(wrong("the prefix has letters, digits, `-`, `_`, `.` and `=`, parted by single slashes"));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::S3 { .. } => None,
        }
    }

    /// The location as people read it.
    pub fn display(&self) -> impl fmt::Display + '_ {
        self
    }

    /// The URL of something below it; a folder must be absolute.
    pub(crate) fn url(&self, below: &str) -> Result<Url, LakeError> {
        let foreign = |what: String| LakeError::new(self, LakeErrorKind::BadLocation(what));
        match self {
            Self::Folder(path) => Url::from_directory_path(path.join(below))
                .map_err(|()| foreign("it is not an absolute path".to_owned())),
            Self::S3 { bucket, .. } => Url::parse(&format!("{SCHEME}{bucket}/{}/", self.key(below)))
                .map_err(|error| foreign(error.to_string())),
        }
    }

    /// The key of something below it, in the bucket.
    pub(crate) fn key(&self, below: &str) -> String {
        match self {
            Self::S3 { prefix, .. } if !prefix.is_empty() => format!("{prefix}/{below}"),
            Self::S3 { .. } | Self::Folder(_) => below.to_owned(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "{SCHEME}{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "{SCHEME}{bucket}/{prefix}"),
        }
    }
}

impl FromStr for Location {
    type Err = LakeError;

    fn from_str(text: &str) -> Result<Self, LakeError> {
        Self::parse(text)
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Folder(path)
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::Folder(path.clone())
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Folder(path.to_owned())
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_told_apart() {
        let s3 = |bucket: &str, prefix: &str| Location::S3 { bucket: bucket.into(), prefix: prefix.into() };
        for (text, expected, shown) in [
            ("lake", Location::Folder("lake".into()), "lake"),
            ("/var/lib/keytrail", Location::Folder("/var/lib/keytrail".into()), "/var/lib/keytrail"),
            ("s3:/odd", Location::Folder("s3:/odd".into()), "s3:/odd"),
            ("s3://audit-lake", s3("audit-lake", ""), "s3://audit-lake"),
            ("s3://audit-lake/", s3("audit-lake", ""), "s3://audit-lake"),
            ("s3://a.b-1/keytrail/prod/", s3("a.b-1", "keytrail/prod"), "s3://a.b-1/keytrail/prod"),
        ] {
            let found: Location = text.parse().expect(text);
            assert_eq!(found, expected, "{text}");
            assert_eq!(found.display().to_string(), shown);
            assert_eq!(Location::parse(shown).expect(shown), found, "reads as it is shown");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "s3://",
            "s3:///x",
            "s3://ab",
            "s3://Bucket",
            "s3://-bucket",
            "s3://bucket-",
            "s3://b..t/x",
            "s3://b\u{e9}t",
            "s3://user@bucket",
            "s3://bucket:80/x",
            "s3://bucket/a//b",
            "s3://bucket/../x",
            "s3://bucket/a/./b",
            "s3://bucket/a?b",
            "s3://bucket/a#b",
            "s3://bucket/a%2Fb",
            "s3://bucket/a b",
            "s3://bucket//",
            "s3a://bucket/x",
            "gs://bucket/x",
            "https://bucket.s3.amazonaws.com/x",
        ] {
            let refused = Location::parse(text).expect_err(text);
            assert!(matches!(refused.kind, LakeErrorKind::BadLocation(_)), "{text}: {refused}");
        }
    }

    #[test]
    fn tables_lie_below_it() {
        let at = |text: &str| Location::parse(text).expect(text);
        assert_eq!(at("s3://bucket/p").url("events").expect("a url").as_str(), "s3://bucket/p/events/");
        assert_eq!(at("s3://bucket").url("events").expect("a url").as_str(), "s3://bucket/events/");
        assert_eq!(at("/lake").url("events").expect("a url").as_str(), "file:///lake/events/");
        assert!(at("lake").url("events").is_err());
        assert_eq!((at("s3://bucket/p").key("x"), at("s3://bucket").key("x")), ("p/x".into(), "x".into()));
    }
}
