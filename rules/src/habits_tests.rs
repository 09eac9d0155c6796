use keytrail_lake::arrow::{
    array::{Array, AsArray},
    datatypes::Int64Type,
    util::display::array_value_to_string,
};
use keytrail_model::time::HOUR;
use proptest::prelude::*;

use super::*;
use crate::state::{
    Touched,
    tests::{ARN, Event, batch, event, fold, read},
};

/// A moment: days since 1970 and an hour.
fn at(day: i64, hour: i64) -> Micros {
    day * DAY + hour * HOUR
}

fn from(mut event: Event, ip: &str, agent: &str) -> Event {
    (event.source_ip, event.user_agent_family) = (Some(ip.into()), Some(agent.into()));
    event
}

fn of(mut event: Event, name: &str) -> Event {
    event.secret_id = Some(format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{name}-AbCdEf"));
    event.secret_name = Some(name.into());
    event
}

/// The habits of one row, by column; nulls are left out.
fn habits(state: &State, event: &Event) -> HashMap<String, String> {
    habits_of(state, event, &ReaderClasses::default())
}

fn habits_of(state: &State, event: &Event, classes: &ReaderClasses) -> HashMap<String, String> {
    let judged = state.with_habits(&batch(std::slice::from_ref(event)), classes).expect("all columns");
    let names: Vec<String> = fields().iter().map(|field| field.name().clone()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let column = judged.column_by_name(&name).expect("a habit column").clone();
            let value = column.is_valid(0).then(|| array_value_to_string(&column, 0).expect("printable"));
            value.map(|value| (name, value))
        })
        .collect()
}

#[track_caller]
fn assert_habits(state: &State, event: &Event, expected: &[(&str, &str)]) {
    let found = habits(state, event);
    for (name, value) in expected {
        assert_eq!(found.get(*name).map_or("null", String::as_str), *value, "{name}");
    }
}

#[test]
fn a_row_of_a_known_principal_says_what_is_usual_for_it() {
    let mut state = State::default();
    let mut events = Vec::new();
    for day in 0..10 {
        events.push(from(read(&format!("u{day}"), at(day, 9), "p"), "10.20.0.7", "boto3"));
    }
    events.push(from(of(read("other", at(3, 9), "p"), "prod/cache"), "203.0.113.7", "curl"));
    let new = from(read("new", at(10, 10), "p"), "10.30.0.7", "aws-cli");
    events.push(new.clone());
    events.push(from(read("after", at(10, 10), "p"), "10.30.0.9", "aws-cli"));
    fold(&mut state, &events, false);

    assert_habits(
        &state,
        &new,
        &[
            ("network", "10.30.0.0/16"),
            ("reader_class", "consumer"),
            ("principal_first_at", "1970-01-01T09:00:00Z"),
            ("principal_active_days", "10"),
            ("network_days", "0"),
            ("agent_days", "0"),
            ("hour_days", "10"),
            ("region_days", "10"),
            ("is_first_network", "false"),
            ("is_first_agent", "false"),
            ("pair_first_read_at", "1970-01-01T09:00:00Z"),
            ("is_first_use", "false"),
            ("pair_active_days", "10"),
            ("secret_first_seen_at", "1970-01-01T09:00:00Z"),
            ("secret_last_use_day_at", "1970-01-10T00:00:00Z"),
            ("secret_reader_count", "1"),
            ("usual_secrets_max", "2"),
            ("usual_secrets_days", "10"),
            ("namespace_days", "10"),
            ("namespace_readers", "0"),
            ("key_first_at", "null"),
        ],
    );
    let first = events.iter().find(|event| event.event_id == "after").expect("folded");
    assert_habits(&state, first, &[("is_first_network", "true"), ("is_first_agent", "true"), ("network_days", "0")]);
    let mut elsewhere = from(read("x", at(10, 11), "p"), "10.20.9.9", "boto3");
    elsewhere.region = "eu-west-1".into();
    assert_habits(&state, &elsewhere, &[("network_days", "10"), ("agent_days", "10"), ("region_days", "0")]);
    assert_habits(
        &state,
        &from(read("x", at(10, 12), "p"), "203.0.113.9", "curl"),
        &[("hour_days", "0"), ("network_days", "1"), ("agent_days", "1")],
    );
}

