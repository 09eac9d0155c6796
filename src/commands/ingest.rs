//! `keytrail ingest`: files, folders and standard input into the lake, then what is new is judged.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
};

use anyhow::Result;
use indicatif::ProgressBar;
use keytrail_ingest::{
    BucketError, BucketRequest, Counts, IngestError, IngestErrorKind, IngestRequest, IngestSettings, Progress, Source,
    Summary, Window,
    normalize::{FieldMap, Scope},
    objects::{ObjectErrorKind, s3::S3Store},
};
use keytrail_lake::Lake;
use keytrail_model::{Micros, display, time};

use super::{connect, detect, open};
use crate::{
    args::{IngestArgs, ScopeArg},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{BucketPrefix, ScopeWord, Settings},
};

pub(crate) async fn run(args: &IngestArgs, settings: &Settings, output: Output) -> Result<ExitCode> {
    let (places, paths): (Vec<&String>, Vec<&String>) = args.paths.iter().partition(|path| path.starts_with("s3://"));
    let sources = paths.iter().map(|path| Source::parse(path).map_err(failure)).collect::<Result<Vec<_>, _>>()?;
    let places = places.into_iter().map(|place| bucket_place(place)).collect::<Result<Vec<_>, _>>()?;
    if places.is_empty() && !(args.accounts.is_empty() && args.regions.is_empty()) {
        return Err(Failure::new(ExitCode::Usage, "--account and --region choose among what a bucket holds")
            .hint("give an s3://bucket/prefix")
            .into());
    }
    let request = IngestRequest {
        window: Window {
            since: moment("--since", args.since.as_deref())?,
            until: moment("--until", args.until.as_deref())?,
        },
        scope: scope(args.scope, settings),
        stop: stop_on_interrupt(output),
        ..IngestRequest::new(sources)
    };
    let ingest_settings = ingest_settings(settings)?;
    // A mistake in the rules' configuration must be told before an hour of reading, not after it.
    if !args.no_rules {
        super::rules::check_configuration(settings)?;
    }
    let lake = open::or_create(settings).await?;
    let mut summaries = Vec::new();
    if !request.sources.is_empty() {
        summaries.push(read(&lake, &request, &ingest_settings, output).await?);
    }
    if !places.is_empty() {
        let aws = connect::aws(settings).await?;
        let buckets = connect::buckets(&aws, settings);
        for place in places {
            let wanted = BucketRequest {
                window: request.window,
                accounts: args.accounts.clone(),
                regions: args.regions.clone(),
                scope: request.scope,
                fetches: settings.file.worker.fetches,
                stop: Arc::clone(&request.stop),
                ..BucketRequest::new(place.bucket, place.prefix)
            };
            summaries.push(read_bucket(&buckets, &lake, &wanted, &ingest_settings, output).await?);
        }
    }
    summaries.iter().for_each(|summary| tell(summary, output));
    let has_trouble = |summary: &Summary| summary.counts.quarantined + summary.counts.quarantined_records > 0;
    let mut code = if summaries.iter().any(has_trouble) { ExitCode::Partial } else { ExitCode::Ok };
    if !args.no_rules && !summaries.iter().any(|summary| summary.stopped) {
        let judged = detect::judge(&lake, settings, output).await?;
        detect::tell(&judged, output);
        if judged.rule_errors > 0 {
            code = ExitCode::Partial;
        }
    }
    output.say(open::data_line(&lake, settings).await?);
    Ok(code)
}

/// Ingests one folder and judges it, as `demo` and `eval` need it.
pub(crate) async fn folder(dir: &Path, settings: &Settings, output: Output) -> Result<Lake> {
    let lake = open::or_create(settings).await?;
    let request = IngestRequest { scope: scope(None, settings), ..IngestRequest::new(bucket_parts(dir)) };
    let summary = read(&lake, &request, &ingest_settings(settings)?, output).await?;
    tell(&summary, output);
    let judged = detect::judge(&lake, settings, output).await?;
    detect::tell(&judged, output);
    Ok(lake)
}

/// The folders of a simulated bucket that hold deliveries; labels and marker stay outside.
fn bucket_parts(dir: &Path) -> Vec<Source> {
    ["AWSLogs", "apigw-access-logs"]
        .iter()
        .map(|part| dir.join(part))
        .filter(|part| part.is_dir())
        .map(Source::Path)
        .collect()
}

async fn read(lake: &Lake, request: &IngestRequest, settings: &IngestSettings, output: Output) -> Result<Summary> {
    let bar = Bar(output.bar("reading", Some(0)));
    let summary = keytrail_ingest::ingest(lake, request, settings, &bar).await.map_err(failure)?;
    bar.0.finish_and_clear();
    Ok(summary)
}

async fn read_bucket(
    buckets: &S3Store,
    lake: &Lake,
    request: &BucketRequest,
    settings: &IngestSettings,
    output: Output,
) -> Result<Summary> {
    let bar = Bar(output.bar("reading", Some(0)));
    let summary =
        keytrail_ingest::ingest_bucket(buckets, lake, request, settings, &bar).await.map_err(bucket_failure)?;
    bar.0.finish_and_clear();
    Ok(summary)
}

