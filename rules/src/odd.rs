//! Why a finding is odd: its event against the habits of its principal and the readers of its secret.
//!
//! In: the state, rows of `access_events`, findings that rest on some of them. Out: one [`Odd`] for each dimension that
//! the row has a value in, each with what is usual and the sample behind it, as of the row's day (see
//! [`crate::habits`]). Nothing is judged here: a value seen on every day is told as well.
//!
//! Every text is cut and made safe to print; a sample of few days says so in words. Rows that are not given leave their
//! findings as they are.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    rc::Rc,
};

use keytrail_lake::arrow::array::RecordBatch;
use keytrail_model::{
    Finding, Frequency, Odd,
    display::{principal_short, secret_short, terminal_safe},
};

use crate::{
    habits::{Habits, WINDOW},
    settings::ReaderClasses,
    state::{
        Id, Row, Rows, RowsError, State,
        habit::{Values, hour_of},
    },
};

/// Characters of a value that are shown.
const SHOWN: usize = 48;
/// Samples of fewer days say how few they are.
const FEW: i64 = 5;
/// Usual values that are named.
const NAMED: usize = 2;

/// Fills in why each finding is odd, behind what its rule says itself.
pub fn explain(
    state: &State,
    classes: &ReaderClasses,
    batches: &[RecordBatch],
    findings: &mut [Finding],
) -> Result<(), RowsError> {
    let wanted: HashSet<String> =
        findings.iter().filter_map(|finding| finding.evidence.as_ref()).map(|event| event.event_id.clone()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let rows = batches.iter().map(|batch| Rows::new(batch, Vec::new())).collect::<Result<Vec<_>, _>>()?;
    let mut by_event: HashMap<&str, Vec<Row<'_>>> = HashMap::new();
    for row in rows.iter().flat_map(Rows::iter).filter(|row| wanted.contains(row.event_id)) {
        by_event.entry(row.event_id).or_default().push(row);
    }
    let mut whys = Whys::new(state, classes);
    for finding in findings {
        let Some(event) = &finding.evidence else { continue };
        let rows = by_event.get(event.event_id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let same = rows.iter().find(|row| finding.secret_id.is_some() && row.secret_id == finding.secret_id.as_deref());
        let Some(row) = same.or(rows.first()) else { continue };
        // A finding that names no secret is about the call, not about one of the secrets it touched.
        let row = Row { secret_id: row.secret_id.filter(|_| same.is_some()), ..*row };
        for odd in whys.of(&row) {
            if finding.why.iter().all(|known| known.dimension != odd.dimension) {
                finding.why.push(odd);
            }
        }
    }
    Ok(())
}

/// The dimensions of one row.
pub fn why(state: &State, classes: &ReaderClasses, row: &Row<'_>) -> Vec<Odd> {
    Whys::new(state, classes).of(row)
}

/// What is usual, in words, gathered once for each principal or secret and day.
#[derive(Debug)]
struct Whys<'a> {
    habits: Habits<'a>,
    principals: HashMap<(Id, i32), Rc<Usual>>,
    readers: HashMap<(Id, i32), Rc<(i64, String)>>,
}

/// What a principal usually does.
#[derive(Debug)]
struct Usual {
    networks: String,
    agents: String,
    hours: String,
    regions: String,
    secrets: String,
    namespaces: String,
}

impl<'a> Whys<'a> {
    fn new(state: &'a State, classes: &'a ReaderClasses) -> Self {
        Self { habits: Habits::new(state, classes), principals: HashMap::new(), readers: HashMap::new() }
    }

    fn of(&mut self, row: &Row<'_>) -> Vec<Odd> {
        let state = self.habits.state;
        let Some(principal) = state.ids.find(row.principal_id) else { return Vec::new() };
        let known = self.habits.known(row);
        let usual = self.usual(principal, row.day());
        let sample = known.principal_active_days.unwrap_or(0);
        let odd = |dimension: &str, value: String, usual: &str, seen: Option<i64>| {
            let seen = seen.unwrap_or(0);
            let unit = "days active".to_owned();
            let word = Frequency::of(seen, sample);
            Odd { dimension: dimension.to_owned(), value, usual: usual.to_owned(), seen, sample, unit, word }
        };
        let mut all = Vec::new();
        if let Some(network) = &known.network {
            all.push(odd("source network", shown(network), &usual.networks, known.network_days));
        }
        if let Some(agent) = row.user_agent_family {
            all.push(odd("user agent", shown(agent), &usual.agents, known.agent_days));
        }
        let hour = span(hour_of(row.event_at), 1);
        all.push(odd("hour of day (UTC)", hour, &usual.hours, known.hour_days));
        all.push(odd("region", shown(row.region), &usual.regions, known.region_days));
        let Some(secret) = state.secret_of(row) else { return all };
        all.push(odd("this secret", self.name_of(secret), &usual.secrets, known.pair_active_days));
        if let Some(namespace) = state.namespace(secret) {
            all.push(odd("secret namespace", shown(namespace), &usual.namespaces, known.namespace_days));
        }
        if known.reader_class != Some("consumer") {
            return all;
        }
        let readers = self.readers(secret, row.day());
        let (seen, sample) = (known.pair_active_days.unwrap_or(0), readers.0);
        all.push(Odd {
            dimension: "readers of this secret".to_owned(),
            value: shown(&principal_short(row.principal_id)),
            usual: readers.1.clone(),
            seen,
            sample,
            unit: "days used".to_owned(),
            word: Frequency::of(seen, sample),
        });
        all
    }

    fn usual(&mut self, principal: Id, day: i32) -> Rc<Usual> {
        if let Some(usual) = self.principals.get(&(principal, day)) {
            return usual.clone();
        }
        let state = self.habits.state;
        let window = day.saturating_sub(WINDOW);
        let habit = state.habits.get(&principal);
        let days = habit.map(|habit| habit.days(window, day)).unwrap_or_default();
        let sample = Sample { days: days.len() as i64, unit: "active days" };
        let values = |values: Option<&Values>| {
            let seen = values.map(|values| values.seen.as_slice()).unwrap_or_default();
            sample.top(seen.iter().map(|(id, seen)| (state.values.text(*id), seen.days.count(window, day))), shown)
        };
        let namespaces = self.habits.used_by(principal).namespaces.iter();
        let namespaces = sample.top(namespaces.map(|(name, days)| (*name, days.count(window, day))), shown);
        let secrets = state.pairs_by_principal.range((principal, Id::MIN)..=(principal, Id::MAX));
        let used = secrets.filter_map(|&(principal, secret)| {
            state.pairs.get(&(secret, principal)).map(|pair| (secret, pair.days.count(window, day)))
        });
        let usual = Rc::new(Usual {
            networks: values(habit.map(|habit| &habit.networks)),
            agents: values(habit.map(|habit| &habit.agents)),
            hours: sample.hours(days),
            regions: values(habit.map(|habit| &habit.regions)),
            secrets: sample.top(used, |secret| self.name_of(secret)),
            namespaces,
        });
        self.principals.insert((principal, day), usual.clone());
        usual
    }

    /// On how many days a secret was used, and who its readers are.
    fn readers(&mut self, secret: Id, day: i32) -> Rc<(i64, String)> {
        if let Some(readers) = self.readers.get(&(secret, day)) {
            return readers.clone();
        }
        let (state, classes) = (self.habits.state, self.habits.classes);
        let window = day.saturating_sub(WINDOW);
        let sample = Sample { days: self.habits.uses_of(secret).days.count(window, day), unit: "days used" };
        let pairs = state.pairs.range((secret, Id::MIN)..=(secret, Id::MAX));
        let consumers = pairs.filter(|(key, _)| state.class_of_pair(**key, classes) == "consumer");
        let used: Vec<(Id, i64)> = consumers.map(|(key, pair)| (key.1, pair.days.count(window, day))).collect();
        let count = used.iter().filter(|(_, days)| *days > 0).count();
        let mut usual = sample.top(used.into_iter(), |reader| shown(&principal_short(state.ids.text(reader))));
        if count > NAMED {
            usual.push_str(&format!("; {count} readers"));
        }
        let readers = Rc::new((sample.days, usual));
        self.readers.insert((secret, day), readers.clone());
        readers
    }

    fn name_of(&self, secret: Id) -> String {
        let state = self.habits.state;
        let name = state.secrets.get(&secret).and_then(|secret| secret.name.as_deref());
        shown(&name.map_or_else(|| secret_short(state.ids.text(secret)), str::to_owned))
    }
}

/// How many days are known, and what they are called.
#[derive(Clone, Copy)]
struct Sample {
    days: i64,
    unit: &'static str,
}

impl Sample {
    /// The most frequent values with their days: `10.20.0.0/16 on 27 of 30 active days, 10.30.0.0/16 on 4`.
    fn top<T>(self, values: impl Iterator<Item = (T, i64)>, show: impl Fn(T) -> String) -> String {
        let mut values: Vec<(T, i64)> = values.filter(|(_, days)| *days > 0).collect();
        values.sort_by_key(|(_, days)| Reverse(*days));
        // Of values seen as often the least text comes first, whatever the order in which they were learned.
        let least = values.get(NAMED - 1).map_or(1, |(_, days)| *days);
        let frequent = values.into_iter().take_while(|(_, days)| *days >= least);
        let mut texts: Vec<(Reverse<i64>, String)> =
            frequent.map(|(value, days)| (Reverse(days), show(value))).collect();
        texts.sort();
        let mut named = texts.into_iter().take(NAMED).map(|(days, text)| (text, days.0));
        let Some((text, days)) = named.next() else { return self.none() };
        let mut said = format!("{text} on {days} of {} {}", self.days, self.unit);
        for (text, days) in named {
            said.push_str(&format!(", {text} on {days}"));
        }
        self.guarded(said)
    }

    /// The hours that are usual (on a quarter of the days, as for [`Frequency::Frequent`]), as spans: `08:00-18:00 on 27 of 30 active days`.
    fn hours(self, days: &[(i32, u32)]) -> String {
        let count = |mask: u32| days.iter().filter(|(_, hours)| hours & mask != 0).count() as i64;
        if days.is_empty() {
            return self.none();
        }
        let usual = (0..24).filter(|hour| count(1 << hour) * 4 >= self.days);
        let mut usual: u32 = usual.fold(0, |all, hour| all | 1 << hour);
        if usual == 0 {
            let most = (0..24_u32).rev().max_by_key(|hour| count(1 << hour)).unwrap_or(0);
            usual = 1 << most;
        }
        let is_in = |hours: u32, hour: u32| hours & (1 << (hour % 24)) != 0;
        // An hour between two usual ones is as good as they are: hours are compared with their neighbours.
        let between = (0..24).filter(|hour| is_in(usual, hour + 1) && is_in(usual, hour + 23));
        let usual = between.fold(usual, |all, hour| all | 1 << hour);
        if usual == (1 << 24) - 1 {
            return self.guarded(format!("around the clock on {} of {} {}", self.days, self.days, self.unit));
        }
        let is_usual = |hour: u32| is_in(usual, hour);
        let mut spans: Vec<(u32, u32)> = (0..24)
            .filter(|&hour| is_usual(hour) && !is_usual(hour + 23))
            .map(|begin| (begin, (1..24).take_while(|more| is_usual(begin + more)).count() as u32 + 1))
            .collect();
        spans.sort_by_key(|(begin, length)| (Reverse(*length), *begin));
        spans.truncate(NAMED);
        spans.sort_unstable();
        let mask = spans.iter().flat_map(|(begin, length)| (0..*length).map(move |more| 1 << ((begin + more) % 24)));
        let on = count(mask.fold(0, |all, hour| all | hour));
        let spans: Vec<String> = spans.iter().map(|(begin, length)| span(*begin, *length)).collect();
        self.guarded(format!("{} on {on} of {} {}", spans.join(", "), self.days, self.unit))
    }

    /// A sentence, with a warning where it rests on little.
    fn guarded(self, said: String) -> String {
        match self.days {
            1 => format!("{said} (only 1 day known)"),
            few if few < FEW => format!("{said} (only {few} days known)"),
            _ => said,
        }
    }

    fn none(self) -> String {
        match self.days {
            0 => "no day known before this one".to_owned(),
            _ => self.guarded(format!("none on {} {}", self.days, self.unit)),
        }
    }
}

/// `08:00-18:00`.
fn span(begin: u32, length: u32) -> String {
    format!("{begin:02}:00-{:02}:00", (begin + length) % 24)
}

/// A value as it is printed: without control characters, and short.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let safe = terminal_safe(&cut);
    if cut.len() < text.len() { format!("{safe}…") } else { safe }
}

#[cfg(test)]
#[path = "odd_tests.rs"]
mod tests;
