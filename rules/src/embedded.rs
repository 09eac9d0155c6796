//! The packs that are built into the program: every file below `pack/`.

use std::collections::BTreeMap;

use rust_embed::Embed;

use crate::{
    error::{RuleError, RuleErrorKind},
    pack::Pack,
};

#[derive(Embed)]
#[folder = "pack"]
struct Files;

/// The files of a built-in pack by name, its samples left out.
pub(crate) fn files(id: &str) -> BTreeMap<String, String> {
    let own = |path: &str| path.strip_prefix(id)?.strip_prefix('/').map(str::to_owned);
    let parts = Files::iter().filter_map(|path| Some((own(&path)?, path))).filter(|(name, _)| !name.contains('/'));
    let text = |path: &str| String::from_utf8(Files::get(path)?.data.into_owned()).ok();
    parts.filter_map(|(name, path)| Some((name, text(&path)?))).collect()
}

/// Every built-in pack, in the order of their ids.
pub(crate) fn packs() -> Vec<Result<Pack, RuleError>> {
    let mut packs: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for path in Files::iter() {
        let Some((id, file)) = path.split_once('/') else { continue };
        let text = Files::get(&path).and_then(|found| String::from_utf8(found.data.into_owned()).ok());
        match text {
            Some(text) => {
                packs.entry(id.to_owned()).or_default().insert(file.to_owned(), text);
            }
            None => unreadable.push(RuleError::new(id, file, RuleErrorKind::Unreadable("it is not UTF-8".into()))),
        }
    }
    let read = packs.iter().map(|(id, files)| Pack::from_files(id, files, true));
    read.chain(unreadable.into_iter().map(Err)).collect()
}
