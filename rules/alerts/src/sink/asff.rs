//! An alert as a finding of AWS Security Hub (ASFF 2018-10-08).
//!
//! In: an alert, its message where it has one of its own, the account that imports. Out: one finding of less than 240 KB. The
//! same alert always has the same `Id`, so an update replaces. `RecordState`, `Workflow`, `Note` are the reader's and never set;
//! severity and types stand in `FindingProviderFields`, which a provider may change, and at the top only when it is new.

use keytrail_model::{
    Alert, AlertClass, Severity,
    arn::{Arn, partition_of},
    time::to_rfc3339,
};
use serde_json::{Map, Value, json};

use super::{Change, settings::SecurityHubSettings, text::clean};
use crate::message::Message;

/// ASFF's own limits.
const ID: usize = 512;
const TITLE: usize = 256;
const DESCRIPTION: usize = 1_024;
const RESOURCES: usize = 32;
const FIELD: usize = 1_024;
const RECOMMENDATION: usize = 512;

/// One finding. `message` is that of the delivery, for its main alert.
pub(crate) fn finding(
    alert: &Alert,
    change: Change,
    message: Option<&Message>,
    settings: &SecurityHubSettings,
) -> Value {
    let (account, region) = (&settings.account_id, &settings.region);
    let partition = partition_of(region);
    let product_arn = settings
        .product_arn
        .clone()
        .unwrap_or_else(|| format!("arn:{partition}:securityhub:{region}:{account}:product/{account}/default"));
    let label = match alert.severity {
        Severity::Info => "INFORMATIONAL",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    };
    let types: &[&str] = match alert.class {
        AlertClass::Detection => &["TTPs/Credential Access", "Unusual Behaviors/User"],
        AlertClass::RuleError | AlertClass::System => &["Software and Configuration Checks"],
    };
    let severity = json!({ "Label": label, "Original": alert.severity.as_str() });
    let mut finding = json!({
        "SchemaVersion": "2018-10-08",
        "Id": clean(&format!("keytrail/{}/{}", alert.fingerprint, alert.alert_id), ID),
        "ProductArn": product_arn,
        "ProductName": "Keytrail",
        "CompanyName": "Keytrail",
        "GeneratorId": clean(&format!("keytrail/{}", alert.rule_id), ID),
        "AwsAccountId": account,
        "Region": region,
        "CreatedAt": to_rfc3339(alert.raised_at),
        "UpdatedAt": to_rfc3339(alert.updated_at),
        "FirstObservedAt": to_rfc3339(alert.first_event_at),
        "LastObservedAt": to_rfc3339(alert.last_event_at),
        "Title": required(&alert.title, TITLE),
        "Description": required(&alert.reason, DESCRIPTION),
        "FindingProviderFields": { "Severity": severity, "Types": types },
        "Resources": resources(alert, settings),
        "ProductFields": product_fields(alert, message),
    });
    let Some(fields) = finding.as_object_mut() else { return finding };
    if matches!(change, Change::Trigger | Change::Storm | Change::Test) {
        fields.insert("Severity".to_owned(), severity);
        fields.insert("Types".to_owned(), json!(types));
    }
    if let Some(step) = message.and_then(|message| message.first_step.as_ref()) {
        fields.insert("Remediation".to_owned(), json!({ "Recommendation": { "Text": clean(step, RECOMMENDATION) } }));
    }
    if let Some(url) = message.and_then(|message| message.link.url()) {
        fields.insert("SourceUrl".to_owned(), json!(url));
    }
    finding
}

/// A text that may not be empty.
fn required(text: &str, limit: usize) -> String {
    let text = clean(text, limit);
    if text.is_empty() { "(no text)".to_owned() } else { text }
}

/// The principal, then the secrets, then their number; the account where there is neither.
fn resources(alert: &Alert, settings: &SecurityHubSettings) -> Vec<Value> {
    let principal = alert.principal_id.iter();
    let mut all: Vec<Value> =
        principal.chain(&alert.secret_ids).take(RESOURCES).map(|id| resource(id, settings)).collect();
    if all.is_empty() {
        let account = alert.account_id.as_ref().unwrap_or(&settings.account_id);
        all.push(json!({ "Type": "AwsAccount", "Id": clean(&format!("AWS::::Account:{account}"), ID) }));
    }
    all
}

fn resource(id: &str, settings: &SecurityHubSettings) -> Value {
    let arn = Arn::parse(id);
    let kind = match arn {
        Some(arn) if arn.service == "secretsmanager" => "AwsSecretsManagerSecret",
        Some(arn) if arn.service == "iam" && arn.resource.starts_with("role/") => "AwsIamRole",
        Some(arn) if arn.service == "iam" && arn.resource.starts_with("user/") => "AwsIamUser",
        _ => "Other",
    };
    let partition = match arn.map(|arn| arn.partition) {
        Some(known @ ("aws" | "aws-cn" | "aws-us-gov")) => known,
        _ => partition_of(&settings.region),
    };
    let mut resource = json!({ "Type": kind, "Id": required(id, ID), "Partition": partition });
    if let (Some(region), Some(fields)) =
        (arn.map(|arn| arn.region).filter(|it| !it.is_empty()), resource.as_object_mut())
    {
        fields.insert("Region".to_owned(), json!(clean(region, 16)));
    }
    resource
}

/// What a person who reads the finding in Security Hub wants besides; names and values are texts of bounded length.
fn product_fields(alert: &Alert, message: Option<&Message>) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: String| {
        let value = clean(&value, FIELD);
        if !value.is_empty() {
            fields.insert(format!("keytrail/{name}"), json!(value));
        }
    };
    put("alert_id", alert.alert_id.clone());
    put("rule", format!("{} v{}", alert.rule_id, alert.rule_version));
    put("state", alert.state.as_str().to_owned());
    put("verdict", alert.verdict.map(|verdict| verdict.as_str().to_owned()).unwrap_or_default());
    put("by", alert.changed_by.clone().unwrap_or_default());
    put("note", alert.note.clone().unwrap_or_default());
    put("events", alert.event_count.to_string());
    put("secret_count", alert.secret_ids.len().to_string());
    put("account", alert.account_id.clone().unwrap_or_default());
    put("region", alert.region.clone().unwrap_or_default());
    put("previous_alert_id", alert.previous_alert_id.clone().unwrap_or_default());
    for fact in message.map(|message| message.facts.as_slice()).unwrap_or_default() {
        put(fact.name, fact.value.clone());
    }
    for (position, line) in message.map(Message::unusual_lines).unwrap_or_default().into_iter().enumerate() {
        put(&format!("unusual/{}", position + 1), line);
    }
    if let Some(event) = alert.evidence.first() {
        put("evidence", format!("{} {}#{}", event.event_id, event.object_key, event.record_index));
    }
    Value::Object(fields)
}

#[cfg(test)]
#[path = "asff_tests.rs"]
mod tests;
