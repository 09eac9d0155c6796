//! From events to files, as the trail delivers them for one place.
//!
//! Each event is delivered some minutes after it happened, so a file holds events of several hours, not in order; a few events
//! are in two files, a few files are delivered twice under another name, and a few come hours or days late. The stamp in a
//! file's name is the time of its delivery. Memory is bounded by a day of one place.

use std::collections::BTreeMap;

use rand::{Rng, seq::SliceRandom};

use crate::{
    behaviour::noise::Noise,
    cast::{GAP_PLACE, ORGANISATION, Place, Stream},
    clock::{DAY, HOUR, civil},
    error::Result,
    plan::{Plan, Planned},
    random::{Random, alnum, chance, random_for},
    tree::Tree,
};

/// The share of events that are delivered twice.
const DUPLICATES: f64 = 0.003;

/// How one place was delivered.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Delivered {
    pub(crate) records: u64,
    pub(crate) duplicates: u64,
}

struct Deliveries<'t> {
    place: Place,
    slot: i64,
    end: i64,
    pending: BTreeMap<i64, Vec<String>>,
    random: Random,
    tree: &'t mut Tree,
    done: Delivered,
}

/// The key of a trail's file.
pub(crate) fn file_path(place: Place, at: i64, suffix: &str) -> String {
    let Place { account, region } = place;
    let time = civil(at);
    format!(
        "AWSLogs/{ORGANISATION}/{account}/CloudTrail/{region}/{:04}/{:02}/{:02}/{account}_CloudTrail_{region}_{:04}{:02}{:02}T{:02}{:02}Z_{suffix}.json.gz",
        time.year, time.month, time.day, time.year, time.month, time.day, time.hour, time.minute
    )
}

/// Appends the envelope around records.
pub(crate) fn envelope<'a>(records: impl IntoIterator<Item = &'a String>) -> String {
    let mut text = String::from("{\"Records\":[");
    for (index, record) in records.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(record);
    }
    text.push_str("]}");
    text
}

/// Delivers one place; `planned` are its events in order of time.
pub(crate) fn deliver(
    plan: &Plan<'_>,
    stream: &Stream,
    planned: Vec<Planned>,
    scale: f64,
    interval: i64,
    tree: &mut Tree,
    on_day: &mut dyn FnMut(u64, u64),
) -> Result<Delivered> {
    let place = stream.place;
    let mut deliveries = Deliveries {
        place,
        slot: if stream.quiet && interval >= HOUR { 3 * interval } else { interval },
        end: plan.end,
        pending: BTreeMap::new(),
        random: random_for(plan.cast.seed, &format!("delivery {} {}", place.account, place.region)),
        tree,
        done: Delivered::default(),
    };
    let mut noise = Noise::new(plan.cast, place);
    let mut planned = planned.into_iter().peekable();
    for day in 0..plan.days() {
        let midnight = plan.start + day * DAY;
        for hour in 0..24 {
            let from = midnight + hour * HOUR;
            // Busiest in the afternoon, quietest at night; never silent, so that silence means a hole.
            let busy = 1.0
                + 0.5
                    * f64::from(
                        [-2, -2, -2, -2, -2, -1, -1, 0, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 0, 0, 0, -1, -1]
                            [hour as usize],
                    )
                    / 2.0;
            let wanted = stream.hourly * scale * busy + noise.random().random::<f64>();
            for _ in 0..(wanted as u64).max(u64::from(scale > 0.0)) {
                let at = from + noise.random().random_range(0..HOUR);
                let mut json = String::with_capacity(1_800);
                noise.write(at, &mut json);
                if plan.delivered(place, at) {
                    deliveries.add(at, json, false);
                }
            }
        }
        while let Some(event) = planned.next_if(|event| event.at < midnight + DAY) {
            deliveries.add(event.at, event.json, event.slips);
        }
        deliveries.flush(midnight + DAY)?;
        on_day(deliveries.tree.files, deliveries.done.records);
    }
    deliveries.flush(i64::MAX)?;
    Ok(deliveries.done)
}

impl Deliveries<'_> {
    fn add(&mut self, at: i64, json: String, slips: bool) {
        // With five-minute files the median is near four minutes and nineteen of twenty are under seven.
        let unlucky = chance(&mut self.random, 0.002);
        let delay = 60.0 - 40.0 * (1.0 - self.random.random::<f64>()).ln() + if unlucky { 1_500.0 } else { 0.0 };
        let mut slot = ((at + delay as i64).div_euclid(self.slot) + 1) * self.slot;
        if slips {
            slot += self.slot;
        }
        if chance(&mut self.random, DUPLICATES) {
            let again = slot + self.slot * self.random.random_range(1..4);
            self.pending.entry(again).or_default().push(json.clone());
            self.done.duplicates += 1;
        }
        self.pending.entry(slot).or_default().push(json);
        self.done.records += 1;
    }

    /// Writes every file whose slot has passed.
    fn flush(&mut self, until: i64) -> Result<()> {
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() > until {
                break;
            }
            let (slot, mut records) = entry.remove_entry();
            if chance(&mut self.random, 0.6) {
                records.shuffle(&mut self.random);
            }
            let text = envelope(&records);
            let mut stamp = slot;
            let late = self.random.random_range(2..60) * HOUR;
            if chance(&mut self.random, 0.003) && self.place != GAP_PLACE && slot + late < self.end {
                stamp += late;
            }
            self.write(stamp, &text)?;
            if chance(&mut self.random, 0.002) {
                self.write(stamp + self.slot, &text)?;
                self.done.duplicates += records.len() as u64;
            }
        }
        Ok(())
    }

    fn write(&mut self, stamp: i64, text: &str) -> Result<()> {
        let suffix = alnum(&mut self.random, 16);
        self.tree.write(&file_path(self.place, stamp, &suffix), text, true)
    }
}
