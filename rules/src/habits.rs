//! The habit columns of `new_events`: what was usual for a row's principal, secret and access key by then.
//!
//! In: the state, with the rows folded, and a batch with the columns of `access_events`. Out: the same batch with
//! [`fields`] behind its columns, one value or null for every row.
//!
//! Everything is as of the row's own event (`event_at`, `event_id`); what counts days counts UTC days before the row's, at
//! most [`WINDOW`] of them. So the columns depend on which rows are folded, and not on their order or batches. Two things
//! are as of now: the class of a reader, which its behaviour tells as a whole, and an access key that was forgotten (see
//! [`crate::state::habit`]). A row of a principal that nobody folded has nulls.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use keytrail_lake::{
    arrow::{
        array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
        datatypes::{DataType, Field, Schema},
        error::ArrowError,
    },
    functions::network_of,
};
use keytrail_model::{Micros, time::DAY};

use crate::{
    settings::ReaderClasses,
    state::{
        Days, EventId, Id, Pair, Row, Rows, State,
        habit::{Habit, Values, hour_of, kept},
        moment, number, text,
    },
};

/// How many days before the row's are looked at.
pub const WINDOW: i32 = 90;
/// The same for how many secrets a principal uses a day.
pub const SECRETS_WINDOW: i32 = 30;

macro_rules! columns {
    ($($kind:ident $name:ident: $value:ty),+ $(,)?) => {
        /// One row's habits; the fields are the columns.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Known<'a> {
            $(pub(crate) $name: Option<$value>,)+
            lifetime: std::marker::PhantomData<&'a ()>,
        }

        /// The habit columns, in their order.
        pub fn fields() -> Vec<Field> {
            vec![$($kind(stringify!($name)),)+]
        }

        fn arrays(rows: &[Known<'_>]) -> Vec<ArrayRef> {
            vec![$(array::$kind(rows.iter().map(|row| row.$name.clone())),)+]
        }
    };
}

columns! {
    text network: String,
    text reader_class: &'static str,
    moment principal_first_at: Micros,
    number principal_active_days: i64,
    number network_days: i64,
    number agent_days: i64,
    number hour_days: i64,
    number region_days: i64,
    flag is_first_network: bool,
    flag is_first_agent: bool,
    moment pair_first_read_at: Micros,
    flag is_first_use: bool,
    number pair_active_days: i64,
    moment secret_first_seen_at: Micros,
    moment secret_last_use_day_at: Micros,
    number secret_reader_count: i64,
    number usual_secrets_max: i64,
    number usual_secrets_days: i64,
    number namespace_days: i64,
    number namespace_readers: i64,
    moment key_first_at: Micros,
    text key_first_network: &'a str,
    text key_first_ip: String,
}

fn flag(name: &str) -> Field {
    Field::new(name, DataType::Boolean, true)
}

/// Columns from values.
mod array {
    use super::*;

    pub(super) fn text<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }

    pub(super) fn moment(values: impl Iterator<Item = Option<Micros>>) -> ArrayRef {
        Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    }

    pub(super) fn number(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
        Arc::new(values.collect::<Int64Array>())
    }

    pub(super) fn flag(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
        Arc::new(values.collect::<BooleanArray>())
    }
}

impl State {
    /// The batch with the habit columns behind its own.
    pub fn with_habits(&self, batch: &RecordBatch, classes: &ReaderClasses) -> Result<RecordBatch, ArrowError> {
        Habits::new(self, classes).append(batch)
    }
}

/// The state, asked row by row; what it takes to answer is gathered once for each principal, secret and namespace.
#[derive(Debug)]
pub struct Habits<'a> {
    pub(crate) state: &'a State,
    pub(crate) classes: &'a ReaderClasses,
    principals: HashMap<Id, OfPrincipal<'a>>,
    secrets: HashMap<Id, OfSecret<'a>>,
    namespaces: HashMap<Id, Vec<(i32, Id)>>,
    classes_known: HashMap<Id, &'static str>,
}

/// What a principal used, day by day.
#[derive(Debug, Default)]
pub(crate) struct OfPrincipal<'a> {
    secrets_by_day: HashMap<i32, i64>,
    pub(crate) namespaces: HashMap<&'a str, Days>,
}

/// What a secret's consumers did.
#[derive(Debug, Default)]
pub(crate) struct OfSecret<'a> {
    /// Each one's first use, sorted.
    first_uses: Vec<(Micros, &'a EventId)>,
    pub(crate) days: Days,
}