#[test]
fn the_window_ends_before_the_rows_day_and_begins_ninety_days_earlier() {
    let mut state = State::default();
    let days = [9, 10, 50, 99, 100];
    let events: Vec<Event> =
        days.iter().map(|&day| from(read(&format!("e{day}"), at(day, 23), "p"), "10.0.0.1", "boto3")).collect();
    fold(&mut state, &events, false);
    let row = from(read("row", at(100, 0), "p"), "10.0.0.1", "boto3");
    assert_habits(
        &state,
        &row,
        &[
            ("principal_active_days", "3"),
            ("network_days", "3"),
            ("hour_days", "3"),
            ("pair_active_days", "3"),
            ("namespace_days", "3"),
            ("usual_secrets_days", "1"),
            ("usual_secrets_max", "1"),
            ("secret_last_use_day_at", "1970-04-10T00:00:00Z"),
        ],
    );
}

#[test]
fn rows_without_a_secret_or_an_address_have_nulls() {
    let mut row = event("a", at(1, 0), "ConsoleLogin", "other", "p");
    (row.secret_id, row.secret_name) = (None, None);
    row.secret_resolution = "none".into();
    let mut state = State::default();
    fold(&mut state, std::slice::from_ref(&row), false);
    assert_habits(
        &state,
        &row,
        &[
            ("network", "null"),
            ("network_days", "null"),
            ("is_first_network", "null"),
            ("is_first_agent", "null"),
            ("is_first_use", "null"),
            ("pair_active_days", "null"),
            ("secret_reader_count", "null"),
            ("namespace_days", "null"),
            ("reader_class", "consumer"),
            ("principal_active_days", "0"),
            ("principal_first_at", "1970-01-02T00:00:00Z"),
        ],
    );
    let never_folded = from(read("b", at(1, 0), "q"), "10.0.0.1", "boto3");
    assert_habits(
        &state,
        &never_folded,
        &[
            ("principal_first_at", "null"),
            ("network", "10.0.0.0/16"),
            ("principal_active_days", "null"),
            ("network_days", "null"),
            ("is_first_network", "null"),
            ("pair_first_read_at", "null"),
        ],
    );
}

#[test]
fn what_came_later_is_not_known_yet() {
    let mut state = State::default();
    let mut denied = read("a", at(1, 0), "p");
    denied.outcome = "denied".into();
    fold(&mut state, &[denied.clone(), read("b", at(2, 0), "p"), read("c", at(2, 0), "q")], false);
    assert_habits(
        &state,
        &denied,
        &[
            ("pair_first_read_at", "null"),
            ("secret_first_seen_at", "null"),
            ("secret_reader_count", "0"),
            ("secret_last_use_day_at", "null"),
            ("is_first_use", "false"),
        ],
    );
    assert_habits(&state, &read("b", at(2, 0), "p"), &[("secret_reader_count", "0"), ("is_first_use", "true")]);
    assert_habits(&state, &read("c", at(2, 0), "q"), &[("secret_reader_count", "1"), ("is_first_use", "true")]);
}

#[test]
fn upkeep_is_no_consumer() {
    let mut state = State::default();
    let events = [
        read("a", at(1, 0), "sync"),
        read("b", at(2, 0), "app"),
        of(read("c", at(3, 0), "third"), "prod/cache"),
        read("d", at(5, 0), "sync"),
    ];
    fold(&mut state, &events, false);
    let classes = ReaderClasses { upkeep: Vec::new(), sync_agents: vec!["sy*".into()] };
    let found = habits_of(&state, &read("x", at(9, 0), "app"), &classes);
    let said = |name: &str| found.get(name).map(String::as_str);
    assert_eq!(said("secret_reader_count"), Some("1"));
    assert_eq!(said("secret_last_use_day_at"), Some("1970-01-03T00:00:00Z"));
    assert_eq!(said("namespace_readers"), Some("1"), "neither the agent nor itself");
    assert_eq!(habits_of(&state, &events[3], &classes).get("reader_class").map(String::as_str), Some("sync_agent"));
}

