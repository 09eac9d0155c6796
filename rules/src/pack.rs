//! Rule packs: a folder with `rule.toml`, `detect.sql`, `guide.md`, views in other `*.sql` files, and samples.
//!
//! In: the packs built into the program, and a folder of the user's own (one folder in it per pack). Out: checked
//! [`Pack`]s; a pack that is wrong is an error of its own and does not stop the others. A user's pack replaces the
//! built-in one of the same id.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::{
    embedded,
    error::{RuleError, RuleErrorKind},
    manifest::{self, Manifest},
    template::Templates,
};

/// Whether a sample must raise an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SampleKind {
    Fires,
    Quiet,
}

impl SampleKind {
    /// The folder that such samples are in.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Fires => "fires",
            Self::Quiet => "quiet",
        }
    }
}

/// One sample file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SampleFile {
    pub kind: SampleKind,
    /// The file's name, without `.json`.
    pub name: String,
    pub text: String,
}

/// One rule as its author wrote it, checked.
#[derive(Clone, Debug)]
pub struct Pack {
    pub manifest: Manifest,
    pub detect_sql: String,
    /// Further SQL by name (`verdict.sql` is `verdict`): views that `detect.sql` reads and reports use.
    pub views: BTreeMap<String, String>,
    pub guide: String,
    pub samples: Vec<SampleFile>,
    pub built_in: bool,
    /// Changes with every byte of the rule's files, samples and guide included.
    pub digest: [u8; 32],
}

impl Pack {
    /// Puts a pack together from its files: paths inside the pack's folder, and texts.
    pub fn from_files(folder: &str, files: &BTreeMap<String, String>, built_in: bool) -> Result<Self, RuleError> {
        let required = |name: &str| {
            files.get(name).ok_or_else(|| RuleError::new(folder, name, RuleErrorKind::MissingFile)).cloned()
        };
        let manifest = Manifest::parse(folder, &required(manifest::FILE)?)?;
        let guide = required("guide.md")?;
        Templates::default()
            .compiles(&guide)
            .map_err(|message| RuleError::new(folder, "guide.md", RuleErrorKind::Template { key: "guide", message }))?;
        let mut views = BTreeMap::new();
        let mut samples = Vec::new();
        for (path, text) in files {
            if let Some(name) = path.strip_suffix(".sql")
                && name != "detect"
                && !name.contains('/')
            {
                views.insert(name.to_owned(), text.clone());
            }
            for kind in [SampleKind::Fires, SampleKind::Quiet] {
                let name =
                    path.strip_prefix(kind.folder()).and_then(|rest| rest.strip_prefix('/')?.strip_suffix(".json"));
                if let Some(name) = name {
                    samples.push(SampleFile { kind, name: name.to_owned(), text: text.clone() });
                }
            }
        }
        samples.sort();
        let mut hasher = Sha256::new();
        for part in files.iter().flat_map(|(path, text)| [path, text]) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let (detect_sql, digest) = (required("detect.sql")?, hasher.finalize().into());
        Ok(Self { manifest, detect_sql, views, guide, samples, built_in, digest })
    }

    /// Reads a pack from a folder.
    pub fn from_folder(folder: &Path) -> Result<Self, RuleError> {
        let id = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut files = BTreeMap::new();
        for sub in ["", "fires", "quiet"] {
            let place = folder.join(sub);
            let unreadable =
                |error: std::io::Error| RuleError::new(&id, sub, RuleErrorKind::Unreadable(error.to_string()));
            let entries = match fs::read_dir(&place) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !sub.is_empty() => continue,
                Err(error) => return Err(unreadable(error)),
            };
            for entry in entries {
                let path = entry.map_err(unreadable)?.path();
                let wanted = path
                    .extension()
                    .is_some_and(|kind| kind == "toml" || kind == "sql" || kind == "md" || kind == "json");
                let Some(name) = path.file_name().filter(|_| wanted && path.is_file()) else { continue };
                let name = name.to_string_lossy();
                let name = if sub.is_empty() { name.into_owned() } else { format!("{sub}/{name}") };
                let text = fs::read_to_string(&path)
                    .map_err(|error| RuleError::new(&id, &name, RuleErrorKind::Unreadable(error.to_string())))?;
                files.insert(name, text);
            }
        }
        Self::from_files(&id, &files, false)
    }
}

