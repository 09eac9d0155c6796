//! The rules, one by one and under random splits.

use std::collections::BTreeMap;

use keytrail_model::{AccessEvent, Resolution, VersionEvidence};
use proptest::prelude::*;

use super::*;
use crate::testing::{bare, decrypt, read, secret_arn};

/// Version, how it is known, and which event the row corrects.
type Told = (Option<String>, Option<VersionEvidence>, Option<String>);

/// A table in memory that takes batches as the lake does: facts, fates, changes.
#[derive(Default)]
struct Rows {
    rows: Vec<AccessEvent>,
}

impl Rows {
    fn take(&mut self, batch: &[AccessEvent]) {
        let stored = self.rows.iter().map(|row| Facts::of(row, Origin::Stored));
        let incoming = batch.iter().enumerate().map(|(at, row)| {
            // Rows of one record stand next to each other.
            let record = batch
                .iter()
                .position(|other| (&other.object_key, other.record_index) == (&row.object_key, row.record_index));
            Facts::of(row, Origin::Incoming(record.unwrap_or(at)))
        });
        let facts: Vec<Facts> = stored.chain(incoming).collect();
        let fates = settle(&facts);
        let all = std::mem::take(&mut self.rows).into_iter().chain(batch.iter().cloned());
        for (mut row, fate) in all.zip(fates) {
            match fate {
                Fate::Goes => {}
                Fate::Stays => self.rows.push(row),
                Fate::Changes(change) => {
                    change.apply(&mut row);
                    self.rows.push(row);
                }
            }
        }
    }

    fn told(&self) -> BTreeMap<RowKey, Told> {
        let row = |row: &AccessEvent| {
            let key = (row.account_id.clone(), row.event_id.clone(), row.secret_id.clone());
            (key, (row.version_id.clone(), row.version_evidence, row.corrects_event_id.clone()))
        };
        let told: BTreeMap<_, _> = self.rows.iter().map(row).collect();
        assert_eq!(told.len(), self.rows.len(), "rows are unique");
        told
    }
}

fn at(mut event: AccessEvent, object: &str, index: i64) -> AccessEvent {
    event.object_key = object.to_owned();
    event.record_index = index;
    event
}

fn after(batches: &[&[AccessEvent]]) -> Rows {
    let mut rows = Rows::default();
    for batch in batches {
        rows.take(batch);
    }
    rows
}

#[test]
fn an_event_is_taken_once_with_all_its_secrets() {
    let two = [at(read("e", "a", 0), "o1", 0), at(read("e", "b", 0), "o1", 0)];
    let again: Vec<_> = two.iter().map(|row| at(row.clone(), "o2", 7)).collect();
    let both: Vec<_> = two.iter().chain(&again).cloned().collect();
    for rows in [after(&[&two, &again]), after(&[&both])] {
        assert_eq!(rows.rows.len(), 2);
        assert!(rows.rows.iter().all(|row| row.object_key == "o1"), "the first one stays");
    }
    let mut other = read("e", "a", 0);
    other.account_id = "999988887777".into();
    assert_eq!(after(&[&two, &[at(other, "o3", 0)]]).rows.len(), 3, "ids are unique within an account only");
}

#[test]
fn one_secret_twice_in_a_record_is_one_row() {
    let twice = [at(read("e", "a", 0), "o", 0), at(read("e", "a", 0), "o", 0)];
    assert_eq!(after(&[&twice]).rows.len(), 1);
}

#[test]
fn a_correction_replaces_all_rows_of_its_event_whichever_comes_first() {
    let old = [at(read("old", "a", 0), "o1", 0), at(read("old", "b", 0), "o1", 0)];
    let mut new = at(read("new", "c", 0), "o2", 0);
    new.corrects_event_id = Some("old".into());
    let new = [new];
    for rows in [after(&[&old, &new]), after(&[&new, &old]), after(&[&old, &new, &old])] {
        assert_eq!(rows.rows.len(), 1);
        assert_eq!(rows.rows[0].event_id, "new");
    }
}

