//! The newest rows, kept in memory: what late rows and rules that look back ask for, without reading the lake.
//!
//! In: every batch that is folded. Out: rows by key and time. Invariant: every folded row later than [`Recent::floor`] is
//! here, as it stands now; what is older is asked of the lake.
//!
//! The number of rows is bounded. The record's JSON (`raw`) is the largest column by far; it is kept only for the actions
//! whose rules read it.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use keytrail_lake::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, new_null_array},
        compute::{cast, interleave_record_batch},
        datatypes::{DataType, SchemaRef},
        error::ArrowError,
    },
    schema::TableName,
};
use keytrail_model::Micros;

use crate::{
    history::{Key, Wanted, keys_of},
    lines::{Line, Lines},
    state::RowsError,
    tables::nullable,
};

/// Of which rows the record's JSON is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeepRaw {
    /// Of none: no rule reads it.
    #[default]
    None,
    /// Of rows with these actions.
    Of(BTreeSet<String>),
    All,
}

/// Where a row stands: which batch, which row of it.
type Place = (u32, u32);

/// One batch that came, with its columns at hand.
#[derive(Debug)]
struct Chunk {
    batch: RecordBatch,
    lines: Lines,
}

/// The newest rows.
#[derive(Debug)]
pub struct Recent {
    max_rows: usize,
    keep_raw: KeepRaw,
    schema: SchemaRef,
    chunks: HashMap<u32, Chunk>,
    next_chunk: u32,
    /// How many rows the chunks have, those that are no longer wanted included.
    held: usize,
    by_time: BTreeSet<(Micros, Place)>,
    by_key: HashMap<u64, BTreeSet<(Micros, Place)>>,
    hasher: RandomState,
    floor: Micros,
}

impl Recent {
    /// Empty, and complete: no row was folded before.
    pub fn new(max_rows: usize, keep_raw: KeepRaw) -> Self {
        Self {
            max_rows: max_rows.max(1),
            keep_raw,
            schema: schema(),
            chunks: HashMap::new(),
            next_chunk: 0,
            held: 0,
            by_time: BTreeSet::new(),
            by_key: HashMap::new(),
            hasher: RandomState::new(),
            floor: Micros::MIN,
        }
    }

    /// Empty, where rows up to a moment were folded before.
    pub fn since(self, floor: Micros) -> Self {
        Self { floor, ..Self::new(self.max_rows, self.keep_raw) }
    }

    /// Every folded row after this moment is here.
    pub fn floor(&self) -> Micros {
        self.floor
    }

    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    /// Whether rows that come from now on keep what the rules read.
    pub(crate) fn keep_raw(&self) -> &KeepRaw {
        &self.keep_raw
    }

    /// Takes in rows that have been folded.
    pub(crate) fn insert(&mut self, batch: &RecordBatch) -> Result<(), RowsError> {
        let Ok(batch) = self.without_raw(batch) else { return Err(RowsError::WrongType("raw")) };
        let chunk = Chunk { lines: Lines::new(&batch)?, batch };
        let number = self.next_chunk;
        self.next_chunk = self.next_chunk.wrapping_add(1);
        let mut kept = 0;
        for (at, row) in (0_u32..).zip(chunk.lines.iter()) {
            if row.event_at <= self.floor {
                continue;
            }
            kept += 1;
            self.by_time.insert((row.event_at, (number, at)));
            for key in keys_of(&row) {
                let key = self.hasher.hash_one(&key);
                self.by_key.entry(key).or_default().insert((row.event_at, (number, at)));
            }
        }
        if kept > 0 {
            self.held += chunk.batch.num_rows();
            self.chunks.insert(number, chunk);
        }
        while self.by_time.len() > self.max_rows {
            let Some(&(at, _)) = self.by_time.first() else { break };
            // All of one moment, so that the floor parts what is here from what is not.
            self.floor = at;
            while let Some(&(next, place)) = self.by_time.first()
                && next <= at
            {
                self.remove(next, place);
            }
        }
        self.tidy()
    }

