//! `arn_part`: one field of an ARN.
//!
//! In: text and the field's name. Out: the field, or null when the text is no ARN or the field is empty. A field name
//! that does not exist is an error, for it is the query that is wrong.

use keytrail_model::arn::Arn;

use super::text::{Answer, Function, Kernel, Returns};

pub(super) static ARN_PART: Function = Function {
    name: "arn_part",
    arguments: &[
        ("arn", "an ARN"),
        (
            "part",
            "`partition`, `service`, `region`, `account`, `resource`, or `name` (the resource after its last `/` or `:`)",
        ),
    ],
    returns: Returns::Text,
    description: "One part of an ARN. Null when the text is null or no ARN, or when the part is empty; an error when there is no such part.",
    examples: &[
        ("arn_part('arn:aws:iam::111122223333:role/app/api', 'account')", "'111122223333'"),
        ("arn_part('arn:aws:iam::111122223333:role/app/api', 'resource')", "'role/app/api'"),
        ("arn_part('arn:aws:iam::111122223333:role/app/api', 'name')", "'api'"),
        ("arn_part('arn:aws:iam::111122223333:role/app/api', 'region')", "NULL"),
        ("arn_part('service:rds.amazonaws.com', 'account')", "NULL"),
    ],
    takes_nulls: false,
    kernel,
};

fn kernel() -> Kernel {
    Box::new(|texts| {
        let [text, part] = texts else { return Ok(Answer::Null) };
        let take: fn(Arn<'_>) -> &str = match *part {
            "partition" => |arn| arn.partition,
            "service" => |arn| arn.service,
            "region" => |arn| arn.region,
            "account" => |arn| arn.account,
            "resource" => |arn| arn.resource,
            "name" => |arn| arn.resource.rsplit(['/', ':']).next().unwrap_or(arn.resource),
            other => {
                let shown: String = other.chars().take(40).collect();
                return Err(format!(
                    "an ARN has no part `{}`; use one of partition, service, region, account, resource, name",
                    shown.escape_default()
                ));
            }
        };
        Ok(match Arn::parse(text).map(take) {
            Some(part) if !part.is_empty() => Answer::Text(part.to_owned()),
            _ => Answer::Null,
        })
    })
}