/// The packs at hand, and what is wrong with those that are not.
#[derive(Debug, Default)]
pub struct Packs {
    pub packs: Vec<Arc<Pack>>,
    pub errors: Vec<RuleError>,
}

impl Packs {
    /// The packs built into the program, and those in the user's folder.
    pub fn load(own: Option<&Path>) -> Self {
        let mut packs: BTreeMap<String, Arc<Pack>> = BTreeMap::new();
        let mut errors = Vec::new();
        if let Some(folder) = own.filter(|folder| !folder.is_dir()) {
            errors.push(RuleError::new(&folder.display().to_string(), "", RuleErrorKind::MissingFolder));
        }
        let read = own.map_or_else(BTreeSet::new, folders).into_iter().map(|folder| Pack::from_folder(&folder));
        for pack in embedded::packs().into_iter().chain(read) {
            match pack {
                Ok(pack) => {
                    packs.insert(pack.manifest.id.clone(), Arc::new(pack));
                }
                Err(error) => errors.push(error),
            }
        }
        Self { packs: packs.into_values().collect(), errors }
    }

    /// The pack of an id; an unknown id is an error with the id probably meant.
    pub fn find(&self, id: &str) -> Result<&Arc<Pack>, RuleError> {
        self.packs.iter().find(|pack| pack.manifest.id == id).ok_or_else(|| {
            RuleError::new(id, manifest::FILE, RuleErrorKind::MissingFile)
                .suggest(id, self.packs.iter().map(|pack| pack.manifest.id.as_str()))
        })
    }
}

/// The folders in a folder that hold packs; the folder itself if it is a pack.
fn folders(own: &Path) -> BTreeSet<std::path::PathBuf> {
    if own.join(manifest::FILE).is_file() {
        return BTreeSet::from([own.to_owned()]);
    }
    let entries = fs::read_dir(own).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.join(manifest::FILE).is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_packs_are_right_and_complete() {
        let packs = Packs::load(None);
        assert!(packs.errors.is_empty(), "{:?}", packs.errors);
        let ids: Vec<&str> = packs.packs.iter().map(|pack| pack.manifest.id.as_str()).collect();
        assert!(ids.is_sorted() && ids.contains(&"new_principal"), "{ids:?}");
        for pack in &packs.packs {
            let from_disk =
                Pack::from_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pack").join(&pack.manifest.id))
                    .expect("the folder is a pack");
            assert_eq!(from_disk.samples, pack.samples, "{}: a sample is not built in", pack.manifest.id);
            assert_eq!((&from_disk.views, from_disk.digest), (&pack.views, pack.digest));
            let count = |kind| pack.samples.iter().filter(|sample| sample.kind == kind).count();
            assert!(count(SampleKind::Fires) >= 3 && count(SampleKind::Quiet) >= 5, "{}", pack.manifest.id);
        }
        assert_eq!(packs.find("new_principle").expect_err("none").suggestion.as_deref(), Some("new_principal"));
    }

    #[test]
    fn a_bad_pack_does_not_stop_the_others() {
        let own = tempfile::tempdir().expect("a folder");
        fs::create_dir(own.path().join("mine")).expect("a folder");
        fs::write(own.path().join("mine/rule.toml"), "id = 1").expect("a file");
        let packs = Packs::load(Some(own.path()));
        assert_eq!((packs.packs.len(), packs.errors.len()), (Packs::load(None).packs.len(), 1));
        assert_eq!(Packs::load(Some(&own.path().join("nowhere"))).errors.len(), 1);
    }
}
