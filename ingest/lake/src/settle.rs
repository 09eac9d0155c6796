//! The rules that make rows settle, whatever order their events arrive in.
//!
//! In: the facts of a batch's rows and of the stored rows that may concern them. Out: for each row whether it stays,
//! goes, or stays with another version or more corrected ids. No I/O; the same set of events gives the same rows
//! however it is split into batches (tested with random splits).
//!
//! 1. An event that is already there is not taken again: all rows of a record came in one commit.
//! 2. A record that corrects an event replaces all its rows, and remembers the ids it replaced so that they stay out.
//! 3. Copies of one call in two accounts (`shared_event_id`) are one: the copy whose caller has an ARN stays.
//! 4. An ok read without a version takes that of the KMS `decrypt` by the same principal of the same secret nearest to
//!    it, within [`EVIDENCE_WINDOW`].

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
};

use keytrail_model::{AccessEvent, Action, Micros, Outcome, Resolution, VersionEvidence, arn, time::SECOND};

/// How far apart a read and the decrypt made for it may lie.
pub(crate) const EVIDENCE_WINDOW: Micros = 2 * SECOND;

/// An event: the account it was delivered for and its id.
pub(crate) type EventKey = (String, String);

/// A row: its event and its secret.
pub(crate) type RowKey = (String, String, Option<String>);

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    /// Already in the table.
    Stored,
    /// In the batch, from this record of it (rows of one record share the number).
    Incoming(usize),
}

/// What the rules need to know of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) origin: Origin,
    pub(crate) account_id: String,
    pub(crate) event_id: String,
    pub(crate) event_name: String,
    pub(crate) event_at: Micros,
    pub(crate) delivered_at: Option<Micros>,
    pub(crate) shared_event_id: Option<String>,
    pub(crate) corrects_event_id: Option<String>,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    pub(crate) principal_id: String,
    pub(crate) secret_id: Option<String>,
    /// What principal and secret a read and its decrypt have in common; empty where there is no secret.
    pub(crate) evidence_key: String,
    pub(crate) version_id: Option<String>,
    pub(crate) version_evidence: Option<VersionEvidence>,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Stays as it is.
    Stays,
    /// Stays with these changes.
    Changes(Change),
    /// Is not a row: the event is known, corrected, or another account's copy.
    Goes,
}

/// What changes in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The version that KMS names.
    pub(crate) version_id: Option<String>,
    /// The ids that the row's event replaces.
    pub(crate) corrects_event_id: Option<String>,
}

impl Facts {
    /// The facts of a row of the model.
    pub(crate) fn of(event: &AccessEvent, origin: Origin) -> Self {
        Self {
            origin,
            account_id: event.account_id.clone(),
            event_id: event.event_id.clone(),
            event_name: event.event_name.clone(),
            event_at: event.event_at,
            delivered_at: event.delivered_at,
            shared_event_id: event.shared_event_id.clone(),
            corrects_event_id: event.corrects_event_id.clone(),
            action: event.action,
            outcome: event.outcome,
            principal_id: event.principal_id.clone(),
            secret_id: event.secret_id.clone(),
            evidence_key: evidence_key(&SecretWords {
                principal_id: &event.principal_id,
                secret_id: event.secret_id.as_deref(),
                resolution: event.secret_resolution,
                account: event.secret_account.as_deref().unwrap_or(&event.account_id),
                region: event.secret_region.as_deref().unwrap_or(&event.region),
            }),
            version_id: event.version_id.clone(),
            version_evidence: event.version_evidence,
        }
    }

    /// The event that the row belongs to.
    pub(crate) fn event_key(&self) -> EventKey {
        (self.account_id.clone(), self.event_id.clone())
    }

    /// The row.
    pub(crate) fn row_key(&self) -> RowKey {
        (self.account_id.clone(), self.event_id.clone(), self.secret_id.clone())
    }

    /// The ids that the row's event corrects.
    pub(crate) fn corrects(&self) -> impl Iterator<Item = &str> {
        self.corrects_event_id.as_deref().unwrap_or_default().split(' ').filter(|id| !id.is_empty())
    }

    /// An ok read that has no version of its own.
    pub(crate) fn wants_evidence(&self) -> bool {
        self.action == Action::Read
            && self.outcome == Outcome::Ok
            && !self.evidence_key.is_empty()
            && (self.version_id.is_none() || self.version_evidence == Some(VersionEvidence::Kms))
    }

