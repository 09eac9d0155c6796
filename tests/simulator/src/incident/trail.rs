//! `trail_tampered` and `coverage_lost`. Quiet: switching logging on, widening what is logged, a new trail; and places with few events,
//! which are delivered seldom.

use crate::{
    cast::{GAP_PLACE, PLATFORM, Place, SECURITY},
    clock::{HOUR, rfc3339},
    identity::{person, terraform},
    json::Object,
    labels::Label,
    plan::{Call, Case, Plan},
};

const RULE: &str = "trail_tampered";
const HOME: Place = Place { account: PLATFORM, region: "us-east-1" };

pub(super) fn run(plan: &mut Plan<'_>) {
    let trail = format!("arn:aws:cloudtrail:us-east-1:{PLATFORM}:trail/organisation");
    let named = Object::new().string("name", &trail).end();
    let selectors = |which: &str, excluded: &str| {
        let selector = format!(
            r#"[{{"readWriteType":"{which}","includeManagementEvents":true,"dataResources":[],"excludeManagementEventSources":[{excluded}]}}]"#
        );
        Object::new().string("trailName", &trail).raw("eventSelectors", &selector).end()
    };
    let bad = [
        ("StopLogging", named.clone(), "logging is switched off"),
        ("PutEventSelectors", selectors("WriteOnly", "\"kms.amazonaws.com\""), "reads and KMS are no longer logged"),
        ("DeleteTrail", Object::new().string("name", &format!("{trail}-audit")).end(), "a trail is deleted"),
    ];
    for (name, request, why) in bad {
        if let Some(case) = change(plan, name, request) {
            plan.expect(&[RULE], &Case { caller: Some(&case.0), secrets: &[], at: case.1, events: vec![case.2], why });
        }
    }
    let fine = [
        ("StartLogging", named.clone(), "logging is switched on"),
        ("PutEventSelectors", selectors("All", ""), "everything is logged, reads and writes"),
        (
            "CreateTrail",
            Object::new()
                .string("name", "second")
                .string("s3BucketName", "logs-second")
                .flag("isMultiRegionTrail", true)
                .flag("enableLogFileValidation", true)
                .end(),
            "one more trail",
        ),
    ];
    for (name, request, why) in fine {
        if let Some(case) = change(plan, name, request) {
            plan.quiet(
                &[RULE],
                &[],
                &Case { caller: Some(&case.0), secrets: &[], at: case.1, events: vec![case.2], why },
            );
        }
    }
    coverage(plan);
}

fn change(plan: &mut Plan<'_>, name: &str, request: String) -> Option<(crate::identity::Caller, i64, String)> {
    let at = plan.some_working_day(3.0, 1.0)?;
    let caller = if name == "CreateTrail" {
        let role = plan.cast.role(PLATFORM, "/", "terraform-apply");
        terraform(&mut plan.random, role, at)
    } else {
        let role = plan.cast.sso_role(PLATFORM, "Platform");
        person(&mut plan.random, role, "erin.diaz", at)
    };
    let event = plan.call(HOME, at, &caller, Call::write("cloudtrail", name, request, None));
    Some((caller, at, event))
}

/// The hole in the deliveries, and two places that are only quiet.
fn coverage(plan: &mut Plan<'_>) {
    let Some((from, until)) = plan.gap.filter(|(from, until)| until - from > 24 * HOUR) else { return };
    let quiet = [Place { account: SECURITY, region: "us-east-1" }, Place { account: PLATFORM, region: "eu-west-1" }];
    for (place, must_fire) in [(GAP_PLACE, true), (quiet[0], false), (quiet[1], false)] {
        let (first, last) = if must_fire { (from, until) } else { (plan.start, plan.end) };
        plan.labels.push(Label {
            rule_id: "coverage_lost".to_owned(),
            must_fire,
            principal_id: None,
            secret_ids: Vec::new(),
            first_event_at: rfc3339(first),
            last_event_at: Some(rfc3339(last)),
            account_id: Some(place.account.to_owned()),
            region: Some(place.region.to_owned()),
            event_ids: Vec::new(),
            also: Vec::new(),
            why: if must_fire {
                "nothing is delivered for an account and region for more than a day".to_owned()
            } else {
                "a place with few events, whose deliveries are few".to_owned()
            },
        });
    }
}
