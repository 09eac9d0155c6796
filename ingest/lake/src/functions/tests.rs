//! Every function's documented examples are run, in constant and in column form; then what the examples do not show.

use deltalake::{arrow::util::pretty::pretty_format_batches, datafusion::prelude::SessionContext};

use super::{FUNCTIONS, ReaderClasses, documented, glob_match, register};

fn session() -> SessionContext {
    let session = SessionContext::new();
    let classes = [("*:role/rotate-?", "upkeep"), ("*:role/*", "sync_agent")];
    register(&session, ReaderClasses::new(classes.map(|(pattern, class)| (pattern.to_owned(), class.to_owned()))));
    session
}

async fn text(session: &SessionContext, sql: &str) -> Result<String, String> {
    let rows = session.sql(sql).await.map_err(|error| error.to_string())?;
    let batches = rows.collect().await.map_err(|error| error.to_string())?;
    Ok(pretty_format_batches(&batches).expect("printable").to_string())
}

#[tokio::test]
async fn the_documented_examples_hold() {
    let session = session();
    for function in documented() {
        assert!(!function.examples.is_empty(), "{} has an example", function.name);
        for (call, expected) in function.examples {
            if function.name == "reader_class" {
                continue; // The test's session configures it; see below.
            }
            let same = text(&session, &format!("SELECT ({call}) IS NOT DISTINCT FROM ({expected}) AS same")).await;
            assert!(same.as_ref().is_ok_and(|same| same.contains("true")), "{call} is {expected}: {same:?}");
        }
    }
}

#[tokio::test]
async fn columns_of_every_text_type_work() {
    let session = session();
    let sql = "SELECT cidr_contains(arrow_cast(c, 'Utf8View'), arrow_cast(ip, 'LargeUtf8')) AS a, \
               glob_match(arrow_cast(c, 'Dictionary(Int32, Utf8)'), ip) AS b \
               FROM (VALUES ('10.0.0.0/8', '10.0.0.1'), ('2001:db8::/32', '10.0.0.1'), ('10.0.0.0/8', NULL)) AS t(c, ip)";
    expect_rows(
        &text(&session, sql).await.expect("runs"),
        &["| true  | false |", "| false | false |", "|       |       |"],
    );
}

fn expect_rows(table: &str, rows: &[&str]) {
    let found: Vec<&str> = table.lines().skip(3).take(rows.len()).collect();
    assert_eq!(found, rows, "{table}");
}

#[tokio::test]
async fn mistakes_of_the_query_are_errors_that_name_them() {
    let session = session();
    for (call, expected) in [
        ("cidr_contains('10.0.0.0/33', '10.0.0.1')", "`10.0.0.0/33` is no network"),
        ("cidr_contains('10.0.0', '10.0.0.1')", "`10.0.0` is no network"),
        ("arn_part('arn:aws:iam::1:role/a', 'acount')", "an ARN has no part `acount`"),
        ("json_get('{}', 'a')", "write `/a`"),
    ] {
        let error = text(&session, &format!("SELECT {call}")).await.expect_err(call);
        assert!(error.contains(expected), "{call}: {error}");
    }
}

#[tokio::test]
async fn hostile_text_never_fails_a_query() {
    let session = session();
    let deep = "[".repeat(100_000);
    let hostile =
        ["", "é", "\u{0}", "::ffff:999.1.1.1", "arn:::::", "fe80::1%eth0", "1.2.3.4/8", "010.1.1.1", deep.as_str()];
    for text_from_the_log in hostile {
        let quoted = text_from_the_log.replace('\'', "''");
        for call in [
            format!("cidr_contains('10.0.0.0/8', '{quoted}')"),
            format!("ip_family('{quoted}')"),
            format!("is_private_ip('{quoted}')"),
            format!("arn_part('{quoted}', 'name')"),
            format!("json_get('{quoted}', '/a/b')"),
            format!("network_of('{quoted}', NULL)"),
            format!("namespace_of('{quoted}')"),
            format!("glob_match('zz*', '{quoted}')"),
        ] {
            let given = text(&session, &format!("SELECT {call} AS answer")).await;
            assert!(given.as_ref().is_ok_and(|given| !given.contains("true")), "{given:?}");
        }
    }
}

#[test]
fn globs_match_as_documented() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("**", "a/b", true),
        ("a*b*c", "a1b2c", true),
        ("a*b*c", "a1b2", false),
        ("?", "é", true),
        ("??", "é", false),
        ("*é", "aéé", true),
        ("*?", "😀", true),
        ("*??", "😀", false),
        ("a[b]", "a[b]", true),
        ("*.txt", "a.txt.txt", true),
    ] {
        assert_eq!(glob_match(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_hostile_glob_takes_no_longer_than_the_product_of_the_lengths() {
    let text = "a".repeat(20_000);
    let pattern = format!("{}b", "a*".repeat(50));
    let begun = std::time::Instant::now();
    assert!(!glob_match(&pattern, &text));
    assert!(begun.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn a_configured_reader_has_the_class_of_its_first_pattern() {
    let sql = "SELECT reader_class(p) AS class FROM (VALUES ('arn:aws:iam::1:role/rotate-x'), ('arn:aws:iam::1:role/a'), ('arn:aws:iam::1:user/k')) AS t(p)";
    let table = text(&session(), sql).await.expect("runs");
    expect_rows(&table, &["| upkeep     |", "| sync_agent |", "|            |"]);
}

#[test]
fn every_function_is_documented() {
    for function in FUNCTIONS {
        assert!(function.description.ends_with('.') && !function.arguments.is_empty(), "{function:?}");
    }
}
