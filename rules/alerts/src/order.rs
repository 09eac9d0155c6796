//! In which order alerts are shown, and finding one by what a person typed.

use std::cmp::Ordering;

use keytrail_model::{Alert, AlertState, display::terminal_safe};
use thiserror::Error;

/// What to look at first: open before acknowledged before the rest, then severity, then the newest.
pub fn by_urgency(a: &Alert, b: &Alert) -> Ordering {
    let waiting = |alert: &Alert| match alert.state {
        AlertState::Open => 0,
        AlertState::Acknowledged => 1,
        AlertState::Suppressed => 2,
        AlertState::Closed => 3,
    };
    waiting(a)
        .cmp(&waiting(b))
        .then(a.historical.cmp(&b.historical))
        .then(b.severity.cmp(&a.severity))
        .then(b.last_event_at.cmp(&a.last_event_at))
        .then(a.alert_id.cmp(&b.alert_id))
}

/// Text that leads to no single alert.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FindAlertError {
    #[error("find an alert whose id begins with `{}`", terminal_safe(.0))]
    Unknown(String),
    #[error("tell which alert `{}` means: {} begin with it ({})", terminal_safe(.0), .1.len(), .1.join(", "))]
    Ambiguous(String, Vec<String>),
}

/// The alert whose id begins with the text.
pub fn find<'a>(alerts: &'a [Alert], typed: &str) -> Result<&'a Alert, FindAlertError> {
    let wanted = typed.trim().to_ascii_lowercase();
    let hits: Vec<&Alert> =
        alerts.iter().filter(|alert| !wanted.is_empty() && alert.alert_id.starts_with(&wanted)).collect();
    match hits.as_slice() {
        [] => Err(FindAlertError::Unknown(typed.to_owned())),
        [one] => Ok(one),
        many => many.iter().find(|alert| alert.alert_id == wanted).copied().ok_or_else(|| {
            let ids = many.iter().take(5).map(|alert| alert.alert_id.clone()).collect();
            FindAlertError::Ambiguous(typed.to_owned(), ids)
        }),
    }
}

#[cfg(test)]
mod tests {
    use keytrail_model::Severity;

    use super::*;
    use crate::render::tests::sample;

    #[test]
    fn open_and_severe_comes_first() {
        let medium = sample();
        let high = Alert { severity: Severity::High, alert_id: "b".into(), ..sample() };
        let closed =
            Alert { state: AlertState::Closed, severity: Severity::Critical, alert_id: "c".into(), ..sample() };
        let old = Alert { historical: true, severity: Severity::Critical, alert_id: "d".into(), ..sample() };
        let mut all = [closed, old, medium, high];
        all.sort_by(by_urgency);
        let ids: Vec<&str> = all.iter().map(|alert| alert.alert_id.as_str()).collect();
        assert_eq!(ids, ["b", "0123456789abcdef", "d", "c"]);
    }

    #[test]
    fn a_prefix_leads_to_one_alert() {
        let all = [sample(), Alert { alert_id: "0199".into(), ..sample() }];
        assert_eq!(find(&all, "012").map(|alert| alert.alert_id.as_str()), Ok("0123456789abcdef"));
        assert!(matches!(find(&all, "01"), Err(FindAlertError::Ambiguous(..))));
        assert!(matches!(find(&all, ""), Err(FindAlertError::Unknown(_))));
        assert!(matches!(find(&all, "zz"), Err(FindAlertError::Unknown(_))));
    }
}
