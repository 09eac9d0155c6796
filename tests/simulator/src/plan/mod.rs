//! Everything that happens around secrets, before it is delivered.
//!
//! Behaviours and incidents add events here. Next to the events the plan keeps a ledger of every access, which is the truth
//! that verdicts are computed from and that the tests judge the labels with. An event outside the window, or in the hole of
//! [`GAP_PLACE`], is neither delivered nor in the ledger.

mod cases;
mod reads;
mod verdicts;
mod writes;

pub(crate) use cases::Case;
pub(crate) use reads::{Ask, Form, Outcome, Version};
pub use writes::FAKE_SESSION_TOKEN_MARK;
pub(crate) use writes::{Call, fake_session_token};

use std::collections::BTreeSet;

use rand::Rng;

use crate::{
    cast::{Cast, GAP_PLACE, Place},
    clock::{DAY, HOUR, rfc3339},
    identity::{Caller, Who},
    labels::Label,
    random::{Random, random_for, uuid},
};

/// An event with the place whose trail delivers it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) at: i64,
    pub(crate) place: Place,
    pub(crate) json: String,
    /// Delivered one file later than its neighbours.
    pub(crate) slips: bool,
}

/// One access to one secret, as it really was.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), expect(dead_code, reason = "the tests judge the labels with the whole ledger"))]
pub(crate) struct Access {
    pub(crate) at: i64,
    pub(crate) event_id: String,
    pub(crate) principal: String,
    pub(crate) unique_id: String,
    pub(crate) secret: usize,
    pub(crate) ok: bool,
    pub(crate) upkeep: bool,
    pub(crate) sync: bool,
    /// The caller's own address and endpoint; none for a service acting for somebody.
    pub(crate) origin: Option<(String, Option<String>)>,
    /// The version that was read, for Secrets Manager.
    pub(crate) version: Option<String>,
}

/// A call of the proxied API that is planted in the access logs.
#[derive(Debug, Clone)]
pub(crate) struct ApiCall {
    pub(crate) at: i64,
    pub(crate) caller: Caller,
    pub(crate) resource: usize,
    /// The request's id in the log.
    pub(crate) id: String,
}

/// A change of a secret's value.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    pub(crate) secret: usize,
    pub(crate) at: i64,
    pub(crate) version: Option<String>,
    pub(crate) how: &'static str,
}

/// The plan of one run.
pub(crate) struct Plan<'c> {
    pub(crate) cast: &'c Cast,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) random: Random,
    pub(crate) events: Vec<Planned>,
    pub(crate) ledger: Vec<Access>,
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) created: Vec<(usize, i64)>,
    pub(crate) deleted: Vec<(usize, i64)>,
    pub(crate) gap: Option<(i64, i64)>,
    pub(crate) labels: Vec<Label>,
    /// Sessions of services, in the order they began to be planned.
    pub(crate) sessions: Vec<(i64, Caller)>,
    /// Paths of Parameter Store that consumers read as a whole, with the place and the time.
    paths: Vec<(Place, String, i64)>,
    /// Calls of the proxied API that are planted.
    pub(crate) api_calls: Vec<ApiCall>,
    /// Whether access logs are written.
    pub(crate) access_logs: bool,
    /// Units that something was planted on.
    taken: BTreeSet<String>,
    /// Versions of each secret with the time they became current, in order.
    versions: Vec<Vec<(i64, String)>>,
    kept: BTreeSet<String>,
}

impl<'c> Plan<'c> {
    pub(crate) fn new(cast: &'c Cast, window: (i64, i64)) -> Self {
        let (start, end) = window;
        let mut random = random_for(cast.seed, "plan");
        let versions = cast.secrets.iter().map(|_| vec![(i64::MIN, uuid(&mut random))]).collect();
        let days = (end - start) / DAY;
        // The hole is in the middle, longer in longer windows.
        let from = start + (end - start) * 55 / 100 / HOUR * HOUR;
        let gap = Some((from, from + if days >= 20 { 60 * HOUR } else { 7 * HOUR }));
        Self {
            cast,
            start,
            end,
            random,
            events: Vec::new(),
            ledger: Vec::new(),
            rotations: Vec::new(),
            created: Vec::new(),
            deleted: Vec::new(),
            gap,
            labels: Vec::new(),
            sessions: Vec::new(),
            paths: Vec::new(),
            api_calls: Vec::new(),
            access_logs: true,
            taken: BTreeSet::new(),
            versions,
            kept: BTreeSet::new(),
        }
    }

