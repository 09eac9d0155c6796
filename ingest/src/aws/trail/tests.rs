use serde_json::json;

use super::*;

fn selectors(json: serde_json::Value) -> Selectors {
    serde_json::from_value(json).expect("selectors as the command line prints them")
}

fn basic(selector: serde_json::Value) -> Selectors {
    selectors(json!({"TrailARN": "arn", "EventSelectors": [selector]}))
}

fn advanced(fields: serde_json::Value) -> Selectors {
    selectors(json!({"AdvancedEventSelectors": [{"Name": "n", "FieldSelectors": fields}]}))
}

fn trail(selectors: Selectors) -> TrailFact {
    TrailFact {
        arn: "arn:aws:cloudtrail:us-east-1:111122223333:trail/main".to_owned(),
        name: "main".to_owned(),
        home_region: "us-east-1".to_owned(),
        is_multi_region: true,
        is_logging: Some(true),
        bucket: Some("trail-bucket".to_owned()),
        selectors: Some(selectors),
        ..TrailFact::default()
    }
}

fn problems(selectors: Selectors) -> Vec<TrailProblem> {
    judge(&trail(selectors), &[]).into_iter().map(|finding| finding.problem).collect()
}

fn reads(services: &[&'static str], only_some: bool) -> TrailProblem {
    TrailProblem::DropsReads { services: services.to_vec(), only_some }
}

const ALL: [&str; 3] = ["Secrets Manager", "Parameter Store", "KMS"];
const WRITTEN: [&str; 2] = ["Secrets Manager", "Parameter Store"];

#[test]
fn basic_selectors() {
    assert_eq!(problems(Selectors::default()), []);
    let all = json!({"ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": [],
        "ExcludeManagementEventSources": []});
    assert_eq!(problems(basic(all)), []);
    assert_eq!(problems(basic(json!({"ReadWriteType": "WriteOnly"}))), [reads(&ALL, false)]);
    let only_reads = TrailProblem::DropsWrites { services: WRITTEN.to_vec(), only_some: false };
    assert_eq!(problems(basic(json!({"ReadWriteType": "ReadOnly"}))), [only_reads]);
    assert_eq!(problems(basic(json!({"IncludeManagementEvents": false}))), [TrailProblem::DropsManagement]);
    let without_kms = json!({"ReadWriteType": "All", "ExcludeManagementEventSources": ["kms.amazonaws.com"]});
    assert_eq!(problems(basic(without_kms)), [TrailProblem::ExcludesKms]);
    let without_rds = json!({"ExcludeManagementEventSources": ["rdsdata.amazonaws.com"]});
    assert_eq!(problems(basic(without_rds)), []);
    // What one drops, another may keep.
    let both = json!({"EventSelectors": [{"ReadWriteType": "WriteOnly"}, {"ReadWriteType": "ReadOnly"}]});
    assert_eq!(problems(selectors(both)), []);
}

#[test]
fn advanced_selectors() {
    let management = json!({"Field": "eventCategory", "Equals": ["Management"]});
    for (fields, wanted) in [
        (json!([]), vec![]),
        (json!([{"Field": "readOnly", "Equals": ["false"]}]), vec![reads(&ALL, false)]),
        (json!([{"Field": "readOnly", "NotEquals": ["true"]}]), vec![reads(&ALL, false)]),
        (json!([{"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}]), vec![TrailProblem::ExcludesKms]),
        (json!([{"Field": "eventSource", "NotStartsWith": ["kms."]}]), vec![TrailProblem::ExcludesKms]),
        (json!([{"Field": "eventSource", "NotEndsWith": [".amazonaws.com"]}]), vec![TrailProblem::DropsManagement]),
        (json!([{"Field": "eventSource", "NotEquals": ["rdsdata.amazonaws.com"]}]), vec![]),
        (
            json!([{"Field": "eventSource", "Equals": ["secretsmanager.amazonaws.com"], "StartsWith": ["ssm."]}]),
            vec![TrailProblem::ExcludesKms],
        ),
        (
            json!([{"Field": "eventSource", "EndsWith": [".amazonaws.com"], "NotStartsWith": ["s"]}]),
            vec![
                reads(&["Secrets Manager", "Parameter Store"], false),
                TrailProblem::DropsWrites { services: WRITTEN.to_vec(), only_some: false },
            ],
        ),
        (json!([{"Field": "eventName", "NotEquals": ["GetParameters"]}]), vec![reads(&["Parameter Store"], true)]),
        (
            json!([{"Field": "userIdentity.arn", "NotStartsWith": ["arn:aws:sts::1:assumed-role/deploy"]}]),
            vec![reads(&ALL, true), TrailProblem::DropsWrites { services: WRITTEN.to_vec(), only_some: true }],
        ),
    ] {
        let mut all = vec![management.clone()];
        all.extend(fields.as_array().expect("a list").iter().cloned());
        assert_eq!(problems(advanced(json!(all))), wanted, "{fields}");
    }
    let data = json!([{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]}]);
    assert_eq!(problems(advanced(data.clone())), [TrailProblem::DropsManagement]);
    let beside = json!({"AdvancedEventSelectors": [{"FieldSelectors": data}, {"FieldSelectors": [management]}]});
    assert_eq!(problems(selectors(beside)), []);
}

#[test]
fn what_mends_a_trail_mends_it_and_keeps_its_data_events() {
    let data = json!([{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::b/"]}]);
    let data_events = json!({"Name": "it's data", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]});
    let without_reads = json!({"FieldSelectors": [
        {"Field": "eventCategory", "Equals": ["Management"]}, {"Field": "readOnly", "Equals": ["false"]}]});
    for broken in [
        basic(json!({"ReadWriteType": "WriteOnly", "DataResources": data})),
        basic(json!({"IncludeManagementEvents": false, "DataResources": data})),
        basic(json!({"ExcludeManagementEventSources": ["kms.amazonaws.com"]})),
        selectors(json!({"AdvancedEventSelectors": [without_reads, data_events]})),
    ] {
        assert!(!problems(broken.clone()).is_empty());
        let mended = broken.mended();
        assert_eq!(problems(mended.clone()), []);
        let data = |of: &Selectors| serde_json::to_string(of).expect("JSON").matches("\"AWS::S3::Object\"").count();
        assert_eq!(data(&mended), data(&broken));
        assert_eq!(mended.advanced.len(), broken.advanced.len());
        let finding = judge(&trail(broken), &[]).remove(0);
        assert!(finding.mend.starts_with("aws cloudtrail put-event-selectors --region us-east-1 "), "{}", finding.mend);
    }
}

#[test]
fn commands_are_safe_to_paste() {
    let only_data = json!({"AdvancedEventSelectors": [
        {"Name": "it's data", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}]});
    let finding = judge(&trail(selectors(only_data)), &[]).remove(0);
    let wanted = concat!(
        "aws cloudtrail put-event-selectors --region us-east-1 ",
        "--trail-name arn:aws:cloudtrail:us-east-1:111122223333:trail/main --advanced-event-selectors ",
        r#"'[{"Name":"All management events","FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]},"#,
        r#"{"Name":"it'\''s data","FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]}]}]'"#,
    );
    assert_eq!(finding.mend, wanted);
    assert_eq!(finding.missed, "trail main keeps no management events: no use and no change of a secret is seen");
}

#[test]
fn status_and_regions() {
    let mut fact = trail(Selectors::default());
    fact.is_logging = Some(false);
    fact.is_multi_region = false;
    fact.delivery_error = Some("AccessDenied".to_owned());
    let found: Vec<&str> = judge(&fact, &[]).iter().map(|finding| finding.problem.as_str()).collect();
    assert_eq!(found, ["not_logging", "delivery_error", "single_region"]);
    let here = ["us-east-1".to_owned()];
    let found: Vec<&str> = judge(&fact, &here).iter().map(|finding| finding.problem.as_str()).collect();
    assert_eq!(found, ["not_logging", "delivery_error"], "the trail's own region is all that is wanted");
    let finding = judge(&fact, &here).remove(0);
    let wanted =
        "aws cloudtrail start-logging --region us-east-1 --name arn:aws:cloudtrail:us-east-1:111122223333:trail/main";
    assert_eq!(finding.mend, wanted);
}

#[test]
fn one_sound_trail_is_enough_and_an_unknown_one_is_not_sound() {
    let sound = trail(Selectors::default());
    let mut unknown = sound.clone();
    unknown.selectors = None;
    unknown.unknown.push("cloudtrail:GetEventSelectors: access is denied".to_owned());
    assert_eq!(judge(&unknown, &[]), []);
    let mut trails = Trails { facts: vec![unknown], unasked: Vec::new() };
    assert!(!trails.is_covered());
    trails.facts.push(sound);
    assert!(trails.is_covered());
    assert!(!Trails::default().is_covered(), "no trail at all");
}
