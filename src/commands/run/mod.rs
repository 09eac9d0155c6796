//! `keytrail run`: the worker, its rules and its watch, in one process.
//!
//! ```text
//! queue ─▶ worker ─▶ lake ─▶ judging (a runtime of its own, so that SQL never holds up a lease)
//!            │         │        └─▶ delivering: due alerts ─▶ sinks
//!            │         ├────▶ upkeep: compaction
//!            │         └────▶ watchkeeping: silence, quarantine, queue, trails ─▶ alerts of class system
//!            └──▶ reconcile, every hour     operations: /healthz /readyz /metrics
//! ```
//!
//! It ends on SIGTERM or Ctrl-C: no new messages, what is held is finished or given back within `worker.shutdown_within`,
//! what is committed is judged, what is due is sent, exit code 0. A second signal ends it at once, which is safe too.

mod delivering;
mod judging;
mod operations;
mod reconciling;
mod upkeep;
mod watchkeeping;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use keytrail_dashboards::{ServeError, Server};
use keytrail_ingest::{
    aws::Aws,
    objects::{ObjectStore, folder::FolderStore},
    queue::{
        Queue, Redrive,
        directory::{DirectoryQueue, DirectoryQueueSettings},
        sqs::SqsQueue,
    },
    worker::{WorkError, WorkSummary, WorkerSettings, WorkerWatch, work},
};
use keytrail_lake::{Lake, session::Limits};
use keytrail_model::display;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{
    delivering::Delivering,
    judging::{JudgingWatch, judge},
    operations::RunningWorker,
    watchkeeping::Watched,
};
use super::{connect, detect, ingest, open, rules};
use crate::{
    args::RunArgs,
    exit_code::{ExitCode, Failure},
    output::Output,
    settings::{QueueSource, Settings, parse_duration},
    telemetry,
};

/// How often the state is looked at for `--until-idle`.
const LOOK: Duration = Duration::from_millis(200);
/// How long the rules, and then the sinks, may take to their end once the worker has ended: asked to end when idle, and told
/// by a signal, after which orchestrators kill soon. Nothing is lost by ending early.
const JUDGING_MAY_TAKE: Duration = Duration::from_secs(600);
const JUDGING_AFTER_SIGNAL: Duration = Duration::from_secs(3);
const DELIVERING_MAY_TAKE: Duration = Duration::from_secs(120);
const DELIVERING_AFTER_SIGNAL: Duration = Duration::from_secs(3);

pub(crate) async fn run(args: &RunArgs, mut settings: Settings, output: Output) -> Result<ExitCode> {
    lay_flags(args, &mut settings)?;
    let idle = args.until_idle.as_deref().map(idle_time).transpose()?;
    if !args.no_rules {
        rules::check_configuration(&settings)?;
    }
    let worker_settings = connect::worker_settings(&settings, ingest::scope(args.scope, &settings))?;
    let metrics = telemetry::start_metrics()?;
    let server = Server::bind(settings.file.http.listen).await.map_err(cannot_serve)?;
    let lake = open::or_create(&settings).await?;
    let shared = Shared {
        lake,
        judging: (!args.no_rules).then(Arc::default),
        worker: Arc::default(),
        stop: CancellationToken::new(),
        idle,
        output,
    };
    let operations = Arc::new(RunningWorker {
        metrics: metrics.clone(),
        worker: Arc::clone(&shared.worker),
        judging: shared.judging.clone(),
    });
    output.say(format!("health and metrics at http://{}", server.address()));
    let serving_stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(operations, serving_stop.clone()));
    let upkeep = telemetry::keep_metrics(metrics, serving_stop.clone());

    let source = settings.file.queue.source()?;
    let done = match source {
        QueueSource::Sqs(url) => {
            let aws = connect::aws(&settings).await?;
            let queue = SqsQueue::new(aws.sqs(), url.as_str());
            let store = connect::buckets(&aws, &settings);
            shared.run(queue, store, Some(aws), &url.to_string(), &settings, worker_settings).await
        }
        QueueSource::Folder(folder) => {
            let (queue, store) = watched_folder(folder)?;
            shared.run(queue, store, None, &folder.display().to_string(), &settings, worker_settings).await
        }
    };
    serving_stop.cancel();
    upkeep.abort();
    if let Ok(Err(error)) = serving.await {
        tracing::warn!(%error, "the HTTP server had ended");
    }
    let summary = done?;
    tell(&summary, output);
    Ok(ExitCode::Ok)
}

