//! `keytrail quarantine`: what could not be read, why, and reading it again.

use anyhow::{Context, Result};
use keytrail_ingest::{Retried, RetryRequest};
use keytrail_lake::Lake;
use keytrail_model::{ObjectId, display};

use super::{connect, detect, ingest, open, query};
use crate::{
    args::{Global, QuarantineCommand},
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::Settings,
};

/// The newest first; `record_index` -1 stands for the whole object.
const LIST: &str = "SELECT object_key, record_index, reason, byte_offset, byte_length, committed_at \
    FROM quarantine ORDER BY committed_at DESC, object_key, record_index";
/// Everything about the objects whose key ends in what was typed.
const SHOW: &str = "SELECT object_key, object_version, record_index, reason, content_kind, account_id, region, delivered_at, \
    since, attempts, byte_offset, byte_length, committed_at \
    FROM quarantine WHERE ends_with(object_key, $key) ORDER BY object_key, record_index";
const OBJECTS: &str = "SELECT DISTINCT object_key, object_version FROM quarantine ORDER BY 1, 2";

pub(crate) async fn run(
    command: &QuarantineCommand,
    settings: &Settings,
    global: &Global,
    output: Output,
) -> Result<ExitCode> {
    let lake = open::existing(settings).await?;
    match command {
        QuarantineCommand::List => query::print(&lake, settings, LIST, &[], global, output).await,
        QuarantineCommand::Show { key } => {
            if chosen(&lake, settings, std::slice::from_ref(key)).await?.is_empty() {
                return Err(not_there(key).into());
            }
            query::print(&lake, settings, SHOW, &[("key", key.clone())], global, output).await
        }
        QuarantineCommand::Retry { keys, all, root } => {
            let objects = if *all { everything(&lake, settings).await? } else { chosen(&lake, settings, keys).await? };
            if objects.is_empty() {
                if let Some(key) = keys.first() {
                    return Err(not_there(key).into());
                }
                output.say("nothing is quarantined");
                return Ok(ExitCode::Ok);
            }
            let request = RetryRequest {
                root: root.clone(),
                scope: ingest::scope(None, settings),
                stop: ingest::stop_on_interrupt(output),
                ..RetryRequest::new(objects)
            };
            retry(&lake, &request, settings, output).await
        }
    }
}

async fn retry(lake: &Lake, request: &RetryRequest, settings: &Settings, output: Output) -> Result<ExitCode> {
    let in_buckets = request.objects.iter().any(|object| object.key.starts_with("s3://"));
    let ingest_settings = ingest::ingest_settings(settings)?;
    let bar = ingest::Bar(output.bar("reading", Some(0)));
    let retried = if in_buckets {
        let aws = connect::aws(settings).await?;
        keytrail_ingest::retry(&connect::buckets(&aws, settings), lake, request, &ingest_settings, &bar).await
    } else {
        // Nothing of it is in a bucket, so none is asked.
        let nowhere = keytrail_ingest::objects::folder::FolderStore::new(request.root.clone().unwrap_or_default());
        keytrail_ingest::retry(&nowhere, lake, request, &ingest_settings, &bar).await
    };
    bar.0.finish_and_clear();
    let retried = retried.map_err(ingest::bucket_failure)?;
    tell(&retried, output);
    let judged = detect::judge(lake, settings, output).await?;
    detect::tell(&judged, output);
    output.say(open::data_line(lake, settings).await?);
    let whole = retried.still_bad == 0 && retried.out_of_reach.is_empty();
    Ok(if whole { ExitCode::Ok } else { ExitCode::Partial })
}

fn tell(retried: &Retried, output: Output) {
    let number = |count: u64| display::count(i64::try_from(count).unwrap_or(i64::MAX));
    output.say(format!(
        "{} objects read again without a fault, {} still quarantined, {} cannot be read from here; {} rows written",
        number(retried.mended),
        number(retried.still_bad),
        number(retried.out_of_reach.len() as u64),
        number(retried.summary.counts.rows_written),
    ));
    for trouble in retried.out_of_reach.iter().chain(&retried.summary.troubles) {
        let place = trouble.record_index.map_or_else(String::new, |index| format!(", record {index}"));
        let (key, reason) = (display::terminal_safe(&trouble.object_key), display::terminal_safe(&trouble.reason));
        output.warn(format!("{key}{place}: {reason}"));
    }
}

async fn everything(lake: &Lake, settings: &Settings) -> Result<Vec<ObjectId>> {
    let rows = open::rows(lake, settings, OBJECTS).await?;
    rows.iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().map(str::to_owned);
            Some(ObjectId { key: text("object_key")?, version: text("object_version")? })
        })
        .collect::<Option<_>>()
        .context("the quarantine was not read back")
}

/// The quarantined objects whose key ends in one of the texts. A text that fits none is an error: it was mistyped.
async fn chosen(lake: &Lake, settings: &Settings, keys: &[String]) -> Result<Vec<ObjectId>> {
    let mut all = everything(lake, settings).await?;
    if let Some(key) = keys.iter().find(|key| !all.iter().any(|object| object.key.ends_with(key.as_str()))) {
        return Err(not_there(key).into());
    }
    all.retain(|object| keys.iter().any(|key| object.key.ends_with(key.as_str())));
    Ok(all)
}

fn not_there(key: &str) -> Failure {
    Failure::new(
        ExitCode::NotFound,
        format!("nothing quarantined has a key that ends in `{}`", display::terminal_safe(key)),
    )
    .hint("`keytrail quarantine list` has the keys")
}