#[test]
fn a_chain_of_corrections_leaves_its_last() {
    let event = |id: &str, corrects: Option<&str>, delivered: i64| {
        let mut row = at(read(id, "a", 0), id, 0);
        row.corrects_event_id = corrects.map(str::to_owned);
        row.delivered_at = Some(delivered);
        row
    };
    let chain = [event("o", None, 1), event("c1", Some("o"), 2), event("c2", Some("c1"), 3)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut rows = Rows::default();
        for one in order {
            rows.take(&chain[one..=one]);
        }
        rows.take(&chain);
        assert_eq!(rows.rows.len(), 1, "{order:?}");
        assert_eq!(rows.rows[0].event_id, "c2");
        assert_eq!(rows.rows[0].corrects_event_id.as_deref(), Some("c1 o"));
    }
}

#[test]
fn events_that_correct_each_other_do_not_both_vanish() {
    let mut one = at(read("one", "a", 0), "o1", 0);
    one.corrects_event_id = Some("two".into());
    let mut two = at(read("two", "a", 0), "o2", 0);
    two.corrects_event_id = Some("one".into());
    assert_eq!(after(&[&[one, two]]).rows.len(), 1);
    let mut own = at(read("own", "a", 0), "o1", 0);
    own.corrects_event_id = Some("own".into());
    assert_eq!(after(&[&[own]]).rows.len(), 1);
}

#[test]
fn of_two_copies_the_one_with_an_arn_stays() {
    let mut caller = at(read("caller", "a", 0), "o1", 0);
    caller.shared_event_id = Some("s".into());
    let mut owner = at(read("owner", "a", 0), "o2", 0);
    owner.shared_event_id = Some("s".into());
    owner.account_id = "999988887777".into();
    owner.principal_id = "account:111122223333/AROAEXAMPLE".into();
    let (caller, owner) = ([caller], [owner]);
    for rows in [after(&[&caller, &owner]), after(&[&owner, &caller]), after(&[&owner, &caller, &owner])] {
        assert_eq!(rows.rows.len(), 1);
        assert_eq!(rows.rows[0].event_id, "caller");
    }
    let mut other = caller[0].clone();
    other.event_id = "decrypt".into();
    other.event_name = "Decrypt".into();
    other.object_key = "o3".into();
    assert_eq!(after(&[&caller, &[other]]).rows.len(), 2, "another call may carry the same id");
}

#[test]
fn kms_gives_the_version_whichever_comes_first() {
    let (reads, keys) = ([at(read("r", "a", 0), "o1", 0)], [at(decrypt("d", "a", "v1", SECOND), "o2", 0)]);
    for rows in [after(&[&reads, &keys]), after(&[&keys, &reads])] {
        let row = rows.rows.iter().find(|row| row.event_id == "r").expect("the read");
        assert_eq!(row.version_id.as_deref(), Some("v1"));
        assert_eq!(row.version_evidence, Some(VersionEvidence::Kms));
        assert_eq!(rows.rows.len(), 2);
    }
}

#[test]
fn a_nearer_decrypt_that_comes_later_wins() {
    let reads = [at(read("r", "a", 4 * SECOND), "o1", 0)];
    let far = [at(decrypt("far", "a", "v1", 2 * SECOND), "o2", 0)];
    let near = [at(decrypt("near", "a", "v2", 5 * SECOND), "o3", 0)];
    for rows in [after(&[&reads, &far, &near]), after(&[&near, &far, &reads]), after(&[&far, &reads, &near])] {
        let row = rows.rows.iter().find(|row| row.event_id == "r").expect("the read");
        assert_eq!(row.version_id.as_deref(), Some("v2"));
    }
}

