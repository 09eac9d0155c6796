//! The target of a denied call, which often survives only in the text of `errorMessage`.
//!
//! In: `User: ARN is not authorized to perform: service:Action on resource: RESOURCE [because ...]`. Out: the resources
//! named there, each as the caller typed it. Wildcards and texts cut off by CloudTrail's 1 KB limit are left out: half a
//! name is the wrong name.

const ON_RESOURCE: &str = "on resource: ";
/// What AWS writes after the resource.
const ENDS: &[&str] = &[" because ", " with an explicit deny", " as the ", " since "];
/// CloudTrail cuts the message at 1 KB.
const CUT_AT: usize = 1000;

/// The resources that an access-denied message names.
pub(super) fn resources(message: &str) -> Vec<&str> {
    let Some((_, rest)) = message.split_once(ON_RESOURCE) else { return Vec::new() };
    let end = ENDS.iter().filter_map(|end| rest.find(end)).min();
    let named = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
    let may_be_cut = end.is_none() && message.len() >= CUT_AT;
    let mut found: Vec<&str> = named
        .split(|c: char| c.is_whitespace() || c == ',')
        .map(|word| word.trim_matches(['"', '\'', '[', ']', '(', ')']))
        .collect();
    if may_be_cut {
        found.pop();
    }
    found.retain(|word| !word.is_empty() && *word != "*" && !word.ends_with(":*") && *word != "and");
    found
}

#[cfg(test)]
mod tests {
    use super::resources;

    #[test]
    fn finds_what_was_typed() {
        for (message, expected) in [
            (
                "User: arn:aws:iam::111111111111:user/T is not authorized to perform: secretsmanager:GetSecretValue on \
                 resource: TypedName because no identity-based policy allows the secretsmanager:GetSecretValue action",
                vec!["TypedName"],
            ),
            (
                "User: u is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:us-east-1:1:parameter/a, \
                 arn:aws:ssm:us-east-1:1:parameter/b with an explicit deny in an identity-based policy",
                vec!["arn:aws:ssm:us-east-1:1:parameter/a", "arn:aws:ssm:us-east-1:1:parameter/b"],
            ),
            (
                "User: u is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/R",
                vec!["arn:aws:iam::1:role/R"],
            ),
            ("User: u is not authorized to perform: x:Y on resource: *", vec![]),
            ("User: u is not authorized to perform: secretsmanager:ListSecrets because no", vec![]),
            ("An unknown error occurred", vec![]),
        ] {
            assert_eq!(resources(message), expected, "{message}");
        }
    }

    #[test]
    fn a_name_that_was_cut_off_is_not_believed() {
        let message = format!("User: u is not authorized to perform: a:B on resource: {}", "n".repeat(1000));
        assert!(resources(&message).is_empty());
    }
}
