//! The files of a pack as its author wrote them, without its samples: what an evidence bundle keeps of a rule.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{embedded, pack::Pack};

/// The files of a pack by name: of the program's own, or of the one in the user's folder.
pub fn files(pack: &Pack, own: Option<&Path>) -> BTreeMap<String, String> {
    let id = &pack.manifest.id;
    if pack.built_in {
        return embedded::files(id);
    }
    let Some(own) = own else { return BTreeMap::new() };
    // The folder may hold packs, or be one.
    let folder = if own.join(id).is_dir() { own.join(id) } else { own.to_owned() };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_part = [".toml", ".sql", ".md"].iter().any(|end| name.ends_with(end));
            if is_part { Some((name, fs::read_to_string(entry.path()).ok()?)) } else { None }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Packs;

    #[test]
    fn a_pack_can_be_written_again_and_is_the_same() {
        let packs = Packs::load(None);
        let pack = packs.find("new_principal").expect("built in");
        let written = files(pack, None);
        let again = Pack::from_files("new_principal", &written, false).expect("a pack");
        assert_eq!(
            (again.detect_sql, again.guide, again.views),
            (pack.detect_sql.clone(), pack.guide.clone(), pack.views.clone())
        );
        assert!(!written.keys().any(|name| name.contains('/')), "samples are not part of it");

        let own = tempfile::tempdir().expect("a folder");
        let folder = own.path().join("new_principal");
        fs::create_dir(&folder).expect("a folder");
        for (name, text) in &written {
            fs::write(folder.join(name), text).expect("a file");
        }
        let read = Packs::load(Some(own.path()));
        assert_eq!(files(read.find("new_principal").expect("read"), Some(own.path())), written);
        assert_eq!(files(read.find("new_principal").expect("read"), Some(&folder)), written);
    }
}
