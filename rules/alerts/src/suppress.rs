//! Whether a suppression covers an alert.
//!
//! In: a suppression with at least one matcher, an alert. Out: yes or no. Every matcher that is given must agree; what an
//! alert does not say (an alert over several principals names none) does not agree with a matcher that asks for it.
//! Alerts of class `system` and `rule_error` tell that something is not being watched; they cannot be suppressed.

use std::net::IpAddr;

use ipnet::IpNet;
use keytrail_model::{Alert, AlertClass, Micros, Suppression, glob::glob_match};

/// The suppression that covers an alert at a moment; of several, the one that lasts longest.
pub fn covering<'a>(suppressions: &'a [Suppression], alert: &Alert, now: Micros) -> Option<&'a Suppression> {
    suppressions
        .iter()
        .filter(|suppression| suppression.is_active(now) && covers(suppression, alert))
        .max_by_key(|suppression| (suppression.expires_at, &suppression.suppression_id))
}

/// Whether a suppression's matchers agree with an alert, whenever that was.
pub fn covers(suppression: &Suppression, alert: &Alert) -> bool {
    let matcher = &suppression.matcher;
    let given = [&matcher.rule, &matcher.principal, &matcher.secret, &matcher.network, &matcher.account];
    if alert.class != AlertClass::Detection || given.iter().all(|matcher| matcher.is_none()) {
        return false;
    }
    let agrees = |pattern: &Option<String>, value: Option<&str>| match pattern {
        None => true,
        Some(pattern) => value.is_some_and(|value| glob_match(pattern, value)),
    };
    agrees(&matcher.rule, Some(&alert.rule_id))
        && agrees(&matcher.principal, alert.principal_id.as_deref())
        && agrees(&matcher.account, alert.account_id.as_deref())
        && matcher.secret.as_deref().is_none_or(|pattern| {
            !alert.secret_ids.is_empty() && alert.secret_ids.iter().all(|secret| glob_match(pattern, secret))
        })
        && matcher.network.as_deref().is_none_or(|network| all_within(network, alert))
}

/// Whether every event of the alert came from inside the network. Events without an address of their own do not.
fn all_within(network: &str, alert: &Alert) -> bool {
    let Some(network) = parse_network(network) else { return false };
    let within =
        |address: &str| address.parse::<IpAddr>().is_ok_and(|address| network.contains(&address.to_canonical()));
    !alert.evidence.is_empty()
        && alert.evidence.iter().all(|evidence| evidence.source_ip.as_deref().is_some_and(within))
}

/// A network as people write it: `203.0.113.0/24`, `2001:db8::/32`, or one address.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use keytrail_model::Matcher;

    use super::*;
    use crate::render::tests::sample;

    fn suppression(matcher: Matcher) -> Suppression {
        Suppression {
            suppression_id: "s1".into(),
            matcher,
            owner: "payments".into(),
            reason: "the migration".into(),
            created_at: 0,
            created_by: "ana".into(),
            expires_at: 100,
            ended_at: None,
            ended_by: None,
        }
    }

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn every_matcher_must_agree() {
        let alert = sample();
        let rule = alert.rule_id.clone();
        let yes = [
            Matcher { rule: text(&rule), ..Matcher::default() },
            Matcher { rule: text("*"), secret: text("arn:aws:secretsmanager:*:prod/*"), ..Matcher::default() },
            Matcher { network: text("203.0.113.0/24"), ..Matcher::default() },
        ];
        let no = [
            Matcher::default(),
            Matcher { rule: text("another"), ..Matcher::default() },
            Matcher { rule: text(&rule), secret: text("*stage*"), ..Matcher::default() },
            Matcher { network: text("198.51.100.0/24"), ..Matcher::default() },
            Matcher { network: text("nonsense"), ..Matcher::default() },
            Matcher { account: text("999999999999"), ..Matcher::default() },
        ];
        for matcher in yes {
            assert!(covers(&suppression(matcher.clone()), &alert), "{matcher:?}");
        }
        for matcher in no {
            assert!(!covers(&suppression(matcher.clone()), &alert), "{matcher:?}");
        }
        let system = Alert { class: AlertClass::System, ..alert };
        assert!(!covers(&suppression(Matcher { rule: text("*"), ..Matcher::default() }), &system));
    }

    #[test]
    fn it_holds_until_it_expires_or_is_ended() {
        let all = [suppression(Matcher { rule: text("*"), ..Matcher::default() })];
        assert!(covering(&all, &sample(), 99).is_some());
        assert!(covering(&all, &sample(), 100).is_none());
        let ended = [Suppression { ended_at: Some(50), ..all[0].clone() }];
        assert!(covering(&ended, &sample(), 49).is_some() && covering(&ended, &sample(), 50).is_none());
    }
}
