//! What the ledger says at the horizon: the unused report and the stale consumers. Computed from what was really done and
//! delivered, never written by hand.

use std::collections::BTreeSet;

use super::{Access, Plan};
use crate::{
    cast::{Fate, GAP_PLACE, Kind},
    clock::{DAY, rfc3339},
    labels::{StaleConsumers, Unused},
};

const WINDOW_DAYS: i64 = 90;

impl Plan<'_> {
    /// The ledger, secret by secret.
    fn by_secret(&self) -> Vec<Vec<&Access>> {
        let mut all = vec![Vec::new(); self.cast.secrets.len()];
        for access in &self.ledger {
            all[access.secret].push(access);
        }
        all
    }

    /// The verdict on each secret that is neither deleted nor too young to judge.
    pub(crate) fn unused(&self) -> Unused {
        let mut verdicts = Unused::default();
        if self.days() < WINDOW_DAYS + 2 {
            verdicts.note = Some(format!("{} days are too few to call a secret unused", self.days()));
            return verdicts;
        }
        let since = self.end - WINDOW_DAYS * DAY;
        let gap = self.gap.is_some_and(|(_, until)| until > since);
        let accesses = self.by_secret();
        for (index, secret) in self.cast.secrets.iter().enumerate() {
            let unborn = secret.fate == Fate::New && !self.created.iter().any(|(created, _)| *created == index);
            if secret.fate == Fate::Deleted || unborn || self.deleted.iter().any(|(deleted, _)| *deleted == index) {
                continue;
            }
            let recent: Vec<_> =
                accesses[index].iter().filter(|access| access.ok && !access.upkeep && access.at >= since).collect();
            let swept = secret.kind != Kind::Manager
                && self.paths.iter().any(|(place, path, at)| {
                    let below = secret.name.trim_start_matches('/').starts_with(path.trim_start_matches('/'));
                    *place == secret.place && below && *at >= since
                });
            let list = if recent.iter().any(|access| !access.sync) {
                &mut verdicts.used
            } else if (gap && secret.place == GAP_PLACE) || secret.fate == Fate::ByPath {
                &mut verdicts.cannot_tell
            } else if !recent.is_empty() {
                &mut verdicts.sync_only
            } else if swept {
                &mut verdicts.cannot_tell
            } else if secret.fate == Fate::StartTime {
                &mut verdicts.start_time_reader
            } else {
                &mut verdicts.unused
            };
            list.push(secret.id.clone());
        }
        verdicts
    }

    /// For each change of value: who read the value before it and nothing since.
    pub(crate) fn stale_consumers(&self) -> Vec<StaleConsumers> {
        let mut found = Vec::new();
        let accesses = self.by_secret();
        for (index, accesses) in accesses.iter().enumerate() {
            let mut before = i64::MIN;
            for rotation in self.rotations_of(index) {
                let reads = |from: i64, until: i64| -> BTreeSet<&str> {
                    accesses
                        .iter()
                        .filter(|access| access.ok && !access.upkeep && (from..until).contains(&access.at))
                        // Another look at an old version does not fetch the new one.
                        .filter(|access| {
                            access.version.as_ref().is_none_or(|version| *version == self.current(index, access.at))
                        })
                        .map(|access| access.principal.as_str())
                        .collect()
                };
                let stale: Vec<_> = reads(before, rotation.at)
                    .difference(&reads(rotation.at, self.end))
                    .map(|&principal| principal.to_owned())
                    .collect();
                if !stale.is_empty() {
                    found.push(StaleConsumers {
                        secret_id: self.cast.secrets[index].id.clone(),
                        rotation_at: rfc3339(rotation.at),
                        principal_ids: stale,
                    });
                }
                before = rotation.at;
            }
        }
        found
    }
}
