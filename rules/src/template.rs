//! The words of a rule: titles, reason sentences and guides, from the rule's own templates.
//!
//! In: a minijinja template and the columns of a finding, or the fields of an alert. Out: text that is safe on a
//! terminal; titles and reasons are one line. Templates are written by the rule's author; their values by attackers,
//! so nothing is trusted there: no HTML escaping (pages escape by themselves), no control characters.
//!
//! Filters: `principal`, `secret` (short names), `secrets` (list in words), `moment`, `duration` (of microseconds),
//! `count` (with thousands), `counted("time")` (`1,204 times`).

use keytrail_alerts::render::secrets_phrase;
use keytrail_model::{Alert, Micros, display};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};
use serde_json::Map;

use crate::{
    error::{RuleError, RuleErrorKind},
    manifest::{FILE, Text},
};

/// The template engine with our filters.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("principal", |value: &str| display::principal_short(value));
        environment.add_filter("secret", |value: &str| display::secret_short(value));
        environment.add_filter("secrets", |ids: Vec<String>| secrets_phrase(&ids, 3));
        environment.add_filter("moment", |at: Micros| display::moment(at));
        environment.add_filter("duration", |length: Micros| display::duration(length));
        environment.add_filter("count", |number: i64| display::count(number));
        environment.add_filter("counted", |number: i64, noun: &str| {
            let plural = if number == 1 { "" } else { "s" };
            format!("{} {noun}{plural}", display::count(number))
        });
        environment.add_filter("account_of", |id: &str| {
            keytrail_model::arn::Arn::parse(id).map_or_else(String::new, |arn| arn.account.to_owned())
        });
        environment.add_filter("region_of", |id: &str| {
            keytrail_model::arn::Arn::parse(id).map_or_else(String::new, |arn| arn.region.to_owned())
        });
        Self { environment }
    }
}

impl Templates {
    /// Refuses templates that do not parse or that use an unknown filter.
    pub(crate) fn check(rule_id: &str, text: &Text) -> Result<(), RuleError> {
        let templates = Self::default();
        let all = [
            ("title", Some(&text.title)),
            ("reason", Some(&text.reason)),
            ("folded_title", text.folded_title.as_ref()),
            ("folded_reason", text.folded_reason.as_ref()),
        ];
        for (key, source) in all {
            let Some(source) = source else { continue };
            templates
                .compiles(source)
                .map_err(|message| RuleError::new(rule_id, FILE, RuleErrorKind::Template { key, message }))?;
        }
        Ok(())
    }

    /// Parses a template; minijinja finds unknown filters only when rendering, so they are looked up here.
    pub(crate) fn compiles(&self, source: &str) -> Result<(), String> {
        let template = self.environment.template_from_str(source).map_err(|error| error.to_string())?;
        match template.render(context! {}) {
            Err(error) if matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownFunction) => {
                Err(error.to_string())
            }
            _ => Ok(()),
        }
    }

    /// One line from a finding's columns.
    pub fn sentence(&self, source: &str, columns: &Map<String, serde_json::Value>) -> Result<String, String> {
        self.one_line(source, Value::from_serialize(columns))
    }

    /// One line from an alert's own fields.
    pub fn folded(&self, source: &str, alert: &Alert) -> Result<String, String> {
        self.one_line(source, alert_value(alert))
    }

    /// A guide filled with an alert's ids. Its commands are copied into shells, and callers may have typed the ids: what means
    /// something to a shell or to SQL is replaced.
    pub fn guide(&self, source: &str, alert: &Alert) -> Result<String, String> {
        let alert = inert(alert);
        let text = self.environment.render_str(source, alert_value(&alert)).map_err(|error| error.to_string())?;
        Ok(text.lines().map(display::terminal_safe).collect::<Vec<_>>().join("\n"))
    }

    fn one_line(&self, source: &str, value: Value) -> Result<String, String> {
        let text = self.environment.render_str(source, value).map_err(|error| error.to_string())?;
        Ok(display::terminal_safe(&text.split_whitespace().collect::<Vec<_>>().join(" ")))
    }
}

/// The alert with ids that cannot leave the quotes of a command. No ARN, name or address has such characters.
fn inert(alert: &Alert) -> Alert {
    let inert = |text: &String| {
        let means_something = |c: char| c.is_whitespace() || c.is_control() || "$`\"'\\;&|<>(){}".contains(c);
        text.chars().map(|c| if means_something(c) { '\u{fffd}' } else { c }).collect::<String>()
    };
    let mut alert = alert.clone();
    for text in [&mut alert.principal_id, &mut alert.account_id, &mut alert.region].into_iter().flatten() {
        *text = inert(text);
    }
    for text in alert.secret_ids.iter_mut().chain(&mut alert.fold_key) {
        *text = inert(text);
    }
    for event in &mut alert.evidence {
        event.event_id = inert(&event.event_id);
        event.event_name = inert(&event.event_name);
        event.object_key = inert(&event.object_key);
        for text in [&mut event.secret_id, &mut event.source_ip].into_iter().flatten() {
            *text = inert(text);
        }
    }
    alert
}

