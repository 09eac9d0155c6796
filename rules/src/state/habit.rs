//! What a principal usually does: when, from where, with what; and where each access key was first seen.
//!
//! In: rows, in any order, any number of times. Out: minima and sets of days, so neither matters. What is asked of it as
//! of a moment is asked in [`crate::habits`].
//!
//! Bounds, because every field of an event may be forged: `VALUES_KEPT` networks, agents and regions for each
//! principal (what was last seen longest ago goes; from then on nothing is called new any more), `HOURS_KEPT` days
//! with their hours, `TEXT_KEPT` characters of a value. An access key that was not used for `KEY_DAYS` is forgotten,
//! as soon as there are more than `KEYS_SPARED`; of more than `KEYS_KEPT` the ones used longest ago go at once.
//! A row that is later found to be another principal's leaves its day behind.

use std::{collections::HashMap, net::IpAddr};

use keytrail_lake::functions::network_of;
use keytrail_model::{
    Micros,
    time::{DAY, HOUR},
};
use serde::{Deserialize, Serialize};

use super::{Days, EventId, Id, Row, State, rows::day_of};

/// Networks, agents and regions remembered for one principal, each.
const VALUES_KEPT: usize = 512;
/// Days of which the hours are remembered: more than a lake keeps.
const HOURS_KEPT: usize = 1_000;
/// Days by which their memory grows.
const HOURS_GROWTH: usize = 16;
/// Characters of a value that tell it from others.
const TEXT_KEPT: usize = 120;
/// How long an access key is remembered after its last use.
pub const KEY_DAYS: i64 = 7;
const KEYS_SPARED: usize = 65_536;
const KEYS_KEPT: usize = 1_000_000;

/// One principal's habits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habit {
    /// UTC days with events, and in which hours (bit 0 is midnight to one); sorted.
    pub(crate) hours: Vec<(i32, u32)>,
    pub(crate) networks: Values,
    pub(crate) agents: Values,
    pub(crate) regions: Values,
}

/// What a principal was seen with, of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    /// Sorted by id.
    pub(crate) seen: Vec<(Id, Seen)>,
    /// There were more than can be remembered: what is unknown now may have been known.
    pub(crate) is_full: bool,
}

/// One value: its first event and its days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub(crate) first_at: Micros,
    /// Of several events in one second, the least id.
    pub(crate) first_event_id: EventId,
    pub(crate) days: Days,
}

/// What is remembered of one access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    pub(crate) first_at: Micros,
    pub(crate) last_at: Micros,
    /// The first event that has an address of the caller's own.
    pub(crate) place: Option<Place>,
}

/// Where one event came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub(crate) at: Micros,
    pub(crate) event_id: EventId,
    pub(crate) network: Id,
    pub(crate) ip: Option<IpAddr>,
}

/// The access keys in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    pub(crate) uses: HashMap<Box<str>, KeyUse>,
    /// How many there may be before the unused ones are looked for again.
    room: usize,
}

/// What of a text tells it from others.
pub(crate) fn kept(text: &str) -> &str {
    let end = text.char_indices().nth(TEXT_KEPT).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or(text)
}

/// The hour of a moment's UTC day, 0 to 23.
pub(crate) fn hour_of(at: Micros) -> u32 {
    u32::try_from(at.rem_euclid(DAY) / HOUR).unwrap_or(0)
}

impl Habit {
    fn note_hour(&mut self, day: i32, hour: u32) {
        match self.hours.binary_search_by_key(&day, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, hours)) = self.hours.get_mut(at) {
                    *hours |= 1 << hour;
                }
            }
            Err(0) if self.hours.len() >= HOURS_KEPT => {}
            Err(at) => {
                if self.hours.len() == self.hours.capacity() {
                    self.hours.reserve_exact(HOURS_GROWTH);
                }
                self.hours.insert(at, (day, 1 << hour));
                if self.hours.len() > HOURS_KEPT {
                    self.hours.remove(0);
                }
            }
        }
    }

    /// The days with events from `from` on and before `before`, each with its hours.
    pub(crate) fn days(&self, from: i32, before: i32) -> &[(i32, u32)] {
        let low = self.hours.partition_point(|(day, _)| *day < from);
        let high = self.hours.partition_point(|(day, _)| *day < before);
        self.hours.get(low..high).unwrap_or_default()
    }
}

