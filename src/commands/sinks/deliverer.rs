//! One round of telling: find what is due, claim it, send it, record what became of it.
//!
//! ```text
//! alert log, delivery log ─▶ due ─▶ claim (one commit) ─▶ each sink on its own, one message at a time
//!                                                            └─▶ outcomes, committed as they come
//! ```
//!
//! In: the lake and the opened sinks. Out: steps in the delivery log, metrics, an alert where a sink fails for good.
//!
//! Invariants: nothing is sent that was not claimed; nothing is sent after its claim has ended; whatever ends this process
//! between two steps, what was claimed and not recorded is sent again, with the same id, once the claim ends.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use anyhow::Result;
use keytrail_alerts::{
    Links, Message,
    delivery::{self, DeliverySettings, Due, Look, Target, is_under_way},
    route::{Owners, Route, asks_for_owners},
    sink::{Change, Outgoing, Sink},
};
use keytrail_lake::{
    Deliveries, Lake, LogVersions,
    arrow::{array::AsArray, compute::cast, datatypes::DataType},
    session::Limits,
};
use keytrail_model::{Alert, Delivery, DeliveryState, DeliveryStep, Micros, time};
use keytrail_rules::pack::Packs;
use metrics::gauge;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    failing,
    open::{self, Opened},
    sender::{Sender, chance},
};
use crate::{
    commands::{open as lakes, rules},
    output::Output,
    settings::Settings,
};

/// Claimed for one sink in one round: few enough to be sent before the claim ends.
const PER_ROUND: usize = 20;
/// Outcomes that wait to be recorded.
const WAITING: usize = 256;
/// How long what is known of the secrets' owners counts.
const OWNERS_FOR: Micros = 10 * 60 * time::SECOND;
/// How often it is looked whether a sink fails for good.
const REPORT_EVERY: Micros = 60 * time::SECOND;

/// Tells the sinks, round by round.
pub(crate) struct Deliverer {
    lake: Lake,
    settings: Settings,
    sinks: HashMap<String, Arc<dyn Sink>>,
    /// Sinks that cannot be opened, and why.
    broken: Vec<(String, String)>,
    targets: Vec<Target>,
    routes: Vec<Route>,
    delivery: DeliverySettings,
    links: Links,
    packs: Packs,
    /// This process, in the log.
    worker: String,
    seen: Option<Seen>,
    owners: Option<(Micros, Owners)>,
    /// Sinks that are left alone until a moment, because they cannot take anything now.
    holds: HashMap<String, Micros>,
    reported_at: Option<Micros>,
}

/// The logs as they were read, while they have not changed.
struct Seen {
    versions: LogVersions,
    alerts: Arc<Vec<Alert>>,
    deliveries: Deliveries,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) delivered: usize,
    pub(crate) failed: usize,
    pub(crate) parked: usize,
    /// Alerts that another one's message tells of.
    pub(crate) covered: usize,
    /// Nothing was due, or nothing that may be sent now.
    pub(crate) idle: bool,
}

impl Deliverer {
    /// Opens the sinks; nothing is sent yet.
    pub(crate) async fn open(lake: Lake, settings: &Settings, output: Output) -> Result<Self> {
        let section = &settings.file.delivery;
        let (mut sinks, mut broken) = (HashMap::new(), Vec::new());
        for Opened { name, sink, .. } in open::all(settings, output).await {
            match sink {
                Ok(sink) => drop(sinks.insert(name, sink)),
                Err(reason) => {
                    tracing::error!(sink = %name, %reason, "the sink cannot be used");
                    broken.push((name, reason));
                }
            }
        }
        let mut targets = open::targets(section);
        // What cannot be opened is not tried: its alerts are due as soon as it can be.
        targets.retain(|target| sinks.contains_key(&target.name));
        Ok(Self {
            lake,
            sinks,
            broken,
            targets,
            routes: section.routes(),
            delivery: open::delivery_settings(section),
            links: open::links(section)?,
            packs: rules::packs(settings),
            worker: format!("{:016x}{:016x}", chance(), chance()),
            seen: None,
            owners: None,
            holds: HashMap::new(),
            reported_at: None,
            settings: settings.clone(),
        })
    }

