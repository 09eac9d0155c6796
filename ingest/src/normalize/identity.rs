//! Who someone is: sessions folded to roles, users, root, services and other accounts.
//!
//! In: `userIdentity` of every type, also without a type or with an empty `sessionIssuer`. Out: [`Identity`].
//!
//! Invariants: `principal_id` is never empty and never holds a session's name; a role keeps its path where the record has
//! it; the unique id (`AROA…`) is kept beside the ARN, because a role made again under its old name keeps its ARN.

use std::borrow::Cow;

use keytrail_model::{CredentialKind, PrincipalKind, arn::Arn};

use super::wire::Fields;

/// The caller of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) principal_id: String,
    pub(super) kind: PrincipalKind,
    pub(super) account: Option<String>,
    pub(super) unique_id: Option<String>,
    pub(super) session_name: Option<String>,
    pub(super) source_identity: Option<String>,
    pub(super) access_key_id: Option<String>,
    pub(super) credential_kind: Option<CredentialKind>,
    pub(super) mfa: Option<bool>,
    pub(super) invoked_by: Option<String>,
    pub(super) workload: Option<String>,
    /// `type` is `AWSService`: the service itself, not a service acting for somebody.
    pub(super) is_service: bool,
}

/// An ARN with its session taken off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Folded {
    pub(super) principal_id: String,
    pub(super) kind: PrincipalKind,
    pub(super) account: Option<String>,
    pub(super) session_name: Option<String>,
}

/// Takes the session off an ARN: `…:assumed-role/R/S` becomes the role `R` (whose path such an ARN does not tell).
pub(super) fn fold_arn(text: &str) -> Option<Folded> {
    let arn = Arn::parse(text)?;
    let account = (!arn.account.is_empty()).then(|| arn.account.to_owned());
    let whole = |kind| Folded { principal_id: text.to_owned(), kind, account: account.clone(), session_name: None };
    if arn.resource == "root" {
        return Some(whole(PrincipalKind::Root));
    }
    let (sort, rest) = arn.resource.split_once('/')?;
    match (arn.service, sort) {
        ("sts", "assumed-role") => {
            let (role, session) = rest.split_once('/').map_or((rest, None), |(role, session)| (role, Some(session)));
            Some(Folded {
                principal_id: ["arn:", arn.partition, ":iam::", arn.account, ":role/", role].concat(),
                kind: PrincipalKind::Role,
                account,
                session_name: session.filter(|session| !session.is_empty()).map(str::to_owned),
            })
        }
        ("sts", "federated-user") => {
            Some(Folded { session_name: Some(rest.to_owned()), ..whole(PrincipalKind::Federated) })
        }
        (_, "role") => Some(whole(PrincipalKind::Role)),
        (_, "user") => Some(whole(PrincipalKind::User)),
        _ => Some(whole(PrincipalKind::Unknown)),
    }
}

impl Identity {
    /// Understands a `userIdentity`.
    pub(super) fn of(identity: &Fields<'_>, from_console: bool) -> Self {
        let parts = Parts::of(identity);
        let mut who = parts.principal();
        who.mfa = parts.session.object("attributes").flag("mfaAuthenticated");
        who.source_identity = parts.session.text("sourceIdentity").map(Cow::into_owned);
        who.access_key_id = identity.text("accessKeyId").map(Cow::into_owned);
        who.invoked_by = parts.invoked_by.as_deref().map(str::to_owned);
        who.workload = [identity.object("inScopeOf"), parts.session.object("inScopeOf")]
            .iter()
            .find_map(|scope| scope.text("sourceArn"))
            .map(Cow::into_owned);
        who.credential_kind = parts.credential_kind(&who, from_console);
        who
    }
}