    pub(crate) fn days(&self) -> i64 {
        (self.end - self.start) / DAY
    }

    /// A moment some way into the window: this share of it, but not before `earliest` days, and with most of `tail` days left
    /// after it. The hour is random.
    pub(crate) fn moment(&mut self, share: f64, earliest: f64, tail: f64) -> Option<i64> {
        let days = self.days() as f64;
        let day = (share * days).max(earliest);
        let some_hours = self.random.random_range(0.0..0.9_f64) * tail.min(0.4);
        (day + tail <= days).then(|| self.start + ((day + some_hours) * DAY as f64) as i64)
    }

    /// Whether an event at this moment is delivered at all.
    pub(crate) fn delivered(&self, place: Place, at: i64) -> bool {
        (self.start..self.end).contains(&at)
            && !(place == GAP_PLACE && self.gap.is_some_and(|(from, until)| (from..until).contains(&at)))
    }

    /// Adds an event; false when it is never delivered.
    pub(crate) fn emit(&mut self, place: Place, at: i64, event_id: &str, json: String, slips: bool) -> bool {
        let delivered = self.delivered(place, at);
        if delivered {
            self.kept.insert(event_id.to_owned());
            self.events.push(Planned { at, place, json, slips });
        }
        delivered
    }

    /// Adds a call of the proxied API; its id can be labelled.
    pub(crate) fn add_api_call(&mut self, call: ApiCall) {
        self.kept.insert(call.id.clone());
        self.api_calls.push(call);
    }

    /// The version that is current at this moment.
    pub(crate) fn current(&self, secret: usize, at: i64) -> String {
        let versions = &self.versions[secret];
        versions
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .or(versions.first())
            .map(|(_, version)| version.clone())
            .unwrap_or_default()
    }

    /// Schedules a change of value. All of a secret's changes must be scheduled before it is read.
    pub(crate) fn schedule(&mut self, secret: usize, at: i64, how: &'static str) -> String {
        let version = uuid(&mut self.random);
        self.versions[secret].push((at, version.clone()));
        self.versions[secret].sort();
        let parameter = self.cast.secrets[secret].kind != crate::cast::Kind::Manager;
        self.rotations.push(Rotation { secret, at, version: (!parameter).then(|| version.clone()), how });
        version
    }

    /// The newest session of a service's role at a moment.
    pub(crate) fn session_of(&self, role: &str, at: i64) -> Option<Caller> {
        let of_role = |caller: &Caller| matches!(&caller.who, Who::Role(held) if held.name == role);
        self.sessions
            .iter()
            .filter(|(began, caller)| *began < at && of_role(caller))
            .max_by_key(|(began, _)| *began)
            .map(|(_, caller)| caller.clone())
    }

    /// The changes of a secret's value, in order.
    pub(crate) fn rotations_of(&self, secret: usize) -> Vec<Rotation> {
        let mut all: Vec<_> = self.rotations.iter().filter(|rotation| rotation.secret == secret).cloned().collect();
        all.sort_by_key(|rotation| rotation.at);
        all
    }

    #[expect(clippy::too_many_arguments, reason = "a label has this many parts, and every caller has all of them")]
    /// Labels events; nothing is labelled when one of them was never delivered.
    pub(crate) fn label(
        &mut self,
        rule: &str,
        must_fire: bool,
        caller: Option<&Caller>,
        secrets: &[usize],
        at: i64,
        event_ids: Vec<String>,
        why: &str,
    ) {
        if event_ids.is_empty() || !event_ids.iter().all(|id| self.kept.contains(id)) {
            return;
        }
        self.labels.push(Label {
            rule_id: rule.to_owned(),
            must_fire,
            principal_id: caller.map(Caller::principal),
            secret_ids: secrets.iter().map(|&secret| self.cast.secrets[secret].id.clone()).collect(),
            first_event_at: rfc3339(at),
            last_event_at: None,
            account_id: None,
            region: None,
            event_ids,
            also: Vec::new(),
            why: why.to_owned(),
        });
    }
}
