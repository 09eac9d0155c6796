//! The network policy and the reader classes that the organisation would have written into its own configuration, as a table,
//! as TOML, and as something the tests can judge with. The first entry that matches secret and principal decides.

#[cfg(test)]
use std::net::IpAddr;

use super::accounts::{STREAMS, endpoint};
use crate::json::strings;

/// One entry of the policy. Its endpoints are those of the accounts in `endpoints_of` (empty: every account).
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) secrets: &'static [&'static str],
    pub(crate) principals: &'static [&'static str],
    pub(crate) cidrs: &'static [&'static str],
    pub(crate) with_endpoints: bool,
}

pub(crate) const NETWORKS: &[Network] = &[
    Network {
        secrets: &["*"],
        principals: &["arn:aws:iam::*:role/github-actions-*", "arn:aws:iam::*:role/terraform-*"],
        cidrs: &["192.0.2.0/24", "198.19.0.0/16"],
        with_endpoints: false,
    },
    Network {
        secrets: &["*"],
        principals: &["arn:aws:iam::*:role/aws-reserved/sso.amazonaws.com/*"],
        cidrs: &["203.0.113.0/24", "2001:db8:10::/48"],
        with_endpoints: false,
    },
    Network {
        secrets: &["arn:aws:secretsmanager:*:527316084912:*", "arn:aws:ssm:*:527316084912:*"],
        principals: &["*"],
        cidrs: &["10.20.0.0/15", "10.22.0.0/16", "10.40.0.0/16", "198.18.20.0/22", "198.18.120.0/22"],
        with_endpoints: true,
    },
    Network { secrets: &["*"], principals: &["*"], cidrs: &["10.0.0.0/8", "198.18.0.0/15"], with_endpoints: true },
];

pub(crate) const UPKEEP: &[&str] =
    &["arn:aws:iam::*:role/rotation-*", "arn:aws:iam::*:role/terraform-*", "arn:aws:iam::*:role/keytrail-auditor"];
pub(crate) const SYNC_AGENTS: &[&str] = &["arn:aws:iam::*:role/external-secrets*"];

/// The fragment of the configuration.
pub(crate) fn config_toml(seed: u64) -> String {
    let endpoints: Vec<_> = STREAMS.iter().map(|stream| endpoint(seed, stream.place)).collect();
    let mut out = String::new();
    for network in NETWORKS {
        out.push_str("[[policy.network]]\n");
        for (key, list) in [("secrets", network.secrets), ("principals", network.principals), ("cidrs", network.cidrs)]
        {
            out.push_str(&format!("{key} = {}\n", strings(list)));
        }
        let allowed = if network.with_endpoints { endpoints.as_slice() } else { &[] };
        out.push_str(&format!("vpc_endpoints = {}\n\n", strings(allowed)));
    }
    out.push_str(&format!("[readers]\nupkeep = {}\nsync_agents = {}\n", strings(UPKEEP), strings(SYNC_AGENTS)));
    out.push_str(RULES);
    out
}

/// What the organisation tells the rules: its bait, its production accounts, and who comes from anywhere.
const RULES: &str = r#"
[rules.decoy_read]
decoys = ["backup/root-credentials", "vault/break-glass-admin", "/payments/card-master-key"]

[rules.human_read]
accounts = ["527316084912"]

[rules.proxy_bypass]
secrets = ["proxy/*"]
proxies = ["arn:aws:iam::*:role/service-role/lambda-secrets-proxy"]

[rules.direct_decrypt]
expected = ["arn:aws:iam::*:role/svc-payments-fraud-batch"]

[rules.secret_policy_opened]
accounts = ["418204159035", "527316084912", "639042817760", "704418293651", "815530274409"]
organisations = ["o-4kt9x2mz7q"]

[rules.new_network]
roaming = ["arn:aws:iam::*:role/github-actions-*"]
"#;

/// Whether `*` and the letters of the pattern cover the text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(previous) = last.replace(part) {
            match rest.split_once(previous) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last: &str| rest.ends_with(last))
}

/// Whether an address is in a block; false for what does not parse or is of the other family.
#[cfg(test)]
pub(crate) fn in_cidr(cidr: &str, address: &str) -> bool {
    let Some((base, length)) = cidr.split_once('/') else { return false };
    let Ok(length) = length.parse::<u32>() else { return false };
    match (base.parse(), address.parse()) {
        (Ok(IpAddr::V4(base)), Ok(IpAddr::V4(address))) if length <= 32 => {
            let shift = 32 - length;
            (u64::from(u32::from(base)) >> shift) == (u64::from(u32::from(address)) >> shift)
        }
        (Ok(IpAddr::V6(base)), Ok(IpAddr::V6(address))) if (1..=128).contains(&length) => {
            let shift = 128 - length;
            (u128::from(base) >> shift) == (u128::from(address) >> shift)
        }
        _ => false,
    }
}
