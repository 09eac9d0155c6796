//! What reading costs: one thread's CPU time for each stage, on one corpus, in one run.
//!
//! Usage: `cargo bench -p keytrail-ingest --no-default-features --bench decode -- [--corpus DIR] [--make BYTES] [--rounds N]
//! [--scope secrets|all] [--json FILE]`. With Arrow, and without compiling the query engine a second time, it is the program
//! `decode-bench` (feature `bench`), which makes no corpus; `benches/compare.py` builds and runs both.
//!
//! In: a folder of `.json.gz` objects, made with the simulator where `--make` is given. Out: a table on stdout, and with
//! `--json` the figures for `benches/compare.py`. The objects are held in memory as delivered, so no stage pays for reading files. Of the
//! rounds the fastest counts. The Arrow stage needs the feature `pipeline`; without it the table ends at normalise.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    error::Error,
    hint::black_box,
    path::{Path, PathBuf},
    time::Instant,
};

use keytrail_ingest::{
    decode::{Buffers, DecodeSettings, Decoded, decode_object},
    normalize::{FieldMap, Scope},
};
use keytrail_model::ObjectId;
use serde_json::json;

/// Objects as delivered, by id.
type Objects = Vec<(ObjectId, Vec<u8>)>;

struct Options {
    corpus: PathBuf,
    make: Option<u64>,
    rounds: usize,
    /// Only this scope; both without it.
    scope: Option<String>,
    json: Option<PathBuf>,
}

struct Figure {
    stage: &'static str,
    cpu_ms: f64,
    rows: u64,
    records: u64,
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    if let Some(target_json_bytes) = options.make {
        make(&options.corpus, target_json_bytes)?;
    }
    let objects = objects(&options.corpus)?;
    let delivered: usize = objects.iter().map(|(_, bytes)| bytes.len()).sum();
    let (inflated, gunzip) = fastest(options.rounds, || gunzip_alone(&objects));
    println!("{} objects, {:.1} MB as delivered, {:.1} MB of JSON", objects.len(), mb(delivered), mb(inflated));

    let stage = |stage, scope, encode: &dyn Fn(Decoded) -> usize| {
        let mut buffers = Buffers::default();
        let ((rows, records), cpu_ms) = fastest(options.rounds, || decode_all(&objects, scope, &mut buffers, encode));
        Figure { stage, cpu_ms, rows, records }
    };
    let drop_rows = |decoded: Decoded| decoded.rows.len();
    let mut figures = vec![Figure { stage: "gunzip", cpu_ms: gunzip, rows: 0, records: 0 }];
    let wanted = |scope: &str| options.scope.as_deref().is_none_or(|only| only == scope);
    if wanted("secrets") {
        figures.push(stage("secrets: gunzip + split + normalise", Scope::Secrets, &drop_rows));
        #[cfg(feature = "pipeline")]
        figures.push(stage("secrets: gunzip + split + normalise + Arrow", Scope::Secrets, &to_arrow));
    }
    if wanted("all") {
        figures.push(stage("all: gunzip + split + normalise", Scope::All, &drop_rows));
    }

