//! Judging again what memory does not reach: after something came very late.
//!
//! In: keys with the moment from which their rows may mean something else. Out: those rows, read from the lake a slice at a
//! time, oldest first, each judged again as it stands now. The slices end at the newest event.
//!
//! What is left to do is kept beside the lake's tables before the position of the judging is recorded, and shortened after
//! each slice: a crash does some of it twice, which changes nothing, and loses none of it.

use std::collections::BTreeMap;

use keytrail_lake::Lake;
use keytrail_model::Micros;

use super::{RunError, RunSummary, Runner};
use crate::history::Key;

/// The name of what is left to judge again among the lake's snapshots.
const LATE: &str = "rules-late";

/// What an earlier process left to judge again.
pub(super) async fn stored(lake: &Lake) -> Result<BTreeMap<Key, Micros>, RunError> {
    let Some(bytes) = lake.get_state(LATE).await? else { return Ok(BTreeMap::new()) };
    let entries: Vec<(Key, Micros)> = serde_json::from_slice(&bytes).map_err(RunError::Late)?;
    Ok(entries.into_iter().collect())
}

impl Runner {
    /// Notes keys whose rows are to be judged again.
    pub(super) async fn add_late(&mut self, late: BTreeMap<Key, Micros>) -> Result<(), RunError> {
        let mut is_new = false;
        for (key, since) in late {
            let known = self.late.get(&key).copied();
            if known.is_none_or(|known| since < known) {
                self.late.insert(key, since);
                is_new = true;
            }
        }
        if is_new { self.keep_late().await } else { Ok(()) }
    }

    /// Judges one slice of what is to be judged again. Whether there was any.
    pub(super) async fn judge_late(&mut self, now: Option<Micros>, summary: &mut RunSummary) -> Result<bool, RunError> {
        let (Some(first), Some(now)) = (self.late.values().copied().min(), now) else { return Ok(false) };
        let newest = self.engine.state().newest_event_at().unwrap_or(first);
        let history = self.history();
        let slice = history.slice(&self.late, first, newest, self.engine.settings().again_rows).await?;
        if !slice.rows.is_empty() {
            self.take_decisions().await?;
            let taken = self.engine.take_again(slice.rows, &history).await?;
            let found = self.judge_taken(taken, now).await?.changes;
            self.append(&found, summary).await?;
        }
        match slice.done_to {
            Some(done) => {
                for since in self.late.values_mut() {
                    *since = (*since).max(done.saturating_add(1));
                }
            }
            None => self.late.clear(),
        }
        self.keep_late().await?;
        Ok(true)
    }

    async fn keep_late(&self) -> Result<(), RunError> {
        let entries: Vec<(&Key, &Micros)> = self.late.iter().collect();
        let bytes = serde_json::to_vec(&entries).map_err(RunError::Late)?;
        Ok(self.lake.put_state(LATE, bytes).await?)
    }
}
