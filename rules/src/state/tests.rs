use keytrail_lake::arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Field, Int64Type},
};
use keytrail_model::time::{DAY, HOUR};
use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::settings::ReaderClasses;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    pub(crate) event_id: String,
    pub(crate) shared_event_id: Option<String>,
    pub(crate) corrects_event_id: Option<String>,
    pub(crate) event_at: Micros,
    pub(crate) delivered_at: Option<Micros>,
    pub(crate) event_name: String,
    pub(crate) action: String,
    pub(crate) outcome: String,
    pub(crate) secret_id: Option<String>,
    pub(crate) secret_name: Option<String>,
    pub(crate) secret_kind: Option<String>,
    pub(crate) secret_account: Option<String>,
    pub(crate) secret_region: Option<String>,
    pub(crate) secret_resolution: String,
    pub(crate) version_id: Option<String>,
    pub(crate) version_stage: Option<String>,
    pub(crate) version_evidence: Option<String>,
    pub(crate) principal_id: String,
    pub(crate) principal_kind: String,
    pub(crate) principal_account: Option<String>,
    pub(crate) principal_unique_id: Option<String>,
    pub(crate) invoked_by: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) source_ip: Option<String>,
    pub(crate) vpc_endpoint_id: Option<String>,
    pub(crate) user_agent_family: Option<String>,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) object_key: String,
    pub(crate) record_index: i64,
}

pub(crate) const ARN: &str = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbCdEf";

pub(crate) fn event(id: &str, at: Micros, name: &str, action: &str, principal: &str) -> Event {
    Event {
        event_id: id.into(),
        shared_event_id: None,
        corrects_event_id: None,
        event_at: at,
        delivered_at: None,
        event_name: name.into(),
        action: action.into(),
        outcome: "ok".into(),
        secret_id: Some(ARN.into()),
        secret_name: Some("prod/db".into()),
        secret_kind: Some("secretsmanager".into()),
        secret_account: Some("111122223333".into()),
        secret_region: Some("us-east-1".into()),
        secret_resolution: "arn".into(),
        version_id: None,
        version_stage: None,
        version_evidence: None,
        principal_id: principal.into(),
        principal_kind: "role".into(),
        principal_account: None,
        principal_unique_id: None,
        invoked_by: None,
        access_key_id: None,
        source_ip: None,
        vpc_endpoint_id: None,
        user_agent_family: None,
        account_id: "111122223333".into(),
        region: "us-east-1".into(),
        object_key: "o".into(),
        record_index: 0,
    }
}

pub(crate) fn read(id: &str, at: Micros, principal: &str) -> Event {
    event(id, at, "GetSecretValue", "read", principal)
}

pub(crate) fn batch(events: &[Event]) -> RecordBatch {
    let names = [
        "event_id",
        "shared_event_id",
        "corrects_event_id",
        "event_name",
        "action",
        "outcome",
        "secret_id",
        "secret_name",
        "secret_kind",
        "secret_account",
        "secret_region",
        "secret_resolution",
        "version_id",
        "version_stage",
        "version_evidence",
        "principal_id",
        "principal_kind",
        "principal_account",
        "principal_unique_id",
        "invoked_by",
        "access_key_id",
        "source_ip",
        "vpc_endpoint_id",
        "user_agent_family",
        "account_id",
        "region",
        "object_key",
    ];
    let mut fields: Vec<Field> = names.into_iter().map(tables::text).collect();
    fields.extend([tables::moment("event_at"), tables::moment("delivered_at"), tables::number("record_index")]);
    tables::table(&fields, events).expect("a batch")
}

pub(crate) fn fold(state: &mut State, events: &[Event], changed: bool) -> Touched {
    let rows = Rows::new(&batch(events), vec![changed; events.len()]).expect("all columns");
    let mut touched = Touched::default();
    for row in rows.iter() {
        state.fold(&row, &mut touched);
    }
    touched
}

fn named(state: &State, name: &str) -> RecordBatch {
    let tables = state.tables(Scope::Everything, &ReaderClasses::default()).expect("tables");
    tables.into_named().find(|(table, _)| *table == name).expect("a table").1
}