    println!("{:<48} {:>9} {:>9} {:>7} {:>9} {:>8}", "stage", "CPU ms", "MB/s", "ratio", "records", "rows");
    for figure in &figures {
        let Figure { stage, cpu_ms, rows, records } = figure;
        let (speed, ratio) = (mb(inflated) / cpu_ms * 1e3, cpu_ms / gunzip);
        println!("{stage:<48} {cpu_ms:>9.1} {speed:>9.0} {ratio:>7.2} {records:>9} {rows:>8}");
    }
    let peak_mb = peak_kib().map(|kib| kib as f64 / 1024.0);
    println!(
        "peak memory {:.0} MiB, of which the objects as delivered {:.0} MiB",
        peak_mb.unwrap_or(f64::NAN),
        delivered as f64 / 1048576.0
    );
    if let Some(path) = options.json {
        let figures: Vec<_> = figures
            .iter()
            .map(|f| json!({"stage": f.stage, "cpu_ms": f.cpu_ms, "rows": f.rows, "records": f.records}))
            .collect();
        let report =
            json!({"delivered_bytes": delivered, "json_bytes": inflated, "peak_mb": peak_mb, "stages": figures});
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

#[cfg(not(feature = "bench"))]
fn make(corpus: &Path, target_json_bytes: u64) -> Result<(), Box<dyn Error>> {
    let options =
        keytrail_simulator::CorpusOptions { target_json_bytes, ..keytrail_simulator::CorpusOptions::new(corpus) };
    println!("{:?}", keytrail_simulator::corpus(&options)?);
    Ok(())
}

/// The program has no simulator: only what is compiled for tests and benchmarks may use it.
#[cfg(feature = "bench")]
fn make(_corpus: &Path, _target_json_bytes: u64) -> Result<(), Box<dyn Error>> {
    Err("make the corpus with `cargo bench -p keytrail-ingest --no-default-features --bench decode -- --make BYTES`"
        .into())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        corpus: std::env::temp_dir().join("keytrail-corpus"),
        make: None,
        rounds: 5,
        scope: None,
        json: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--corpus" => options.corpus = value()?.into(),
            "--make" => options.make = Some(value()?.parse()?),
            "--rounds" => options.rounds = value()?.parse()?,
            "--scope" => options.scope = Some(value()?),
            "--json" => options.json = Some(value()?.into()),
            // Cargo adds this to every benchmark.
            "--bench" => {}
            other => return Err(format!("`{other}` is not known").into()),
        }
    }
    Ok(options)
}

/// Every object of the corpus by its key, in order.
fn objects(corpus: &PathBuf) -> Result<Objects, Box<dyn Error>> {
    let mut objects = Vec::new();
    let mut folders = vec![corpus.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "gz") {
                let key = path.strip_prefix(corpus)?.to_string_lossy().into_owned();
                objects.push((ObjectId { key, version: String::new() }, std::fs::read(&path)?));
            }
        }
    }
    objects.sort();
    if objects.is_empty() {
        return Err(format!("no `.json.gz` below {}; make a corpus with `--make 500000000`", corpus.display()).into());
    }
    Ok(objects)
}

fn gunzip_alone(objects: &[(ObjectId, Vec<u8>)]) -> usize {
    let mut inflater = libdeflater::Decompressor::new();
    let mut output = vec![0; 64 << 20];
    objects
        .iter()
        .map(|(_, bytes)| inflater.gzip_decompress(bytes, &mut output).expect("a sound object below 64 MiB"))
        .sum()
}

fn decode_all(
    objects: &[(ObjectId, Vec<u8>)],
    scope: Scope,
    buffers: &mut Buffers,
    encode: &dyn Fn(Decoded) -> usize,
) -> (u64, u64) {
    let (settings, fields) = (DecodeSettings::default(), FieldMap::default());
    let (mut rows, mut records) = (0, 0);
    for (object, bytes) in objects {
        let decoded = decode_object(bytes, object, &settings, scope, &fields, buffers);
        assert!(decoded.entry.quarantined.is_empty(), "{:?}", decoded.entry.quarantined.first());
        records += decoded.entry.record_count.unsigned_abs();
        rows += encode(black_box(decoded)) as u64;
    }
    (rows, records)
}

/// The columns of `access_events`, as the lake writes them.
#[cfg(feature = "pipeline")]
fn to_arrow(decoded: Decoded) -> usize {
    let rows = keytrail_lake::encode_access_events(&decoded.rows, 0, "bench").expect("rows become columns");
    black_box(rows).num_rows()
}

/// The result and the least CPU milliseconds of this thread over the rounds.
fn fastest<T>(rounds: usize, mut work: impl FnMut() -> T) -> (T, f64) {
    let mut best = f64::INFINITY;
    let mut result = None;
    for _ in 0..rounds.max(1) {
        let (start, before) = (Instant::now(), cpu_ns());
        result = Some(black_box(work()));
        let wall = start.elapsed().as_secs_f64() * 1e3;
        best = best.min(cpu_ns().zip(before).map_or(wall, |(after, before)| (after - before) as f64 / 1e6));
    }
    (result.expect("at least one round"), best)
}

/// Nanoseconds that this thread has run; Linux only, elsewhere wall time stands in.
fn cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
