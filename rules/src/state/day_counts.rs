//! How often on which UTC day, in about two bytes a day: there are millions of pairs, and most are used every day.
//!
//! In: days since 1970 with counts, in any order. Out: the same, by day, counts of one day added up. Beyond
//! [`BYTES_KEPT`] (some two thousand days, far more than a lake keeps) the oldest half of the days is forgotten.
//!
//! Layout: for each day its distance to the day before (the first: to 1970, as a zigzag number) and its count, as
//! numbers of seven bits a byte, the least first; all bytes of a number but its last have the eighth bit.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

const BYTES_KEPT: usize = 4_096;
/// Bytes by which the memory grows: half a month of days.
const GROWTH: usize = 32;

/// Days with their counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayCounts {
    bytes: Vec<u8>,
    /// The last day, where there is any.
    last: i32,
}

impl DayCounts {
    /// Adds to a day's count.
    pub fn add(&mut self, day: i32, count: u32) {
        if self.bytes.is_empty() || day > self.last {
            self.push(day, count);
            if self.bytes.len() > BYTES_KEPT {
                let all: Vec<(i32, u32)> = self.iter().collect();
                self.replace(all.get(all.len() / 2..).unwrap_or_default());
            }
        } else if day == self.last {
            let count = self.pop().saturating_add(count);
            self.write(count);
        } else {
            // A late row: rare enough to write everything anew.
            let mut all: Vec<(i32, u32)> = self.iter().collect();
            match all.binary_search_by_key(&day, |(known, _)| *known) {
                Ok(at) => {
                    if let Some((_, known)) = all.get_mut(at) {
                        *known = known.saturating_add(count);
                    }
                }
                Err(at) => all.insert(at, (day, count)),
            }
            self.replace(&all);
        }
    }

    /// Every day with its count, by day.
    pub fn iter(&self) -> impl Iterator<Item = (i32, u32)> {
        let mut bytes = self.bytes.iter();
        let mut day: Option<i32> = None;
        std::iter::from_fn(move || {
            let gap = number(&mut bytes)?;
            let count = number(&mut bytes)?;
            let next = day.map_or_else(|| unzigzag(gap), |day| day.wrapping_add_unsigned(gap));
            day = Some(next);
            Some((next, count))
        })
    }

    pub fn contains(&self, day: i32) -> bool {
        self.iter().any(|(known, _)| known == day)
    }

    /// How many of the days lie from `from` on and before `before`.
    pub fn count(&self, from: i32, before: i32) -> i64 {
        self.iter().skip_while(|(day, _)| *day < from).take_while(|(day, _)| *day < before).count() as i64
    }

    /// How many days there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn replace(&mut self, all: &[(i32, u32)]) {
        self.bytes.clear();
        for (day, count) in all {
            self.push(*day, *count);
        }
    }

    /// Writes a day behind all others.
    fn push(&mut self, day: i32, count: u32) {
        let gap = if self.bytes.is_empty() { zigzag(day) } else { day.wrapping_sub(self.last).cast_unsigned() };
        self.write(gap);
        self.write(count);
        self.last = day;
    }

    fn write(&mut self, mut number: u32) {
        // No number takes more than five bytes.
        if self.bytes.capacity() - self.bytes.len() < 5 {
            self.bytes.reserve_exact(GROWTH);
        }
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// Takes the last number away.
    fn pop(&mut self) -> u32 {
        let mut number = self.bytes.pop().map_or(0, u32::from);
        while let Some(&byte) = self.bytes.last().filter(|byte| **byte >= 0x80) {
            number = number << 7 | u32::from(byte & 0x7f);
            self.bytes.pop();
        }
        number
    }
}

fn number<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> Option<u32> {
    let mut number = 0_u32;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.next()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(number)
}

/// Small distances from 1970 as small numbers, on either side.
const fn zigzag(day: i32) -> u32 {
    (day << 1 ^ day >> 31).cast_unsigned()
}

const fn unzigzag(number: u32) -> i32 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// As one list: the first day, its count, the distance to the next, its count, and so on.
impl Serialize for DayCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = 0_i64;
        serializer.collect_seq(self.iter().flat_map(|(day, count)| {
            let gap = i64::from(day) - before;
            before = i64::from(day);
            [gap, i64::from(count)]
        }))
    }
}

impl<'de> Deserialize<'de> for DayCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut days = Self::default();
        let mut day = 0_i64;
        for pair in Vec::<i64>::deserialize(deserializer)?.chunks(2) {
            let &[gap, count] = pair else { return Err(D::Error::custom("a day without its count")) };
            day = day.saturating_add(gap);
            let in_range = |_| D::Error::custom("no day or no count");
            days.add(i32::try_from(day).map_err(in_range)?, u32::try_from(count).map_err(in_range)?);
        }
        Ok(days)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_year_of_days_is_small() {
        let mut days = DayCounts::default();
        for day in 20_000..20_365 {
            days.add(day, 1);
        }
        assert_eq!(days.len(), 365);
        assert!(days.bytes.capacity() < 800, "{}", days.bytes.capacity());
    }

    #[test]
    fn forged_years_fill_nothing() {
        let mut days = DayCounts::default();
        for day in (-4_000..4_000).map(|n| n * 500_000).chain([i32::MIN, i32::MAX]) {
            days.add(day, u32::MAX);
        }
        assert!(days.bytes.len() <= BYTES_KEPT + 20 && days.contains(i32::MAX));
    }

    proptest! {
        #[test]
        fn it_counts_by_day(
            all in prop::collection::vec((prop_oneof![-300..300_i32, any::<i32>()], prop_oneof![1..300_u32, any::<u32>()]), 0..50),
            from in -300..300_i32,
            length in 0..400_i32,
        ) {
            let mut days = DayCounts::default();
            let mut known: BTreeMap<i32, u32> = BTreeMap::new();
            for (day, count) in all {
                days.add(day, count);
                let sum = known.entry(day).or_default();
                *sum = sum.saturating_add(count);
            }
            prop_assert_eq!(days.iter().collect::<Vec<_>>(), known.iter().map(|(day, count)| (*day, *count)).collect::<Vec<_>>());
            prop_assert_eq!(days.count(from, from + length), known.range(from..from + length).count() as i64);
            prop_assert!(known.keys().all(|day| days.contains(*day)));
            let json = serde_json::to_string(&days).expect("numbers");
            prop_assert_eq!(serde_json::from_str::<DayCounts>(&json).expect("the same"), days);
        }
    }
}