    /// A decrypt that names secret and version.
    pub(crate) fn gives_evidence(&self) -> bool {
        self.action == Action::Decrypt
            && self.outcome == Outcome::Ok
            && !self.evidence_key.is_empty()
            && self.version_id.is_some()
    }
}

/// The words that tell which secret a row is about, as far as they are known.
pub(crate) struct SecretWords<'a> {
    pub(crate) principal_id: &'a str,
    pub(crate) secret_id: Option<&'a str>,
    pub(crate) resolution: Resolution,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
}

/// What a read and its decrypt have in common: principal and secret. A secret's name stands for its ARN, because the
/// read may have been made by name while KMS states the ARN.
pub(crate) fn evidence_key(words: &SecretWords<'_>) -> String {
    let Some(secret_id) = words.secret_id else { return String::new() };
    let by_name =
        |account: &str, region: &str, name: &str| format!("{}\n{account}\n{region}\n{name}", words.principal_id);
    match (arn::secret_name(secret_id), arn::Arn::parse(secret_id)) {
        (Some(name), Some(parsed)) => by_name(parsed.account, parsed.region, name),
        (None, None) if words.resolution == Resolution::Unresolved => by_name(words.account, words.region, secret_id),
        _ => format!("{}\n{secret_id}", words.principal_id),
    }
}

/// The rows of one record.
struct Event<'a> {
    rows: Vec<usize>,
    first: &'a Facts,
    /// Every id that it replaces.
    corrects: BTreeSet<String>,
    goes: bool,
}

/// Applies the rules to a batch's rows and the stored rows that may concern them, in place order.
pub(crate) fn settle(rows: &[Facts]) -> Vec<Fate> {
    let mut events = records(rows);
    correct(&mut events);
    fold_copies(&mut events, rows);
    let mut fates = vec![Fate::Goes; rows.len()];
    for event in events.iter().filter(|event| !event.goes) {
        let corrects = joined(&event.corrects);
        for &row in &event.rows {
            fates[row] = match rows.get(row) {
                Some(facts) if facts.corrects_event_id != corrects => {
                    Fate::Changes(Change { corrects_event_id: corrects.clone(), version_id: None })
                }
                _ => Fate::Stays,
            };
        }
    }
    give_versions(rows, &mut fates);
    fates
}

fn joined(ids: &BTreeSet<String>) -> Option<String> {
    (!ids.is_empty()).then(|| ids.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
}

/// Rule 1: one record per event, the stored one if there is one, else the first; one row per secret in it.
fn records(rows: &[Facts]) -> Vec<Event<'_>> {
    let mut place: HashMap<(&str, &str), usize> = HashMap::with_capacity(rows.len());
    let mut events: Vec<Event<'_>> = Vec::with_capacity(rows.len());
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| rows[*row].origin);
    let mut secrets: HashSet<(usize, Option<&str>)> = HashSet::with_capacity(rows.len());
    for row in order {
        let facts = &rows[row];
        let at = *place.entry((&facts.account_id, &facts.event_id)).or_insert_with(|| {
            events.push(Event { rows: Vec::new(), first: facts, corrects: BTreeSet::new(), goes: false });
            events.len() - 1
        });
        let event = &mut events[at];
        let same_record = event.first.origin == facts.origin;
        if same_record && secrets.insert((at, facts.secret_id.as_deref())) {
            event.rows.push(row);
            event.corrects.extend(facts.corrects().map(str::to_owned));
        }
    }
    events
}