    /// Drops what a row that the lake changed replaces: itself as it was, the copies that were merged into it, the
    /// events that it corrects. The ids of what was dropped.
    pub(crate) fn forget_replaced(&mut self, new: &Line<'_>) -> Vec<String> {
        let corrected = |id: &str| {
            id != new.event_id
                && new.corrects_event_id.is_some_and(|ids| ids.split_ascii_whitespace().any(|known| known == id))
        };
        let is_replaced = |old: &Line<'_>| {
            let same = old.event_id == new.event_id && old.account_id == new.account_id;
            let copy = old.shared_event_id.is_some() && old.shared_event_id == new.shared_event_id;
            let one =
                old.secret_id == new.secret_id || (old.secret_name.is_some() && old.secret_name == new.secret_name);
            (same || copy) && one || corrected(old.event_id)
        };
        let first = (new.event_at, (0, 0));
        let last = (new.event_at, (u32::MAX, u32::MAX));
        let gone: Vec<_> = self
            .by_time
            .range(first..=last)
            .copied()
            .filter(|&(_, place)| self.row(place).is_some_and(|old| is_replaced(&old)))
            .collect();
        let ids = gone.iter().filter_map(|&(_, place)| Some(self.row(place)?.event_id.to_owned())).collect();
        for (at, place) in gone {
            self.remove(at, place);
        }
        ids
    }

    /// The rows that are wanted and later than the floor.
    pub fn rows(&self, wanted: &Wanted) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut places = BTreeSet::new();
        let within = wanted.within;
        let last = (within.last, (u32::MAX, u32::MAX));
        for (key, since) in &wanted.since {
            let first = ((*since).max(within.first), (0, 0));
            if let Some(known) = self.by_key.get(&self.hasher.hash_one(key))
                && first <= last
            {
                places.extend(known.range(first..=last));
            }
        }
        let mut moments: Vec<Micros> = wanted.events.iter().map(|(at, _)| *at).collect();
        moments.dedup();
        for at in moments {
            let near = self.by_time.range((at, (0, 0))..=(at, (u32::MAX, u32::MAX)));
            let is_wanted = |place: Place| self.row(place).is_some_and(|row| wanted.has(&row));
            places.extend(near.filter(|(_, place)| is_wanted(*place)));
        }
        self.gather(&places)
    }

    /// The rows at these places, and the other rows of their events: an event is judged as a whole.
    fn gather(&self, places: &BTreeSet<(Micros, Place)>) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut whole = places.clone();
        for &(at, place) in places {
            let Some(row) = self.row(place) else { continue };
            let beside = self.by_time.range((at, (0, 0))..=(at, (u32::MAX, u32::MAX)));
            let is_part = |other: Place| self.row(other).is_some_and(|other| other.event_id == row.event_id);
            whole.extend(beside.filter(|(_, other)| is_part(*other)));
        }
        if whole.is_empty() {
            return Ok(Vec::new());
        }
        let mut positions = HashMap::new();
        let mut batches = Vec::new();
        let mut picks = Vec::with_capacity(whole.len());
        for (_, (number, row)) in whole {
            let Some(chunk) = self.chunks.get(&number) else { continue };
            let position = *positions.entry(number).or_insert_with(|| {
                batches.push(&chunk.batch);
                batches.len() - 1
            });
            picks.push((position, row as usize));
        }
        Ok(vec![interleave_record_batch(&batches, &picks)?])
    }

    fn row(&self, (number, at): Place) -> Option<Line<'_>> {
        self.chunks.get(&number)?.lines.get(at as usize)
    }

    fn remove(&mut self, at: Micros, place: Place) {
        self.by_time.remove(&(at, place));
        let keys: Vec<Key> = self.row(place).map(|row| keys_of(&row).collect()).unwrap_or_default();
        for key in keys {
            let key = self.hasher.hash_one(&key);
            if let Some(known) = self.by_key.get_mut(&key) {
                known.remove(&(at, place));
                if known.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    /// Writes the rows together once as many are held for nothing, so that memory goes with the rows that are wanted.
    fn tidy(&mut self) -> Result<(), RowsError> {
        if self.held <= 2 * self.by_time.len() + 10_000 {
            return Ok(());
        }
        let all = self.by_time.clone();
        let batches = self.gather(&all).map_err(|_| RowsError::WrongType("*"))?;
        let (floor, max_rows) = (self.floor, self.max_rows);
        *self = Self { floor, ..Self::new(max_rows, self.keep_raw.clone()) };
        for batch in &batches {
            self.insert(batch)?;
        }
        Ok(())
    }

    fn without_raw(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let batch = conform(batch, &self.schema)?;
        let kept: ArrayRef = match &self.keep_raw {
            KeepRaw::All => return Ok(batch),
            KeepRaw::None => new_null_array(&DataType::Utf8, batch.num_rows()),
            KeepRaw::Of(actions) => {
                let (Some(raw), Some(action)) = (batch.column_by_name("raw"), batch.column_by_name("action")) else {
                    return Ok(batch);
                };
                let (raw, action) = (raw.as_string::<i32>(), action.as_string::<i32>());
                let keep = |row: usize| raw.is_valid(row) && actions.contains(action.value(row));
                Arc::new((0..raw.len()).map(|row| keep(row).then(|| raw.value(row))).collect::<StringArray>())
            }
        };
        replaced(&batch, "raw", kept)
    }
}

/// The columns of `access_events` as rules see them: every one may be null.
pub(crate) fn schema() -> SchemaRef {
    nullable(&TableName::AccessEvents.spec().arrow_schema())
}

/// The batch with another column in place of one.
pub(crate) fn replaced(batch: &RecordBatch, name: &str, column: ArrayRef) -> Result<RecordBatch, ArrowError> {
    let mut columns = batch.columns().to_vec();
    if let Some(old) = batch.schema().index_of(name).ok().and_then(|at| columns.get_mut(at)) {
        *old = column;
    }
    RecordBatch::try_new(batch.schema(), columns)
}

/// The batch with the columns of a schema, in their order and types.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch
                .column_by_name(field.name())
                .ok_or_else(|| ArrowError::SchemaError(format!("the rows have no column `{}`", field.name())))?;
            cast(column, field.data_type())
        })
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