fn numbers(batch: &RecordBatch, column: &str) -> Vec<i64> {
    batch.column_by_name(column).expect("a column").as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn a_changed_row_is_not_counted_twice() {
    let mut state = State::default();
    fold(&mut state, &[read("a", 10, "p")], false);
    let repaired = Event { version_id: Some("v1".into()), version_evidence: Some("kms".into()), ..read("a", 10, "p") };
    let touched = fold(&mut state, &[repaired], true);
    assert_eq!(numbers(&named(&state, "pairs"), "read_count"), [1]);
    assert_eq!(named(&state, "versions").num_rows(), 1);
    assert!(touched.doubtful.is_empty());
    let merged = Event { shared_event_id: Some("s".into()), ..read("a", 10, "q") };
    assert_eq!(fold(&mut state, &[merged], true).doubtful.len(), 1);
}

#[test]
fn a_name_learned_later_joins_what_was_read_under_it() {
    let mut state = State::default();
    let typed =
        Event { secret_id: Some("prod/db".into()), secret_resolution: "unresolved".into(), ..read("a", 10, "p") };
    fold(&mut state, std::slice::from_ref(&typed), false);
    fold(&mut state, &[read("b", 20, "p"), read("c", 30, "q")], false);
    fold(&mut state, &[Event { event_id: "d".into(), event_at: 40, ..typed }], false);
    let pairs = named(&state, "pairs");
    assert_eq!(numbers(&pairs, "read_count"), [3, 1]);
    assert_eq!(named(&state, "secrets").num_rows(), 1);
}

#[test]
fn signals_of_one_rotation_are_one_row() {
    let mut state = State::default();
    let mut put = event("b", HOUR + 1, "PutSecretValue", "write", "rotator");
    (put.version_id, put.version_stage) = (Some("v2".into()), Some("AWSPENDING".into()));
    let mut moved = event("c", HOUR + 2, "UpdateSecretVersionStage", "stage", "rotator");
    (moved.version_id, moved.version_stage) = (Some("v2".into()), Some("AWSCURRENT".into()));
    let old = Event { version_id: Some("v1".into()), version_evidence: Some("kms".into()), ..read("0", 1, "app") };
    let events = [
        old,
        event("a", HOUR, "RotationStarted", "rotate", "service:secretsmanager.amazonaws.com"),
        put,
        moved,
        event("d", HOUR + 3, "RotationSucceeded", "rotate", "service:secretsmanager.amazonaws.com"),
    ];
    fold(&mut state, &events, false);
    let rotations = named(&state, "rotations");
    assert_eq!(rotations.num_rows(), 1);
    let text =
        |column: &str| rotations.column_by_name(column).expect("a column").as_string::<i32>().value(0).to_owned();
    assert_eq!(text("known_by"), "rotation_succeeded, stage_moved");
    assert_eq!((text("version_id"), text("principal_id")), ("v2".into(), "rotator".into()));
    let versions = named(&state, "versions");
    assert_eq!(versions.column_by_name("superseded_at").expect("a column").null_count(), 1);
    assert_eq!(versions.num_rows(), 2);
    let attempts = named(&state, "rotation_attempts");
    assert_eq!(attempts.column_by_name("outcome").expect("a column").as_string::<i32>().value(0), "stage_moved");
    let principals = named(&state, "principals");
    let classes = principals.column_by_name("reader_class").expect("a column").as_string::<i32>();
    assert!(classes.iter().any(|class| class == Some("upkeep")));
}

#[test]
fn a_deleted_parameter_that_is_written_again_lives() {
    let mut state = State::default();
    fold(&mut state, &[event("a", 10, "DeleteParameter", "delete", "p")], false);
    assert_eq!(named(&state, "secrets").column_by_name("deleted_at").expect("a column").null_count(), 0);
    fold(&mut state, &[event("b", 20, "PutParameter", "write", "p")], false);
    assert_eq!(named(&state, "secrets").column_by_name("deleted_at").expect("a column").null_count(), 1);
}

#[test]
fn a_snapshot_is_the_state_or_an_error() {
    let mut state = State::default();
    let mut first = read("a", 10, "p");
    (first.source_ip, first.access_key_id) = (Some("10.0.0.1".into()), Some("ASIAEXAMPLE".into()));
    fold(&mut state, &[first, event("b", 20, "RotationSucceeded", "rotate", "s")], false);
    state.set_folded_to(7);
    let bytes = state.to_snapshot().expect("bytes");
    assert_eq!(State::from_snapshot(&bytes).expect("the same"), state);
    for at in [0, 30, bytes.len() / 2, bytes.len() - 2] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(State::from_snapshot(&flipped).is_err(), "byte {at}");
    }
    assert!(State::from_snapshot(&bytes[..bytes.len() - 1]).is_err());
    assert!(State::from_snapshot(b"").is_err());
    let text = String::from_utf8(bytes).expect("text").replacen(&format!("state {SNAPSHOT_VERSION} "), "state 9 ", 1);
    assert!(matches!(State::from_snapshot(text.as_bytes()), Err(SnapshotError::OtherVersion { .. })));
}

proptest! {
    /// Whatever the order of rows and wherever batches are cut, the tables are the same.
    #[test]
    fn order_and_batches_do_not_matter(
        times in prop::collection::vec((0i64..40, 0u8..3, 0u8..2), 1..30),
        seed in any::<u64>(),
    ) {
        let events: Vec<Event> = times.iter().enumerate().map(|(n, (day, principal, named))| {
            let mut event = read(&format!("e{n:02}"), day * DAY, &format!("p{principal}"));
            if *named == 0 {
                event.secret_id = Some("prod/db".into());
                event.secret_resolution = "unresolved".into();
            }
            event
        }).collect();
        let mut shuffled = events.clone();
        let mut random = seed;
        for at in (1..shuffled.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (random >> 33) as usize % (at + 1));
        }
        let mut one = State::default();
        fold(&mut one, &events, false);
        let mut other = State::default();
        for event in &shuffled {
            fold(&mut other, std::slice::from_ref(event), false);
        }
        for table in ["pairs", "pair_days", "secrets"] {
            let sorted = |state: &State| {
                let batch = named(state, table);
                let text = keytrail_lake::arrow::util::pretty::pretty_format_batches(&[batch]).expect("printable").to_string();
                let mut lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect()).collect();
                lines.sort();
                lines
            };
            prop_assert_eq!(sorted(&one), sorted(&other));
        }
    }
}
