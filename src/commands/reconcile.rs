//! `keytrail reconcile`: what the buckets hold against the ledger; what no notification announced is taken in.

use std::sync::Arc;

use anyhow::Result;
use keytrail_ingest::{ReconcileRequest, Reconciled};
use keytrail_model::display;

use super::{connect, detect, ingest, open};
use crate::{
    args::ReconcileArgs,
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{BucketPrefix, Settings, parse_duration},
};

pub(crate) async fn run(args: &ReconcileArgs, settings: &Settings, output: Output) -> Result<ExitCode> {
    let mut places = args.buckets.iter().map(|text| ingest::bucket_place(text)).collect::<Result<Vec<_>, _>>()?;
    if places.is_empty() {
        places.clone_from(&settings.file.reconcile.buckets);
    }
    if places.is_empty() {
        return Err(Failure::new(ExitCode::Usage, "no bucket is named")
            .hint("give s3://bucket/prefix, or set reconcile.buckets")
            .into());
    }
    let look_back = args.look_back.as_deref().map(|text| {
        parse_duration(text).ok_or_else(|| {
            Failure::new(ExitCode::Usage, format!("--look-back: `{text}` is not a length of time"))
                .hint("write for example 3d")
        })
    });
    let look_back = look_back.transpose()?;
    let aws = connect::aws(settings).await?;
    let buckets = connect::buckets(&aws, settings);
    let ingest_settings = ingest::ingest_settings(settings)?;
    let lake = open::or_create(settings).await?;
    let stop = ingest::stop_on_interrupt(output);
    let mut code = ExitCode::Ok;
    for place in &places {
        let mut request = request(place, settings);
        request.look_back = look_back.unwrap_or(request.look_back);
        request.stop = Arc::clone(&stop);
        let bar = ingest::Bar(output.bar("comparing", Some(0)));
        let found = keytrail_ingest::reconcile(&buckets, &lake, &request, &ingest_settings, &bar).await;
        bar.0.finish_and_clear();
        let found = found.map_err(ingest::bucket_failure)?;
        tell(place, &found, output);
        if found.summary.counts.quarantined + found.summary.counts.quarantined_records > 0 {
            code = ExitCode::Partial;
        }
        if found.summary.stopped {
            return Ok(code);
        }
    }
    if !args.no_rules {
        let judged = detect::judge(&lake, settings, output).await?;
        detect::tell(&judged, output);
    }
    output.say(open::data_line(&lake, settings).await?);
    Ok(code)
}

/// What to compare, as the configuration says.
pub(crate) fn request(place: &BucketPrefix, settings: &Settings) -> ReconcileRequest {
    ReconcileRequest {
        look_back: settings.file.reconcile.look_back.0,
        grace: settings.file.reconcile.grace.0,
        scope: ingest::scope(None, settings),
        ..ReconcileRequest::new(&place.bucket, &place.prefix)
    }
}

fn tell(place: &BucketPrefix, found: &Reconciled, output: Output) {
    let number = |count: u64| display::count(i64::try_from(count).unwrap_or(i64::MAX));
    output.say(format!(
        "{place}: {} objects in the window, {} known, {} too young to judge, {} never announced",
        number(found.listed),
        number(found.known),
        number(found.too_young),
        number(found.missing),
    ));
    for key in &found.missing_keys {
        output.say(format!("never announced: {}", display::terminal_safe(key)));
    }
    if found.missing > found.missing_keys.len() as u64 {
        output.say(format!("and {} more", number(found.missing - found.missing_keys.len() as u64)));
    }
    if found.missing > 0 {
        ingest::tell(&found.summary, output);
    }
}
