//! Which prefixes are worth listing.
//!
//! In: a prefix and what is wanted. Out: a [`Plan`]: the days of each region that exist in the window, and prefixes to be listed flat.
//! It asks for folders only, level by level, a bounded number at once; a short window names its days itself.
//!
//! A prefix without any `AWSLogs` at or below it is listed flat. Where there is one, only the trees are listed.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Unit, Wanted, generous_days,
    place::{Day, Level, Place, folder_of, may_lead_to_a_tree},
};
use crate::objects::{ObjectError, ObjectStore};

/// Levels below the given prefix in which an `AWSLogs` is looked for.
const MAX_SEARCH_LEVELS: usize = 4;
/// Folders in which an `AWSLogs` is looked for.
const MAX_SEARCHED: usize = 500;
/// Windows up to so many days (the generous ones included) name their days without asking which exist.
const SHORT_WINDOW_DAYS: usize = 4;

/// What there is to list.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Region prefixes, each once; days name them by their place here, as there can be millions of days.
    roots: Vec<String>,
    known: HashMap<String, u32>,
    days: BTreeMap<Day, Vec<u32>>,
    flat: Vec<String>,
    one_object: Option<String>,
    pub(super) left_alone_folders: u64,
    pub(super) unsearched_folders: u64,
}

impl Plan {
    pub(super) async fn make<S: ObjectStore>(
        store: &S,
        bucket: &str,
        prefix: &str,
        wanted: &Wanted,
    ) -> Result<Self, ObjectError> {
        let mut plan = Self::default();
        let mut prefix = prefix.trim_start_matches('/').to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            let is_object =
                store.list(bucket, &prefix, None).await?.objects.first().is_some_and(|object| object.key == prefix);
            if is_object {
                plan.one_object = Some(prefix);
                return Ok(plan);
            }
            let folder = format!("{prefix}/");
            if store.list(bucket, &folder, None).await?.objects.is_empty() {
                // The beginning of a name, as S3 understands prefixes.
                plan.flat.push(prefix);
                return Ok(plan);
            }
            prefix = folder;
        }
        plan.descend(store, bucket, prefix, wanted).await?;
        plan.known = HashMap::new();
        let roots = &plan.roots;
        for day in plan.days.values_mut() {
            day.sort_by(|a, b| roots.get(*a as usize).cmp(&roots.get(*b as usize)));
        }
        plan.flat.sort_unstable();
        Ok(plan)
    }

    async fn descend<S: ObjectStore>(
        &mut self,
        store: &S,
        bucket: &str,
        prefix: String,
        wanted: &Wanted,
    ) -> Result<(), ObjectError> {
        let window = DayWindow::of(wanted);
        let starts_above = Place::of(&prefix).level == Level::Above;
        let (mut trees, mut searched, mut levels) = (0_usize, 0_usize, 0_usize);
        let mut frontier = Vec::new();
        match Place::of(&prefix).level {
            // Asked for by name, and no trail's tree: all of it.
            Level::Other | Level::OtherService => self.flat.push(prefix.clone()),
            _ => self.visit(prefix.clone(), wanted, &window, &mut frontier),
        }
        while !frontier.is_empty() {
            let ask =
                |parent: String| async move { Ok::<_, ObjectError>((store.folders(bucket, &parent).await?, parent)) };
            let asked = stream::iter(std::mem::take(&mut frontier)).map(ask).buffered(wanted.at_once.max(1));
            let answers: Vec<(Vec<String>, String)> = asked.try_collect().await?;
            levels += 1;
            for (children, parent) in answers {
                let level = Place::of(&parent).level;
                if children.is_empty() && matches!(level, Level::Regions | Level::Years) {
                    // Somebody's copy: files where folders would be.
                    self.flat.push(parent);
                    continue;
                }
                for child in children {
                    if level != Level::Above {
                        self.visit(child, wanted, &window, &mut frontier);
                    } else if Place::of(&child).level != Level::Above {
                        trees += 1;
                        self.visit(child, wanted, &window, &mut frontier);
                    } else if levels < MAX_SEARCH_LEVELS && may_lead_to_a_tree(&child) {
                        searched += 1;
                        if searched <= MAX_SEARCHED {
                            frontier.push(child);
                        } else {
                            self.unsearched_folders += 1;
                        }
                    }
                }
            }
        }
        if starts_above && trees == 0 {
            self.unsearched_folders = 0;
            self.flat.push(prefix);
        }
        Ok(())
    }

    /// Takes a folder into the plan, or onto the way down, or leaves it.
    fn visit(&mut self, folder: String, wanted: &Wanted, window: &DayWindow, frontier: &mut Vec<String>) {
        let place = Place::of(&folder);
        let named = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_none_or(|name| names.iter().any(|wanted| wanted == name))
        };
        if !named(&wanted.accounts, place.account) || !named(&wanted.regions, place.region) {
            return;
        }
        match place.level {
            Level::LeftAlone | Level::OtherService => self.left_alone_folders += 1,
            Level::Above | Level::Accounts | Level::Services | Level::Regions | Level::Years => frontier.push(folder),
            Level::Months(year) => match &window.named {
                Some(days) => {
                    let root = folder.strip_suffix(&format!("{year}/")).unwrap_or(&folder);
                    for day in days.iter().filter(|day| day.starts_with(&year)) {
                        self.add_day(day.clone(), root.to_owned());
                    }
                }
                None if window.may_hold(&year) => frontier.push(folder),
                None => {}
            },
            Level::Days(month) => {
                if window.may_hold(&month) {
                    frontier.push(folder);
                }
            }
            Level::Day(day) => {
                if window.may_hold(&day) {
                    let root = folder.strip_suffix(&in_key(&day)).unwrap_or(&folder).to_owned();
                    self.add_day(day, root);
                }
            }
            Level::Other => self.flat.push(folder),
        }
    }

    fn add_day(&mut self, day: Day, root: String) {
        let next = u32::try_from(self.roots.len()).unwrap_or(u32::MAX);
        let index = *self.known.entry(root).or_insert_with_key(|root| {
            self.roots.push(root.clone());
            next
        });
        self.days.entry(day).or_default().push(index);
    }

    pub(super) fn prefix_count(&self) -> usize {
        self.days.values().map(Vec::len).sum::<usize>() + self.flat.len() + usize::from(self.one_object.is_some())
    }

    /// Everything that is left after a key, in order: days, then what has none. With the number of prefixes that are not.
    pub(super) fn into_units(mut self, after: Option<String>) -> (usize, Box<dyn Iterator<Item = Unit> + Send>) {
        let all = self.prefix_count();
        if let Some(after) = &after {
            self.skip_to(after);
        }
        let skipped = all - self.prefix_count();
        let Self { roots, days, flat, one_object, .. } = self;
        let dated = days.into_iter().flat_map(|(day, indices)| {
            let in_key = in_key(&day);
            indices.into_iter().map(move |index| (index, in_key.clone()))
        });
        let dated =
            dated.filter_map(move |(index, in_key)| roots.get(index as usize).map(|root| format!("{root}{in_key}")));
        let many = dated.chain(flat).map(move |prefix| {
            let after = after.clone().filter(|after| after.starts_with(&prefix));
            Unit { prefix, after, is_one_object: false }
        });
        let one = one_object.map(|prefix| Unit { prefix, after: None, is_one_object: true });
        (skipped, Box::new(many.chain(one)))
    }

    fn skip_to(&mut self, after: &str) {
        let Some((folder, day)) = day_of(after) else {
            self.days.clear();
            self.flat.retain(|prefix| after.starts_with(prefix) || prefix.as_str() > after);
            self.one_object = self.one_object.take().filter(|key| key.as_str() > after);
            return;
        };
        let mut later = self.days.split_off(&day);
        if let Some(indices) = later.get_mut(&day) {
            let (roots, in_key) = (&self.roots, in_key(&day));
            indices.retain(|index| {
                roots.get(*index as usize).is_some_and(|root| format!("{root}{in_key}").as_str() >= folder)
            });
        }
        self.days = later;
    }
}

