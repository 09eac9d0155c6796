//! Each format on a schema with every kind of value, and on hostile text.

use std::{
    io,
    sync::{Arc, Mutex},
};

use keytrail_lake::{
    arrow::{array::RecordBatch, compute::concat_batches, ipc::reader::StreamReader},
    datafusion::{
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
        prelude::{SessionConfig, SessionContext},
    },
};

use super::{Format, FormatOptions, writer};
use crate::QueryErrorKind;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn batch(sql: &str) -> RecordBatch {
    let session = SessionContext::new_with_config(SessionConfig::new());
    let rows = session.sql(sql).await.expect(sql);
    let schema = Arc::clone(rows.schema().inner());
    concat_batches(&schema, &rows.collect().await.expect(sql)).expect("alike")
}

fn bytes(format: Format, batch: &RecordBatch, options: FormatOptions) -> Vec<u8> {
    let sink = Sink::default();
    let mut writer = writer(format, &batch.schema(), sink.clone(), options).expect("a writer");
    // In two pieces, as results come.
    let half = batch.num_rows() / 2;
    writer.write(&batch.slice(0, half)).expect("writes");
    writer.write(&batch.slice(half, batch.num_rows() - half)).expect("writes");
    writer.finish().expect("finishes");
    sink.0.lock().expect("unpoisoned").clone()
}

fn text(format: Format, batch: &RecordBatch) -> String {
    String::from_utf8(bytes(format, batch, FormatOptions::default())).expect("text")
}

const VALUES: &str = "SELECT * FROM (VALUES \
    (1, 0.5, true, 'a', arrow_cast('2026-08-01T12:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))'), DATE '2026-08-01', ['x', NULL], named_struct('k', 1)), \
    (NULL, 'NaN'::double, NULL, NULL, arrow_cast('2026-08-01T12:00:00.000250Z', 'Timestamp(Microsecond, Some(\"UTC\"))'), NULL, NULL, NULL)) \
    AS t(number, ratio, flag, word, moment_at, day, list, object)";