/// What the parts of the process have in common.
struct Shared {
    lake: Lake,
    /// Absent with `--no-rules`.
    judging: Option<Arc<JudgingWatch>>,
    worker: Arc<WorkerWatch>,
    stop: CancellationToken,
    idle: Option<Duration>,
    output: Output,
}

impl Shared {
    async fn run<Q: Queue, O: ObjectStore>(
        self,
        queue: Q,
        store: O,
        aws: Option<Aws>,
        name: &str,
        settings: &Settings,
        worker_settings: WorkerSettings,
    ) -> Result<WorkSummary> {
        let stop = &self.stop;
        let (judging, runtime) = self.start_judging(settings)?;
        // Without rules another process judges; then a commit of ours is as good a moment to look as any.
        let judged = self.judging.as_ref().map_or_else(|| self.worker.commits(), |judging| judging.rounds());
        let delivering = Delivering::start(self.lake.clone(), settings, judged, self.output).await?;
        let mut around: Vec<JoinHandle<()>> = vec![tokio::spawn(upkeep::keep(self.lake.clone(), stop.clone()))];
        around.push(self.start_watch(&queue, aws.clone(), name, settings).await?);
        if let Some(aws) = aws {
            around.push(tokio::spawn(reconciling::keep(self.lake.clone(), aws, settings.clone(), stop.clone())));
        }
        around.push(stop_on_signal(stop.clone(), self.output));
        if let Some(idle) = self.idle {
            around.push(tokio::spawn(stop_when_idle(Arc::clone(&self.worker), idle, stop.clone())));
        }
        self.output.say(format!("working on {}", display::terminal_safe(name)));
        let worked = work(queue, store, self.lake.clone(), &worker_settings, &self.worker, stop.clone()).await;
        // Also when it ended by itself.
        stop.cancel();
        if let Some(judging) = judging {
            // Whoever asked for an end by itself waits for the alerts; whoever sent a signal does not.
            let patience = if self.idle.is_some() { JUDGING_MAY_TAKE } else { JUDGING_AFTER_SIGNAL };
            if tokio::time::timeout(patience, judging).await.is_err() {
                tracing::warn!("the last rows are judged at the next start");
            }
        }
        if let Some(delivering) = delivering {
            let of_idle = self.idle.is_some();
            delivering.end(if of_idle { DELIVERING_MAY_TAKE } else { DELIVERING_AFTER_SIGNAL }).await;
        }
        for task in around {
            task.abort();
        }
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
        worked.map_err(work_failure)
    }

    /// The rules, on threads of their own.
    fn start_judging(&self, settings: &Settings) -> Result<(Option<JoinHandle<()>>, Option<Runtime>)> {
        let Some(watch) = &self.judging else { return Ok((None, None)) };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("keytrail-rules")
            .enable_all()
            .build()
            .context("failed to start the rules' threads")?;
        let committed = self.worker.commits();
        let judging =
            judge(self.lake.clone(), rules::rule_settings(settings), Arc::clone(watch), committed, self.stop.clone());
        Ok((Some(runtime.spawn(judging)), Some(runtime)))
    }

