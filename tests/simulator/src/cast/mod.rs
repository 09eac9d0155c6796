//! Who and what exists in the simulated organisation: accounts, networks, secrets, services and people.
//!
//! Everything here is a table or follows from the seed and a name, so that a role has the same unique id wherever it is
//! mentioned. The addresses are from the blocks reserved for documentation, benchmarks and private networks.

mod accounts;
mod fleet;
mod policy;
mod secrets;
mod services;

pub(crate) use accounts::{
    DATA, FOREIGN_V4, FOREIGN_V6, GAP_PLACE, ORGANISATION, PLATFORM, PROD, Place, SECURITY, STAGING, STREAMS, Stream,
    ci_address, endpoint, green_nat_address, hosted_runner_address, nat_address, office_address, private_address,
};
pub(crate) use fleet::{Egress, People, Style, Unit};
#[cfg(test)]
pub(crate) use policy::in_cidr;
pub(crate) use policy::{NETWORKS, SYNC_AGENTS, UPKEEP, config_toml, glob};
pub(crate) use secrets::{Fate, Kind, Secret, secrets};
pub(crate) use services::{CACHING, Host, SERVICES, Service};

use crate::random::{iam_id, random_for};

/// An IAM role.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) account: &'static str,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) unique_id: String,
}

impl Role {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }
}

/// The cast of one seed.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) seed: u64,
    pub(crate) secrets: Vec<Secret>,
    /// Services beyond the table.
    pub(crate) units: Vec<Unit>,
    /// Permission sets beyond the table.
    pub(crate) people: Vec<People>,
}

impl Cast {
    /// The table, and so many secrets in all with the services and people they belong to.
    pub(crate) fn new(seed: u64, size: usize) -> Self {
        let mut secrets = secrets(seed);
        let (units, people) = fleet::fleet(seed, size, &mut secrets);
        Self { seed, secrets, units, people }
    }

    /// The index of a secret of the table.
    pub(crate) fn secret(&self, name: &str) -> usize {
        self.secrets
            .iter()
            .position(|secret| secret.name == name)
            .expect("behaviours and incidents name secrets of the table only, and the tests run every one of them")
    }

    pub(crate) fn role(&self, account: &'static str, path: &str, name: &str) -> Role {
        self.role_generation(account, path, name, 1)
    }

    /// The role as made for the n-th time: same ARN, another unique id.
    pub(crate) fn role_generation(&self, account: &'static str, path: &str, name: &str, generation: u32) -> Role {
        let mut random = random_for(self.seed, &format!("role {account} {path}{name} {generation}"));
        Role { account, path: path.to_owned(), name: name.to_owned(), unique_id: iam_id(&mut random, "AROA") }
    }

    /// The role of an IAM Identity Center permission set.
    pub(crate) fn sso_role(&self, account: &'static str, permission_set: &str) -> Role {
        let mut random = random_for(self.seed, &format!("permission set {permission_set}"));
        let name = format!("AWSReservedSSO_{permission_set}_{}", crate::random::hex(&mut random, 16));
        self.role(account, "/aws-reserved/sso.amazonaws.com/eu-west-1/", &name)
    }

    pub(crate) fn user_id(&self, arn: &str) -> String {
        iam_id(&mut random_for(self.seed, arn), "AIDA")
    }
}
