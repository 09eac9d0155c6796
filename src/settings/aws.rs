//! `[aws]`: region, endpoint, credentials and the roles of other accounts.
//!
//! Credentials themselves never stand here: they come from the standard chain (environment, profile, container, instance).

use super::{
    key::section,
    names::{AccountId, EndpointUrl, ExternalId, Region, RoleArn},
};

section! {
    /// How AWS is reached. Credentials come from AWS's standard chain (environment, profile, web identity, container, instance) and never stand here.
    struct AwsSection {
        /// Region of the worker's clients; without it the queue URL's region, then AWS's own chain decide.
        region: Option<Region> = None;
        /// Where requests go instead of AWS: an emulator, or a private endpoint.
        endpoint_url: Option<EndpointUrl> = None;
        /// Name buckets in the path instead of the host; without it, only where `endpoint_url` is set.
        path_style: Option<bool> = None;
        /// Profile of the shared configuration files.
        profile: Option<String> = None;
    }
    with {
        /// The role that the worker takes on before anything else.
        assume_role: AssumeRoleSection,
        /// Roles in other accounts.
        accounts: Vec<AccountEntry>,
    }
}

section! {
    /// A role that the worker takes on before it calls queue and buckets.
    struct AssumeRoleSection {
        /// ARN of the role.
        role_arn: Option<RoleArn> = None;
        /// External id that the role's trust policy asks for; never shown.
        external_id: Option<ExternalId> = None;
        /// Name of the session, as CloudTrail will show it.
        session_name: String = "keytrail".to_owned();
    }
}

section! {
    /// One account and the role in it that reads how its trails are set.
    struct AccountEntry {
        /// The account.
        id: AccountId = AccountId::default();
        /// ARN of the role in it.
        role_arn: RoleArn = RoleArn::default();
        /// External id that the role's trust policy asks for; never shown.
        external_id: Option<ExternalId> = None;
    }
}
