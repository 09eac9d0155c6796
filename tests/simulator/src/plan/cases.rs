//! What incidents need of the plan: a random moment, somebody to plant something on, and labels for several rules at once.

use std::collections::BTreeSet;

use rand::Rng;

use super::Plan;
use crate::{
    cast::{Kind, Place, Unit},
    clock::DAY,
    identity::Caller,
};

/// The events of one case, whatever rules are to judge it.
pub(crate) struct Case<'a> {
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) secrets: &'a [usize],
    pub(crate) at: i64,
    pub(crate) events: Vec<String>,
    pub(crate) why: &'a str,
}

impl<'c> Plan<'c> {
    /// A random moment with so many days before it and after it; none in a window that is too short.
    pub(crate) fn somewhen(&mut self, before: f64, after: f64) -> Option<i64> {
        let room = self.days() as f64 - before - after;
        (room > 0.0).then(|| {
            let day = before + self.random.random_range(0.0..room);
            self.start + (day * DAY as f64) as i64
        })
    }

    /// The same, at an hour of working time.
    pub(crate) fn some_working_day(&mut self, before: f64, after: f64) -> Option<i64> {
        let at = self.somewhen(before, after + 1.0)?;
        let midnight = at - at.rem_euclid(DAY);
        Some(midnight + DAY + self.random.random_range(9 * 3_600..16 * 3_600))
    }

    /// A running unit of this kind, another one each time while there are any.
    pub(crate) fn victim(&mut self, fits: impl Fn(&Unit) -> bool) -> Option<&'c Unit> {
        let cast = self.cast;
        let all: Vec<_> = cast.units.iter().filter(|unit| unit.is_running() && fits(unit)).collect();
        let fresh: Vec<_> = all.iter().copied().filter(|unit| !self.taken.contains(&unit.name)).collect();
        let from = if fresh.is_empty() { &all } else { &fresh };
        if from.is_empty() {
            return None;
        }
        let unit = from[self.random.random_range(0..from.len())];
        self.taken.insert(unit.name.clone());
        Some(unit)
    }

    /// Secrets of running units of a place that this unit does not read and whose value never changes.
    pub(crate) fn of_others(&self, place: Place, kind: Kind, unit: &Unit) -> Vec<usize> {
        let cast = self.cast;
        // Not what an earlier incident has read already: that would be no first time.
        let principal = cast.role(unit.place.account, "/", &unit.role_name()).arn();
        let read: BTreeSet<_> =
            self.ledger.iter().filter(|access| access.principal == principal).map(|access| access.secret).collect();
        let mine = |secret: &usize| {
            read.contains(secret)
                || unit.own.contains(secret)
                || unit.others.contains(secret)
                || unit.adopts == Some(*secret)
        };
        cast.units
            .iter()
            .filter(|other| other.is_running() && other.place == place && other.name != unit.name)
            .flat_map(|other| other.own.iter().copied())
            .filter(|secret| {
                cast.secrets[*secret].kind == kind && !mine(secret) && self.rotations_of(*secret).is_empty()
            })
            .collect()
    }

    /// The same without those of namespaces that this unit has met in an earlier incident: a stray read there is no first one.
    pub(crate) fn of_strangers(&self, place: Place, kind: Kind, unit: &Unit) -> Vec<usize> {
        let namespace = |secret: usize| {
            let name = self.cast.secrets[secret].name.trim_start_matches('/');
            name.split('/').next().unwrap_or_default().to_owned()
        };
        let principal = self.cast.role(unit.place.account, "/", &unit.role_name()).arn();
        let met: BTreeSet<String> = self
            .ledger
            .iter()
            .filter(|access| access.principal == principal)
            .map(|access| namespace(access.secret))
            .collect();
        let mut others = self.of_others(place, kind, unit);
        others.retain(|&secret| !met.contains(&namespace(secret)));
        others
    }

    /// Labels a case that each of these rules must report.
    pub(crate) fn expect(&mut self, rules: &[&str], case: &Case<'_>) {
        for rule in rules {
            self.label(rule, true, case.caller, case.secrets, case.at, case.events.clone(), case.why);
        }
    }

    /// Labels a look-alike that none of these rules may report; the others that are named may.
    pub(crate) fn quiet(&mut self, rules: &[&str], also: &[&str], case: &Case<'_>) {
        for rule in rules {
            let labelled = self.labels.len();
            self.label(rule, false, case.caller, case.secrets, case.at, case.events.clone(), case.why);
            if let Some(label) = self.labels.get_mut(labelled) {
                label.also = also.iter().map(|&rule| rule.to_owned()).collect();
            }
        }
    }

    /// The last label may be met until this moment.
    pub(crate) fn until(&mut self, at: i64) {
        if let Some(label) = self.labels.last_mut() {
            label.last_event_at = Some(crate::clock::rfc3339(at));
        }
    }
}