#[tokio::test]
async fn every_text_format_prints_every_kind_of_value() {
    let batch = batch(VALUES).await;
    insta::assert_snapshot!(text(Format::Json, &batch), @r#"
    [
    {"number":1,"ratio":0.5,"flag":true,"word":"a","moment_at":"2026-08-01T12:00:00Z","day":"2026-08-01","list":["x",null],"object":{"k":1}},
    {"number":null,"ratio":null,"flag":null,"word":null,"moment_at":"2026-08-01T12:00:00.000250Z","day":null,"list":null,"object":null}
    ]
    "#);
    insta::assert_snapshot!(text(Format::Ndjson, &batch), @r#"
    {"number":1,"ratio":0.5,"flag":true,"word":"a","moment_at":"2026-08-01T12:00:00Z","day":"2026-08-01","list":["x",null],"object":{"k":1}}
    {"number":null,"ratio":null,"flag":null,"word":null,"moment_at":"2026-08-01T12:00:00.000250Z","day":null,"list":null,"object":null}
    "#);
    insta::assert_snapshot!(text(Format::Csv, &batch).replace("\r\n", "<crlf>\n"), @r#"
    number,ratio,flag,word,moment_at,day,list,object<crlf>
    1,0.5,true,a,2026-08-01T12:00:00Z,2026-08-01,"[""x"",null]","{""k"":1}"<crlf>
    ,,,,2026-08-01T12:00:00.000250Z,,,<crlf>
    "#);
    insta::assert_snapshot!(text(Format::Table, &batch), @r#"
    number  ratio  flag  word  moment_at                    day         list        object
    ------  -----  ----  ----  ---------------------------  ----------  ----------  -------
         1    0.5  true  a     2026-08-01T12:00:00Z         2026-08-01  ["x",null]  {"k":1}
                               2026-08-01T12:00:00.000250Z
    "#);
    let parsed: serde_json::Value = serde_json::from_str(&text(Format::Json, &batch)).expect("JSON");
    assert_eq!(parsed.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_empty_result_is_sound_in_every_format() {
    let batch = batch("SELECT 1 AS a, 'x' AS b WHERE false").await;
    assert_eq!(text(Format::Json, &batch), "[]\n");
    assert_eq!(text(Format::Ndjson, &batch), "");
    assert_eq!(text(Format::Csv, &batch), "a,b\r\n");
    assert_eq!(text(Format::Table, &batch), "a  b\n-  -\n");
}

#[tokio::test]
async fn columnar_formats_read_back() {
    let batch = batch("SELECT 1 AS id, 'x' AS id2, arrow_cast(0, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at").await;
    let parquet = bytes(Format::Parquet, &batch, FormatOptions::default());
    let path = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(path.path(), parquet).expect("writes");
    let file = std::fs::File::open(path.path()).expect("opens");
    let read: Vec<RecordBatch> = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("Parquet")
        .build()
        .expect("reads")
        .map(|batch| batch.expect("rows"))
        .collect();
    assert_eq!(read[0].columns(), batch.columns());
    let arrow = bytes(Format::Arrow, &batch, FormatOptions::default());
    let read: Vec<RecordBatch> =
        StreamReader::try_new(arrow.as_slice(), None).expect("Arrow").map(|batch| batch.expect("rows")).collect();
    let rows: usize = read.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn columns_of_one_name_stay_apart() {
    let batch = batch("SELECT a.x, b.x FROM (VALUES (1)) AS a(x), (VALUES (2)) AS b(x)").await;
    assert_eq!(text(Format::Ndjson, &batch), "{\"x\":1,\"x_2\":2}\n");
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let batch = batch("SELECT * FROM (VALUES ('=cmd|x'), ('-1+1'), ('a,\"b\"'), (chr(27) || '[2J' || chr(10) || 'x'), ('＠SUM(1)')) AS t(cell)").await;
    insta::assert_snapshot!(text(Format::Csv, &batch).replace("\r\n", "<crlf>\n"), @r#"
    cell<crlf>
    "'=cmd|x"<crlf>
    "'-1+1"<crlf>
    "a,""b"""<crlf>
    "\u{1b}[2J
    x"<crlf>
    "'＠SUM(1)"<crlf>
    "#);
    insta::assert_snapshot!(text(Format::Table, &batch), @r#"
    cell
    ---------------
    =cmd|x
    -1+1
    a,"b"
    \u{1b}[2J\u{a}x
    ＠SUM(1)
    "#);
    let raw = FormatOptions { csv_formula_safe: false, ..FormatOptions::default() };
    assert!(
        String::from_utf8(bytes(Format::Csv, &batch, raw)).expect("text").starts_with("cell\r\n=cmd|x\r\n-1+1\r\n")
    );
}

#[tokio::test]
async fn a_table_fits_its_terminal_and_keeps_the_ends_of_long_cells() {
    let sql = "SELECT 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:payments/db-AbCdEf' AS secret_id, 12345 AS reads, '日本語日本語日本語日本語' AS note";
    let batch = batch(sql).await;
    let narrow = FormatOptions { width: Some(60), ..FormatOptions::default() };
    let table = String::from_utf8(bytes(Format::Table, &batch, narrow)).expect("text");
    insta::assert_snapshot!(table, @"
    secret_id                    reads  note
    ---------------------------  -----  ------------------------
    arn:aws:…payments/db-AbCdEf  12345  日本語日本語日本語日本語
    ");
}

#[tokio::test]
async fn what_cannot_be_written_is_an_error() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let batch = batch("SELECT 1 AS a").await;
    for format in [Format::Table, Format::Json, Format::Ndjson, Format::Csv, Format::Arrow] {
        let mut writer = writer(format, &batch.schema(), Closed, FormatOptions::default()).expect("a writer");
        let error = writer.write(&batch).and_then(|()| writer.finish()).expect_err("closed");
        assert_eq!(error.kind, QueryErrorKind::Output, "{format}");
        assert!(error.is_broken_pipe(), "{format}: {error:?}");
    }
}

#[test]
fn formats_are_named() {
    for (format, word) in Format::ALL {
        assert_eq!(word.parse(), Ok(format));
        assert_eq!(format.to_string(), word);
    }
    let error = "jsno".parse::<Format>().expect_err("no format");
    assert_eq!(error, "`jsno` is no format; use one of table, json, ndjson, csv, parquet, arrow; did you mean `json`?");
}
