//! Every way that items stand together, and every way that one of them is broken.

use proptest::prelude::*;

use super::*;

const LIMITS: ScanLimits = ScanLimits { max_depth: 16, max_bytes: 4_096 };
const ENVELOPES: ScanLimits = ScanLimits { max_depth: 16, max_bytes: 1 << 20 };

fn no_log_key(_: &str) -> bool {
    false
}

/// Every object as text and every fault as `!reason:text`.
fn items(text: &str) -> Vec<String> {
    Items::new(text.as_bytes(), LIMITS, ENVELOPES, &no_log_key)
        .map(|item| match item {
            Item::Object { range, .. } => text.get(range).expect("on character boundaries").to_owned(),
            Item::Fault { range, fault, .. } => format!("!{fault:?}:{}", text.get(range).expect("on boundaries")),
        })
        .collect()
}

fn record(id: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.08","userIdentity":{{"type":"x"}},"eventSource":"s3.amazonaws.com","eventID":"{id}"}}"#
    )
}

fn records() -> [String; 3] {
    [record(1), record(2), record(3)]
}

#[test]
fn whatever_holds_them_together() {
    let [a, b, c] = records();
    let wanted = vec![a.clone(), b.clone(), c.clone()];
    for text in [
        format!(r#"{{"Records":[{a},{b},{c}]}}"#),
        format!(r#"{{"x":{{"y":[1,"]}}"]}},"Records" : [ {a} , {b} , {c} ] , "z":1}}"#),
        format!("\u{feff} \r\n [{a},\n{b},\t{c}]\n"),
        format!("{a}\n{b}\n{c}"),
        format!("{a}{b}{c}\n"),
        format!("{a}\r\n\r\n{b},{c}"),
        format!("[{a}]\n[{b},{c}]"),
        format!(r#"{{"Records":[{a}]}}{{"Records":[{b}]}}{c}"#),
        format!("[{a} {b},,{c},]"),
    ] {
        assert_eq!(items(&text), wanted, "{text}");
    }
    assert_eq!(items(&format!("[{{\"Records\":[{a}]}}]")).len(), 1);
    assert!(items("[]").is_empty() && items(r#"{"Records":[]}"#).is_empty() && items("").is_empty());
}

#[test]
fn a_broken_record_takes_no_neighbour_with_it() {
    let [a, b, c] = records();
    for (what, broken) in [
        ("odd quote", b.replace("\"1.08\"", "\"1.08")),
        ("odd quote at the end", b.replace("\"2\"}", "\"2}")),
        ("missing close", b.replace("\"x\"}", "\"x\"")),
        ("doubled close", b.replace("\"x\"}", "\"x\"}}")),
        ("missing last close", b.trim_end_matches('}').to_owned()),
        ("missing open", b.replace("{\"type\"", "\"type\"")),
        ("wrong bracket", b.replace("{\"type\"", "[\"type\"")),
        ("a list opened", b.replace("{\"type\":\"x\"}", "[")),
        ("a list closed", b.replace("{\"type\":\"x\"}", "]")),
        ("cut in the middle", b.chars().take(60).collect()),
    ] {
        for (text, outer) in [
            (format!(r#"{{"Records":[{a},{broken},{c}]}}"#), "wrapper"),
            (format!("[{a},\n  {broken},\n  {c}\n]"), "array"),
            (format!("{a}\n{broken}\n{c}\n"), "lines"),
        ] {
            let found = items(&text);
            // A wrong pair of brackets balances: it is the parser that refuses such a record.
            if what == "wrong bracket" {
                assert_eq!(found, [a.clone(), broken.clone(), c.clone()], "{what} in {outer}");
                continue;
            }
            assert_eq!(found.len(), 3, "{what} in {outer}: {found:#?}");
            assert_eq!(found.first(), Some(&a), "{what} in {outer}");
            assert_eq!(found.get(1), Some(&format!("!Unbalanced:{broken}")), "{what} in {outer}");
            assert_eq!(found.get(2), Some(&c), "{what} in {outer}");
        }
    }
}

#[test]
fn a_cut_tail_costs_one_record() {
    let [a, b, c] = records();
    let text = format!(r#"{{"Records":[{a},{b},{c}]}}"#);
    let start_of_last = text.find(&c).expect("it is there");
    for cut in start_of_last + 1..text.len() - 2 {
        let found = items(text.get(..cut).expect("ascii"));
        assert_eq!(found.get(..2), Some(&[a.clone(), b.clone()][..]));
        assert_eq!(found.len(), 3, "cut at {cut}: {found:?}");
        assert!(found.iter().skip(2).all(|item| item.starts_with("!CutShort:{")), "cut at {cut}: {found:?}");
    }
    let unclosed = text.trim_end_matches("]}");
    assert_eq!(items(unclosed).get(3).map(String::as_str), Some("!OpenEnd:"));
}

#[test]
fn what_is_no_object_is_told_at_its_place() {
    let [a, b, _] = records();
    let text = format!(r#"{{"Records":[{a},null,"x\"]",[1,[2]],-1.5e3,{b}]}}"#);
    let wanted =
        [&a, "!NotAnObject:null", "!NotAnObject:\"x\\\"]\"", "!NotAnObject:[1,[2]]", "!NotAnObject:-1.5e3", &b];
    assert_eq!(items(&text), wanted);
    assert_eq!(
        items(&format!("{a}\nsome prose, with a comma\n{b}")),
        [&a, "!NotAnObject:some prose, with a comma", &b]
    );
}

#[test]
fn too_deep_and_too_long_are_told() {
    let [a, b, _] = records();
    let deep = format!(r#"{{"eventVersion":{}1{}}}"#, "[".repeat(20), "]".repeat(20));
    let long = format!(r#"{{"eventVersion":"{}"}}"#, "x".repeat(5_000));
    let found = items(&format!("[{a},{deep},{long},{b}]"));
    assert_eq!(found.first(), Some(&a));
    assert!(found.get(1).is_some_and(|item| item.starts_with("!TooDeep:")));
    assert_eq!(found.last(), Some(&b));
}

#[test]
fn an_object_that_swallowed_its_neighbour_can_be_given_back() {
    let [a, b, _] = records();
    let text = format!("[{{\"eventVersion\":[{a},{b}]}}]");
    let mut found = Items::new(text.as_bytes(), LIMITS, ENVELOPES, &no_log_key);
    let Some(Item::Object { range, .. }) = found.next() else {
        panic!("an object comes first");
    };
    let lost = found.give_back(&range);
    assert_eq!(text.get(lost), Some("{\"eventVersion\":["));
    assert!(matches!(found.next(), Some(Item::Object { range, .. }) if text.get(range.clone()) == Some(&a)));
}

/// Keeps the order, the disjointness and the progress that the module promises.
fn well_formed(text: &[u8]) -> Result<(), TestCaseError> {
    let mut last = 0;
    for (count, item) in Items::new(text, LIMITS, ENVELOPES, &no_log_key).enumerate() {
        let (Item::Object { range, .. } | Item::Fault { range, .. }) = item;
        prop_assert!(range.start >= last && range.end >= range.start && range.end <= text.len());
        last = range.end;
        prop_assert!(count <= text.len() + 1);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        well_formed(&text)?;
    }

    #[test]
    fn no_json_like_text_panics(parts in proptest::collection::vec(prop_oneof![
        Just("{"), Just("}"), Just("["), Just("]"), Just("\""), Just("\\"), Just(","), Just(":"), Just("\n"), Just("1"),
        Just("{\"Records\":["), Just("{\"eventVersion\":\"1.08\""), Just("\"eventSource\":\"x\""), Just("{\"detail\":{"),
    ], 0..60)) {
        well_formed(parts.concat().as_bytes())?;
    }
}

/// The objects that a parser accepts, those it refuses given back, as decoding does.
fn parsed(text: &[u8]) -> Vec<Range<usize>> {
    let mut items = Items::new(text, LIMITS, ENVELOPES, &no_log_key);
    let mut found = Vec::new();
    while let Some(item) = items.next() {
        let Item::Object { range, .. } = item else { continue };
        if serde_json::from_slice::<serde::de::IgnoredAny>(&text[range.clone()]).is_ok() {
            found.push(range);
        } else {
            items.give_back(&range);
        }
    }
    found
}

/// One byte changed in a file of six records loses at most the two records that it touches, whichever byte it was and
/// whatever it became.
#[test]
fn one_changed_byte_loses_at_most_its_own_record() {
    let whole: Vec<String> = (0..6).map(record).collect();
    for (open, between, close) in [("{\"Records\":[", ",", "]}"), ("[", ",\n", "]"), ("", "\n", ""), ("", "", "")] {
        let text = format!("{open}{}{close}", whole.join(between));
        let start = open.len() + 2 * (whole[0].len() + between.len());
        for at in start - between.len()..start + whole[0].len() + between.len() {
            for byte in 0..=u8::MAX {
                let mut text = text.clone().into_bytes();
                text[at] = byte;
                let found = parsed(&text);
                let intact = |record: &&String| found.iter().any(|range| &text[range.clone()] == record.as_bytes());
                let intact = whole.iter().filter(intact).count();
                assert!(
                    intact >= 4,
                    "{intact} of 6 are left after byte {at} became {byte:#04x}: {}",
                    String::from_utf8_lossy(&text)
                );
            }
        }
    }
}
