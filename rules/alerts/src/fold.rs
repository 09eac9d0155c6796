//! Findings of one episode become one alert.
//!
//! ```text
//! judged again ─▶ their evidence is set aside ─▶ findings join, restart or open episodes ─▶ episodes without a gap merge
//!    ─▶ what is left empty is withdrawn ─▶ words, suppression ─▶ the alerts that changed
//! ```
//!
//! In: the alerts as they stand, new findings in any order, and which events were judged again. Out: the alerts that
//! changed, each with its full new state, ready to be appended to the alert log.
//!
//! Invariants:
//! - A finding joins an episode of its rule and fold key when its event lies within the rule's gap of it. What stands in
//!   the end does not depend on the order in which findings come, nor on how they are cut into rounds.
//! - An event (event id and secret) that an alert already rests on changes nothing, so folding twice is folding once.
//! - A finding without an event tells of a lasting condition: it is news only when its moment is later than the
//!   alert's last, and it is never historical, because it holds now.
//! - An alert's title and reason are those of its earliest finding, or the rule's folded wording once it covers more
//!   than one secret; severity is the highest seen; ids never change.
//! - What a person closed stays as it is: it takes late events of its own time, but is never reopened, merged or
//!   withdrawn; later activity is a new alert that names the old one.
//! - Lists are capped. Beyond [`EVIDENCE_CAP`](crate::episode::EVIDENCE_CAP) an event counts only if it is later than all
//!   before this fold, so the count can fall short on late events but never doubles; such an alert is not withdrawn.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use keytrail_model::{Alert, AlertClass, AlertState, Evidence, Finding, Micros};

use crate::{
    episode::{SHADOW, Touch, absorb, become_part_of, join, open, restart, same_event, set_aside, withdraw},
    fingerprint::{alert_id, nth_alert_id},
    inbox::{Inbox, is_withdrawn, stands},
};

/// What an alert says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    pub title: String,
    pub reason: String,
}

/// What folding must know of a rule and of people's decisions.
pub trait Folding {
    /// Findings further apart than this are two alerts.
    fn episode_gap(&self, rule_id: &str) -> Micros;
    /// How the rule words an alert that covers several secrets; `None` keeps the earliest finding's words.
    fn wording(&self, alert: &Alert) -> Option<Wording>;
    /// The id of the suppression that covers the alert now.
    fn suppression(&self, alert: &Alert) -> Option<String>;
}

/// When the folding happens.
#[derive(Clone, Copy, Debug)]
pub struct FoldMoment {
    /// The judging's "now": becomes `raised_at` and `updated_at`.
    pub now: Micros,
    /// An alert all of whose findings are older than this is historical.
    pub historical_before: Micros,
}

/// What was judged a second time: evidence that rests on it and is not found again is withdrawn.
#[derive(Clone, Debug, Default)]
pub struct Rejudged {
    /// Rules that ran without an error.
    pub rules: BTreeSet<String>,
    /// Ids of the events that they judged and had judged before.
    pub events: HashSet<String>,
}

/// The alerts that a fold changed, in event order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoldChanges {
    pub raised: Vec<Alert>,
    /// Those that grew, were withdrawn or became a part of another.
    pub updated: Vec<Alert>,
}

impl FoldChanges {
    /// Raised and updated alerts together, ready for the alert log.
    pub fn all(&self) -> Vec<Alert> {
        self.raised.iter().chain(&self.updated).cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.raised.is_empty() && self.updated.is_empty()
    }
}

/// One fold under way.
#[derive(Default)]
struct Round {
    /// The alerts that may have changed, as they were; `None` for new ones.
    before: BTreeMap<String, Option<Alert>>,
    touches: HashMap<String, Touch>,
    /// What was taken out of alerts, to be found again or not.
    aside: BTreeMap<String, Vec<Evidence>>,
    keys: BTreeSet<(String, Vec<String>)>,
}

impl Inbox {
    /// Folds findings into the alerts and says which alerts changed.
    pub fn fold(
        &mut self,
        mut findings: Vec<Finding>,
        rejudged: &Rejudged,
        folding: &dyn Folding,
        moment: FoldMoment,
    ) -> FoldChanges {
        findings.sort_by(|a, b| order_of(a).cmp(&order_of(b)));
        let mut round = Round::default();
        self.set_aside(rejudged, &mut round);
        for finding in &findings {
            // A condition (no event) holds now, however long it has held.
            let historical = finding.evidence.is_some() && finding.event_at < moment.historical_before;
            let gap = folding.episode_gap(&finding.rule_id);
            self.place(finding, historical, gap, &mut round, moment.now);
        }
        for (rule_id, fold_key) in &round.keys {
            let ids = self.of_key(rule_id, fold_key);
            merge(&mut self.alerts, &ids, folding.episode_gap(rule_id), &mut round.before, moment.now);
        }
        self.settle_empty(&mut round, moment.now);
        self.changes(round, folding, moment.now)
    }