#[test]
fn an_access_key_has_a_place_of_birth() {
    let mut state = State::default();
    let keyed = |id: &str, hour: i64, ip: Option<&str>| {
        let mut event = read(id, at(1, hour), "p");
        (event.access_key_id, event.source_ip) = (Some("ASIAEXAMPLE".into()), ip.map(str::to_owned));
        event
    };
    let events = [keyed("d", 4, Some("203.0.113.7")), keyed("b", 2, Some("10.0.0.1")), keyed("a", 1, None)];
    fold(&mut state, &events, false);
    assert_habits(
        &state,
        &events[0],
        &[("key_first_at", "1970-01-02T01:00:00Z"), ("key_first_network", "10.0.0.0/16"), ("key_first_ip", "10.0.0.1")],
    );
    assert_habits(&state, &events[2], &[("key_first_at", "1970-01-02T01:00:00Z"), ("key_first_network", "null")]);
}

#[test]
fn a_secret_folded_again_or_named_late_keeps_its_namespace() {
    let mut state = State::default();
    let mut typed = read("a", at(1, 0), "p");
    (typed.secret_id, typed.secret_resolution) = (Some("prod/db".into()), "unresolved".into());
    fold(&mut state, std::slice::from_ref(&typed), false);
    fold(&mut state, &[read("b", at(2, 0), "q")], false);
    let row = read("x", at(3, 0), "r");
    assert_habits(&state, &row, &[("namespace_readers", "2"), ("secret_reader_count", "2")]);
    assert_habits(&state, &typed, &[("secret_reader_count", "0"), ("is_first_use", "true")]);

    let secret = state.ids.find(ARN).expect("folded");
    state.forget_secret(secret);
    assert_habits(&state, &row, &[("namespace_readers", "0")]);
    fold(&mut state, &[read("b", at(2, 0), "q")], false);
    assert_habits(&state, &row, &[("namespace_readers", "1")]);
}

#[test]
fn beyond_the_bound_nothing_is_called_new() {
    let mut state = State::default();
    let seen = |n: i64| from(read(&format!("e{n}"), at(n, 0), "p"), &format!("203.{}.{}.1", n / 256, n % 256), "boto3");
    let events: Vec<Event> = (0..600).map(seen).collect();
    fold(&mut state, &events, false);
    assert_habits(
        &state,
        &events[599],
        &[("is_first_network", "null"), ("network_days", "0"), ("is_first_agent", "false")],
    );
    assert_habits(&state, &from(read("x", at(600, 0), "p"), "203.2.87.9", "boto3"), &[("network_days", "1")]);
}

#[test]
fn access_keys_out_of_use_make_room_for_others() {
    let one = batch(&[from(read("e", 0, "p"), "10.0.0.1", "boto3")]);
    let rows = Rows::new(&one, Vec::new()).expect("all columns");
    let row = rows.iter().next().expect("one row");
    let mut state = State::default();
    let mut used = |key: &str, day: i64| {
        state.fold(&Row { access_key_id: Some(key), event_at: at(day, 0), ..row }, &mut Touched::default());
        state.keys.uses.len()
    };
    for n in 0..70_000 {
        used(&format!("ASIA{n}"), 0);
    }
    // What is in use stays, however many there are.
    assert_eq!(used("AKIALONGTERM", 5), 70_001);
    assert_eq!(used("AKIALONGTERM", 11), 70_001);
    let mut left = 0;
    for n in 0..30_000 {
        left = used(&format!("ASIB{n}"), 12).max(left);
    }
    assert!(left < 90_000, "{left}");
    assert!(state.keys.uses.contains_key("AKIALONGTERM") && !state.keys.uses.contains_key("ASIA1"));
    assert_eq!(state.keys.uses["AKIALONGTERM"].first_at, at(5, 0));
}

