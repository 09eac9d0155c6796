//! `secret_policy_opened`: a resource policy that lets anybody, or a stranger's account, read. Quiet: a role of the organisation, everybody of
//! the organisation by a condition, a `Deny` for everybody, and taking a policy away.

use crate::{
    cast::{DATA, ORGANISATION, PROD, Place, Style},
    identity::person,
    json::Object,
    plan::{Call, Case, Plan},
};

const RULE: &str = "secret_policy_opened";
const HOME: Place = Place { account: PROD, region: "us-east-1" };

pub(super) fn run(plan: &mut Plan<'_>) {
    let statement = |effect: &str, principal: &str, rest: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{principal},"Action":"secretsmanager:GetSecretValue","Resource":"*"{rest}}}]}}"#
        )
    };
    let open = [
        (statement("Allow", r#""*""#, ""), "a policy lets anybody read the secret"),
        (
            statement("Allow", r#"{"AWS":"arn:aws:iam::930415872266:root"}"#, ""),
            "a policy lets an account outside the organisation read the secret",
        ),
    ];
    for (text, why) in open {
        if let Some(case) = put(plan, Some(&text)) {
            case.label(plan, true, why);
        }
    }
    let closed = [
        (
            statement("Allow", &format!(r#"{{"AWS":"arn:aws:iam::{DATA}:role/analytics-export"}}"#), ""),
            "a policy names one role of the organisation",
        ),
        (
            statement(
                "Allow",
                r#""*""#,
                &format!(r#","Condition":{{"StringEquals":{{"aws:PrincipalOrgID":"{ORGANISATION}"}}}}"#),
            ),
            "a policy lets everybody of the organisation read, by a condition",
        ),
        (
            statement("Deny", r#""*""#, r#","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-0abc"}}"#),
            "a policy refuses everybody who comes another way",
        ),
    ];
    for (text, why) in closed {
        if let Some(case) = put(plan, Some(&text)) {
            case.label(plan, false, why);
        }
    }
    if let Some(case) = put(plan, None) {
        case.label(plan, false, "a policy is taken away");
    }
}

struct Put {
    caller: crate::identity::Caller,
    secret: usize,
    at: i64,
    event: String,
}

impl Put {
    fn label(self, plan: &mut Plan<'_>, opened: bool, why: &str) {
        let Self { caller, secret, at, event } = self;
        let case = Case { caller: Some(&caller), secrets: &[secret], at, events: vec![event], why };
        if opened {
            plan.expect(&[RULE], &case);
        } else {
            plan.quiet(&[RULE], &[], &case);
        }
    }
}

fn put(plan: &mut Plan<'_>, text: Option<&str>) -> Option<Put> {
    let at = plan.some_working_day(5.0, 1.0)?;
    let cast = plan.cast;
    let manager = |own: &&usize| cast.secrets[**own].kind == crate::cast::Kind::Manager;
    let unit = plan.victim(|unit| {
        unit.place == HOME && unit.style == Style::Deploys && unit.own.iter().any(|own| manager(&own))
    })?;
    let &secret = unit.own.iter().find(manager)?;
    let role = cast.sso_role(PROD, "PowerUser");
    let caller = person(&mut plan.random, role, "bob.stone", at);
    let owner = &cast.secrets[secret];
    let mut request = Object::new().string("secretId", &owner.id);
    if let Some(text) = text {
        request = request.string("resourcePolicy", text).flag("blockPublicPolicy", false);
    }
    let response = Object::new().string("arn", &owner.id).string("name", &owner.name).end();
    let name = if text.is_some() { "PutResourcePolicy" } else { "DeleteResourcePolicy" };
    let event = plan.call(HOME, at, &caller, Call::write("secretsmanager", name, request.end(), Some(response)));
    Some(Put { caller, secret, at, event })
}
