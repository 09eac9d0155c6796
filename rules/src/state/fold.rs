//! Folds rows into the state.

use std::collections::BTreeSet;

use keytrail_model::{Micros, arn};

use super::{
    DayCounts, EventId, Id, Pair, PairIdentity, Principal, Row, State,
    rotation::{Signal, SignalKind},
};

/// Unique ids remembered per pair and per principal; a role is not made again more often than this.
const IDENTITIES_KEPT: usize = 16;
/// Signals and versions remembered per secret; beyond that the oldest go.
const HISTORY_KEPT: usize = 2_000;

/// What a batch touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    pub secrets: BTreeSet<Id>,
    pub principals: BTreeSet<Id>,
    /// Pairs (secret, principal) that did not exist before.
    pub new_pairs: BTreeSet<(Id, Id)>,
    /// Secrets whose rows changed hands (copies of one call merged, records corrected): fold them again from the lake.
    pub doubtful: BTreeSet<Id>,
}

impl Touched {
    /// Adds what another batch touched.
    pub fn add(&mut self, other: Self) {
        self.secrets.extend(other.secrets);
        self.principals.extend(other.principals);
        self.new_pairs.extend(other.new_pairs);
        self.doubtful.extend(other.doubtful);
    }
}

impl State {
    /// Folds one row and notes what it touched.
    pub fn fold(&mut self, row: &Row<'_>, touched: &mut Touched) {
        self.newest_event_at = self.newest_event_at.max(Some(row.event_at));
        self.newest_delivered_at = self.newest_delivered_at.max(row.delivered_at);
        let principal = self.ids.of(row.principal_id);
        touched.principals.insert(principal);
        self.fold_principal(principal, row);
        self.fold_habit(principal, row);
        let Some(typed) = row.secret_id else { return };
        let secret = self.resolve(typed, row, touched);
        touched.secrets.insert(secret);
        let known = self.secrets.get(&secret).and_then(|secret| secret.name.as_deref());
        let is_renamed = row.secret_name.is_some_and(|name| known.is_none_or(|known| name > known));
        let before = if is_renamed { self.namespace(secret).map(str::to_owned) } else { None };
        self.fold_secret(secret, principal, row);
        if is_renamed {
            let readers = self.readers_of(secret);
            self.recount([before, self.namespace(secret).map(str::to_owned)], &readers);
        }
        if row.changed && (row.shared_event_id.is_some() || row.corrects_event_id.is_some()) {
            touched.doubtful.insert(secret);
        }
        if row.is_use() && !(row.changed && self.has_counted(secret, principal, row)) {
            self.fold_use(secret, principal, row, touched);
        }
    }

    /// Whether a row that came before can have been counted. A row that two commits wrote while nobody looked comes only
    /// once, marked as changed; it must not be lost for that.
    fn has_counted(&self, secret: Id, principal: Id, row: &Row<'_>) -> bool {
        self.pairs.get(&(secret, principal)).is_some_and(|pair| {
            (pair.first_read_at..=pair.last_read_at).contains(&row.event_at) && pair.days.contains(row.day())
        })
    }