    /// One round. When `hurry` is cancelled, what is being sent is finished and the rest of the claims is given back.
    pub(crate) async fn round(&mut self, hurry: &CancellationToken) -> Result<Round> {
        self.look().await?;
        // Reading may have taken a while, and a claim is short.
        let now = time::now();
        let Some(seen) = &self.seen else { return Ok(Round { idle: true, ..Round::default() }) };
        let (alerts, claims) = (Arc::clone(&seen.alerts), seen.deliveries.claims);
        let due = self.claimable(seen, now);
        observe(&seen.deliveries, &self.targets, now);
        if due.is_empty() || hurry.is_cancelled() {
            self.report(now).await;
            return Ok(Round { idle: true, ..Round::default() });
        }
        let steps: Vec<DeliveryStep> = due.iter().flat_map(Due::steps).cloned().collect();
        self.seen = None;
        if !self.lake.claim_deliveries(&steps, claims).await? {
            // Somebody else has claimed; what is left is found the next time.
            return Ok(Round::default());
        }
        let mut round = Round { covered: steps.len() - due.len(), ..Round::default() };
        self.send(due, &alerts, hurry, &mut round).await?;
        if round.parked > 0 {
            self.reported_at = None;
        }
        Ok(round)
    }

    /// Whether every sink can be used.
    pub(crate) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    /// Forgets what was read: whatever it held may be the cause of a failure.
    pub(crate) fn forget(&mut self) {
        self.seen = None;
    }

    /// Reads the logs, if they have changed.
    async fn look(&mut self) -> Result<()> {
        let versions = self.lake.log_versions().await?;
        if self.seen.as_ref().is_none_or(|seen| seen.versions != versions) {
            let alerts = match self.seen.take() {
                Some(seen) if seen.versions.alerts == versions.alerts => seen.alerts,
                _ => Arc::new(self.lake.alerts().await?),
            };
            self.seen = Some(Seen { versions, alerts, deliveries: self.lake.deliveries().await? });
        }
        let now = time::now();
        let stale = self.owners.as_ref().is_none_or(|(at, _)| now - at > OWNERS_FOR);
        if stale && asks_for_owners(&self.routes) {
            self.owners = Some((now, self.ask_for_owners().await?));
        }
        Ok(())
    }

    async fn ask_for_owners(&self) -> Result<Owners> {
        let sql = "SELECT secret_id, owner FROM secrets WHERE owner IS NOT NULL";
        let session = self.lake.session(&lakes::session_settings(&self.settings, Limits::default())).await?;
        let mut owners = Vec::new();
        for batch in session.sql(sql).await?.collect().await? {
            let text = |column: usize| cast(batch.column(column), &DataType::Utf8);
            let (secrets, names) = (text(0)?, text(1)?);
            let pairs = secrets.as_string::<i32>().iter().zip(names.as_string::<i32>());
            owners.extend(pairs.filter_map(|(secret, owner)| Some((secret?.to_owned(), owner?.to_owned()))));
        }
        Ok(Owners::new(owners))
    }

    /// What may be claimed now: of each sink not more than it can be sent in time, and nothing of one that rests.
    fn claimable(&self, seen: &Seen, now: Micros) -> Vec<Due> {
        let nobody = Owners::default();
        let look = Look {
            alerts: &seen.alerts,
            deliveries: &seen.deliveries.by_id,
            targets: &self.targets,
            routes: &self.routes,
            owners: self.owners.as_ref().map_or(&nobody, |(_, owners)| owners),
            settings: &self.delivery,
            worker: &self.worker,
            now,
        };
        let mut taken: HashMap<String, usize> = HashMap::new();
        let mut due = delivery::due(&look);
        due.retain(|due| {
            let sink = &due.claim.sink;
            let number = taken.entry(sink.clone()).or_default();
            *number += 1;
            *number <= PER_ROUND && self.holds.get(sink).is_none_or(|until| *until <= now)
        });
        due
    }

