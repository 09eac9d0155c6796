//! Rotations, versions and rotation attempts, from the signals that tell of them.
//!
//! In: a secret's signals (service events, stage moves, writes) and the versions seen. Out: one [`Rotation`] per value
//! change, one [`Period`] per time a version was current, one [`Attempt`] per rotation started.
//!
//! Several signals tell of one change, as in the lake's view `value_changes`: a signal without a version takes the
//! version of one within [`MERGE_WITHIN`]; neighbours of one version are one change, and so are neighbours without
//! any that lie as close.

use std::collections::{BTreeMap, BTreeSet};

use keytrail_model::{Micros, time::SECOND};
use serde::{Deserialize, Serialize};

use super::Id;

/// Signals this close tell of one change, unless they name different versions.
pub const MERGE_WITHIN: Micros = 300 * SECOND;

/// What a signal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SignalKind {
    /// A rotation began.
    Started,
    /// It ended, and the value changed.
    Succeeded,
    Failed,
    Abandoned,
    /// The secret came with its first value.
    Created,
    /// A new current value was written.
    ValuePut,
    ValueUpdated,
    ParameterPut,
    /// `AWSCURRENT` moved to a version.
    StageMoved,
    LabelUpdated,
}

impl SignalKind {
    /// The word in `rotations.known_by`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "rotation_started",
            Self::Succeeded => "rotation_succeeded",
            Self::Failed => "rotation_failed",
            Self::Abandoned => "rotation_abandoned",
            Self::Created => "created",
            Self::ValuePut => "value_put",
            Self::ValueUpdated => "value_updated",
            Self::ParameterPut => "parameter_put",
            Self::StageMoved => "stage_moved",
            Self::LabelUpdated => "label_updated",
        }
    }

    /// Whether it tells that the secret has a value it did not have before.
    const fn is_value(self) -> bool {
        !matches!(self, Self::Started | Self::Failed | Self::Abandoned)
    }
}

/// One event that tells of a rotation. Ordered by time, then event, so a set of them is a history without doubles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signal {
    pub at: Micros,
    pub event_id: String,
    pub kind: SignalKind,
    pub version: Option<String>,
    pub principal: Id,
    pub event_name: String,
    pub account_id: String,
    pub region: String,
    pub object_key: String,
    pub record_index: i64,
}

/// One value of a secret, as its signals tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub rotated_at: Micros,
    pub version: Option<String>,
    pub previous: Option<String>,
    pub known_by: BTreeSet<&'static str>,
    pub principal: Id,
    /// The value came with the secret: no change.
    pub is_first: bool,
}

/// A time in which a version was current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    pub version: String,
    pub current_from: Micros,
    pub superseded_at: Option<Micros>,
}

/// One rotation that was started, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    pub started: &'a Signal,
    pub finished_at: Option<Micros>,
    pub outcome: Option<&'static str>,
}

/// One row per value, oldest first, the first value included.
pub fn values(signals: &BTreeSet<Signal>) -> Vec<Rotation> {
    let told: Vec<&Signal> = signals.iter().filter(|signal| signal.kind.is_value()).collect();
    // A signal without a version tells of the versioned one beside it, if there is one.
    let beside = |at: Micros| {
        let near = told.iter().filter(|other| (other.at - at).abs() <= MERGE_WITHIN);
        near.filter_map(|other| other.version.as_ref()).max()
    };
    let mut values: Vec<Rotation> = Vec::new();
    let mut last_at = Micros::MIN;
    for signal in &told {
        let version = signal.version.as_ref().or_else(|| beside(signal.at));
        let same = values.last_mut().filter(|value| match (&value.version, version) {
            (Some(a), Some(b)) => a == b,
            (None, None) => signal.at.saturating_sub(last_at) <= MERGE_WITHIN,
            _ => false,
        });
        last_at = signal.at;
        match same {
            Some(value) => {
                value.known_by.insert(signal.kind.word());
                value.is_first |= signal.kind == SignalKind::Created;
            }
            None => {
                let previous = values.last().and_then(|value| value.version.clone());
                values.push(Rotation {
                    rotated_at: signal.at,
                    version: version.cloned(),
                    previous,
                    known_by: BTreeSet::from([signal.kind.word()]),
                    principal: signal.principal,
                    is_first: signal.kind == SignalKind::Created,
                });
            }
        }
    }
    values
}

/// One row per value change, oldest first.
pub fn rotations(signals: &BTreeSet<Signal>) -> Vec<Rotation> {
    values(signals).into_iter().filter(|value| !value.is_first).collect()
}

/// When each version was current. A version that no signal names counts from its first read (asked for as the current
/// one), provided that a later change is not the one that made it.
pub fn periods(values: &[Rotation], read: &BTreeMap<String, Micros>) -> Vec<Period> {
    let mut periods = Vec::new();
    for (position, value) in values.iter().enumerate() {
        if let Some(version) = &value.version {
            let superseded_at = values.get(position + 1).map(|next| next.rotated_at);
            periods.push(Period { version: version.clone(), current_from: value.rotated_at, superseded_at });
        }
    }
    for (version, &first_read_at) in read {
        if values.iter().any(|value| value.version.as_ref() == Some(version)) {
            continue;
        }
        // Read shortly before a change that names no version, it is what that change brought.
        let after = first_read_at.saturating_add(2 * MERGE_WITHIN);
        let superseded_at = values.iter().find(|value| value.rotated_at > after).map(|value| value.rotated_at);
        periods.push(Period { version: version.clone(), current_from: first_read_at, superseded_at });
    }
    periods
}

/// Every rotation started, and how it ended before the next one started.
pub fn attempts(signals: &BTreeSet<Signal>) -> Vec<Attempt<'_>> {
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    for signal in signals {
        let outcome = match signal.kind {
            SignalKind::Started => {
                attempts.push(Attempt { started: signal, finished_at: None, outcome: None });
                continue;
            }
            SignalKind::Succeeded => "succeeded",
            SignalKind::Failed => "failed",
            SignalKind::Abandoned => "abandoned",
            SignalKind::StageMoved | SignalKind::LabelUpdated => "stage_moved",
            _ => continue,
        };
        if let Some(open) = attempts.last_mut().filter(|attempt| attempt.outcome.is_none()) {
            open.finished_at = Some(signal.at);
            open.outcome = Some(outcome);
        }
    }
    attempts
}
