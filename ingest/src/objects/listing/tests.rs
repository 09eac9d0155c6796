use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use keytrail_model::time::{DAY, HOUR, parse_human};

use super::*;
use crate::objects::{ObjectBytes, memory::MemoryStore};

const BUCKET: &str = "trail";

/// Notes which prefixes are asked for.
#[derive(Clone, Default)]
struct Noted {
    store: MemoryStore,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Noted {
    fn with<T: AsRef<str>>(keys: impl IntoIterator<Item = T>) -> Self {
        let noted = Self::default();
        for key in keys {
            noted.store.put(BUCKET, key.as_ref(), b"x");
        }
        noted
    }

    fn note(&self, prefix: &str) {
        self.asked.lock().expect("nobody panicked").push(prefix.to_owned());
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

impl ObjectStore for Noted {
    async fn get(&self, object: &ObjectRef, max_bytes: usize) -> Result<ObjectBytes, ObjectError> {
        self.store.get(object, max_bytes).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page, ObjectError> {
        self.note(prefix);
        self.store.list(bucket, prefix, after).await
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ObjectError> {
        self.note(prefix);
        self.store.folders(bucket, prefix).await
    }
}

fn at(text: &str) -> Micros {
    parse_human(text).expect("a time")
}

fn key(tree: &str, account: &str, region: &str, day: &str, clock: &str) -> String {
    let (path, stamp) = (day.replace('-', "/"), day.replace('-', ""));
    format!(
        "{tree}{account}/CloudTrail/{region}/{path}/{account}_CloudTrail_{region}_{stamp}T{clock}Z_AbCdEfGh.json.gz"
    )
}

/// Two accounts, two regions, ten days, two deliveries a day, and what is left alone.
fn organisation(tree: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for account in ["111122223333", "444455556666"] {
        for region in ["eu-west-1", "us-east-1"] {
            for day in 1..=10 {
                for clock in ["0005", "1205"] {
                    keys.push(key(tree, account, region, &format!("2026-08-{day:02}"), clock));
                }
            }
        }
        keys.push(format!("{tree}{account}/CloudTrail-Digest/us-east-1/2026/08/01/x.json.gz"));
        keys.push(format!("{tree}{account}/CloudTrail-Insight/us-east-1/2026/08/01/x.json.gz"));
        keys.push(format!("{tree}{account}/Config/us-east-1/2026/08/01/x.json.gz"));
        keys.push(format!("{tree}{account}/CloudTrail/"));
    }
    keys
}

async fn all(store: &Noted, prefix: &str, wanted: Wanted) -> (Vec<String>, u64, u64) {
    let mut deliveries = find_deliveries(store, BUCKET, prefix, wanted).await.expect("a plan");
    let (mut keys, mut outside) = (Vec::new(), 0);
    while let Some(found) = deliveries.next().await {
        let found = found.expect("a page");
        outside += found.outside_count;
        assert!(found.prefixes_done <= deliveries.prefix_count());
        keys.extend(found.objects.into_iter().map(|object| object.key));
    }
    assert_eq!(deliveries.prefixes_done(), deliveries.prefix_count());
    (keys, outside, deliveries.left_alone_folders())
}

fn is_delivery(key: &str) -> bool {
    key.contains("_CloudTrail_")
}

/// What `all` must give: day by day, then by key.
fn in_order(keys: &[String], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut keys: Vec<String> = keys.iter().filter(|key| is_delivery(key) && wanted(key)).cloned().collect();
    keys.sort_by_key(|key| (KeyHints::of(key).delivered_at.map(|at| at / DAY), key.clone()));
    keys
}

#[tokio::test]
async fn every_prefix_of_a_tree_finds_what_is_below_it() {
    for tree in ["AWSLogs/", "AWSLogs/o-abc/", "pre/fix/AWSLogs/o-abc/", "o-abc/AWSLogs/o-abc/"] {
        let keys = organisation(tree);
        let store = Noted::with(&keys);
        let region = format!("{tree}111122223333/CloudTrail/us-east-1/");
        let prefixes = [
            String::new(),
            tree.to_owned(),
            tree.trim_end_matches('/').to_owned(),
            format!("/{tree}"),
            format!("{tree}111122223333/"),
            format!("{tree}111122223333"),
            format!("{tree}111122223333/CloudTrail/"),
            region.clone(),
            format!("{region}2026/"),
            format!("{region}2026/08/"),
            format!("{region}2026/08/03/"),
        ];
        for prefix in prefixes {
            let below = prefix.trim_start_matches('/');
            let wanted = in_order(&keys, |key| key.starts_with(below));
            let (found, outside, _) = all(&store, &prefix, Wanted::default()).await;
            assert_eq!(found, wanted, "{prefix:?}");
            assert!(!found.is_empty() && outside == 0);
        }
        let (_, _, left_alone) = all(&store, "", Wanted::default()).await;
        assert_eq!(left_alone, 6, "digests, insights and another service, twice");
    }
}

#[tokio::test]
async fn only_the_days_and_regions_that_are_needed_are_listed() {
    let keys = organisation("AWSLogs/");
    let store = Noted::with(&keys);
    let (since, until) = (at("2026-08-05T06:00"), at("2026-08-06T06:00"));
    let wanted = Wanted {
        since: Some(since),
        until: Some(until),
        regions: vec!["us-east-1".to_owned()],
        accounts: vec!["444455556666".to_owned()],
        ..Wanted::default()
    };
    let (found, outside, _) = all(&store, "", wanted).await;
    let holds = |key: &str| KeyHints::of(key).delivered_at.is_some_and(|at| (since..until).contains(&at));
    assert_eq!(found, in_order(&keys, |key| key.contains("/444455556666/CloudTrail/us-east-1/") && holds(key)));
    assert_eq!((found.len(), outside), (2, 6));
    for prefix in store.asked() {
        let needed = ["04/", "05/", "06/", "07/"].iter().any(|day| prefix.ends_with(day));
        assert!(needed || prefix.matches('/').count() <= 5, "{prefix}");
        assert!(!prefix.contains("eu-west-1") && !prefix.contains("111122223333"), "{prefix}");
    }
}

#[tokio::test]
async fn a_long_window_asks_which_days_there_are() {
    let keys = organisation("AWSLogs/");
    let store = Noted::with(&keys);
    let since = at("2026-08-04");
    let wanted = Wanted { since: Some(since), ..Wanted::default() };
    let deliveries = find_deliveries(&store, BUCKET, "", wanted.clone()).await.expect("a plan");
    // The third to the tenth, in two regions of two accounts.
    assert_eq!(deliveries.prefix_count(), 8 * 4);
    let (found, outside, _) = all(&store, "", wanted).await;
    assert_eq!(found, in_order(&keys, |key| KeyHints::of(key).delivered_at.is_some_and(|at| at >= since)));
    assert_eq!(outside, 8);
    assert!(!store.asked().iter().any(|prefix| prefix.ends_with("/08/02/")));
}

#[tokio::test]
async fn it_goes_on_after_any_key() {
    let mut keys = organisation("o-abc/AWSLogs/o-abc/");
    // One busy day of several pages, and files without a day.
    keys.extend(
        (0..2_500).map(|n| {
            format!("{}.{n:05}", key("o-abc/AWSLogs/o-abc/", "444455556666", "eu-west-1", "2026-08-05", "1300"))
        }),
    );
    keys.push("o-abc/AWSLogs/o-abc/444455556666/CloudTrail/odd/9_CloudTrail_odd_x.json".to_owned());
    let store = Noted::with(&keys);
    let (whole, _, _) = all(&store, "", Wanted::default()).await;
    assert_eq!(whole.len(), keys.iter().filter(|key| is_delivery(key)).count());
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len());
    assert!(whole.last().is_some_and(|key| key.contains("/odd/")), "what has no day comes last");
    for index in (0..whole.len()).step_by(173).chain([whole.len() - 2, whole.len() - 1]) {
        let wanted = Wanted { after: whole.get(index).cloned(), at_once: 1 + index % 5, ..Wanted::default() };
        let (rest, _, _) = all(&store, "", wanted).await;
        assert_eq!(rest.as_slice(), whole.get(index + 1..).expect("in range"), "after {index}");
    }
}

#[tokio::test]
async fn what_is_no_trail_is_listed_flat() {
    let firehose = |day: u32, hour: u32| {
        format!(
            "api/2026/08/{day:02}/{hour:02}/amazon-apigateway-x-1-2026-08-{day:02}-{hour:02}-30-00-0a1b2c3d-0000-4000-8000-0123456789ab"
        )
    };
    let mut keys: Vec<String> = (1..=3).flat_map(|day| (0..24).map(move |hour| firehose(day, hour))).collect();
    keys.push("api/notes.txt".to_owned());
    let store = Noted::with(&keys);
    let (found, _, _) = all(&store, "api/", Wanted::default()).await;
    keys.sort_unstable();
    assert_eq!(found, keys);
    let since = at("2026-08-03");
    let (found, outside, _) = all(&store, "", Wanted { since: Some(since), ..Wanted::default() }).await;
    assert_eq!((found.len(), outside), (25, 48), "one day, and what has no time");
    let (found, _, _) = all(&store, "api/2026/08/02/0", Wanted::default()).await;
    assert_eq!(found.len(), 10, "a prefix is the beginning of a name, where it is no folder");
    let one = firehose(2, 7);
    assert_eq!(all(&store, &one, Wanted::default()).await.0, [one]);
    assert_eq!(all(&store, "nothing/here", Wanted::default()).await.0, [""; 0]);
}

#[tokio::test]
async fn left_alone_names_in_a_flat_heap_are_counted() {
    let store = Noted::with([
        "heap/1_CloudTrail-Digest_us-east-1_t_us-east-1_20260801T120500Z.json.gz",
        "heap/1_CloudTrail_us-east-1_20260801T1205Z_x.json.gz",
    ]);
    let mut deliveries = find_deliveries(&store, BUCKET, "heap", Wanted::default()).await.expect("a plan");
    let found = deliveries.next().await.expect("one page").expect("listed");
    assert_eq!((found.objects.len(), found.left_alone_count), (1, 1));
    assert!(deliveries.next().await.is_none());
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let store = Noted::default();
    let error = find_deliveries(&store, "gone", "AWSLogs/", Wanted::default()).await.err().expect("no bucket");
    assert_eq!((error.place.as_str(), &error.kind), ("s3://gone/AWSLogs/", &ObjectErrorKind::NoSuchBucket));
}

#[test]
fn windows_without_sense_do_not_panic() {
    for (since, until) in [
        (Some(Micros::MIN), Some(Micros::MAX)),
        (Some(Micros::MAX), Some(Micros::MIN)),
        (Some(-HOUR), Some(0)),
        (None, None),
    ] {
        let (from, to) = generous_days(&Wanted { since, until, ..Wanted::default() });
        assert!(from.iter().chain(&to).all(|day| day.len() == 10), "{from:?} {to:?}");
    }
    let open = generous_days(&Wanted { until: Some(Micros::MAX), ..Wanted::default() });
    assert_eq!(open, (None, None));
}
