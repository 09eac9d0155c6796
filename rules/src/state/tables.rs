//! The state as tables that rules read.
//!
//! In: the state, which keys are wanted, and the reader classes. Out: one Arrow batch per table. Columns carry the
//! names and meanings of the lake's views of the same names; what only rules have stands behind them.

use std::{collections::BTreeSet, sync::Arc};

use keytrail_lake::arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
    json::ReaderBuilder,
};
use keytrail_model::{Micros, time::DAY};
use serde::Serialize;

use super::{
    Id, State, Touched,
    rotation::{attempts, periods, rotations, values},
    table_rows::{AttemptRow, PairDayRow, PairIdentityRow, PairRow, PrincipalRow, RotationRow, SecretRow, VersionRow},
};
use crate::settings::ReaderClasses;

/// The tables, in the order in which [`StateTables::into_named`] gives them.
pub const TABLE_NAMES: [&str; 8] =
    ["pairs", "pair_days", "pair_identities", "secrets", "rotations", "versions", "rotation_attempts", "principals"];

/// A rotation function describes, reads and tests; beyond so many reads for each step it is a reader like others.
const READS_PER_STEP: i64 = 8;

/// Which keys are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// What a batch touched: every pair, rotation and version of its secrets, every pair of its principals.
    Touched(&'a Touched),
    Everything,
}

/// One batch per table.
#[derive(Debug)]
pub struct StateTables {
    batches: Vec<RecordBatch>,
}

impl State {
    /// Whether a principal is the rotation function of a secret: it stages its values, and reads it about as often as a
    /// rotation needs (a service that once moved a stage by hand stays a reader).
    fn rotates(&self, secret: Id, principal: Id) -> bool {
        let steps = self.secrets.get(&secret).and_then(|secret| secret.stagers.get(&principal)).copied().unwrap_or(0);
        let reads = self.pairs.get(&(secret, principal)).map_or(0, |pair| pair.read_count);
        steps > 0 && reads <= READS_PER_STEP * i64::from(steps)
    }

