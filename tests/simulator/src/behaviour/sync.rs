//! The operator that copies secrets into the cluster: one of its secrets each hour, each of them every eight hours.

use rand::Rng;

use crate::{
    cast::{PROD, Place, endpoint, private_address},
    clock::{DAY, HOUR, MINUTE},
    identity::build_job,
    plan::{Ask, Plan},
};

const COPIED: [&str; 8] = [
    "k8s/registry-cred",
    "k8s/datadog-key",
    "k8s/slack-hook",
    "k8s/tls-bundle",
    "users/jwt-key",
    "payments/signing-key",
    "shared/partner-01",
    "orders/stripe-webhook",
];

pub(super) fn run(plan: &mut Plan<'_>) {
    let place = Place { account: PROD, region: "us-east-1" };
    let role = plan.cast.role(PROD, "/", "external-secrets");
    let mut caller = None;
    for hour in 0..plan.days() * DAY / HOUR {
        let at = plan.start + hour * HOUR + plan.random.random_range(0..3 * MINUTE);
        if hour % 168 == 0 {
            caller = None;
        }
        let pod = caller.get_or_insert_with(|| {
            let mut pod = build_job(&mut plan.random, role.clone(), "external-secrets-provider-aws", at);
            pod.address = private_address(&mut plan.random, place);
            pod.endpoint = Some(endpoint(plan.cast.seed, place));
            "external-secrets/v0.20.4 aws-sdk-go-v2/1.39.4 ua/2.1 os/linux lang/go#1.25.1"
                .clone_into(&mut pod.user_agent);
            pod
        });
        let pod = pod.clone();
        let secret = plan.cast.secret(COPIED[hour as usize % COPIED.len()]);
        plan.get_secret(Ask::new(at, &pod, secret));
    }
}