fn alert_value(alert: &Alert) -> Value {
    let addresses: std::collections::BTreeSet<&str> =
        alert.evidence.iter().filter_map(|event| event.source_ip.as_deref()).collect();
    context! {
        secret_id => alert.secret_ids.first(),
        secret_count => alert.secret_ids.len(),
        lasted => alert.last_event_at - alert.first_event_at,
        source_ips => addresses,
        evidence => alert.evidence.iter().take(5).map(Value::from_serialize).collect::<Vec<_>>(),
        ..Value::from_serialize(AlertFields::from(alert))
    }
}

#[derive(serde::Serialize)]
struct AlertFields<'a> {
    alert_id: &'a str,
    rule_id: &'a str,
    severity: &'a str,
    principal_id: Option<&'a str>,
    secret_ids: &'a [String],
    account_id: Option<&'a str>,
    region: Option<&'a str>,
    first_event_at: Micros,
    last_event_at: Micros,
    event_count: i64,
    fold_key: &'a [String],
    reason: &'a str,
}

impl<'a> From<&'a Alert> for AlertFields<'a> {
    fn from(alert: &'a Alert) -> Self {
        Self {
            alert_id: &alert.alert_id,
            rule_id: &alert.rule_id,
            severity: alert.severity.as_str(),
            principal_id: alert.principal_id.as_deref(),
            secret_ids: &alert.secret_ids,
            account_id: alert.account_id.as_deref(),
            region: alert.region.as_deref(),
            first_event_at: alert.first_event_at,
            last_event_at: alert.last_event_at,
            event_count: alert.event_count,
            fold_key: &alert.fold_key,
            reason: &alert.reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sentence(source: &str, columns: serde_json::Value) -> Result<String, String> {
        Templates::default().sentence(source, columns.as_object().expect("an object"))
    }

    #[test]
    fn values_read_as_people_say_them() {
        let text = sentence(
            "{{ p | principal }} read {{ s | secret }} at {{ at | moment }}; in {{ d | duration }} {{ n | counted('time') }}\n \
             and {{ one | counted('time') }}",
            json!({"p": "arn:aws:iam::111122223333:role/app/billing", "s": "arn:aws:ssm:us-east-1:111122223333:parameter/a/b",
                   "at": 0, "d": 63 * 86_400_000_000_i64, "n": 1204, "one": 1}),
        );
        assert_eq!(
            text.as_deref(),
            Ok("role/app/billing read /a/b at 1970-01-01 00:00Z; in 63 days 1,204 times and 1 time")
        );
    }

    #[test]
    fn hostile_values_stay_on_their_line() {
        let text = sentence("{{ a }}", json!({"a": "x\u{1b}[2J\ny\u{202e}<b>{{ 1 }}"}));
        assert_eq!(text.as_deref(), Ok("x\\u{1b}[2J y\\u{202e}<b>{{ 1 }}"));
    }

    #[test]
    fn a_guides_commands_cannot_be_left() {
        let alert: Alert = serde_json::from_value(json!({
            "alert_id": "a", "rule_id": "r", "rule_version": "1", "severity": "high", "class": "detection", "state": "open",
            "verdict": null, "title": "t", "reason": "r", "principal_id": "arn:aws:iam::111122223333:role/app/api",
            "secret_ids": ["x' OR 1=1; $(reboot) `id` \"&"], "account_id": null, "region": null, "first_event_at": 0,
            "last_event_at": 0, "event_count": 1, "raised_at": 0, "updated_at": 0, "historical": false, "fold_key": [],
            "evidence": []
        }))
        .expect("an alert");
        let guide = "`keytrail query -e \"... '{{ principal_id }}' '{{ secret_ids[0] }}'\"`";
        let text = Templates::default().guide(guide, &alert).expect("a guide");
        assert!(text.contains("'arn:aws:iam::111122223333:role/app/api'"), "{text}");
        let inside = text.split('\'').nth(3).expect("four quotes");
        assert!(inside.starts_with("x\u{fffd}") && !inside.contains(['$', '`', '"', ';', ' ', '&', '(']), "{text}");
        assert_eq!(text.matches('\'').count(), 4, "{text}");
    }

    #[test]
    fn a_missing_column_is_an_error() {
        assert!(sentence("{{ nobody }}", json!({})).is_err());
        assert!(Templates::default().compiles("{{ a | principle }}").is_err());
        assert!(Templates::default().compiles("{{ a ").is_err());
    }
}