/// Rule 2. Events that corrections link, directly or through others, are one: the correction delivered last stays and
/// remembers the ids of all the others, so that the outcome does not depend on which of them came first.
fn correct(events: &mut [Event<'_>]) {
    if events.iter().all(|event| event.corrects.is_empty()) {
        return;
    }
    let mut links = Links::default();
    let own: Vec<usize> =
        events.iter().map(|event| links.node(&event.first.account_id, &event.first.event_id)).collect();
    for (event, own) in events.iter().zip(&own) {
        for id in &event.corrects {
            let other = links.node(&event.first.account_id, id);
            links.join(*own, other);
        }
    }
    let mut linked: HashMap<usize, (Vec<usize>, BTreeSet<String>)> = HashMap::new();
    for node in 0..links.ids.len() {
        let root = links.root(node);
        linked.entry(root).or_default().1.insert(links.ids[node].clone());
    }
    for (at, node) in own.iter().enumerate() {
        let root = links.root(*node);
        linked.entry(root).or_default().0.push(at);
    }
    for (group, ids) in linked.into_values().filter(|(_, ids)| ids.len() > 1) {
        let stays = group.iter().copied().max_by_key(|at| {
            let facts = events[*at].first;
            (!events[*at].corrects.is_empty(), facts.delivered_at, facts.event_at, &facts.event_id)
        });
        for at in group {
            if Some(at) == stays {
                events[at].corrects = ids.iter().filter(|id| **id != events[at].first.event_id).cloned().collect();
            } else {
                events[at].goes = true;
            }
        }
    }
}

/// Which ids of an account corrections link with each other.
#[derive(Default)]
struct Links<'a> {
    place: HashMap<(&'a str, String), usize>,
    ids: Vec<String>,
    parent: Vec<usize>,
}

impl<'a> Links<'a> {
    fn node(&mut self, account: &'a str, id: &str) -> usize {
        let next = self.ids.len();
        let node = *self.place.entry((account, id.to_owned())).or_insert(next);
        if node == next {
            self.ids.push(id.to_owned());
            self.parent.push(next);
        }
        node
    }

    fn root(&self, mut node: usize) -> usize {
        while self.parent[node] != node {
            node = self.parent[node];
        }
        node
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parent[one.max(other)] = one.min(other);
    }
}

/// Rule 3.
fn fold_copies(events: &mut [Event<'_>], rows: &[Facts]) {
    let mut copies: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (at, event) in events.iter().enumerate().filter(|(_, event)| !event.goes) {
        if let Some(shared) = event.first.shared_event_id.as_deref().filter(|shared| !shared.is_empty()) {
            copies.entry((shared, &event.first.event_name)).or_default().push(at);
        }
    }
    for group in copies.into_values().filter(|group| group.len() > 1) {
        let stays = group.iter().copied().max_by_key(|at| {
            let event = &events[*at];
            let named = event.first.principal_id.starts_with("arn:");
            let resolved = event.rows.iter().filter(|row| rows[**row].secret_id.is_some()).count();
            (named, resolved, Reverse((event.first.account_id.as_str(), event.first.event_id.as_str())))
        });
        for at in group.into_iter().filter(|at| Some(*at) != stays) {
            events[at].goes = true;
        }
    }
}

/// Rule 4. Only reads near something incoming are judged: of others not every decrypt is at hand.
fn give_versions(rows: &[Facts], fates: &mut [Fate]) {
    let mut decrypts: HashMap<&str, Vec<&Facts>> = HashMap::new();
    for (row, facts) in rows.iter().enumerate() {
        if facts.gives_evidence() && fates[row] != Fate::Goes {
            decrypts.entry(&facts.evidence_key).or_default().push(facts);
        }
    }
    if decrypts.is_empty() {
        return;
    }
    for (row, facts) in rows.iter().enumerate() {
        if !facts.wants_evidence() || fates[row] == Fate::Goes {
            continue;
        }
        let Some(near) = decrypts.get(facts.evidence_key.as_str()) else { continue };
        let apart = |decrypt: &Facts| decrypt.event_at.abs_diff(facts.event_at);
        let near = near.iter().filter(|decrypt| apart(decrypt) <= EVIDENCE_WINDOW.unsigned_abs());
        let concerned = facts.origin != Origin::Stored || near.clone().any(|decrypt| decrypt.origin != Origin::Stored);
        let best =
            near.min_by_key(|decrypt| (apart(decrypt), decrypt.event_at, &decrypt.account_id, &decrypt.event_id));
        let Some(best) = best.filter(|_| concerned) else { continue };
        if best.version_id == facts.version_id {
            continue;
        }
        let corrects_event_id = match &fates[row] {
            Fate::Changes(change) => change.corrects_event_id.clone(),
            Fate::Stays | Fate::Goes => facts.corrects_event_id.clone(),
        };
        fates[row] = Fate::Changes(Change { version_id: best.version_id.clone(), corrects_event_id });
    }
}

impl Change {
    /// Makes the change in a row.
    pub(crate) fn apply(&self, event: &mut AccessEvent) {
        if let Some(version_id) = &self.version_id {
            event.version_id = Some(version_id.clone());
            event.version_evidence = Some(VersionEvidence::Kms);
        }
        event.corrects_event_id.clone_from(&self.corrects_event_id);
    }
}

#[cfg(test)]
mod tests;