    async fn start_watch<Q: Queue>(
        &self,
        queue: &Q,
        aws: Option<Aws>,
        name: &str,
        settings: &Settings,
    ) -> Result<JoinHandle<()>> {
        // Only for sentences: a worker that may not ask still works.
        let redrive = queue.redrive().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "whether the queue has a dead-letter queue is not known");
            Redrive::default()
        });
        if redrive.dead_letter_queue.is_none() && aws.is_some() {
            tracing::warn!("the queue has no redrive policy: what cannot be understood comes back until it expires");
        }
        let role = match &aws {
            Some(aws) => aws.identity().await.map(|identity| identity.arn.clone()).ok(),
            None => None,
        };
        let watched = Watched {
            lake: self.lake.clone(),
            session: open::session_settings(settings, Limits::default()),
            settings: detect::system_settings(settings),
            worker: Arc::clone(&self.worker),
            queue: name.to_owned(),
            redrive,
            aws,
            role: role.unwrap_or_else(|| "the worker's role".to_owned()),
        };
        Ok(tokio::spawn(watchkeeping::keep(watched, self.stop.clone())))
    }
}

fn lay_flags(args: &RunArgs, settings: &mut Settings) -> Result<(), Failure> {
    if let Some(url) = &args.queue_url {
        settings.file.queue.folder = None;
        settings.set_flag("queue.url", "--queue-url", url)?;
    }
    if let Some(folder) = &args.folder {
        settings.file.queue.url = None;
        settings.set_flag("queue.folder", "--folder", &folder.to_string_lossy())?;
    }
    if let Some(address) = &args.http {
        settings.set_flag("http.listen", "--http", address)?;
    }
    settings.recheck()
}

fn watched_folder(folder: &Path) -> Result<(DirectoryQueue, FolderStore), Failure> {
    if !folder.is_dir() {
        return Err(Failure::new(ExitCode::NotFound, format!("there is no folder at {}", folder.display())));
    }
    Ok((DirectoryQueue::new(folder, DirectoryQueueSettings::default()), FolderStore::new(folder)))
}

fn idle_time(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("--until-idle: `{text}` is not a length of time"))
            .hint("write for example 30s")
    })
}

/// The first signal ends the work in order; the second ends the program.
fn stop_on_signal(stop: CancellationToken, output: Output) -> JoinHandle<()> {
    tokio::spawn(async move {
        signal().await;
        output.say("stopping: finishing what is held and giving back the rest");
        stop.cancel();
        signal().await;
        output.warn("stopped at once; what was not committed is delivered again");
        leave();
    })
}

#[expect(clippy::exit, reason = "asked for twice; nothing is lost by it, that is what the ledger is for")]
fn leave() {
    std::process::exit(ExitCode::Internal as i32);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        },
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught; it ends the program at once");
            drop(interrupted.await);
        }
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}

/// Stops once nothing has come for so long and nothing is held.
async fn stop_when_idle(worker: Arc<WorkerWatch>, idle: Duration, stop: CancellationToken) {
    let mut seen = 0;
    let mut since = tokio::time::Instant::now();
    while !stop.is_cancelled() {
        let status = worker.status();
        let busy = status.in_flight.messages > 0 || status.last_receive_at.is_none();
        if busy || status.messages.received != seen {
            seen = status.messages.received;
            since = tokio::time::Instant::now();
        } else if since.elapsed() >= idle {
            tracing::info!("nothing has come for a while; ending as asked");
            stop.cancel();
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn cannot_serve(error: ServeError) -> Failure {
    Failure::new(ExitCode::Config, error.to_string())
}

fn work_failure(error: WorkError) -> anyhow::Error {
    let text = error.to_string();
    anyhow::Error::new(error).context(text)
}

fn tell(summary: &WorkSummary, output: Output) {
    let number = |count: u64| display::count(i64::try_from(count).unwrap_or(i64::MAX));
    let (messages, objects, records) = (&summary.messages, &summary.objects, &summary.records);
    output.say(format!(
        "{} messages received, {} deleted, {} given back, {} not understood",
        number(messages.received),
        number(messages.deleted),
        number(messages.given_back),
        number(messages.with_faults),
    ));
    output.say(format!(
        "{} objects committed, {} skipped, {} quarantined, {} known before, {} put off; {} rows in {} commits",
        number(objects.committed),
        number(objects.skipped),
        number(objects.quarantined),
        number(objects.known),
        number(objects.put_off),
        number(records.rows_written),
        number(summary.commits),
    ));
}
