//! A set of UTC days, small however long the history: 32 days take 8 bytes.
//!
//! In: days since 1970, in any order. Out: how many lie in a window, the last before another. Only the newest
//! [`BLOCKS_KEPT`] blocks of 32 days stay, so days that nobody lived through (a forged year) cannot fill the memory;
//! which ones stay does not depend on the order in which they came.

use serde::{Deserialize, Serialize};

/// Blocks of 32 days remembered: more than five years of days, one after another.
const BLOCKS_KEPT: usize = 64;
const BLOCK: i32 = 32;

/// The days, as (block, bits), sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Days(Vec<(i32, u32)>);

impl Days {
    pub fn insert(&mut self, day: i32) {
        self.add(day.div_euclid(BLOCK), 1 << day.rem_euclid(BLOCK));
    }

    /// Adds every day of another set.
    pub fn extend(&mut self, other: &Self) {
        for &(block, bits) in &other.0 {
            self.add(block, bits);
        }
    }

    fn add(&mut self, block: i32, bits: u32) {
        match self.0.binary_search_by_key(&block, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known |= bits;
                }
            }
            Err(0) if self.0.len() >= BLOCKS_KEPT => {}
            Err(at) => {
                // Most sets are a few days of one season: no room is kept for more.
                self.0.reserve_exact(1);
                self.0.insert(at, (block, bits));
                if self.0.len() > BLOCKS_KEPT {
                    self.0.remove(0);
                }
            }
        }
    }

    /// How many of the days lie from `from` on and before `before`.
    pub fn count(&self, from: i32, before: i32) -> i64 {
        let inside = self.0.iter().map(|&(block, bits)| (bits & mask_of(block, from, before)).count_ones());
        i64::from(inside.sum::<u32>())
    }

    /// The last day before another.
    pub fn last_before(&self, before: i32) -> Option<i32> {
        self.0.iter().rev().find_map(|&(block, bits)| {
            let inside = bits & mask_of(block, i32::MIN, before);
            let bit = 31_u32.checked_sub(inside.leading_zeros())?;
            i32::try_from(bit).ok().and_then(|bit| (block * BLOCK).checked_add(bit))
        })
    }

    /// The last day of all.
    pub fn last(&self) -> Option<i32> {
        self.last_before(i32::MAX)
    }
}

/// The bits of a block whose days lie from `from` on and before `before`.
fn mask_of(block: i32, from: i32, before: i32) -> u32 {
    let start = i64::from(block) * i64::from(BLOCK);
    let within = |day: i32| (i64::from(day) - start).clamp(0, i64::from(BLOCK));
    let (low, high) = (within(from), within(before));
    if low >= high {
        return 0;
    }
    let all = ((1_u64 << high) - 1) & !((1_u64 << low) - 1);
    u32::try_from(all).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forged_years_fill_nothing() {
        let mut days = Days::default();
        for day in (-4_000..4_000).map(|n| n * 500_000).chain([i32::MIN, i32::MAX]) {
            days.insert(day);
        }
        assert_eq!(days.0.len(), BLOCKS_KEPT);
        assert_eq!(days.last_before(i32::MAX), Some(3_999 * 500_000));
        days.insert(i32::MIN);
        assert_eq!(days.last_before(0), None, "the newest stay");
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_days(
            days in prop::collection::vec(-200..200_i32, 0..60),
            from in -220..220_i32,
            length in 0..300_i32,
        ) {
            let mut set = Days::default();
            let mut halves = (Days::default(), Days::default());
            for (at, &day) in days.iter().enumerate() {
                set.insert(day);
                if at % 2 == 0 { halves.0.insert(day) } else { halves.1.insert(day) }
            }
            let known: BTreeSet<i32> = days.into_iter().collect();
            let before = from + length;
            prop_assert_eq!(set.count(from, before), known.range(from..before).count() as i64);
            prop_assert_eq!(set.last_before(before), known.range(..before).next_back().copied());
            halves.1.extend(&halves.0);
            prop_assert_eq!(halves.1, set);
        }
    }
}
