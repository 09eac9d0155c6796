//! Logs and metrics of this process.
//!
//! Logs go to standard error, as text or as one JSON object a line. `KEYTRAIL_LOG` (the syntax of `tracing`'s `EnvFilter`)
//! wins over the configuration, for the day when one module must be heard in full. Metrics are kept in memory for
//! `/metrics`; nothing is sent anywhere.

use std::{io, time::Duration};

use anyhow::{Context, Result};
use keytrail_ingest::{
    objects::s3,
    worker::{self, MetricKind},
};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogLevel};

/// Warnings of ours. The table format's own library reports a table that is about to be made as an error, and the credential chain each
/// link that has none; the error that comes of it is told by whoever asked.
const QUIET: &str = "warn,aws_config=error,buoyant_kernel=off,delta_kernel=off";
const OURS: [&str; 7] = [
    "keytrail",
    "keytrail_alerts",
    "keytrail_dashboards",
    "keytrail_ingest",
    "keytrail_lake",
    "keytrail_queries",
    "keytrail_rules",
];

/// Upper bounds in seconds: from one file of a small lake to the longest object that is waited for.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Starts logging. Commands that end by themselves say what they have to say on their own: only warnings are logged.
pub(crate) fn start_logs(format: LogFormat, level: Option<LogLevel>) {
    let filter = EnvFilter::try_from_env("KEYTRAIL_LOG").unwrap_or_else(|_| EnvFilter::new(filter_of(level)));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}

fn filter_of(level: Option<LogLevel>) -> String {
    let Some(level) = level else { return QUIET.to_owned() };
    let ours: Vec<String> = OURS.iter().map(|name| format!("{name}={}", level.as_str())).collect();
    format!("{QUIET},{}", ours.join(","))
}

/// Starts keeping metrics; what was counted before is lost.
pub(crate) fn start_metrics() -> Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("failed to start the metrics")?;
    for metric in metrics() {
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
    Ok(handle)
}

/// One metric, as the reference page and `/metrics` tell of it.
struct Metric {
    name: &'static str,
    kind: MetricKind,
    help: &'static str,
}

/// Metrics of this program's own parts: judging, watch, reconciliation.
const OWN: &[Metric] = &[
    Metric { name: "keytrail_alerts_raised_total", kind: MetricKind::Counter, help: "Alerts raised by rules." },
    Metric {
        name: "keytrail_system_alerts_raised_total",
        kind: MetricKind::Counter,
        help: "Alerts raised about the pipe itself. Label `rule`.",
    },
    Metric { name: "keytrail_judged_rows_total", kind: MetricKind::Counter, help: "Rows judged." },
    Metric {
        name: "keytrail_judging_errors_total",
        kind: MetricKind::Counter,
        help: "Judgings that failed and were tried again.",
    },
    Metric {
        name: "keytrail_judging_duration_seconds",
        kind: MetricKind::Histogram,
        help: "Time that one judging of new rows took.",
    },
    Metric {
        name: "keytrail_last_judging_timestamp_seconds",
        kind: MetricKind::Gauge,
        help: "Unix time of the last judging that worked.",
    },
    Metric {
        name: "keytrail_deliveries_total",
        kind: MetricKind::Counter,
        help: "Tries to send an alert to a sink. Labels `sink` and `outcome`: delivered, failed, parked.",
    },
    Metric {
        name: "keytrail_deliveries_oldest_undelivered_seconds",
        kind: MetricKind::Gauge,
        help: "Age of the oldest delivery that has neither arrived nor been parked. Label `sink`.",
    },
    Metric {
        name: "keytrail_deliveries_parked",
        kind: MetricKind::Gauge,
        help: "Deliveries that are not tried again by themselves. Label `sink`.",
    },
    Metric {
        name: "keytrail_delivery_duration_seconds",
        kind: MetricKind::Histogram,
        help: "Time that one try to send an alert took. Label `sink`.",
    },
    Metric {
        name: "keytrail_delivery_errors_total",
        kind: MetricKind::Counter,
        help: "Rounds of telling the sinks that failed, because the lake could not be read or written.",
    },
    Metric {
        name: "keytrail_reconciled_objects_total",
        kind: MetricKind::Counter,
        help: "Objects that a bucket's comparison with the ledger looked at. Label `outcome`: known, missing.",
    },
];

/// Every metric, by name.
fn metrics() -> Vec<Metric> {
    let of_worker = worker::METRICS.iter().map(|&(name, kind, _, help)| Metric { name, kind, help });
    let of_buckets = s3::METRICS.iter().map(|&(name, help)| Metric { name, kind: MetricKind::Counter, help });
    let own = OWN.iter().map(|&Metric { name, kind, help }| Metric { name, kind, help });
    let mut all: Vec<Metric> = of_worker.chain(of_buckets).chain(own).collect();
    all.sort_by_key(|metric| metric.name);
    all
}

/// Tidies what the histograms have gathered, which the exporter wants done now and then, until it is told to stop.
pub(crate) fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        while tokio::time::timeout(TIDY_EVERY, stop.cancelled()).await.is_err() {
            metrics.run_upkeep();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_for_our_own_modules() {
        let filter = filter_of(Some(LogLevel::Debug));
        assert!(filter.starts_with("warn,") && filter.contains("keytrail_ingest=debug"), "{filter}");
        assert_eq!(filter_of(None), QUIET);
    }

    #[test]
    fn names_follow_the_conventions() {
        let all = metrics();
        for metric in &all {
            assert!(metric.name.starts_with("keytrail_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == MetricKind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.help);
        }
        assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name), "each name once");
    }

    /// The page is made from the tables: `KEYTRAIL_UPDATE_DOCS=1` writes it.
    #[test]
    fn the_reference_page_is_up_to_date() {
        let mut page = String::from(
            "# Metrics\n\nServed at `/metrics` on `http.listen` in Prometheus's text format. Made from the tables beside the code that \
             counts; a test keeps it so.\n\n| metric | kind | meaning |\n|---|---|---|\n",
        );
        for metric in metrics() {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            page.push_str(&format!("| `{}` | {kind} | {} |\n", metric.name, metric.help));
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md");
        if std::env::var_os("KEYTRAIL_UPDATE_DOCS").is_some() {
            std::fs::write(&path, &page).expect("the page is written");
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, page, "run the tests once with KEYTRAIL_UPDATE_DOCS=1");
    }
}
