//! The deliveries of a time window, found without listing the whole bucket.
//!
//! In: a bucket, any prefix (the bucket's root, one above or inside `AWSLogs/`, a day, one object), a window of delivery times,
//! perhaps accounts and regions. Out: pages of objects, day by day and by key within a day, with the progress.
//!
//! ```text
//! prefix ── folders, level by level ──▶ plan: days × regions ── one listing each, a few at once ──▶ pages in order
//!              └ no AWSLogs anywhere: the prefix itself, flat
//! ```
//!
//! Invariants: never more than a few pages of keys are in memory; the order is the same at every run over the same bucket, so that
//! the last key is where to go on. An error ends the listing and names the prefix; what was given before stands.
//! The day of a folder is the delivery's, so the folders are chosen a day more generously than the window, and each key
//! is held against the window by its own stamp; keys without a stamp are given whatever the window. Digests, insights,
//! network activity and roll-ups are left alone and counted.

use futures::{
    Stream, StreamExt,
    stream::{self, FuturesOrdered},
};
use keytrail_model::{Micros, time};
use tokio_util::task::AbortOnDropHandle;

use self::{place::is_left_alone, plan::Plan};
use super::{ObjectError, ObjectErrorKind, ObjectRef, ObjectStore, Page};
use crate::decode::KeyHints;

mod place;
mod plan;
#[cfg(test)]
mod tests;

/// What to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Delivery time, inclusive.
    pub since: Option<Micros>,
    /// Exclusive.
    pub until: Option<Micros>,
    /// All, where none are named. They say nothing about keys outside an `AWSLogs` tree.
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
    /// The last key that an earlier run gave: go on after it.
    pub after: Option<String>,
    /// Listings under way at the same time.
    pub at_once: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { since: None, until: None, accounts: Vec::new(), regions: Vec::new(), after: None, at_once: 8 }
    }
}

/// The next objects, and how far the listing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub objects: Vec<ObjectRef>,
    /// Keys of this page that are outside the window.
    pub outside_count: u64,
    /// Keys of this page that hold something else (digests and the like).
    pub left_alone_count: u64,
    /// Prefixes listed to their end so far, of [`Deliveries::prefix_count`].
    pub prefixes_done: usize,
}

/// What a plan found, and the pages to come.
pub struct Deliveries<S> {
    store: S,
    bucket: String,
    wanted: Wanted,
    units: Box<dyn Iterator<Item = Unit> + Send>,
    under_way: FuturesOrdered<AbortOnDropHandle<Listed>>,
    prefix_count: usize,
    prefixes_done: usize,
    left_alone_folders: u64,
    unsearched_folders: u64,
    has_failed: bool,
}

type Listed = (Unit, Result<Page, ObjectError>);

/// One prefix to list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    prefix: String,
    after: Option<String>,
    /// Only the key that is the prefix.
    is_one_object: bool,
}

/// Looks which days and regions there are. The objects come from [`Deliveries::next`].
pub async fn find_deliveries<S: ObjectStore>(
    store: &S,
    bucket: &str,
    prefix: &str,
    wanted: Wanted,
) -> Result<Deliveries<S>, ObjectError> {
    let plan = Plan::make(store, bucket, prefix, &wanted).await?;
    let (left_alone_folders, unsearched_folders) = (plan.left_alone_folders, plan.unsearched_folders);
    let prefix_count = plan.prefix_count();
    // What an earlier run has listed is done.
    let (prefixes_done, units) = plan.into_units(wanted.after.clone());
    Ok(Deliveries {
        store: store.clone(),
        bucket: bucket.to_owned(),
        wanted,
        units,
        under_way: FuturesOrdered::new(),
        prefix_count,
        prefixes_done,
        left_alone_folders,
        unsearched_folders,
        has_failed: false,
    })
}

impl<S: ObjectStore> Deliveries<S> {
    /// Prefixes to list in all: days × regions, as far as they exist.
    pub fn prefix_count(&self) -> usize {
        self.prefix_count
    }

    pub fn prefixes_done(&self) -> usize {
        self.prefixes_done
    }

    /// Folders of digests and the like, and of other services below an account.
    pub fn left_alone_folders(&self) -> u64 {
        self.left_alone_folders
    }

    /// Folders beside an `AWSLogs` tree that were not searched for another one, since there are too many.
    pub fn unsearched_folders(&self) -> u64 {
        self.unsearched_folders
    }

    /// The next page; `None` at the end, and after an error. Nothing is lost where the call is given up half-way.
    pub async fn next(&mut self) -> Option<Result<Found, ObjectError>> {
        if self.has_failed {
            return None;
        }
        self.fill();
        let (unit, page) = match self.under_way.next().await? {
            Ok(listed) => listed,
            Err(ended) => {
                self.has_failed = true;
                let kind = ObjectErrorKind::Unavailable(format!("a listing ended: {ended}"));
                return Some(Err(ObjectError::new(format!("s3://{}", self.bucket), kind)));
            }
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.has_failed = true;
                return Some(Err(error));
            }
        };
        let last = page.objects.last().map(|object| object.key.clone());
        if let Some(last) = last.filter(|_| page.more && !unit.is_one_object) {
            let rest = self.list(Unit { after: Some(last), ..unit.clone() });
            self.under_way.push_front(rest);
        } else {
            self.prefixes_done += 1;
        }
        Some(Ok(self.sift(&unit, page)))
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Found, ObjectError>> + Send {
        stream::unfold(self, |mut deliveries| async move { Some((deliveries.next().await?, deliveries)) })
    }

    fn fill(&mut self) {
        while self.under_way.len() < self.wanted.at_once.max(1)
            && let Some(unit) = self.units.next()
        {
            let listing = self.list(unit);
            self.under_way.push_back(listing);
        }
    }

    /// A task of its own, so that it goes on while the page before is worked on.
    fn list(&self, unit: Unit) -> AbortOnDropHandle<Listed> {
        let (store, bucket) = (self.store.clone(), self.bucket.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let page = store.list(&bucket, &unit.prefix, unit.after.as_deref()).await;
            (unit, page)
        }))
    }

    fn sift(&self, unit: &Unit, page: Page) -> Found {
        let mut found = Found { prefixes_done: self.prefixes_done, ..Found::default() };
        for object in page.objects {
            if object.key.ends_with('/') || (unit.is_one_object && object.key != unit.prefix) {
                continue;
            }
            if is_left_alone(&object.key) {
                found.left_alone_count += 1;
            } else if !holds(&self.wanted, KeyHints::of(&object.key).delivered_at) {
                found.outside_count += 1;
            } else {
                found.objects.push(object);
            }
        }
        found
    }
}

fn holds(wanted: &Wanted, delivered_at: Option<Micros>) -> bool {
    delivered_at
        .is_none_or(|at| wanted.since.is_none_or(|since| at >= since) && wanted.until.is_none_or(|until| at < until))
}

/// The first and last delivery day that may hold something, as `YYYY-MM-DD`.
fn generous_days(wanted: &Wanted) -> (Option<String>, Option<String>) {
    // Years of four digits, which folders have; before and after them there is no limit.
    let end_of_days = time::parse_rfc3339("9999-12-30T00:00:00Z").unwrap_or(Micros::MAX);
    let day = |at: Micros| time::utc_day(at.clamp(0, end_of_days));
    let since = wanted.since.map(|since| since.saturating_sub(time::DAY)).filter(|since| *since > 0).map(day);
    let until = wanted.until.map(|until| until.saturating_add(time::DAY)).filter(|until| *until < end_of_days).map(day);
    (since, until)
}