impl<'a> Habits<'a> {
    pub fn new(state: &'a State, classes: &'a ReaderClasses) -> Self {
        Self {
            state,
            classes,
            principals: HashMap::new(),
            secrets: HashMap::new(),
            namespaces: HashMap::new(),
            classes_known: HashMap::new(),
        }
    }

    /// The batch with the habit columns behind its own.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = Rows::new(batch, Vec::new()).map_err(|error| ArrowError::SchemaError(error.to_string()))?;
        let known: Vec<Known<'a>> = rows.iter().map(|row| self.known(&row)).collect();
        let schema = batch.schema();
        let mut all: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        all.extend(fields());
        let columns = batch.columns().iter().cloned().chain(arrays(&known)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(all)), columns)
    }

    /// What is known of one row.
    pub(crate) fn known(&mut self, row: &Row<'_>) -> Known<'a> {
        let state = self.state;
        let mut known = Known { network: network_of(row.source_ip, row.vpc_endpoint_id), ..Known::default() };
        if let Some(key) = row.access_key_id.and_then(|key| state.keys.uses.get(kept(key))) {
            known.key_first_at = Some(key.first_at);
            let by_then = (row.event_at, &EventId::new(row.event_id));
            if let Some(place) = key.place.as_ref().filter(|place| (place.at, &place.event_id) <= by_then) {
                known.key_first_network = Some(state.values.text(place.network));
                known.key_first_ip = place.ip.map(|ip| ip.to_string());
            }
        }
        let principal = state.ids.find(row.principal_id);
        let secret = state.secret_of(row);
        known.reader_class = Some(match (principal, secret) {
            (Some(principal), Some(secret)) => state.class_of_pair((secret, principal), self.classes),
            (Some(principal), None) => self.class_of(principal),
            (None, _) => self.classes.class_of(row.principal_id).unwrap_or("consumer"),
        });
        if let Some(principal) = principal {
            self.of_principal(principal, row, &mut known);
        }
        if let Some(secret) = secret {
            self.of_secret(secret, principal, row, &mut known);
        }
        known
    }

    fn of_principal(&mut self, principal: Id, row: &Row<'_>, known: &mut Known<'a>) {
        let state = self.state;
        let (day, window) = (row.day(), row.day().saturating_sub(WINDOW));
        known.principal_first_at = state.principals.get(&principal).map(|principal| principal.first_seen_at);
        let none = Habit::default();
        let habit = state.habits.get(&principal).unwrap_or(&none);
        let days = habit.days(window, day);
        let around = hours_around(hour_of(row.event_at));
        known.principal_active_days = Some(days.len() as i64);
        known.hour_days = Some(days.iter().filter(|(_, hours)| hours & around != 0).count() as i64);
        let event_id = EventId::new(row.event_id);
        let seen = |values: &Values, value: Option<&str>| {
            let value = value?;
            let found = state.values.find(kept(value)).and_then(|value| values.get(value));
            let days = found.map_or(0, |seen| seen.days.count(window, day));
            let is_first = found.is_some_and(|seen| (seen.first_at, &seen.first_event_id) == (row.event_at, &event_id));
            // Where values had to be forgotten, nothing can be told to be new.
            Some((days, (!values.is_full).then_some(is_first)))
        };
        if let Some((days, is_first)) = seen(&habit.networks, known.network.as_deref()) {
            (known.network_days, known.is_first_network) = (Some(days), is_first);
        }
        if let Some((days, is_first)) = seen(&habit.agents, row.user_agent_family) {
            (known.agent_days, known.is_first_agent) = (Some(days), is_first);
        }
        known.region_days = seen(&habit.regions, Some(row.region)).map(|(days, _)| days);

        let recent = habit.days(day.saturating_sub(SECRETS_WINDOW), day);
        known.usual_secrets_days = Some(recent.len() as i64);
        let used = self.used_by(principal);
        known.usual_secrets_max =
            recent.iter().map(|(day, _)| used.secrets_by_day.get(day).copied().unwrap_or(0)).max().or(Some(0));
    }

    fn of_secret(&mut self, secret: Id, principal: Option<Id>, row: &Row<'_>, known: &mut Known<'a>) {
        let state = self.state;
        let (at, day) = (row.event_at, row.day());
        let window = day.saturating_sub(WINDOW);
        let by_then = |first: &Micros| *first <= at;
        known.secret_first_seen_at = state.secrets.get(&secret).and_then(|it| it.first_seen_at).filter(by_then);
        let event_id = EventId::new(row.event_id);
        let of_secret = self.uses_of(secret);
        let earlier = of_secret.first_uses.partition_point(|first| *first < (at, &event_id));
        known.secret_reader_count = Some(earlier as i64);
        known.secret_last_use_day_at = of_secret.days.last_before(day).map(|day| Micros::from(day) * DAY);
        let pair = principal.and_then(|principal| state.pairs.get(&(secret, principal)));
        known.pair_first_read_at = pair.map(|pair| pair.first_read_at).filter(by_then);
        let is_first = |pair: &Pair| (pair.first_read_at, &pair.first_event_id) == (at, &event_id);
        known.is_first_use = Some(row.is_use() && pair.is_some_and(is_first));
        known.pair_active_days = Some(pair.map_or(0, |pair| pair.days.count(window, day)));

        let Some(namespace) = state.namespace(secret) else { return };
        known.namespace_days = Some(principal.map_or(0, |principal| {
            self.used_by(principal).namespaces.get(namespace).map_or(0, |days| days.count(window, day))
        }));
        let readers = state.values.find(namespace).map(|namespace| self.readers_of(namespace));
        known.namespace_readers = Some(readers.map_or(0, |readers| {
            let earlier = readers.get(..readers.partition_point(|(first, _)| *first < day)).unwrap_or_default();
            let own = earlier.iter().any(|(_, reader)| Some(*reader) == principal);
            earlier.len() as i64 - i64::from(own)
        }));
    }

    pub(crate) fn used_by(&mut self, principal: Id) -> &OfPrincipal<'a> {
        let state = self.state;
        self.principals.entry(principal).or_insert_with(|| {
            let mut used = OfPrincipal::default();
            let keys = state.pairs_by_principal.range((principal, Id::MIN)..=(principal, Id::MAX));
            for &(principal, secret) in keys {
                let Some(pair) = state.pairs.get(&(secret, principal)) else { continue };
                for (day, _) in pair.days.iter() {
                    *used.secrets_by_day.entry(day).or_default() += 1;
                }
                if let Some(namespace) = state.namespace(secret) {
                    let days = used.namespaces.entry(namespace).or_default();
                    pair.days.iter().for_each(|(day, _)| days.insert(day));
                }
            }
            used
        })
    }

    pub(crate) fn uses_of(&mut self, secret: Id) -> &OfSecret<'a> {
        let (state, classes) = (self.state, self.classes);
        self.secrets.entry(secret).or_insert_with(|| {
            let mut uses = OfSecret::default();
            for (key, pair) in state.pairs.range((secret, Id::MIN)..=(secret, Id::MAX)) {
                if state.class_of_pair(*key, classes) == "consumer" {
                    uses.first_uses.push((pair.first_read_at, &pair.first_event_id));
                    pair.days.iter().for_each(|(day, _)| uses.days.insert(day));
                }
            }
            uses.first_uses.sort_unstable();
            uses
        })
    }

    /// The consumers of a namespace by their first day.
    fn readers_of(&mut self, namespace: Id) -> &[(i32, Id)] {
        if !self.namespaces.contains_key(&namespace) {
            let all = self.state.namespace_readers.range((namespace, Id::MIN)..=(namespace, Id::MAX));
            let all: Vec<(i32, Id)> = all.map(|(&(_, reader), &first)| (first, reader)).collect();
            let mut readers: Vec<_> =
                all.into_iter().filter(|(_, reader)| self.class_of(*reader) == "consumer").collect();
            readers.sort_unstable();
            self.namespaces.insert(namespace, readers);
        }
        self.namespaces.get(&namespace).map_or(&[], Vec::as_slice)
    }

    fn class_of(&mut self, principal: Id) -> &'static str {
        match self.classes_known.entry(principal) {
            Entry::Occupied(known) => known.get(),
            Entry::Vacant(entry) => entry.insert(self.state.class_of(principal, self.classes)),
        }
    }
}

/// An hour with its two neighbours, as bits; midnight's neighbours are those of the same day.
pub(crate) const fn hours_around(hour: u32) -> u32 {
    1 << (hour % 24) | 1 << ((hour + 1) % 24) | 1 << ((hour + 23) % 24)
}

#[cfg(test)]
#[path = "habits_tests.rs"]
mod tests;
