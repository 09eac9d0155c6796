//! What people do with an alert: acknowledge it, close it with a verdict, put it under a suppression.
//!
//! In: an alert as it stands, a change, who and when. Out: its new full state for the alert log. A change that makes
//! no sense (closing twice) is an error that says in which state the alert is; nothing is guessed.

use keytrail_model::{Alert, AlertState, Micros, Verdict};
use thiserror::Error;

/// Longest note kept, in characters.
pub const NOTE_CAP: usize = 2_000;

/// One step in an alert's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Acknowledge,
    Close(Verdict),
    /// A suppression, by its id, covers it from now on.
    Suppress(String),
    /// No suppression covers it any more.
    Unsuppress,
}

/// Who does it, when, and what they write beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub by: String,
    pub note: Option<String>,
    pub at: Micros,
}

/// A change that this alert does not take.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("change alert {alert_id}: {kind}")]
pub struct LifecycleError {
    pub alert_id: String,
    pub kind: LifecycleErrorKind,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum LifecycleErrorKind {
    #[error("it is {0} already")]
    AlreadyThere(AlertState),
    #[error("it was closed as {}; later activity opens a new alert", .0.map_or("nothing", Verdict::as_str))]
    IsClosed(Option<Verdict>),
    #[error("the note is longer than {NOTE_CAP} characters")]
    NoteTooLong,
}

/// The alert after the change.
pub fn apply(alert: &Alert, change: Change, act: &Act) -> Result<Alert, LifecycleError> {
    let refuse = |kind| Err(LifecycleError { alert_id: alert.alert_id.clone(), kind });
    if act.note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CAP) {
        return refuse(LifecycleErrorKind::NoteTooLong);
    }
    let (state, verdict, suppressed_by) = match (alert.state, change) {
        (AlertState::Closed, _) => return refuse(LifecycleErrorKind::IsClosed(alert.verdict)),
        (AlertState::Acknowledged, Change::Acknowledge)
        | (AlertState::Suppressed, Change::Suppress(_))
        | (AlertState::Open | AlertState::Acknowledged, Change::Unsuppress) => {
            return refuse(LifecycleErrorKind::AlreadyThere(alert.state));
        }
        (_, Change::Acknowledge) => (AlertState::Acknowledged, alert.verdict, None),
        (_, Change::Close(verdict)) => (AlertState::Closed, Some(verdict), alert.suppressed_by.clone()),
        (_, Change::Suppress(by)) => (AlertState::Suppressed, alert.verdict, Some(by)),
        (AlertState::Suppressed, Change::Unsuppress) => (AlertState::Open, alert.verdict, None),
    };
    Ok(Alert {
        state,
        verdict,
        suppressed_by,
        note: act.note.clone().or_else(|| alert.note.clone()),
        changed_by: Some(act.by.clone()),
        updated_at: act.at.max(alert.updated_at),
        ..alert.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::sample;

    fn act() -> Act {
        Act { by: "ana".into(), note: Some("the billing deploy".into()), at: 9 }
    }

    #[test]
    fn an_alert_is_acknowledged_then_closed() {
        let open = sample();
        let seen = apply(&open, Change::Acknowledge, &act()).expect("open alerts can be acknowledged");
        assert_eq!((seen.state, seen.changed_by.as_deref()), (AlertState::Acknowledged, Some("ana")));
        let quiet = Act { by: "bo".into(), note: None, at: 11 };
        let closed = apply(&seen, Change::Close(Verdict::Expected), &quiet).expect("acknowledged alerts can be closed");
        assert_eq!((closed.state, closed.verdict), (AlertState::Closed, Some(Verdict::Expected)));
        assert_eq!(closed.note.as_deref(), Some("the billing deploy"));
        assert_eq!(closed.evidence, open.evidence);
    }

    #[test]
    fn a_closed_alert_stays_closed() {
        let closed = apply(&sample(), Change::Close(Verdict::Duplicate), &act()).expect("open alerts can be closed");
        let error = apply(&closed, Change::Acknowledge, &act()).expect_err("closed");
        assert!(error.to_string().contains("closed as duplicate"), "{error}");
        let error = apply(&apply(&sample(), Change::Acknowledge, &act()).expect("open"), Change::Acknowledge, &act());
        assert_eq!(error.expect_err("twice").kind, LifecycleErrorKind::AlreadyThere(AlertState::Acknowledged));
    }
}