/// Rows over a few principals, secrets, networks, agents and keys, some denied, some of one second.
fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0_i64..130, 0_i64..24, 0_u8..3, 0_u8..4, 0_u8..4, 0_u8..3, 0_u8..4, 0_u8..6);
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let made = all.into_iter().enumerate().map(|(n, (day, hour, principal, secret, network, agent, key, odd))| {
            let name = ["prod/db", "prod/cache", "/dev/db", "plain"][usize::from(secret)];
            let mut event = of(read(&format!("e{:02}", (n * 7) % 40), at(day, hour), &format!("p{principal}")), name);
            event.source_ip = (network > 0).then(|| format!("10.{network}.0.1"));
            event.vpc_endpoint_id = (network == 3).then(|| "vpce-1".to_owned());
            event.user_agent_family = (agent > 0).then(|| format!("agent{agent}"));
            event.access_key_id = (key > 0).then(|| format!("ASIA{key}"));
            match odd {
                0 => event.outcome = "denied".into(),
                1 => {
                    event.secret_id = Some(name.to_owned());
                    event.secret_resolution = "unresolved".into();
                }
                2 => (event.event_name, event.action) = ("UpdateSecretVersionStage".into(), "stage".into()),
                _ => {}
            }
            event
        });
        made.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the order of rows, wherever batches are cut and however often rows come, each row has the same habits.
    #[test]
    fn order_batches_and_repeats_do_not_matter(
        events in any_events(),
        order in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        again in any::<prop::sample::Index>(),
    ) {
        let classes = ReaderClasses { upkeep: Vec::new(), sync_agents: vec!["p2".into()] };
        let mut one = State::default();
        fold(&mut one, &events, false);
        let mut shuffled = events.clone();
        let mut random = order.index(usize::MAX) as u64;
        for at in (1..shuffled.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(at, (random >> 33) as usize % (at + 1));
        }
        let mut other = State::default();
        let mut begin = 0;
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(shuffled.len())).chain([shuffled.len()]).collect();
        ends.sort_unstable();
        for end in ends {
            fold(&mut other, &shuffled[begin..end], false);
            begin = end;
        }
        fold(&mut other, &[shuffled[again.index(shuffled.len())].clone()], true);
        let restored = State::from_snapshot(&other.to_snapshot().expect("bytes")).expect("the same");
        let rows = batch(&events);
        let expected = one.with_habits(&rows, &classes).expect("columns");
        prop_assert_eq!(&other.with_habits(&rows, &classes).expect("columns"), &expected);
        prop_assert_eq!(&restored.with_habits(&rows, &classes).expect("columns"), &expected);
        // Cuts of what is asked do not matter either.
        let half = events.len() / 2;
        let tail = other.with_habits(&batch(&events[half..]), &classes).expect("columns");
        prop_assert_eq!(tail, expected.slice(half, events.len() - half));
    }

    /// What happens on a row's own day or later changes no count of days, and nothing later changes anything.
    #[test]
    fn the_future_changes_nothing(events in any_events(), split in 20_i64..110) {
        let (past, future): (Vec<Event>, Vec<Event>) =
            events.into_iter().partition(|event| event.event_at < at(split, 0));
        prop_assume!(!past.is_empty());
        // The class of a reader is as of now, so nobody stages here.
        let calm = |events: Vec<Event>| -> Vec<Event> {
            events.into_iter().filter(|event| event.action == "read" && event.secret_resolution != "unresolved").collect()
        };
        let (past, future) = (calm(past), calm(future));
        prop_assume!(!past.is_empty());
        let classes = ReaderClasses::default();
        let mut state = State::default();
        fold(&mut state, &past, false);
        let before = state.with_habits(&batch(&past), &classes).expect("columns");
        fold(&mut state, &future, false);
        prop_assert_eq!(state.with_habits(&batch(&past), &classes).expect("columns"), before);
    }
}

#[test]
fn every_row_has_every_column_also_in_a_rules_session() {
    let judged =
        State::default().with_habits(&batch(&[read("a", 0, "p")]), &ReaderClasses::default()).expect("columns");
    let last = judged.schema().fields().len() - fields().len();
    assert_eq!(judged.schema().field(last).name(), "network");
    let days = judged.column_by_name("principal_active_days").expect("a column").as_primitive::<Int64Type>().value(0);
    assert_eq!(days, 0);
}