/// `s3://bucket/prefix`, as it was typed.
pub(crate) fn bucket_place(text: &str) -> Result<BucketPrefix, Failure> {
    BucketPrefix::parse(text).ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("`{text}` is not a place in a bucket")).hint("write s3://bucket/prefix")
    })
}

/// Objects done with, of those found so far: a listing goes on while its objects are read.
pub(crate) struct Bar(pub(crate) ProgressBar);

impl Progress for Bar {
    fn started(&self, counts: &Counts) {
        self.0.set_length(counts.objects_found);
    }

    fn advanced(&self, counts: &Counts) {
        self.0.set_length(counts.objects_found);
        self.0.set_position(counts.objects_done());
    }
}

/// What a bucket's reading ended with.
pub(crate) fn bucket_failure(error: BucketError) -> anyhow::Error {
    match error {
        BucketError::Ingest(error) => failure(error).into(),
        BucketError::Listing(ref cause) | BucketError::Refused { last: ref cause, .. } => {
            let code = match cause.kind {
                ObjectErrorKind::NoSuchBucket => ExitCode::NotFound,
                _ => ExitCode::Aws,
            };
            let text = match &error {
                BucketError::Listing(cause) => format!("failed to list {cause}"),
                other => other.to_string(),
            };
            Failure::new(code, text).hint("`keytrail doctor` checks permissions; what was read so far stays").into()
        }
    }
}

pub(crate) fn failure(error: IngestError) -> Failure {
    let code = match error.kind {
        IngestErrorKind::Missing => ExitCode::NotFound,
        IngestErrorKind::NotLocal => ExitCode::Usage,
        IngestErrorKind::Store(_) => ExitCode::Lake,
        IngestErrorKind::Worker => ExitCode::Internal,
    };
    Failure::new(code, error.to_string())
}

fn moment(flag: &str, text: Option<&str>) -> Result<Option<Micros>, Failure> {
    text.map(|text| {
        time::parse_human(text).ok_or_else(|| {
            Failure::new(ExitCode::Usage, format!("{flag}: `{text}` is not a time"))
                .hint("write for example 2026-08-01 or 2026-08-01T12:00:00Z")
        })
    })
    .transpose()
}

pub(crate) fn scope(typed: Option<ScopeArg>, settings: &Settings) -> Scope {
    match (typed, settings.file.ingest.scope) {
        (Some(ScopeArg::Secrets), _) | (None, ScopeWord::Secrets) => Scope::Secrets,
        (Some(ScopeArg::All), _) | (None, ScopeWord::All) => Scope::All,
    }
}

pub(crate) fn ingest_settings(settings: &Settings) -> Result<IngestSettings, Failure> {
    let section = &settings.file.ingest;
    let mut chosen = IngestSettings::default();
    chosen.decode.max_object_bytes = section.max_object_bytes.as_usize();
    chosen.decode.max_record_bytes = section.max_record_bytes.as_usize();
    chosen.decode.max_json_depth = section.max_depth;
    chosen.decode.max_gzip_ratio = section.max_gzip_ratio;
    chosen.batch_rows = section.batch_rows;
    chosen.batch_objects = section.batch_objects;
    chosen.batch_bytes = section.batch_bytes.as_usize();
    chosen.fields = FieldMap::with(&settings.file.access_log.fields)
        .map_err(|error| Failure::new(ExitCode::Config, format!("access_log.fields: {error}")))?;
    Ok(chosen)
}

/// The first Ctrl-C ends the run after the batch at hand; the second ends the program at once, which is safe too.
pub(crate) fn stop_on_interrupt(output: Output) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            flag.store(true, Ordering::Relaxed);
            output.warn("stopping after this batch; what is committed stays, and the next run goes on from there");
        }
    });
    stop
}

pub(crate) fn tell(summary: &Summary, output: Output) {
    let counts = &summary.counts;
    let number = |count: u64| display::count(i64::try_from(count).unwrap_or(i64::MAX));
    if counts.known == counts.objects_found && counts.objects_found > 0 {
        output.say(format!("nothing new: all {} objects are in the lake already", number(counts.objects_found)));
        return;
    }
    output.say(format!(
        "{} objects: {} committed, {} skipped, {} quarantined, {} known before, {} outside the window",
        number(counts.objects_found),
        number(counts.committed),
        number(counts.skipped),
        number(counts.quarantined),
        number(counts.known),
        number(counts.outside),
    ));
    output.say(format!(
        "{} records ({} of JSON): {} about secrets, {} ignored, {} quarantined; {} rows written, {} events were there already",
        number(counts.records),
        display::bytes(counts.json_bytes),
        number(counts.kept),
        number(counts.ignored),
        number(counts.quarantined_records),
        number(counts.rows_written),
        number(counts.duplicate_events),
    ));
    for (reason, count) in &summary.skipped {
        output.say(format!("skipped {}: {}", number(*count), display::terminal_safe(reason)));
    }
    for trouble in &summary.troubles {
        let place = trouble.record_index.map_or_else(String::new, |index| format!(", record {index}"));
        output.warn(format!(
            "quarantined {}{place}: {}",
            display::terminal_safe(&trouble.object_key),
            display::terminal_safe(&trouble.reason)
        ));
    }
    let named = summary.troubles.len() as u64;
    let all = counts.quarantined + counts.quarantined_records;
    if all > named {
        output.warn(format!("and {} more; `keytrail quarantine list` has them all", number(all - named)));
    }
}