    /// Takes the evidence that was judged again out of its alerts.
    fn set_aside(&mut self, rejudged: &Rejudged, round: &mut Round) {
        let concerned: Vec<String> = self
            .resting_on(rejudged.events.iter().map(String::as_str))
            .into_iter()
            .filter(|alert| alert.class == AlertClass::Detection && alert.state != AlertState::Closed)
            .filter(|alert| rejudged.rules.contains(&alert.rule_id))
            .map(|alert| alert.alert_id.clone())
            .collect();
        for id in concerned {
            let Some(alert) = self.alerts.get_mut(&id) else { continue };
            let before = alert.clone();
            let aside = set_aside(alert, &rejudged.events);
            if !aside.is_empty() {
                round.keys.insert((alert.rule_id.clone(), alert.fold_key.clone()));
                round.before.insert(id.clone(), Some(before));
                round.aside.insert(id, aside);
            }
        }
    }

    /// Puts one finding where it belongs.
    fn place(&mut self, finding: &Finding, historical: bool, gap: Micros, round: &mut Round, now: Micros) {
        if self.is_dealt_with(finding) {
            return;
        }
        round.keys.insert((finding.rule_id.clone(), finding.fold_key.clone()));
        let id = self.episode_for(finding, gap, round).unwrap_or_else(|| self.free_id(finding));
        match self.alerts.get_mut(&id) {
            Some(alert) => {
                round.before.entry(id.clone()).or_insert_with(|| Some(alert.clone()));
                let is_empty = finding.evidence.is_some() && alert.evidence.is_empty();
                if is_empty || !stands(alert) {
                    revive(alert);
                    restart(alert, finding, historical);
                    round.touches.insert(id.clone(), Touch::opened(alert));
                }
                let touch = round.touches.entry(id).or_insert_with(|| Touch::before(alert));
                touch.is_shadow &= finding.shadow;
                join(alert, finding, historical, touch);
            }
            None => {
                let mut alert = Alert { alert_id: id.clone(), ..open(finding, historical, now) };
                alert.previous_alert_id = self.closed_before(finding);
                let mut touch = Touch::opened(&alert);
                touch.is_shadow = finding.shadow;
                round.before.insert(id.clone(), None);
                round.touches.insert(id, touch);
                self.insert(alert);
            }
        }
    }

    /// The id of an episode that this finding opens. One that was opened by the same event and has moved on since keeps
    /// its id; one that was withdrawn or merged gives it back.
    fn free_id(&self, finding: &Finding) -> String {
        let mut ids = (0..).map(|nth| nth_alert_id(finding, nth));
        let free = |id: &String| self.alerts.get(id).is_none_or(|alert| !stands(alert));
        ids.find(free).unwrap_or_else(|| alert_id(finding))
    }

    /// Whether a person has closed an alert that rests on this very event.
    fn is_dealt_with(&self, finding: &Finding) -> bool {
        let Some(evidence) = &finding.evidence else { return false };
        self.of_key(&finding.rule_id, &finding.fold_key).iter().filter_map(|id| self.alerts.get(id)).any(|alert| {
            alert.state == AlertState::Closed
                && stands(alert)
                && alert.evidence.iter().any(|known| same_event(known, evidence))
        })
    }

    /// The last episode of the same kind that a person closed.
    fn closed_before(&self, finding: &Finding) -> Option<String> {
        let ids = self.of_key(&finding.rule_id, &finding.fold_key);
        let closed = ids.iter().filter_map(|id| self.alerts.get(id)).filter(|alert| {
            alert.class == finding.class
                && alert.state == AlertState::Closed
                && stands(alert)
                && alert.last_event_at <= finding.event_at
        });
        closed.max_by_key(|alert| (alert.last_event_at, &alert.alert_id)).map(|alert| alert.alert_id.clone())
    }

    /// The episode that the finding belongs to: of those near enough in time, the latest that began before it.
    fn episode_for(&self, finding: &Finding, gap: Micros, round: &Round) -> Option<String> {
        let at = finding.event_at;
        self.of_key(&finding.rule_id, &finding.fold_key)
            .iter()
            .filter_map(|id| self.alerts.get(id))
            // An alert of class `system` may have any id; its conditions are none of the rules' business.
            .filter(|alert| alert.class == finding.class && stands(alert))
            .filter(|alert| {
                // What was emptied in this round is found where it was.
                let shape = match round.before.get(&alert.alert_id) {
                    Some(Some(before)) if round.aside.contains_key(&alert.alert_id) && alert.evidence.is_empty() => {
                        before
                    }
                    _ => alert,
                };
                let begins = shape.first_event_at.saturating_sub(gap);
                let ends = match shape.state {
                    AlertState::Closed => shape.last_event_at,
                    _ => shape.last_event_at.saturating_add(gap),
                };
                (begins..=ends).contains(&at)
            })
            .max_by_key(|alert| (alert.first_event_at <= at, alert.first_event_at))
            .map(|alert| alert.alert_id.clone())
    }