impl Values {
    pub(crate) fn get(&self, id: Id) -> Option<&Seen> {
        let at = self.seen.binary_search_by_key(&id, |(known, _)| *known).ok()?;
        self.seen.get(at).map(|(_, seen)| seen)
    }

    fn note(&mut self, id: Id, event_id: &EventId, row: &Row<'_>) {
        match self.seen.binary_search_by_key(&id, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, seen)) = self.seen.get_mut(at) {
                    if (row.event_at, event_id) < (seen.first_at, &seen.first_event_id) {
                        seen.first_at = row.event_at;
                        seen.first_event_id.clone_from(event_id);
                    }
                    seen.days.insert(row.day());
                }
            }
            Err(at) => {
                let mut days = Days::default();
                days.insert(row.day());
                let seen = Seen { first_at: row.event_at, first_event_id: event_id.clone(), days };
                self.seen.reserve_exact(1);
                self.seen.insert(at, (id, seen));
                if self.seen.len() > VALUES_KEPT {
                    self.is_full = true;
                    let oldest = (0..self.seen.len()).min_by_key(|&at| self.seen.get(at).map(|(_, it)| it.days.last()));
                    self.seen.remove(oldest.unwrap_or(0));
                }
            }
        }
    }
}

impl Keys {
    fn note(&mut self, key: &str, row: &Row<'_>, event_id: &EventId, network: Option<Id>, newest: Micros) {
        let at = row.event_at;
        if !self.uses.contains_key(kept(key)) {
            self.make_room(newest);
        }
        let known = self.uses.entry(kept(key).into()).or_insert(KeyUse { first_at: at, last_at: at, place: None });
        known.first_at = known.first_at.min(at);
        known.last_at = known.last_at.max(at);
        let Some(network) = network else { return };
        let is_first = known.place.as_ref().is_none_or(|it| (at, event_id) < (it.at, &it.event_id));
        if is_first {
            known.place = Some(Place {
                at,
                event_id: event_id.clone(),
                network,
                ip: row.source_ip.and_then(|ip| ip.parse().ok()),
            });
        }
    }

    fn make_room(&mut self, newest: Micros) {
        if self.uses.len() < self.room.max(KEYS_SPARED) {
            return;
        }
        self.uses.retain(|_, known| known.last_at >= newest.saturating_sub(KEY_DAYS * DAY));
        if self.uses.len() >= KEYS_KEPT {
            let mut last: Vec<Micros> = self.uses.values().map(|known| known.last_at).collect();
            last.sort_unstable();
            let from = last.get(last.len() / 4).copied().unwrap_or(newest);
            self.uses.retain(|_, known| known.last_at > from);
        }
        self.room = (self.uses.len() + self.uses.len() / 4).min(KEYS_KEPT);
    }
}

impl State {
    /// Notes what a row tells of its principal's habits and of its access key.
    pub(super) fn fold_habit(&mut self, principal: Id, row: &Row<'_>) {
        let network = network_of(row.source_ip, row.vpc_endpoint_id);
        let network = network.map(|network| self.values.of(kept(&network)));
        let event_id = EventId::new(row.event_id);
        if let Some(key) = row.access_key_id {
            self.keys.note(key, row, &event_id, network, self.newest_event_at.unwrap_or(row.event_at));
        }
        let habit = self.habits.entry(principal).or_default();
        habit.note_hour(day_of(row.event_at), hour_of(row.event_at));
        let seen = [
            (&mut habit.networks, network),
            (&mut habit.agents, row.user_agent_family.map(|agent| self.values.of(kept(agent)))),
            (&mut habit.regions, Some(self.values.of(kept(row.region)))),
        ];
        for (values, value) in seen {
            if let Some(value) = value {
                values.note(value, &event_id, row);
            }
        }
    }
}
