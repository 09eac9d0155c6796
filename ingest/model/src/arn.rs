//! ARNs: taking them apart and the canonical ids of secrets.
//!
//! In: attacker-written text. Out: borrowed parts, or the canonical id of `product.md`. Text that is no ARN is `None`.

/// The six fields of an ARN, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    pub partition: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits `arn:partition:service:region:account:resource`; the resource may hold colons.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.splitn(6, ':');
        if fields.next()? != "arn" {
            return None;
        }
        let arn = Self {
            partition: fields.next()?,
            service: fields.next()?,
            region: fields.next()?,
            account: fields.next()?,
            resource: fields.next()?,
        };
        (!arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty()).then_some(arn)
    }
}

/// True when the text ends in `-` and six characters of `[A-Za-z0-9]`, as Secrets Manager's own suffix does.
///
/// A name may end like that by itself, so this is a hint, not a proof.
pub fn has_secret_suffix(text: &str) -> bool {
    secret_suffix_at(text).is_some()
}

fn secret_suffix_at(text: &str) -> Option<usize> {
    let at = text.len().checked_sub(7)?;
    let (name, suffix) = text.split_at_checked(at)?;
    let random = suffix.strip_prefix('-')?;
    (!name.is_empty() && random.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(at)
}

/// The secret's name in a full Secrets Manager ARN: `arn:…:secret:app/db-AbCdEf` gives `app/db`.
pub fn secret_name(arn: &str) -> Option<&str> {
    let parsed = Arn::parse(arn)?;
    if parsed.service != "secretsmanager" {
        return None;
    }
    let resource = parsed.resource.strip_prefix("secret:")?;
    secret_suffix_at(resource).and_then(|at| resource.get(..at)).or(Some(resource))
}

/// The partition of a region's name: `aws-cn` for `cn-…`, `aws-us-gov` for `us-gov-…`, else `aws`.
pub fn partition_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// `arn:aws:ssm:REGION:ACCT:parameter/NAME`, with exactly one `/` after `parameter`.
pub fn parameter_arn(region: &str, account: &str, name: &str) -> String {
    let partition = partition_of(region);
    format!("arn:{partition}:ssm:{region}:{account}:parameter/{}", name.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_secret_arn_apart() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AbCdEf";
        assert_eq!(secret_name(arn), Some("app/db"));
        assert!(has_secret_suffix(arn));
        assert_eq!(Arn::parse(arn).map(|arn| arn.account), Some("111122223333"));
    }

    #[test]
    fn hostile_text_is_no_arn() {
        for text in ["", "arn", "arn:::::", "arn:aws:ssm", "é-12345", "-AbCdEf"] {
            assert!(Arn::parse(text).is_none());
            assert!(!has_secret_suffix(text));
        }
    }

    #[test]
    fn a_parameter_has_one_slash() {
        let arn = "arn:aws:ssm:us-east-1:111122223333:parameter/app/key";
        assert_eq!(parameter_arn("us-east-1", "111122223333", "/app/key"), arn);
        assert_eq!(parameter_arn("us-east-1", "111122223333", "app/key"), arn);
    }
}
