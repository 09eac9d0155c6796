use keytrail_lake::arrow::array::AsArray;
use proptest::prelude::*;

use super::*;
use crate::{
    history::Within,
    state::{moment, table, text},
};

#[derive(serde::Serialize, Clone, Debug)]
struct Event {
    event_at: Micros,
    event_id: String,
    principal_id: String,
    secret_id: Option<String>,
}

fn event(at: Micros, id: &str, principal: &str, secret: &str) -> Event {
    Event { event_at: at, event_id: id.into(), principal_id: principal.into(), secret_id: Some(secret.into()) }
}

/// Rows of `access_events` that say only this.
fn batch(events: &[Event]) -> RecordBatch {
    let fields = [moment("event_at"), text("event_id"), text("principal_id"), text("secret_id")];
    let known = table(&fields, events).expect("rows");
    let columns = schema()
        .fields()
        .iter()
        .map(|field| match (known.column_by_name(field.name()), field.name().as_str()) {
            (Some(column), _) => column.clone(),
            (None, "raw" | "action") => Arc::new(StringArray::from(vec!["read"; events.len()])),
            (None, "ingested_at") => {
                cast(&known.column_by_name("event_at").expect("a column"), field.data_type()).expect("moments")
            }
            (None, _) => new_null_array(field.data_type(), events.len()),
        })
        .collect();
    RecordBatch::try_new(schema(), columns).expect("a batch")
}

fn ids(batches: &[RecordBatch]) -> Vec<String> {
    let mut ids: Vec<String> = batches
        .iter()
        .flat_map(|batch| {
            batch
                .column_by_name("event_id")
                .expect("a column")
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    ids.sort();
    ids
}

fn since(key: Key, at: Micros) -> Wanted {
    Wanted { since: [(key, at)].into(), ..Wanted::default() }
}

#[test]
fn rows_are_found_by_key_and_time_with_the_rest_of_their_event() {
    let mut recent = Recent::new(100, KeepRaw::None);
    recent
        .insert(&batch(&[
            event(1, "a", "p", "s"),
            event(2, "b", "p", "s"),
            event(2, "b", "q", "t"),
            event(3, "c", "q", "t"),
        ]))
        .expect("rows");
    let found = recent.rows(&since(Key::Principal("p".into()), 2)).expect("rows");
    assert_eq!(ids(&found), ["b", "b"]);
    assert!(found[0].column_by_name("raw").expect("a column").is_null(0));
    let early = Wanted { within: Within { first: 0, last: 1 }, ..since(Key::Secret("s".into()), 0) };
    assert_eq!(ids(&recent.rows(&early).expect("rows")), ["a"]);
    let one = Wanted { events: [(3, "c".to_owned()), (3, "x".to_owned())].into(), ..Wanted::default() };
    assert_eq!(ids(&recent.rows(&one).expect("rows")), ["c"]);
}

#[test]
fn the_oldest_moment_goes_as_a_whole_and_is_known_to_be_gone() {
    let mut recent = Recent::new(2, KeepRaw::All);
    let rows = [event(1, "a", "p", "s"), event(1, "b", "p", "s"), event(2, "c", "p", "s"), event(3, "d", "p", "s")];
    recent.insert(&batch(&rows)).expect("rows");
    assert_eq!((recent.len(), recent.floor()), (2, 1));
    assert_eq!(ids(&recent.rows(&since(Key::Principal("p".into()), 0)).expect("rows")), ["c", "d"]);
    // What is older than what was let go is not taken in: it would be a part of the truth.
    recent.insert(&batch(&[event(0, "e", "p", "s")])).expect("rows");
    assert_eq!(recent.len(), 2);
}

#[test]
fn a_changed_row_takes_the_place_of_the_old_one() {
    let mut recent = Recent::new(100, KeepRaw::None);
    recent.insert(&batch(&[event(1, "a", "p", "s"), event(1, "a", "p", "t"), event(1, "b", "p", "s")])).expect("rows");
    let new = batch(&[event(1, "a", "p", "s")]);
    let lines = Lines::new(&new).expect("rows");
    assert_eq!(recent.forget_replaced(&lines.get(0).expect("a row")), ["a"]);
    recent.insert(&new).expect("rows");
    assert_eq!(ids(&recent.rows(&since(Key::Principal("p".into()), 0)).expect("rows")), ["a", "a", "b"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// After any inserts, every row later than the floor is found, and nothing else.
    #[test]
    fn what_is_later_than_the_floor_is_there(
        rows in prop::collection::vec((0i64..40, 0u8..3), 1..60),
        size in 1usize..8,
        most in 1usize..30,
    ) {
        let events: Vec<Event> = rows
            .iter()
            .enumerate()
            .map(|(at, (moment, principal))| event(*moment, &format!("e{at}"), &format!("p{principal}"), "s"))
            .collect();
        let mut recent = Recent::new(most, KeepRaw::None);
        for part in events.chunks(size) {
            recent.insert(&batch(part)).expect("rows");
            prop_assert!(recent.len() <= most);
        }
        // Whatever came after the floor had passed it is gone too, so only what the floor leaves is compared.
        let mut wanted: Vec<String> =
            events.iter().filter(|event| event.event_at > recent.floor()).map(|event| event.event_id.clone()).collect();
        wanted.sort();
        prop_assert_eq!(ids(&recent.rows(&since(Key::Secret("s".into()), 0)).expect("rows")), wanted);
    }
}