    /// What nothing is left of became a part of another episode, or is withdrawn. Either keeps what it once rested on.
    fn settle_empty(&mut self, round: &mut Round, now: Micros) {
        for (id, aside) in &round.aside {
            let Some(alert) = self.alerts.get(id).filter(|alert| alert.evidence.is_empty()) else { continue };
            let ids = self.of_key(&alert.rule_id, &alert.fold_key);
            let holder = ids.iter().filter_map(|id| self.alerts.get(id)).find(|other| {
                stands(other) && aside.iter().any(|gone| other.evidence.iter().any(|has| same_event(has, gone)))
            });
            let holder = holder.map(|other| other.alert_id.clone());
            let Some(Some(before)) = round.before.get(id) else { continue };
            let mut alert = before.clone();
            match holder {
                Some(other) => become_part_of(&mut alert, &other, now),
                None => withdraw(&mut alert, now),
            }
            self.alerts.insert(id.clone(), alert);
        }
    }

    /// Words, suppresses and stamps what changed; an alert that is as it was is not reported.
    fn changes(&mut self, round: Round, folding: &dyn Folding, now: Micros) -> FoldChanges {
        let mut changes = FoldChanges::default();
        for (id, before) in round.before {
            let Some(alert) = self.alerts.get_mut(&id) else { continue };
            if stands(alert)
                && alert.secret_ids.len() > 1
                && let Some(wording) = folding.wording(alert)
            {
                alert.title = wording.title;
                alert.reason = wording.reason;
            }
            if before.as_ref() == Some(alert) {
                continue;
            }
            if let Some(touch) = round.touches.get(&id)
                && alert.class == AlertClass::Detection
            {
                suppress(alert, if touch.is_shadow { Some(SHADOW.to_owned()) } else { folding.suppression(alert) });
            }
            alert.updated_at = now.max(alert.updated_at);
            let alert = alert.clone();
            self.index(&alert);
            let is_new = before.is_none_or(|before| !stands(&before));
            if is_new { &mut changes.raised } else { &mut changes.updated }.push(alert);
        }
        let order = |a: &Alert, b: &Alert| (a.first_event_at, &a.alert_id).cmp(&(b.first_event_at, &b.alert_id));
        changes.raised.sort_by(order);
        changes.updated.sort_by(order);
        changes
    }
}

/// Episodes of one rule and fold key that have no gap between them any more become one.
fn merge(
    alerts: &mut BTreeMap<String, Alert>,
    ids: &[String],
    gap: Micros,
    before: &mut BTreeMap<String, Option<Alert>>,
    now: Micros,
) {
    let standing = |alert: &&Alert| {
        stands(alert)
            && alert.class == AlertClass::Detection
            && alert.state != AlertState::Closed
            && !alert.evidence.is_empty()
    };
    let mut episodes: Vec<(Micros, Micros, String)> = ids
        .iter()
        .filter_map(|id| alerts.get(id))
        .filter(standing)
        .map(|alert| (alert.first_event_at, alert.last_event_at, alert.alert_id.clone()))
        .collect();
    episodes.sort();
    let mut episodes = episodes.into_iter();
    let Some(mut current) = episodes.next() else { return };
    for next in episodes {
        if next.0.saturating_sub(current.1) > gap {
            current = next;
            continue;
        }
        let (Some(a), Some(b)) = (alerts.remove(&current.2), alerts.remove(&next.2)) else { continue };
        before.entry(a.alert_id.clone()).or_insert_with(|| Some(a.clone()));
        before.entry(b.alert_id.clone()).or_insert_with(|| Some(b.clone()));
        // Who was told first keeps the episode.
        let age = |alert: &Alert| (alert.raised_at, alert.first_event_at, alert.alert_id.clone());
        let (mut into, mut other) = if age(&a) <= age(&b) { (a, b) } else { (b, a) };
        absorb(&mut into, &mut other, now);
        current = (into.first_event_at, into.last_event_at, into.alert_id.clone());
        alerts.insert(other.alert_id.clone(), other);
        alerts.insert(into.alert_id.clone(), into);
    }
}

/// An alert that had been withdrawn or merged is one of its own again.
fn revive(alert: &mut Alert) {
    if alert.merged_into.is_some() || is_withdrawn(alert) {
        alert.state = AlertState::Open;
        (alert.verdict, alert.note, alert.changed_by) = (None, None, None);
    }
}

fn suppress(alert: &mut Alert, by: Option<String>) {
    match (alert.state, by) {
        (AlertState::Open | AlertState::Suppressed, Some(by)) => {
            alert.state = AlertState::Suppressed;
            alert.suppressed_by = Some(by);
        }
        (AlertState::Suppressed, None) => {
            alert.state = AlertState::Open;
            alert.suppressed_by = None;
        }
        _ => {}
    }
}

fn order_of(finding: &Finding) -> (Micros, &str, &str, i64, &str) {
    let evidence = finding.evidence.as_ref();
    (
        finding.event_at,
        evidence.map_or("", |evidence| evidence.event_id.as_str()),
        finding.secret_id.as_deref().unwrap_or(""),
        evidence.map_or(0, |evidence| evidence.record_index),
        finding.reason.as_str(),
    )
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
