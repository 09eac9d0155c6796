//! What rows that come late can change: the later rows of the same principal, secret or namespace.
//!
//! In: the rows of a batch, before they are folded. Out: for each key the moment from which its rows are to be judged
//! again. What a rule says of a row rests on rows at or before it, so earlier rows are never concerned.
//!
//! A namespace is concerned only by somebody new to it, and only from the day after on, because rules see its readers by
//! day. Who becomes a rotation function, or stops being one, changes what its earlier rows mean.

use std::collections::{BTreeMap, HashMap, HashSet};

use keytrail_lake::functions::namespace_of;
use keytrail_model::{Micros, time::DAY};

use crate::{
    history::Key,
    lines::{Line, Lines},
    settings::ReaderClasses,
    state::{Id, State},
};

/// The keys of a batch's rows with the moment from which on others' rows may mean something else.
pub(crate) fn since(rows: &[Lines], state: &State) -> BTreeMap<Key, Micros> {
    let mut since = BTreeMap::new();
    let mut add = |key: Key, at: Micros| {
        let known = since.entry(key).or_insert(at);
        *known = at.min(*known);
    };
    let mut known_since = HashMap::new();
    // Most rows of a batch are of few principals and secrets; looking before making a key's text is cheaper.
    let (mut principals, mut secrets): (HashMap<&str, Micros>, HashMap<&str, Micros>) = Default::default();
    for row in rows.iter().flat_map(Lines::iter) {
        let earliest = |at: &mut Micros| *at = row.event_at.min(*at);
        principals.entry(row.principal_id).and_modify(earliest).or_insert(row.event_at);
        if let Some(secret) = row.secret_id {
            secrets.entry(secret).and_modify(earliest).or_insert(row.event_at);
        }
        let Some(namespace) = row.secret_name.and_then(namespace_of).filter(|_| is_use(&row)) else { continue };
        let known = *known_since
            .entry((row.principal_id, namespace))
            .or_insert_with(|| state.uses_namespace_since(row.principal_id, namespace));
        let day = row.event_at.div_euclid(DAY);
        if known.is_none_or(|known| known.div_euclid(DAY) > day) {
            add(Key::Namespace(namespace.to_owned()), day.saturating_add(1).saturating_mul(DAY));
        }
    }
    for (principal, at) in principals {
        add(Key::Principal(principal.to_owned()), at);
    }
    for (secret, at) in secrets {
        add(Key::Secret(secret.to_owned()), at);
    }
    since
}

fn is_use(row: &Line<'_>) -> bool {
    matches!(row.action, "read" | "invoke") && row.outcome == "ok"
}

/// The classes of those of the rows' principals that stage values, at large and for each secret of theirs. A class is told
/// by all of a principal's behaviour, so unlike everything else it can change what earlier rows mean.
pub(crate) type Classes = BTreeMap<(Id, Option<Id>), &'static str>;

pub(crate) fn classes(rows: &[Lines], state: &State, readers: &ReaderClasses) -> Classes {
    let mut classes = Classes::new();
    let names: HashSet<&str> = rows.iter().flat_map(Lines::iter).map(|row| row.principal_id).collect();
    for principal in names.into_iter().filter_map(|name| state.ids.find(name)) {
        let Some(staged) = state.staged.get(&principal) else { continue };
        classes.insert((principal, None), state.class_of(principal, readers));
        classes.extend(
            staged.iter().map(|&secret| ((principal, Some(secret)), state.class_of_pair((secret, principal), readers))),
        );
    }
    classes
}

/// The keys whose rows mean something else because a class is another now.
pub(crate) fn since_of_classes(before: &Classes, now: &Classes, state: &State) -> BTreeMap<Key, Micros> {
    let mut since = BTreeMap::new();
    let mut add = |key: Key, at: Micros| {
        let known = since.entry(key).or_insert(at);
        *known = at.min(*known);
    };
    for (&(principal, secret), class) in now {
        // Whoever staged nothing before was a consumer, unless the configuration says otherwise.
        if before.get(&(principal, secret)).copied().unwrap_or("consumer") == *class {
            continue;
        }
        let name = Key::Principal(state.text(principal).to_owned());
        match secret {
            None => {
                let Some(known) = state.principals.get(&principal) else { continue };
                add(name, known.first_seen_at);
            }
            Some(secret) => {
                let Some(pair) = state.pairs.get(&(secret, principal)) else { continue };
                add(name, pair.first_read_at);
                add(Key::Secret(state.text(secret).to_owned()), pair.first_read_at);
            }
        }
    }
    since
}

impl State {
    /// When a principal first used a secret of a namespace.
    fn uses_namespace_since(&self, principal: &str, namespace: &str) -> Option<Micros> {
        let id = self.ids.find(principal)?;
        let pairs = self.pairs_by_principal.range((id, Id::MIN)..=(id, Id::MAX));
        let within = pairs.filter(|(_, secret)| {
            let name = self.secrets.get(secret).and_then(|secret| secret.name.as_deref());
            name.and_then(namespace_of) == Some(namespace)
        });
        within.filter_map(|&(principal, secret)| Some(self.pairs.get(&(secret, principal))?.first_read_at)).min()
    }

    /// The newest event of all.
    pub(crate) fn newest_event_at(&self) -> Option<Micros> {
        self.newest_event_at
    }

    /// Whether rows of a key at or after a moment may have been folded: false only where it is certain.
    pub(crate) fn may_have(&self, key: &Key, since: Micros) -> bool {
        if self.newest_event_at.is_none_or(|newest| newest < since) {
            return false;
        }
        match key {
            Key::Principal(text) => {
                let principal = self.ids.find(text).and_then(|id| self.principals.get(&id));
                principal.is_some_and(|principal| principal.last_seen_at >= since)
            }
            Key::Secret(text) => self.ids.find(text).is_some(),
            Key::Namespace(_) => true,
        }
    }
}