    /// The class of a reader of one secret, as configured, else from its behaviour.
    pub(crate) fn class_of_pair(&self, key: (Id, Id), classes: &ReaderClasses) -> &'static str {
        let configured = classes.class_of(self.ids.text(key.1));
        configured.unwrap_or(if self.rotates(key.0, key.1) { "upkeep" } else { "consumer" })
    }

    /// The class of a principal at large: a rotation function of any secret is upkeep.
    pub(crate) fn class_of(&self, principal: Id, classes: &ReaderClasses) -> &'static str {
        let rotates =
            || self.staged.get(&principal).is_some_and(|all| all.iter().any(|&secret| self.rotates(secret, principal)));
        classes.class_of(self.ids.text(principal)).unwrap_or_else(|| if rotates() { "upkeep" } else { "consumer" })
    }

    /// The tables for a scope.
    pub fn tables(&self, scope: Scope<'_>, classes: &ReaderClasses) -> Result<StateTables, ArrowError> {
        let none = Touched::default();
        let (secrets, principals, touched): (Vec<Id>, Vec<Id>, &Touched) = match scope {
            Scope::Touched(touched) => {
                (touched.secrets.iter().copied().collect(), touched.principals.iter().copied().collect(), touched)
            }
            Scope::Everything => {
                (self.secrets.keys().copied().collect(), self.principals.keys().copied().collect(), &none)
            }
        };
        let mut wanted: BTreeSet<(Id, Id)> = BTreeSet::new();
        for &secret in &secrets {
            wanted.extend(self.pairs.range((secret, Id::MIN)..=(secret, Id::MAX)).map(|(key, _)| *key));
        }
        for &principal in &principals {
            let keys = self.pairs_by_principal.range((principal, Id::MIN)..=(principal, Id::MAX));
            wanted.extend(keys.map(|&(principal, secret)| (secret, principal)));
        }
        // Whoever reads a touched secret is described too, so that a rule can tell upkeep from use.
        let described: BTreeSet<Id> = wanted.iter().map(|(_, principal)| *principal).chain(principals).collect();
        Ok(StateTables {
            batches: vec![
                self.pairs_table(&wanted, touched, classes)?,
                self.pair_days_table(&wanted)?,
                self.pair_identities_table(&wanted)?,
                self.secrets_table(&secrets, classes)?,
                self.rotations_table(&secrets)?,
                self.versions_table(&secrets)?,
                self.attempts_table(&secrets)?,
                self.principals_table(&described, classes)?,
            ],
        })
    }

    fn pairs_table(
        &self,
        wanted: &BTreeSet<(Id, Id)>,
        touched: &Touched,
        classes: &ReaderClasses,
    ) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<PairRow<'_>> = wanted
            .iter()
            .filter_map(|key| Some((key, self.pairs.get(key)?)))
            .map(|(key, pair)| PairRow {
                principal_id: self.ids.text(key.1),
                secret_id: self.ids.text(key.0),
                secret_kind: self.secrets.get(&key.0).and_then(|secret| secret.kind.as_deref()),
                first_read_at: pair.first_read_at,
                last_read_at: pair.last_read_at,
                read_count: pair.read_count,
                days_active: pair.days.len() as i64,
                first_event_id: &pair.first_event_id,
                reader_class: self.class_of_pair(*key, classes),
                known_before: !touched.new_pairs.contains(key),
            })
            .collect();
        table(
            &[
                text("principal_id"),
                text("secret_id"),
                text("secret_kind"),
                moment("first_read_at"),
                moment("last_read_at"),
                number("read_count"),
                number("days_active"),
                text("first_event_id"),
                text("reader_class"),
                Field::new("known_before", DataType::Boolean, false),
            ],
            &rows,
        )
    }

    fn pair_days_table(&self, wanted: &BTreeSet<(Id, Id)>) -> Result<RecordBatch, ArrowError> {
        let mut rows = Vec::new();
        for key in wanted {
            let Some(pair) = self.pairs.get(key) else { continue };
            rows.extend(pair.days.iter().map(|(day, count)| PairDayRow {
                principal_id: self.ids.text(key.1),
                secret_id: self.ids.text(key.0),
                day_at: Micros::from(day) * DAY,
                read_count: i64::from(count),
            }));
        }
        table(&[text("principal_id"), text("secret_id"), moment("day_at"), number("read_count")], &rows)
    }

    fn pair_identities_table(&self, wanted: &BTreeSet<(Id, Id)>) -> Result<RecordBatch, ArrowError> {
        let mut rows = Vec::new();
        for key in wanted {
            let Some(pair) = self.pairs.get(key) else { continue };
            rows.extend(pair.identities.iter().map(|identity| PairIdentityRow {
                principal_id: self.ids.text(key.1),
                secret_id: self.ids.text(key.0),
                unique_id: self.values.text(identity.unique_id),
                first_read_at: identity.first_read_at,
                first_event_id: &identity.first_event_id,
            }));
        }
        table(
            &[
                text("principal_id"),
                text("secret_id"),
                text("unique_id"),
                moment("first_read_at"),
                text("first_event_id"),
            ],
            &rows,
        )
    }

    fn secrets_table(&self, secrets: &[Id], classes: &ReaderClasses) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<SecretRow<'_>> = secrets
            .iter()
            .filter_map(|&id| Some((id, self.secrets.get(&id)?)))
            .filter(|(_, secret)| !secret.is_path)
            .filter_map(|(id, secret)| Some((id, secret, secret.first_seen_at?)))
            .map(|(id, secret, first_seen_at)| {
                let mut row = SecretRow {
                    secret_id: self.ids.text(id),
                    secret_name: secret.name.as_deref(),
                    secret_kind: secret.kind.as_deref(),
                    secret_account: secret.account.as_deref(),
                    secret_region: secret.region.as_deref(),
                    first_seen_at,
                    created_at: secret.created_at,
                    deleted_at: secret.deletion_at.filter(|&at| secret.revival_at.is_none_or(|alive| alive < at)),
                    first_read_at: None,
                    last_read_at: None,
                    last_use_at: None,
                    last_sync_at: None,
                    reader_count: 0,
                    read_count: 0,
                    rotation_count: 0,
                    last_rotation_at: None,
                    owner: None,
                    known_by: match () {
                        () if secret.created_at.is_some() => "created",
                        () if self.pairs.range((id, Id::MIN)..=(id, Id::MAX)).next().is_some() => "used",
                        () if secret.was_changed => "changed",
                        () => "mentioned",
                    },
                    consumer_count: 0,
                    use_count: 0,
                    last_evidence_at: None,
                    rotation_cancelled_at: secret
                        .cancelled_at
                        .filter(|&at| secret.scheduled_at.is_none_or(|set| set < at)),
                };
                for (key, pair) in self.pairs.range((id, Id::MIN)..=(id, Id::MAX)) {
                    row.reader_count += 1;
                    row.read_count += pair.read_count;
                    row.first_read_at =
                        Some(row.first_read_at.map_or(pair.first_read_at, |at| at.min(pair.first_read_at)));
                    row.last_read_at = row.last_read_at.max(Some(pair.last_read_at));
                    match self.class_of_pair(*key, classes) {
                        "upkeep" => {}
                        "sync_agent" => row.last_sync_at = row.last_sync_at.max(Some(pair.last_read_at)),
                        _ => {
                            row.last_use_at = row.last_use_at.max(Some(pair.last_read_at));
                            row.consumer_count += 1;
                            row.use_count += pair.read_count;
                        }
                    }
                }
                let consumers = secret
                    .evidenced
                    .iter()
                    .filter(|(principal, _)| classes.class_of(self.ids.text(**principal)).is_none());
                row.last_evidence_at = consumers.map(|(_, at)| *at).max();
                let rotated = rotations(&secret.signals);
                row.rotation_count = rotated.len() as i64;
                row.last_rotation_at = rotated.last().map(|rotation| rotation.rotated_at);
                row
            })
            .collect();
        table(
            &[
                text("secret_id"),
                text("secret_name"),
                text("secret_kind"),
                text("secret_account"),
                text("secret_region"),
                moment("first_seen_at"),
                moment("created_at"),
                moment("deleted_at"),
                moment("first_read_at"),
                moment("last_read_at"),
                moment("last_use_at"),
                moment("last_sync_at"),
                number("reader_count"),
                number("read_count"),
                number("rotation_count"),
                moment("last_rotation_at"),
                text("owner"),
                text("known_by"),
                number("consumer_count"),
                number("use_count"),
                moment("last_evidence_at"),
                moment("rotation_cancelled_at"),
            ],
            &rows,
        )
    }

    fn rotations_table(&self, secrets: &[Id]) -> Result<RecordBatch, ArrowError> {
        let merged: Vec<_> = secrets
            .iter()
            .filter_map(|&id| Some((id, rotations(&self.secrets.get(&id)?.signals))))
            .flat_map(|(id, rotations)| rotations.into_iter().map(move |rotation| (id, rotation)))
            .collect();
        let rows: Vec<RotationRow<'_>> = merged
            .iter()
            .map(|(id, rotation)| RotationRow {
                secret_id: self.ids.text(*id),
                rotated_at: rotation.rotated_at,
                version_id: rotation.version.as_deref(),
                previous_version_id: rotation.previous.as_deref(),
                known_by: rotation.known_by.iter().copied().collect::<Vec<_>>().join(", "),
                principal_id: self.ids.text(rotation.principal),
            })
            .collect();
        table(
            &[
                text("secret_id"),
                moment("rotated_at"),
                text("version_id"),
                text("previous_version_id"),
                text("known_by"),
                text("principal_id"),
            ],
            &rows,
        )
    }

    fn versions_table(&self, secrets: &[Id]) -> Result<RecordBatch, ArrowError> {
        let all: Vec<_> = secrets
            .iter()
            .filter_map(|&id| Some((id, self.secrets.get(&id)?)))
            .flat_map(|(id, secret)| {
                periods(&values(&secret.signals), &secret.versions).into_iter().map(move |period| (id, period))
            })
            .collect();
        let rows: Vec<VersionRow<'_>> = all
            .iter()
            .map(|(id, period)| VersionRow {
                secret_id: self.ids.text(*id),
                version_id: &period.version,
                current_from: period.current_from,
                superseded_at: period.superseded_at,
            })
            .collect();
        table(&[text("secret_id"), text("version_id"), moment("current_from"), moment("superseded_at")], &rows)
    }

    fn attempts_table(&self, secrets: &[Id]) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<AttemptRow<'_>> = secrets
            .iter()
            .filter_map(|&id| Some((id, self.secrets.get(&id)?)))
            .flat_map(|(id, secret)| attempts(&secret.signals).into_iter().map(move |attempt| (id, attempt)))
            .map(|(id, attempt)| AttemptRow {
                secret_id: self.ids.text(id),
                started_at: attempt.started.at,
                finished_at: attempt.finished_at,
                outcome: attempt.outcome,
                event_id: &attempt.started.event_id,
                event_name: &attempt.started.event_name,
                principal_id: self.ids.text(attempt.started.principal),
                account_id: &attempt.started.account_id,
                region: &attempt.started.region,
                object_key: &attempt.started.object_key,
                record_index: attempt.started.record_index,
            })
            .collect();
        table(
            &[
                text("secret_id"),
                moment("started_at"),
                moment("finished_at"),
                text("outcome"),
                text("event_id"),
                text("event_name"),
                text("principal_id"),
                text("account_id"),
                text("region"),
                text("object_key"),
                number("record_index"),
            ],
            &rows,
        )
    }

    fn principals_table(&self, wanted: &BTreeSet<Id>, classes: &ReaderClasses) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<PrincipalRow<'_>> = wanted
            .iter()
            .filter_map(|&id| Some((id, self.principals.get(&id)?)))
            .map(|(id, principal)| {
                let keys = self.pairs_by_principal.range((id, Id::MIN)..=(id, Id::MAX));
                let reads = keys.filter_map(|&(principal, secret)| self.pairs.get(&(secret, principal)));
                let (secret_count, read_count) = reads.fold((0, 0), |sum, pair| (sum.0 + 1, sum.1 + pair.read_count));
                PrincipalRow {
                    principal_id: self.ids.text(id),
                    principal_kind: &principal.kind,
                    principal_account: principal.account.as_deref(),
                    first_seen_at: principal.first_seen_at,
                    last_seen_at: principal.last_seen_at,
                    unique_ids: &principal.unique_ids,
                    secret_count,
                    read_count,
                    reader_class: self.class_of(id, classes),
                }
            })
            .collect();
        let unique_ids =
            Field::new("unique_ids", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), true);
        table(
            &[
                text("principal_id"),
                text("principal_kind"),
                text("principal_account"),
                moment("first_seen_at"),
                moment("last_seen_at"),
                unique_ids,
                number("secret_count"),
                number("read_count"),
                text("reader_class"),
            ],
            &rows,
        )
    }
}

impl StateTables {
    /// Table names with their rows.
    pub fn into_named(self) -> impl Iterator<Item = (&'static str, RecordBatch)> {
        TABLE_NAMES.into_iter().zip(self.batches)
    }
}

/// The type of every moment in the lake.
pub(crate) fn moment_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(crate) fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

pub(crate) fn moment(name: &str) -> Field {
    Field::new(name, moment_type(), true)
}

pub(crate) fn number(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

/// Serialized rows as a batch: field names are column names.
pub(crate) fn table<T: Serialize>(fields: &[Field], rows: &[T]) -> Result<RecordBatch, ArrowError> {
    let schema: SchemaRef = Arc::new(Schema::new(fields.to_vec()));
    if rows.is_empty() {
        return Ok(RecordBatch::new_empty(schema));
    }
    let mut decoder = ReaderBuilder::new(schema.clone()).with_batch_size(rows.len()).build_decoder()?;
    decoder.serialize(rows)?;
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}
