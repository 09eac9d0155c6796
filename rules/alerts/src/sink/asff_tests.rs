use proptest::prelude::*;

use super::*;
use crate::sink::{
    json,
    settings::HttpSettings,
    testing::{closed, full, hostile_outgoing, outgoing},
};

fn settings() -> SecurityHubSettings {
    SecurityHubSettings {
        account_id: "999988887777".into(),
        region: "eu-central-1".into(),
        product_arn: None,
        endpoint_url: None,
        http: HttpSettings::default(),
    }
}

fn of(change: Change, alert: Alert) -> Value {
    let out = outgoing(change, vec![alert]);
    finding(&out.alerts[0], change, Some(&out.message), &settings())
}

#[test]
fn a_new_alert_is_a_new_finding() {
    insta::assert_json_snapshot!(of(Change::Trigger, full()));
}

#[test]
fn an_update_keeps_the_id_and_leaves_the_readers_fields_alone() {
    let (new, closed) = (of(Change::Trigger, full()), of(Change::Resolve, closed()));
    assert_eq!(new["Id"], closed["Id"]);
    for field in ["Severity", "Types", "Workflow", "Note", "RecordState", "VerificationState", "UserDefinedFields"] {
        assert!(closed.get(field).is_none(), "{field}");
    }
    assert_eq!(closed["FindingProviderFields"]["Severity"]["Label"], "HIGH");
    assert_eq!(closed["ProductFields"]["keytrail/verdict"], "expected");
    assert_eq!(closed["ProductFields"]["keytrail/state"], "closed");
}

#[test]
fn an_alert_about_nothing_is_about_its_account() {
    let alert = Alert { principal_id: None, secret_ids: Vec::new(), class: AlertClass::System, ..full() };
    let resources = of(Change::Trigger, alert)["Resources"].clone();
    assert_eq!(resources, json!([{ "Type": "AwsAccount", "Id": "AWS::::Account:111122223333" }]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn whatever_an_alert_holds_security_hub_takes_it(outgoing in hostile_outgoing()) {
        for (position, alert) in outgoing.alerts.iter().enumerate() {
            let message = (position == 0).then_some(&outgoing.message);
            let finding = finding(alert, outgoing.change, message, &settings());
            prop_assert!(json::line(&finding).len() <= 240_000);
            let within = |value: &Value, limit: usize| {
                let length = value.as_str().map_or(0, |text| text.chars().count());
                prop_assert!((1..=limit).contains(&length), "{value}");
                Ok(())
            };
            within(&finding["Id"], 512)?;
            within(&finding["GeneratorId"], 512)?;
            within(&finding["Title"], 256)?;
            within(&finding["Description"], 1_024)?;
            within(&finding["AwsAccountId"], 12)?;
            let resources = finding["Resources"].as_array().expect("a list");
            prop_assert!((1..=32).contains(&resources.len()));
            for resource in resources {
                within(&resource["Id"], 512)?;
                within(&resource["Type"], 256)?;
            }
            let fields = finding["ProductFields"].as_object().expect("an object");
            prop_assert!(fields.len() <= 50);
            for (name, value) in fields {
                prop_assert!(name.len() <= 128);
                within(value, 2_048)?;
            }
            if let Some(remediation) = finding.get("Remediation") {
                within(&remediation["Recommendation"]["Text"], 512)?;
            }
        }
    }
}