    /// Forgets a secret, so that its rows can be folded again.
    pub fn forget_secret(&mut self, secret: Id) {
        let (namespace, readers) = (self.namespace(secret).map(str::to_owned), self.readers_of(secret));
        self.secrets.remove(&secret);
        let keys: Vec<_> = self.pairs.range((secret, Id::MIN)..=(secret, Id::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            self.pairs.remove(&key);
            self.pairs_by_principal.remove(&(key.1, key.0));
        }
        self.recount([namespace, None], &readers);
    }

    /// Looks at namespaces again whose secrets have changed.
    fn recount(&mut self, namespaces: [Option<String>; 2], readers: &[Id]) {
        for namespace in namespaces.iter().flatten() {
            for &reader in readers {
                self.recount_namespace(namespace, reader);
            }
        }
    }

    /// The id under which a row's secret is folded; learns names from rows that state an ARN.
    fn resolve(&mut self, typed: &str, row: &Row<'_>, touched: &mut Touched) -> Id {
        let id = self.ids.of(typed);
        let Some(key) = name_of(typed, row) else { return id };
        if row.secret_resolution == "unresolved" {
            if let Some(&known) = self.names.get(&key) {
                return known;
            }
            self.unresolved.entry(key).or_default().insert(id);
            return id;
        }
        if row.secret_kind == Some("secretsmanager") && typed.starts_with("arn:") {
            let waiting = self.unresolved.remove(&key).unwrap_or_default();
            // The same name in two lives is two secrets: the later id has it.
            self.names.insert(key, id);
            for old in waiting {
                self.merge_secret(old, id);
                touched.secrets.insert(id);
            }
        }
        id
    }

    /// The id under which a row's secret is folded, for a row that was folded.
    pub(crate) fn secret_of(&self, row: &Row<'_>) -> Option<Id> {
        let typed = row.secret_id?;
        let known = match row.secret_resolution {
            "unresolved" => name_of(typed, row).and_then(|key| self.names.get(&key)).copied(),
            _ => None,
        };
        known.or_else(|| self.ids.find(typed))
    }

    fn fold_principal(&mut self, principal: Id, row: &Row<'_>) {
        let entry = self.principals.entry(principal).or_insert_with(|| Principal {
            kind: row.principal_kind.to_owned(),
            account: row.principal_account.map(str::to_owned),
            first_seen_at: row.event_at,
            last_seen_at: row.event_at,
            unique_ids: Vec::new(),
        });
        entry.first_seen_at = entry.first_seen_at.min(row.event_at);
        entry.last_seen_at = entry.last_seen_at.max(row.event_at);
        if let Some(unique) = row.principal_unique_id
            && entry.unique_ids.len() < IDENTITIES_KEPT
            && let Err(at) = entry.unique_ids.binary_search_by(|known| known.as_str().cmp(unique))
        {
            entry.unique_ids.reserve_exact(1);
            entry.unique_ids.insert(at, unique.to_owned());
        }
    }

    fn fold_secret(&mut self, id: Id, principal: Id, row: &Row<'_>) {
        let secret = self.secrets.entry(id).or_default();
        for (field, value) in [
            (&mut secret.name, row.secret_name),
            (&mut secret.kind, row.secret_kind),
            (&mut secret.account, row.secret_account),
            (&mut secret.region, row.secret_region),
        ] {
            // The greatest text wins, so that the order of rows does not matter.
            if let Some(value) = value
                && field.as_deref().is_none_or(|known| value > known)
            {
                *field = Some(value.to_owned());
            }
        }
        secret.is_path |= row.secret_resolution == "path";
        if row.is_ok() {
            let at = Some(row.event_at);
            secret.first_seen_at = earliest(secret.first_seen_at, at);
            let is_first_put =
                row.event_name == "PutParameter" && (row.action == "create" || row.version_id == Some("1"));
            if row.event_name == "CreateSecret" || is_first_put {
                secret.created_at = secret.created_at.max(at);
            }
            match row.event_name {
                "DeleteSecret" | "EndSecretVersionDelete" | "DeleteParameter" | "DeleteParameters" => {
                    secret.deletion_at = secret.deletion_at.max(at);
                }
                "RestoreSecret" | "CancelSecretVersionDelete" | "CreateSecret" | "PutParameter" => {
                    secret.revival_at = secret.revival_at.max(at);
                }
                _ => {}
            }
            secret.was_changed |= matches!(row.action, "write" | "rotate" | "stage");
            match row.event_name {
                "RotateSecret" => secret.scheduled_at = secret.scheduled_at.max(at),
                "CancelRotateSecret" => secret.cancelled_at = secret.cancelled_at.max(at),
                _ => {}
            }
            let read_as_current = row.action == "read"
                && row.version_evidence == Some("kms")
                && row.version_stage.is_none_or(|stage| stage == "AWSCURRENT");
            if let Some(version) = row.version_id.filter(|_| read_as_current) {
                let seen = secret.versions.entry(version.to_owned()).or_insert(row.event_at);
                *seen = row.event_at.min(*seen);
                if secret.versions.len() > HISTORY_KEPT {
                    let oldest = secret.versions.iter().min_by_key(|(_, seen)| **seen);
                    if let Some(version) = oldest.map(|(version, _)| version.clone()) {
                        secret.versions.remove(&version);
                    }
                }
            }
            if row.action == "decrypt" && row.invoked_by.is_some() && row.secret_kind == Some("parameter") {
                let last = secret.evidenced.entry(principal).or_insert(row.event_at);
                *last = row.event_at.max(*last);
            }
            let pending = row.version_stage.is_some_and(|stage| stage.contains("AWSPENDING"));
            let stages =
                row.event_name == "UpdateSecretVersionStage" || (row.event_name == "PutSecretValue" && pending);
            if stages && !row.changed {
                *secret.stagers.entry(principal).or_default() += 1;
                self.staged.entry(principal).or_default().insert(id);
            }
        }
        if let Some(kind) = signal_of(row) {
            secret.signals.insert(Signal {
                at: row.event_at,
                event_id: row.event_id.to_owned(),
                kind,
                version: row.version_id.map(str::to_owned),
                principal,
                event_name: row.event_name.to_owned(),
                account_id: row.account_id.to_owned(),
                region: row.region.to_owned(),
                object_key: row.object_key.to_owned(),
                record_index: row.record_index,
            });
            if secret.signals.len() > HISTORY_KEPT {
                secret.signals.pop_first();
            }
        }
    }

    fn fold_use(&mut self, secret: Id, principal: Id, row: &Row<'_>, touched: &mut Touched) {
        self.note_namespace(secret, principal, row.day());
        let at = row.event_at;
        let event_id = EventId::new(row.event_id);
        let unique_id = row.principal_unique_id.map(|text| self.values.of(text));
        let pair = self.pairs.entry((secret, principal)).or_insert_with(|| {
            touched.new_pairs.insert((secret, principal));
            self.pairs_by_principal.insert((principal, secret));
            Pair {
                first_read_at: at,
                first_event_id: event_id.clone(),
                last_read_at: at,
                read_count: 0,
                days: DayCounts::default(),
                identities: Vec::new(),
            }
        });
        if (at, &event_id) < (pair.first_read_at, &pair.first_event_id) {
            pair.first_read_at = at;
            pair.first_event_id.clone_from(&event_id);
        }
        pair.last_read_at = pair.last_read_at.max(at);
        pair.read_count += 1;
        pair.days.add(row.day(), 1);
        if let Some(unique_id) = unique_id {
            add_identity(&mut pair.identities, PairIdentity { unique_id, first_read_at: at, first_event_id: event_id });
        }
    }

    /// Everything known of one id becomes part of another: a name was resolved.
    fn merge_secret(&mut self, from: Id, into: Id) {
        let readers = self.readers_of(from);
        let namespaces = [from, into].map(|secret| self.namespace(secret).map(str::to_owned));
        if let Some(old) = self.secrets.remove(&from) {
            let new = self.secrets.entry(into).or_default();
            new.first_seen_at = earliest(new.first_seen_at, old.first_seen_at);
            new.created_at = new.created_at.max(old.created_at);
            new.deletion_at = new.deletion_at.max(old.deletion_at);
            new.revival_at = new.revival_at.max(old.revival_at);
            new.was_changed |= old.was_changed;
            new.scheduled_at = new.scheduled_at.max(old.scheduled_at);
            new.cancelled_at = new.cancelled_at.max(old.cancelled_at);
            new.signals.extend(old.signals);
            for (version, first) in old.versions {
                let seen = new.versions.entry(version).or_insert(first);
                *seen = first.min(*seen);
            }
            for (principal, at) in old.evidenced {
                let last = new.evidenced.entry(principal).or_insert(at);
                *last = at.max(*last);
            }
            for (principal, count) in old.stagers {
                *new.stagers.entry(principal).or_default() += count;
            }
        }
        let moved: Vec<_> = self.pairs.range((from, Id::MIN)..=(from, Id::MAX)).map(|(key, _)| *key).collect();
        for key in moved {
            let Some(old) = self.pairs.remove(&key) else { continue };
            self.pairs_by_principal.remove(&(key.1, key.0));
            self.pairs_by_principal.insert((key.1, into));
            match self.pairs.get_mut(&(into, key.1)) {
                Some(pair) => pair.absorb(old),
                None => {
                    self.pairs.insert((into, key.1), old);
                }
            }
        }
        for rotated in self.staged.values_mut() {
            if rotated.remove(&from) {
                rotated.insert(into);
            }
        }
        self.recount(namespaces, &readers);
    }
}

impl Pair {
    fn absorb(&mut self, other: Self) {
        if (other.first_read_at, &other.first_event_id) < (self.first_read_at, &self.first_event_id) {
            self.first_read_at = other.first_read_at;
            self.first_event_id = other.first_event_id;
        }
        self.last_read_at = self.last_read_at.max(other.last_read_at);
        self.read_count += other.read_count;
        for (day, count) in other.days.iter() {
            self.days.add(day, count);
        }
        for identity in other.identities {
            add_identity(&mut self.identities, identity);
        }
    }
}

/// What a secret is called where: account, region, name.
fn name_of(typed: &str, row: &Row<'_>) -> Option<(String, String, String)> {
    let name = row.secret_name.or_else(|| arn::secret_name(typed))?;
    let account = row.secret_account.unwrap_or(row.account_id);
    let region = row.secret_region.unwrap_or(row.region);
    Some((account.to_owned(), region.to_owned(), name.to_owned()))
}

fn earliest(a: Option<Micros>, b: Option<Micros>) -> Option<Micros> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

fn add_identity(identities: &mut Vec<PairIdentity>, identity: PairIdentity) {
    match identities.binary_search_by_key(&identity.unique_id, |known| known.unique_id) {
        Ok(position) => {
            if let Some(known) = identities.get_mut(position)
                && (identity.first_read_at, &identity.first_event_id) < (known.first_read_at, &known.first_event_id)
            {
                *known = identity;
            }
        }
        Err(position) if identities.len() < IDENTITIES_KEPT => {
            // Nearly every principal has one for ever: no room is kept for more.
            identities.reserve_exact(1);
            identities.insert(position, identity);
        }
        Err(_) => {}
    }
}

/// What a row tells of rotation. `RotateSecret` alone tells nothing: it may only set the schedule.
fn signal_of(row: &Row<'_>) -> Option<SignalKind> {
    match row.event_name {
        "RotationFailed" => return Some(SignalKind::Failed),
        "RotationAbandoned" => return Some(SignalKind::Abandoned),
        _ if !row.is_ok() => return None,
        _ => {}
    }
    let current = row.version_stage.is_none_or(|stages| stages.contains("AWSCURRENT"));
    match row.event_name {
        "RotationStarted" => Some(SignalKind::Started),
        "RotationSucceeded" => Some(SignalKind::Succeeded),
        "CreateSecret" => Some(SignalKind::Created),
        "PutParameter" if row.action == "create" || row.version_id == Some("1") => Some(SignalKind::Created),
        "PutParameter" => Some(SignalKind::ParameterPut),
        "PutSecretValue" if current => Some(SignalKind::ValuePut),
        "UpdateSecret" if row.version_id.is_some() => Some(SignalKind::ValueUpdated),
        "UpdateSecretVersionStage" if current => Some(SignalKind::StageMoved),
        "Secret Label Updated" | "SecretLabelUpdated" if current => Some(SignalKind::LabelUpdated),
        _ => None,
    }
}
