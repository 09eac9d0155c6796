//! User agents as a handful of families, for grouping and never for trust: the caller writes this text.
//!
//! In: the `userAgent`. Out: one word of [`FAMILIES`], `service` for an AWS host's name, else `other`.

/// What to look for (lower case), and the family it means; the first hit wins, so wrappers stand before what they wrap.
const FAMILIES: &[(&str, &str)] = &[
    ("aws-secrets-manager-agent", "secrets-manager-agent"),
    ("aws-parameters-and-secrets-lambda-extension", "secrets-lambda-extension"),
    ("terraform", "terraform"),
    ("opentofu", "opentofu"),
    ("pulumi", "pulumi"),
    ("external-secrets", "external-secrets"),
    ("secrets-store-csi", "secrets-store-csi"),
    ("chamber", "chamber"),
    ("aws-cdk", "aws-cdk"),
    ("aws-cli", "aws-cli"),
    ("awspowershell", "aws-powershell"),
    ("boto3", "boto3"),
    ("botocore", "boto3"),
    ("aws-sdk-java", "aws-sdk-java"),
    ("aws-sdk-kotlin", "aws-sdk-kotlin"),
    ("aws-sdk-go", "aws-sdk-go"),
    ("aws-sdk-nodejs", "aws-sdk-js"),
    ("aws-sdk-js", "aws-sdk-js"),
    ("aws-sdk-rust", "aws-sdk-rust"),
    ("aws-sdk-dotnet", "aws-sdk-dotnet"),
    ("aws-sdk-php", "aws-sdk-php"),
    ("aws-sdk-ruby", "aws-sdk-ruby"),
    ("aws-sdk-cpp", "aws-sdk-cpp"),
    ("aws-sdk-swift", "aws-sdk-swift"),
    ("console.amazonaws.com", "console"),
    ("signin.amazonaws.com", "console"),
    ("s3console", "console"),
    ("aws-internal", "service"),
    ("aws internal", "service"),
    ("mozilla/", "browser"),
    ("curl/", "curl"),
    ("python-requests", "python"),
    ("python-urllib", "python"),
    ("go-http-client", "go"),
];

/// The family of a user agent.
pub(super) fn family(user_agent: &str) -> &'static str {
    let lower = user_agent.to_ascii_lowercase();
    match FAMILIES.iter().find(|(word, _)| lower.contains(word)) {
        Some((_, family)) => family,
        None if lower.ends_with(".amazonaws.com") => "service",
        None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::family;

    #[test]
    fn wrappers_win_over_what_they_wrap() {
        for (agent, expected) in [
            ("aws-cli/2.17.32 md/awscrt#0.21.2 Python/3.11.8 botocore/2.4.5", "aws-cli"),
            ("Boto3/1.34.0 md/Botocore#1.34.0 exec-env/AWS_Lambda_python3.12", "boto3"),
            ("APN/1.0 HashiCorp/1.0 Terraform/1.9.0 aws-sdk-go-v2/1.30.3", "terraform"),
            ("aws-secrets-manager-agent/2.0.0 aws-sdk-rust/1.3", "secrets-manager-agent"),
            ("AWS Internal", "service"),
            ("rds.amazonaws.com", "service"),
            ("secretsmanager.console.amazonaws.com", "console"),
            ("Mozilla/5.0 (X11)", "browser"),
            ("my-own-tool", "other"),
        ] {
            assert_eq!(family(agent), expected, "{agent}");
        }
    }
}