/// The members of a `userIdentity` that say who it is.
struct Parts<'a> {
    sort: Cow<'a, str>,
    arn: Option<Cow<'a, str>>,
    account: Option<Cow<'a, str>>,
    /// `principalId` before and after its colon.
    unique_id: Option<String>,
    session_of_id: Option<String>,
    user_name: Option<Cow<'a, str>>,
    invoked_by: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    session: Fields<'a>,
    issuer: Fields<'a>,
    on_behalf: Fields<'a>,
    provider: Option<Cow<'a, str>>,
    principal: Option<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    fn of(identity: &Fields<'a>) -> Self {
        let session = identity.object("sessionContext");
        let principal = identity.text("principalId");
        let (unique_id, session_of_id) = match principal.as_deref().map(|id| id.split_once(':').unwrap_or((id, ""))) {
            Some((id, session)) => (Some(id.to_owned()), Some(session.to_owned())),
            None => (None, None),
        };
        Self {
            sort: identity.text("type").unwrap_or_default(),
            arn: identity.text("arn"),
            account: identity.text("accountId"),
            unique_id: unique_id.filter(|id| !id.is_empty()),
            session_of_id: session_of_id.filter(|session| !session.is_empty()),
            user_name: identity.text("userName").filter(|name| !name.starts_with("HIDDEN_DUE_TO")),
            invoked_by: identity.text("invokedBy"),
            key: identity.text("accessKeyId"),
            issuer: session.object("sessionIssuer"),
            session,
            on_behalf: identity.object("onBehalfOf"),
            provider: identity.text("identityProvider"),
            principal,
        }
    }

    fn principal(&self) -> Identity {
        match self.sort.as_ref() {
            "AWSService" => self.service(),
            "SAMLUser" | "WebIdentityUser" => self.federated(),
            "IdentityCenterUser" => self.identity_center(),
            "Root" => self.root(),
            "" if self.arn.is_none() && self.invoked_by.is_some() => self.service(),
            _ => self.by_arn().unwrap_or_else(|| self.without_arn()),
        }
    }

    /// The session's issuer (which has the role's path), else the ARN.
    fn by_arn(&self) -> Option<Identity> {
        let own = self.arn.as_deref().and_then(fold_arn);
        let issuer = self.issuer.text("arn").and_then(|arn| fold_arn(&arn));
        let has_issuer = issuer.is_some();
        let own_session = own.as_ref().and_then(|own| own.session_name.clone());
        let folded = issuer.or(own)?;
        let session_name = own_session.or_else(|| {
            // A user's or root's `principalId` has no session; a role's has one.
            (folded.kind == PrincipalKind::Role).then(|| self.session_of_id.clone()).flatten()
        });
        let unique_id = if has_issuer { self.issuer.text("principalId").map(Cow::into_owned) } else { None };
        Some(Identity {
            account: folded.account.or_else(|| self.account()),
            unique_id: unique_id.or_else(|| self.unique_id.clone()),
            session_name,
            ..named(folded.principal_id, folded.kind)
        })
    }

    fn root(&self) -> Identity {
        let account = self.account().or_else(|| self.unique_id.clone());
        let arn = self.arn.as_deref().filter(|arn| arn.ends_with(":root")).map(str::to_owned);
        let principal_id = arn.or_else(|| account.as_ref().map(|account| format!("arn:aws:iam::{account}:root")));
        Identity {
            account,
            unique_id: self.unique_id.clone(),
            ..named(principal_id.unwrap_or_else(|| "unknown".to_owned()), PrincipalKind::Root)
        }
    }

    fn service(&self) -> Identity {
        let name = self.invoked_by.as_deref().or(self.principal.as_deref()).unwrap_or("unknown");
        Identity { is_service: true, ..named(format!("service:{name}"), PrincipalKind::Service) }
    }

    fn federated(&self) -> Identity {
        let name = self.principal.as_deref().map(str::to_owned).or_else(|| {
            let name = self.user_name.as_deref()?;
            Some(self.provider.as_deref().map_or_else(|| name.to_owned(), |provider| format!("{provider}/{name}")))
        });
        let principal_id = name.map_or_else(|| "unknown".to_owned(), |name| format!("federated:{name}"));
        Identity {
            account: self.account(),
            unique_id: self.principal.as_deref().map(str::to_owned),
            session_name: self.user_name.as_deref().map(str::to_owned),
            ..named(principal_id, PrincipalKind::Federated)
        }
    }

    fn identity_center(&self) -> Identity {
        let user = self.on_behalf.text("userId").or_else(|| self.principal.clone());
        let principal_id =
            user.as_deref().map_or_else(|| "unknown".to_owned(), |user| format!("IdentityCenter:{user}"));
        Identity {
            account: self.account(),
            unique_id: user.map(Cow::into_owned),
            ..named(principal_id, PrincipalKind::IdentityCenter)
        }
    }

    /// Another account's caller, or a user whose ARN was left out.
    fn without_arn(&self) -> Identity {
        let account = self.account();
        let (principal_id, kind) = match (self.sort.as_ref(), account.as_deref(), self.user_name.as_deref()) {
            ("IAMUser", Some(account), Some(name)) => {
                (format!("arn:aws:iam::{account}:user/{name}"), PrincipalKind::User)
            }
            (sort, Some(account), _) => {
                let kind = if sort == "AWSAccount" { PrincipalKind::Account } else { PrincipalKind::Unknown };
                let id = self.unique_id.as_deref().filter(|id| *id != account);
                (id.map_or_else(|| format!("account:{account}"), |id| format!("account:{account}/{id}")), kind)
            }
            (_, None, _) => match (self.unique_id.as_deref(), self.invoked_by.as_deref()) {
                (Some(id), _) => (format!("unknown:{id}"), PrincipalKind::Unknown),
                (None, Some(service)) => (format!("service:{service}"), PrincipalKind::Service),
                (None, None) => ("unknown".to_owned(), PrincipalKind::Unknown),
            },
        };
        Identity {
            account,
            unique_id: self.unique_id.clone(),
            session_name: self.session_of_id.clone(),
            ..named(principal_id, kind)
        }
    }

    fn account(&self) -> Option<String> {
        self.issuer.text("accountId").or_else(|| self.account.clone()).map(Cow::into_owned)
    }

    fn credential_kind(&self, who: &Identity, from_console: bool) -> Option<CredentialKind> {
        let key = self.key.as_deref().unwrap_or_default();
        match (who.kind, self.sort.as_ref()) {
            (PrincipalKind::Root, sort) if sort != "FederatedUser" => Some(CredentialKind::Root),
            (PrincipalKind::Service, _) => Some(CredentialKind::Service),
            (_, "FederatedUser" | "SAMLUser" | "WebIdentityUser" | "IdentityCenterUser") => {
                Some(CredentialKind::Federated)
            }
            _ if from_console => Some(CredentialKind::Console),
            (PrincipalKind::Role, _) => Some(CredentialKind::Role),
            (PrincipalKind::Account, _) if self.unique_id.as_deref().is_some_and(|id| id.starts_with("AROA")) => {
                Some(CredentialKind::Role)
            }
            _ if key.starts_with("AKIA") => Some(CredentialKind::LongTermKey),
            // A service acting for the user made this key for itself: it says nothing about the user's own credential.
            _ if key.starts_with("ASIA") && self.invoked_by.is_none() => Some(CredentialKind::SessionToken),
            _ => None,
        }
    }
}

/// Somebody of whom only the name is known.
pub(super) fn named(principal_id: String, kind: PrincipalKind) -> Identity {
    Identity {
        principal_id,
        kind,
        account: None,
        unique_id: None,
        session_name: None,
        source_identity: None,
        access_key_id: None,
        credential_kind: None,
        mfa: None,
        invoked_by: None,
        workload: None,
        is_service: false,
    }
}
