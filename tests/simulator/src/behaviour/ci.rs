//! The build system: every run comes in through the OpenID provider, from another public address of a known range.

use rand::Rng;

use crate::{
    cast::{PLATFORM, Place},
    clock::{DAY, HOUR, weekday},
    identity::build_job,
    json::Object,
    plan::{Call, Form, Plan, fake_session_token},
    random::iam_id,
};

const SECRETS: [&str; 3] = ["ci/deploy-token", "ci/npm-token", "/ci/sonar-token"];

pub(super) fn run(plan: &mut Plan<'_>) {
    let place = Place { account: PLATFORM, region: "us-east-1" };
    let role = plan.cast.role(PLATFORM, "/", "github-actions-deploy");
    for day in 0..plan.days() {
        let midnight = plan.start + day * DAY;
        let runs = if day == 0 {
            1
        } else if weekday(midnight) >= 5 {
            0
        } else {
            plan.random.random_range(1..4)
        };
        for run in 0..runs {
            let at = midnight + plan.random.random_range(8 * HOUR..18 * HOUR);
            let session = format!("deploy-{day}-{run}");
            let caller = build_job(&mut plan.random, role.clone(), &session, at);
            let subject = "repo:example-org/shop:ref:refs/heads/main";
            let request = Object::new()
                .string("roleArn", &role.arn())
                .string("roleSessionName", &session)
                .raw("durationSeconds", "3600")
                .end();
            let credentials = Object::new()
                .string("accessKeyId", &caller.access_key)
                .string("sessionToken", &fake_session_token(&mut plan.random))
                .end();
            let response =
                Object::new().string("subjectFromWebIdentityToken", subject).raw("credentials", &credentials).end();
            let mut federated = caller.clone();
            federated.access_key = iam_id(&mut plan.random, "ASIA");
            web_identity(plan, place, at - 20, &federated, subject, request, response);
            super::services::read_all(plan, &caller, &SECRETS, Form::Name, at);
        }
    }
}

fn web_identity(
    plan: &mut Plan<'_>,
    place: Place,
    at: i64,
    caller: &crate::identity::Caller,
    subject: &str,
    request: String,
    response: String,
) {
    let provider = format!("arn:aws:iam::{PLATFORM}:oidc-provider/token.actions.githubusercontent.com");
    let identity = Object::new()
        .string("type", "WebIdentityUser")
        .string("principalId", &format!("{provider}:sts.amazonaws.com:{subject}"))
        .string("userName", subject)
        .string("identityProvider", &provider)
        .end();
    plan.call_as(
        place,
        at,
        caller,
        &identity,
        Call::read("sts", "AssumeRoleWithWebIdentity", Some(request)).with_response(response),
    );
}
