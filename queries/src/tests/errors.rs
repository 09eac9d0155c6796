//! What a person reads when a query is wrong.

use keytrail_lake::{datafusion::prelude::SessionContext, session::Limits};

use super::fixture::{ask, lake, month, sql};
use crate::{Library, QueryError, QueryErrorKind, QuerySource, RunOptions, check};

async fn session() -> SessionContext {
    lake(&month(), Limits::default()).await
}

async fn error(text: &str) -> QueryError {
    sql(&session().await, text).await.expect_err(text)
}

macro_rules! says {
    ($text:expr, $kind:expr, @$expected:literal) => {
        let error = error($text).await;
        assert_eq!(error.kind, $kind, "{error}");
        insta::assert_snapshot!(error, @$expected);
    };
}

#[tokio::test]
async fn syntax() {
    says!("SELECT count(*)\nFROM secrets\nWHERE AND x", QueryErrorKind::Syntax, @"
    this is not SQL: expected end of statement, found x
      --> line 3, column 11
      |
    3 | WHERE AND x
      |           ^
    ");
    says!("SELEC 1", QueryErrorKind::Syntax, @"
    this is not SQL: expected an SQL statement, found SELEC
      --> line 1, column 1
      |
    1 | SELEC 1
      | ^^^^^
    ");
    says!("SELECT 'open", QueryErrorKind::Syntax, @"
    this is not SQL: Unterminated string literal
      --> line 1, column 8
      |
    1 | SELECT 'open
      |        ^
    ");
    says!("   ", QueryErrorKind::Syntax, @"there is no statement");
}

#[tokio::test]
async fn names() {
    says!("SELECT *\nFROM secret", QueryErrorKind::UnknownTable, @"
    there is no table `secret`
      --> line 2, column 6
      |
    2 | FROM secret
      |      ^^^^^^

    hint: did you mean `secrets`?
    ");
    says!("SELECT * FROM invoices", QueryErrorKind::UnknownTable, @"
    there is no table `invoices`
      --> line 1, column 15
      |
    1 | SELECT * FROM invoices
      |               ^^^^^^^^

    hint: SHOW TABLES lists what there is
    ");
    says!("SELECT secret_id,\n       principl_id\nFROM pairs", QueryErrorKind::UnknownColumn, @"
    there is no column `principl_id`
      --> line 2, column 8
      |
    2 |        principl_id
      |        ^^^^^^^^^^^

    hint: did you mean `principal_id`?
    ");
    says!("SELECT p.secrt_id FROM pairs AS p", QueryErrorKind::UnknownColumn, @"
    there is no column `secrt_id` in `p`
      --> line 1, column 8
      |
    1 | SELECT p.secrt_id FROM pairs AS p
      |        ^^^^^^^^^^

    hint: did you mean `secret_id`?
    ");
    says!("SELECT secret_id FROM pairs WHERE nonsense = 1", QueryErrorKind::UnknownColumn, @"
    there is no column `nonsense`
      --> line 1, column 35
      |
    1 | SELECT secret_id FROM pairs WHERE nonsense = 1
      |                                   ^^^^^^^^

    hint: there are class_known_by, days_active, first_event_id, first_read_at, last_read_at, principal_id, read_count, reader_class, secret_id, secret_kind
    ");
    says!("SELECT cidr_contain('10.0.0.0/8', source_ip) FROM access_events", QueryErrorKind::UnknownFunction, @"
    there is no function `cidr_contain`
      --> line 1, column 8
      |
    1 | SELECT cidr_contain('10.0.0.0/8', source_ip) FROM access_events
      |        ^^^^^^^^^^^^

    hint: did you mean `cidr_contains`?
    ");
    says!("SELECT * FROM read_parquet('/etc/passwd')", QueryErrorKind::UnknownFunction, @"
    there is no function `read_parquet`
      --> line 1, column 15
      |
    1 | SELECT * FROM read_parquet('/etc/passwd')
      |               ^^^^^^^^^^^^

    hint: SHOW FUNCTIONS lists what there is
    ");
    says!("SELECT secret_id FROM pairs JOIN secrets ON true", QueryErrorKind::Meaning, @"
    the column `secret_id` is in more than one table
      --> line 1, column 8
      |
    1 | SELECT secret_id FROM pairs JOIN secrets ON true
      |        ^^^^^^^^^

    hint: write its table before it: `TABLE.secret_id`
    ");
}

#[tokio::test]
async fn forbidden() {
    says!("DROP TABLE secrets", QueryErrorKind::Forbidden, @"
    DROP TABLE is not allowed here: this session only reads (SELECT, EXPLAIN, SHOW, DESCRIBE)
      --> line 1, column 1
      |
    1 | DROP TABLE secrets
      | ^^^^
    ");
    says!("SELECT 1;\nDROP TABLE secrets", QueryErrorKind::Forbidden, @"
    a second statement is not allowed here: this session only reads (SELECT, EXPLAIN, SHOW, DESCRIBE)
      --> line 2, column 1
      |
    2 | DROP TABLE secrets
      | ^^^^
    ");
    says!("SET datafusion.execution.batch_size = 1", QueryErrorKind::Forbidden, @"
    SET is not allowed here: this session only reads (SELECT, EXPLAIN, SHOW, DESCRIBE)
      --> line 1, column 1
      |
    1 | SET datafusion.execution.batch_size = 1
      | ^^^
    ");
    says!("COPY secrets TO '/tmp/x.csv'", QueryErrorKind::Forbidden, @"
    COPY is not allowed here: this session only reads (SELECT, EXPLAIN, SHOW, DESCRIBE)
      --> line 1, column 1
      |
    1 | COPY secrets TO '/tmp/x.csv'
      | ^^^^
    ");
    says!("SELECT * FROM '/etc/passwd'", QueryErrorKind::Forbidden, @"
    reading a file in place of a table is not allowed here: this session only reads (SELECT, EXPLAIN, SHOW, DESCRIBE)
      --> line 1, column 1
      |
    1 | SELECT * FROM '/etc/passwd'
      | ^^^^^^
    ");
}

#[tokio::test]
async fn meaning_and_execution() {
    says!("SELECT secret_id, count(*) FROM pairs", QueryErrorKind::Meaning, @"
    'pairs.secret_id' must appear in GROUP BY clause because it's not an aggregate expression
      --> line 1, column 8
      |
    1 | SELECT secret_id, count(*) FROM pairs
      |        ^^^^^^^^^
    ");
    says!("SELECT 1 / (read_count - read_count) FROM pairs", QueryErrorKind::Execution, @"Divide by zero error");
    says!("SELECT CAST(reader_class AS INT) FROM pairs", QueryErrorKind::Execution, @"Cast error: Cannot cast string 'consumer' to value of Int32 type");
    says!("SELECT cidr_contains('10.0.0.0/99', source_ip) FROM access_events", QueryErrorKind::Execution, @"cidr_contains: `10.0.0.0/99` is no network; write one like `10.0.0.0/8`, `2001:db8::/32` or a single address");
}

#[tokio::test]
async fn hostile_text_in_an_error_cannot_move_the_cursor() {
    let error = error("SELECT \"\u{1b}[2Jx\u{202e}\" FROM pairs").await;
    assert!(!error.to_string().contains(['\u{1b}', '\u{202e}']), "{error:?}");
}

#[tokio::test]
async fn parameters() {
    let session = session().await;
    let named = async |name: &str, given: &[(&str, &str)]| {
        let error =
            ask(&session, QuerySource::Named(name.to_owned()), given, &RunOptions::default()).await.expect_err(name);
        assert_eq!(error.kind, QueryErrorKind::Parameter, "{error}");
        error
    };
    insta::assert_snapshot!(named("who-read", &[]).await, @"
    the parameter `secret` is missing

    hint: give it with --param secret=VALUE: A secret's name or ARN, or a glob such as payments/*
    ");
    insta::assert_snapshot!(named("who-read", &[("secret", "x"), ("windw", "3d")]).await, @"
    the query has no parameter `windw`

    hint: did you mean `window`?
    ");
    insta::assert_snapshot!(named("who-read", &[("secret", "x"), ("window", "3 moons")]).await, @"
    the parameter `window` cannot be `3 moons`

    hint: write a length of time such as 90m, 12h, 30d or 2w
    ");
    insta::assert_snapshot!(named("quarantine", &[("x", "1")]).await, @"
    the query has no parameter `x`

    hint: it has none
    ");
}

#[tokio::test]
async fn parameters_are_values_and_never_text() {
    let session = session().await;
    let hostile = "app/db' OR '1'='1";
    let (rows, _) =
        ask(&session, QuerySource::Named("who-read".into()), &[("secret", hostile)], &RunOptions::default())
            .await
            .expect("runs");
    assert!(rows.is_empty(), "{rows:?}");
    let text =
        "SELECT count(*) FROM pairs WHERE principal_id = $who AND read_count >= $least AND last_read_at > $since";
    let given = [("who", super::fixture::API), ("least", "1"), ("since", "2026-01-19")];
    let (rows, _) =
        ask(&session, QuerySource::Text(text.to_owned()), &given, &RunOptions::default()).await.expect("runs");
    assert_eq!(rows, ["2"]);
    let wrong = [("who", "x"), ("least", "1 OR true"), ("since", "2026-01-19")];
    let error =
        ask(&session, QuerySource::Text(text.to_owned()), &wrong, &RunOptions::default()).await.expect_err("no number");
    insta::assert_snapshot!(error, @"
    the parameter `least` cannot be `1 OR true`

    hint: write a whole number such as 30
    ");
}

#[tokio::test]
async fn checking_finds_mistakes_without_running() {
    let session = session().await;
    let library = Library::embedded();
    let checked = check(
        &session,
        &library,
        &QuerySource::Text("SELECT secret_id, read_count FROM pairs WHERE read_count > $n".into()),
    )
    .await
    .expect("sound");
    let columns: Vec<&str> = checked.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(columns, ["secret_id", "read_count"]);
    assert_eq!(checked.params, [("n".to_owned(), crate::ParamKind::Integer)]);
    let error =
        check(&session, &library, &QuerySource::Text("SELECT nothing FROM pairs".into())).await.expect_err("unsound");
    assert_eq!(error.kind, QueryErrorKind::UnknownColumn);
    let error = check(&session, &library, &QuerySource::Named("who-reads".into())).await.expect_err("no such query");
    assert_eq!(error.kind, QueryErrorKind::UnknownQuery);
    // A sound query that would never end is only planned.
    check(&session, &library, &QuerySource::Text("SELECT count(*) FROM generate_series(1, 1000000000000)".into()))
        .await
        .expect("sound");
}