#[test]
fn evidence_is_not_given_where_it_does_not_belong() {
    let version = |change: &dyn Fn(&mut AccessEvent), decrypted: AccessEvent| {
        let mut row = at(read("r", "a", 0), "o1", 0);
        change(&mut row);
        after(&[&[row, at(decrypted, "o2", 0)]]).rows[0].version_id.clone()
    };
    let near = || decrypt("d", "a", "v1", 0);
    assert_eq!(version(&|_| (), near()).as_deref(), Some("v1"));
    assert_eq!(version(&|_| (), decrypt("d", "a", "v1", 2 * SECOND + 1)), None);
    assert_eq!(version(&|_| (), decrypt("d", "b", "v1", 0)), None);
    assert_eq!(version(&|row| row.outcome = Outcome::Denied, near()), None);
    assert_eq!(version(&|row| row.action = Action::Describe, near()), None);
    assert_eq!(version(&|row| row.principal_id = "someone".into(), near()), None);
    assert_eq!(version(&|row| row.version_id = Some("asked".into()), near()).as_deref(), Some("asked"));
    let mut denied = near();
    denied.outcome = Outcome::Denied;
    assert_eq!(version(&|_| (), denied), None);
}

#[test]
fn a_read_by_name_finds_the_decrypt_of_the_arn() {
    let mut row = at(read("r", "a", 0), "o1", 0);
    row.secret_id = Some("a".into());
    row.secret_resolution = Resolution::Unresolved;
    row.secret_account = None;
    let rows = after(&[&[row], &[at(decrypt("d", "a", "v1", 0), "o2", 0)]]);
    assert_eq!(rows.rows[0].version_id.as_deref(), Some("v1"));
    assert_ne!(rows.rows[0].secret_id, Some(secret_arn("a")), "names are resolved elsewhere");
}

#[test]
fn extreme_times_do_not_overflow() {
    let rows = after(&[&[at(read("r", "a", i64::MIN), "o", 0), at(decrypt("d", "a", "v", i64::MAX), "o", 1)]]);
    assert_eq!(rows.rows[0].version_id, None);
    assert_eq!(after(&[&[at(bare("b", 0), "o", 0)]]).rows.len(), 1);
}

/// An event of the kinds that settle: reads and decrypts close together, copies, corrections, redeliveries.
fn events() -> impl Strategy<Value = Vec<AccessEvent>> {
    let one = (0..24_usize, 0..6_i64, 0..8_usize, 0..2_usize);
    proptest::collection::vec(one, 1..30).prop_map(|shapes| {
        let mut all: Vec<AccessEvent> = Vec::new();
        for (number, (id, moment, link, secret)) in shapes.into_iter().enumerate() {
            let secret = ["a", "b"][secret];
            let name = format!("e{id}");
            let event_at = moment * SECOND + i64::try_from(id).unwrap_or_default();
            // Corrections of reads only: a decrypt that is corrected after it gave evidence, and the correction of one
            // of two copies, leave traces that depend on the order (see the README).
            let mut row = match id {
                0..12 => read(&name, secret, event_at),
                12..18 => decrypt(&name, secret, &format!("v{id}"), event_at),
                _ => {
                    let mut copy = read(&name, secret, event_at);
                    copy.shared_event_id = Some(format!("s{}", link % 3));
                    if id % 2 == 0 {
                        copy.principal_id = format!("account:111122223333/{id}");
                    }
                    copy
                }
            };
            if link > 4 && id < 12 {
                row.corrects_event_id = Some(format!("e{}", (id + link) % 12));
            }
            row.delivered_at = Some(i64::try_from(id % 5).unwrap_or_default());
            // The same event once more comes from another object and says the same.
            let known = all.iter().find(|known| known.event_id == name).cloned();
            all.push(at(known.unwrap_or(row), "log", i64::try_from(number).unwrap_or_default()));
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_split_and_any_order_gives_the_same_rows(
        (events, order, cuts) in events().prop_flat_map(|events| {
            let count = events.len();
            let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
            (Just(events), order, proptest::collection::vec(0..=count, 0..6))
        })
    ) {
        let whole = after(&[&events]).told();
        let shuffled: Vec<AccessEvent> = order.iter().map(|at| events[*at].clone()).collect();
        let mut cuts = cuts;
        cuts.extend([0, shuffled.len()]);
        cuts.sort_unstable();
        let mut rows = Rows::default();
        for cut in cuts.windows(2) {
            rows.take(&shuffled[cut[0]..cut[1]]);
        }
        prop_assert_eq!(rows.told(), whole);
    }
}