    /// Sends what was claimed, each sink on its own, and records the outcomes as they come.
    async fn send(
        &mut self,
        due: Vec<Due>,
        alerts: &Arc<Vec<Alert>>,
        hurry: &CancellationToken,
        round: &mut Round,
    ) -> Result<()> {
        let by_id: HashMap<&str, &Alert> = alerts.iter().map(|alert| (alert.alert_id.as_str(), alert)).collect();
        let mut by_sink: HashMap<String, Vec<(DeliveryStep, Option<Outgoing>)>> = HashMap::new();
        for Due { claim, .. } in due {
            let outgoing = self.outgoing(&claim, &by_id);
            by_sink.entry(claim.sink.clone()).or_default().push((claim, outgoing));
        }
        let (outcomes, mut incoming) = mpsc::channel(WAITING);
        let mut senders = JoinSet::new();
        for (name, queue) in by_sink {
            let Some(sink) = self.sinks.get(&name).map(Arc::clone) else { continue };
            let sender = Sender { sink, delivery: self.delivery.clone(), hurry: hurry.clone() };
            senders.spawn(sender.run(queue, outcomes.clone()));
        }
        drop(outcomes);
        let mut batch = Vec::new();
        while incoming.recv_many(&mut batch, WAITING).await > 0 {
            let steps: Vec<DeliveryStep> = std::mem::take(&mut batch);
            for step in &steps {
                match step.state {
                    DeliveryState::Delivered => round.delivered += 1,
                    DeliveryState::Parked => round.parked += 1,
                    _ => round.failed += 1,
                }
            }
            self.lake.append_deliveries(&steps).await?;
        }
        while let Some(ended) = senders.join_next().await {
            if let Some((sink, until)) = ended? {
                self.holds.insert(sink, until);
            }
        }
        Ok(())
    }

    /// The message; nothing where the log does not know the alert any more.
    fn outgoing(&self, claim: &DeliveryStep, by_id: &HashMap<&str, &Alert>) -> Option<Outgoing> {
        let told: Vec<Alert> =
            claim.alert_ids.iter().filter_map(|id| by_id.get(id.as_str())).map(|alert| (*alert).clone()).collect();
        let main = told.first()?;
        let change = Change::from(claim.change);
        let guide = rules::guide_for(&self.packs, main);
        let message = Message::new(change, &told, guide.as_deref(), &self.links);
        let (delivery_id, attempt) = (claim.delivery_id.clone(), claim.attempt);
        Some(Outgoing { delivery_id, change, alerts: told, message, attempt, at: claim.at })
    }

    /// Makes the alerts about failing sinks agree with the log.
    async fn report(&mut self, now: Micros) {
        if self.reported_at.is_some_and(|at| now - at < REPORT_EVERY) {
            return;
        }
        self.reported_at = Some(now);
        let Some(seen) = &self.seen else { return };
        let known: HashSet<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
        let conditions = failing::conditions(&seen.deliveries, &known, &self.broken, now);
        if let Err(error) = failing::report(&self.lake, &seen.alerts, &conditions, &self.settings, now).await {
            tracing::error!(%error, "alerts about failing sinks could not be recorded; they are reported again");
        }
    }
}

/// What monitoring is told of what has not arrived.
fn observe(deliveries: &Deliveries, targets: &[Target], now: Micros) {
    for target in targets {
        let of_sink = || deliveries.by_id.values().filter(|delivery| delivery.step.sink == target.name);
        let oldest =
            of_sink().filter(|delivery| is_under_way(&delivery.step)).map(|delivery| now - delivery.first_at).max();
        let parked = of_sink().filter(|delivery: &&Delivery| delivery.step.state == DeliveryState::Parked).count();
        #[expect(clippy::cast_precision_loss, reason = "an age and a count for a gauge")]
        let (oldest, parked) = (oldest.unwrap_or_default() as f64 / 1e6, parked as f64);
        gauge!("keytrail_deliveries_oldest_undelivered_seconds", "sink" => target.name.clone()).set(oldest);
        gauge!("keytrail_deliveries_parked", "sink" => target.name.clone()).set(parked);
    }
}
