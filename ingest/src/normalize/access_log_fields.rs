//! The fields of an API Gateway access-log line, under their own names, and which keys of a user's template they are.
//!
//! In: keys and values of one decoded line. Out: [`AccessLogFields`].
//!
//! Invariants: `-`, `(none)` and the empty text are absent (API Gateway prints unset variables so); one table holds the
//! fields, their names in the configuration, and their keys in the template that we recommend.

use std::{borrow::Cow, collections::BTreeMap};

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident, $field:ident = $key:literal;)+) => {
        /// A field that is understood.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AccessLogField { $($(#[$doc])* $variant),+ }

        /// One access-log line's fields; what is unset is `None`.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct AccessLogFields<'a> { $($(#[$doc])* pub $field: Option<Cow<'a, str>>),+ }

        impl AccessLogField {
            /// Every field.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the configuration.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field)),+ }
            }

            /// Its key in the recommended template.
            pub const fn default_key(self) -> &'static str {
                match self { $(Self::$variant => $key),+ }
            }
        }

        impl<'a> AccessLogFields<'a> {
            /// Sets one field; a value that means "unset" clears it.
            pub fn set(&mut self, field: AccessLogField, value: Cow<'a, str>) {
                let is_set = !matches!(value.trim(), "" | "-" | "(none)");
                let value = is_set.then_some(value);
                match field { $(AccessLogField::$variant => self.$field = value),+ }
            }

            /// One field.
            pub fn get(&self, field: AccessLogField) -> Option<&str> {
                match field { $(AccessLogField::$variant => self.$field.as_deref()),+ }
            }
        }
    };
}

fields! {
    /// `$context.requestId`; on REST APIs the client can choose it.
    RequestId, request_id = "reqId";
    /// `$context.extendedRequestId`
    ExtRequestId, ext_request_id = "extId";
    /// `$context.requestTimeEpoch`, `$context.requestTime` or an RFC 3339 time.
    Time, time = "t";
    /// `$context.accountId`: the API's owner.
    OwnerAccount, owner_account = "owner";
    /// `$context.apiId`
    ApiId, api_id = "api";
    /// `$context.stage`
    Stage, stage = "stage";
    /// `$context.httpMethod`
    Method, method = "method";
    /// `$context.resourcePath` (REST)
    ResourcePath, resource_path = "res";
    /// `$context.routeKey` (HTTP and WebSocket)
    RouteKey, route_key = "route";
    /// `$context.path`
    Path, path = "path";
    /// `$context.status`
    Status, status = "status";
    /// `$context.error.responseType`
    ErrorType, error_type = "errType";
    /// `$context.error.message`; not in the recommended template.
    ErrorMessage, error_message = "errMsg";
    /// `$context.authorize.status`
    AuthorizeStatus, authorize_status = "authz";
    /// `$context.authenticate.status`
    AuthenticateStatus, authenticate_status = "authn";
    /// `$context.identity.userArn`
    UserArn, user_arn = "userArn";
    /// `$context.identity.caller`
    Caller, caller = "caller";
    /// `$context.identity.user`
    User, user = "user";
    /// `$context.identity.accountId`: the caller's account.
    AccountId, account_id = "acct";
    /// `$context.identity.principalOrgId`
    PrincipalOrg, principal_org = "org";
    /// `$context.identity.cognitoIdentityId`
    CognitoIdentity, cognito_identity = "cognito";
    /// `$context.authorizer.principalId`
    AuthPrincipal, auth_principal = "authPrincipal";
    /// `$context.identity.apiKeyId`
    ApiKeyId, api_key_id = "keyId";
    /// `$context.identity.accessKey`; not in the recommended template.
    AccessKeyId, access_key_id = "accessKey";
    /// `$context.identity.sourceIp`
    SourceIp, source_ip = "ip";
    /// `$context.identity.vpcId`
    VpcId, vpc_id = "vpc";
    /// `$context.identity.vpceId`
    VpceId, vpce_id = "vpce";
    /// `$context.tlsVersion`
    Tls, tls = "tls";
    /// `$context.domainName`
    Domain, domain = "dom";
    /// `$context.identity.userAgent`
    UserAgent, user_agent = "ua";
}

/// A name in the field map's configuration that is no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a field of an access log; use one of {}", AccessLogField::ALL.iter().map(|field| field.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownField {
    pub name: String,
}

/// Which key of the user's template each field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMap {
    fields: BTreeMap<String, AccessLogField>,
}

impl Default for FieldMap {
    /// The recommended template's keys.
    fn default() -> Self {
        let fields = AccessLogField::ALL.iter().map(|field| (field.default_key().to_owned(), *field)).collect();
        Self { fields }
    }
}

impl FieldMap {
    /// The recommended keys, with some fields found under other keys: `{field name: key in the user's template}`.
    pub fn with<N: AsRef<str>, K: Into<String>>(keys: impl IntoIterator<Item = (N, K)>) -> Result<Self, UnknownField> {
        let mut map = Self::default();
        let mut own = Vec::new();
        for (name, key) in keys {
            let field = AccessLogField::ALL.iter().find(|field| field.name() == name.as_ref()).copied();
            let field = field.ok_or_else(|| UnknownField { name: name.as_ref().to_owned() })?;
            map.fields.retain(|_, known| *known != field);
            own.push((key.into(), field));
        }
        // Last, so that a user's key wins over the recommended key of another field.
        map.fields.extend(own);
        Ok(map)
    }

    /// The field that a key of the template is.
    pub fn field(&self, key: &str) -> Option<AccessLogField> {
        self.fields.get(key).copied()
    }

    /// Gathers the fields of one line; keys that are no field are left out.
    pub fn collect<'a, K: AsRef<str>>(
        &self,
        members: impl IntoIterator<Item = (K, Cow<'a, str>)>,
    ) -> AccessLogFields<'a> {
        let mut fields = AccessLogFields::default();
        for (key, value) in members {
            if let Some(field) = self.field(key.as_ref()) {
                fields.set(field, value);
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recommended_keys_are_distinct() {
        assert_eq!(FieldMap::default().fields.len(), AccessLogField::ALL.len());
    }

    #[test]
    fn a_users_template_wins() {
        let map = FieldMap::with([("source_ip", "ua"), ("user_agent", "agent")]).expect("known fields");
        let fields = map.collect([
            ("ua", Cow::Borrowed("192.0.2.1")),
            ("agent", Cow::Borrowed("-")),
            ("ip", Cow::Borrowed("x")),
        ]);
        assert_eq!(fields.source_ip.as_deref(), Some("192.0.2.1"));
        assert_eq!(fields.user_agent, None);
        let error = FieldMap::with([("sorce_ip", "ip")]).expect_err("no such field");
        assert!(error.to_string().contains("source_ip"), "{error}");
    }
}