/// `2026/08/01/`.
fn in_key(day: &str) -> String {
    day.replace('-', "/") + "/"
}

/// The day's folder that a key is in, at any depth, and the day.
fn day_of(key: &str) -> Option<(&str, Day)> {
    let mut folder = folder_of(key);
    while !folder.is_empty() {
        if let Level::Day(day) = Place::of(folder).level {
            return Some((folder, day));
        }
        folder = folder_of(folder.trim_end_matches('/'));
    }
    None
}

/// The window in days.
struct DayWindow {
    from: Option<Day>,
    to: Option<Day>,
    /// Every one, where they are few.
    named: Option<Vec<Day>>,
}

impl DayWindow {
    fn of(wanted: &Wanted) -> Self {
        let (from, to) = generous_days(wanted);
        let named = from.as_deref().zip(to.as_deref()).and_then(|(from, to)| {
            let date = |day: &str| day.parse::<NaiveDate>().ok();
            let (from, to) = (date(from)?, date(to)?);
            let days: Vec<Day> = from
                .iter_days()
                .take_while(|day| *day <= to)
                .take(SHORT_WINDOW_DAYS + 1)
                .map(|day| day.format("%Y-%m-%d").to_string())
                .collect();
            (days.len() <= SHORT_WINDOW_DAYS).then_some(days)
        });
        Self { from, to, named }
    }

    /// For `2026`, `2026-08` or `2026-08-01`: whether any of it is in the window.
    fn may_hold(&self, part: &str) -> bool {
        let start = |day: &Option<Day>| day.as_ref().and_then(|day| day.get(..part.len()).map(str::to_owned));
        start(&self.from).is_none_or(|from| part >= from.as_str())
            && start(&self.to).is_none_or(|to| part <= to.as_str())
    }
}
