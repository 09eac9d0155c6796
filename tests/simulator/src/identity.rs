//! Callers, and the `userIdentity` each of them has in a record.
//!
//! A [`Caller`] is one session: a role (or user, or service) at one place with one set of credentials. `principal` is the
//! folded name that labels use: a role's ARN with its path, a user's ARN, `service:NAME`.

use crate::{
    cast::{Cast, Host, Place, Role, STREAMS, ci_address, endpoint, nat_address, office_address, private_address},
    clock::{HOUR, rfc3339},
    json::Object,
    random::{Random, hex, iam_id, uuid},
};

/// What holds the credentials.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    Role(Role),
    User { account: &'static str, arn: String, name: String, unique_id: String },
    Service { account: &'static str, name: &'static str },
    Root { account: &'static str },
}

/// The workload the credentials were issued to.
#[derive(Debug, Clone)]
pub(crate) enum Workload {
    None,
    Ec2(String),
    Lambda(String),
}

/// One session of somebody.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) who: Who,
    pub(crate) session: String,
    pub(crate) access_key: String,
    pub(crate) since: i64,
    pub(crate) address: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) user_agent: String,
    pub(crate) workload: Workload,
    pub(crate) source_identity: Option<String>,
    pub(crate) console: bool,
    /// The service that acts for it, when one does.
    pub(crate) invoked_by: Option<&'static str>,
}

impl Caller {
    pub(crate) fn principal(&self) -> String {
        match &self.who {
            Who::Role(role) if self.is_foreign() => format!("account:{}/{}", role.account, role.unique_id),
            Who::Role(role) => role.arn(),
            Who::User { arn, .. } => arn.clone(),
            Who::Service { name, .. } => format!("service:{name}"),
            Who::Root { account } => format!("arn:aws:iam::{account}:root"),
        }
    }

    pub(crate) fn unique_id(&self) -> &str {
        match &self.who {
            Who::Role(role) => &role.unique_id,
            Who::User { unique_id, .. } => unique_id,
            Who::Service { name, .. } => name,
            Who::Root { account } => account,
        }
    }

    pub(crate) fn account(&self) -> &'static str {
        match &self.who {
            Who::Role(role) => role.account,
            Who::User { account, .. } | Who::Service { account, .. } | Who::Root { account } => account,
        }
    }

    /// The ARN of the session, as `userIdentity.arn` and access logs have it.
    pub(crate) fn arn(&self) -> String {
        match &self.who {
            Who::Role(role) => format!("arn:aws:sts::{}:assumed-role/{}/{}", role.account, role.name, self.session),
            Who::User { arn, .. } => arn.clone(),
            Who::Service { name, .. } => (*name).to_owned(),
            Who::Root { account } => format!("arn:aws:iam::{account}:root"),
        }
    }

    /// Whether it belongs to an account whose trail is not ours.
    pub(crate) fn is_foreign(&self) -> bool {
        !STREAMS.iter().any(|stream| stream.place.account == self.account())
    }

    /// `userIdentity` of a call it makes itself, or through the service that acts for it.
    pub(crate) fn identity(&self) -> String {
        self.identity_with(&self.access_key, self.invoked_by)
    }

    /// `userIdentity` of a call that a service makes for it: another key, and the service named.
    pub(crate) fn forwarded(&self, random: &mut Random, service: &str) -> String {
        self.identity_with(&iam_id(random, "ASIA"), Some(service))
    }

    /// `userIdentity` in the records of the account that owns the resource, when the caller is from another.
    pub(crate) fn seen_from_outside(&self, service: Option<&str>) -> String {
        Object::new()
            .string("type", "AWSAccount")
            .string("principalId", &format!("{}:{}", self.unique_id(), self.session))
            .string("accountId", self.account())
            .maybe("invokedBy", service)
            .end()
    }

    fn identity_with(&self, access_key: &str, invoked_by: Option<&str>) -> String {
        match &self.who {
            Who::Role(role) => {
                let issuer = Object::new()
                    .string("type", "Role")
                    .string("principalId", &role.unique_id)
                    .string("arn", &role.arn())
                    .string("accountId", role.account)
                    .string("userName", &role.name)
                    .end();
                let attributes = Object::new()
                    .string("creationDate", &rfc3339(self.since))
                    .string("mfaAuthenticated", "false")
                    .end();
                let mut context = Object::new().raw("sessionIssuer", &issuer).raw("attributes", &attributes);
                context = context.maybe("sourceIdentity", self.source_identity.as_deref());
                if matches!(self.workload, Workload::Ec2(_)) {
                    context = context.string("ec2RoleDelivery", "2.0");
                }
                let mut identity = Object::new()
                    .string("type", "AssumedRole")
                    .string("principalId", &format!("{}:{}", role.unique_id, self.session))
                    .string("arn", &self.arn())
                    .string("accountId", role.account)
                    .string("accessKeyId", access_key)
                    .raw("sessionContext", &context.end());
                identity = identity.maybe("invokedBy", invoked_by);
                if let Workload::Ec2(source) | Workload::Lambda(source) = &self.workload {
                    let kind = if matches!(self.workload, Workload::Ec2(_)) {
                        "AWS::EC2::Instance"
                    } else {
                        "AWS::Lambda::Function"
                    };
                    let scope = Object::new()
                        .string("sourceArn", source)
                        .string("sourceAccount", role.account)
                        .string("issuerType", kind)
                        .string("credentialsIssuedTo", source)
                        .end();
                    identity = identity.raw("inScopeOf", &scope);
                }
                identity.end()
            }
            Who::User { account, arn, name, unique_id } => {
                let mut identity = Object::new()
                    .string("type", "IAMUser")
                    .string("principalId", unique_id)
                    .string("arn", arn)
                    .string("accountId", account)
                    .string("accessKeyId", access_key)
                    .string("userName", name);
                if let Some(service) = invoked_by {
                    let attributes = Object::new()
                        .string("creationDate", &rfc3339(self.since))
                        .string("mfaAuthenticated", "false")
                        .end();
                    let context = Object::new().raw("sessionIssuer", "{}").raw("attributes", &attributes).end();
                    identity = identity.raw("sessionContext", &context).string("invokedBy", service);
                } else if access_key.starts_with("ASIA") {
                    let attributes = Object::new()
                        .string("creationDate", &rfc3339(self.since))
                        .string("mfaAuthenticated", "true")
                        .end();
                    let context = Object::new().raw("sessionIssuer", "{}").raw("attributes", &attributes).end();
                    identity = identity.raw("sessionContext", &context);
                }
                identity.end()
            }
            Who::Root { account } => {
                let attributes =
                    Object::new().string("creationDate", &rfc3339(self.since)).string("mfaAuthenticated", "true").end();
                Object::new()
                    .string("type", "Root")
                    .string("principalId", account)
                    .string("arn", &self.arn())
                    .string("accountId", account)
                    .string("accessKeyId", access_key)
                    .raw("sessionContext", &Object::new().raw("attributes", &attributes).end())
                    .maybe("invokedBy", invoked_by)
                    .end()
            }
            Who::Service { name, .. } => Object::new().string("type", "AWSService").string("invokedBy", name).end(),
        }
    }
}

const SDK: &str = "aws-sdk-java/2.29.45 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.115 lang/java#21.0.5 md/OpenJDK_64-Bit_Server_VM m/E,b";

fn role_caller(random: &mut Random, role: Role, session: String, at: i64, address: String) -> Caller {
    Caller {
        who: Who::Role(role),
        session,
        access_key: iam_id(random, "ASIA"),
        since: at - at.rem_euclid(HOUR),
        address,
        endpoint: None,
        user_agent: SDK.to_owned(),
        workload: Workload::None,
        source_identity: None,
        console: false,
        invoked_by: None,
    }
}

fn through(random: &mut Random, cast: &Cast, place: Place, by_endpoint: bool) -> (String, Option<String>) {
    if by_endpoint {
        (private_address(random, place), Some(endpoint(cast.seed, place)))
    } else {
        (nat_address(random, place), None)
    }
}

/// A new ECS task or EC2 instance of a role.
pub(crate) fn host(
    random: &mut Random,
    cast: &Cast,
    role: Role,
    place: Place,
    host: Host,
    by_endpoint: bool,
    at: i64,
) -> Caller {
    let (address, endpoint) = through(random, cast, place, by_endpoint);
    let session = if host == Host::Ecs { hex(random, 32) } else { format!("i-0{}", hex(random, 16)) };
    let mut caller = role_caller(random, role, session, at, address);
    caller.endpoint = endpoint;
    if host == Host::Ec2 {
        let arn = format!("arn:aws:ec2:{}:{}:instance/{}", place.region, place.account, caller.session);
        caller.workload = Workload::Ec2(arn);
        caller.user_agent = "aws-secrets-manager-agent/2.0.0 aws-sdk-rust/1.3.3 os/linux lang/rust/1.82.0".to_owned();
    } else {
        caller.user_agent = format!("{SDK} exec-env/AWS_ECS_FARGATE");
    }
    caller
}

/// A Lambda function inside the VPC.
pub(crate) fn function(random: &mut Random, cast: &Cast, role: Role, place: Place, name: &str, at: i64) -> Caller {
    let (address, endpoint) = through(random, cast, place, true);
    let arn = format!("arn:aws:lambda:{}:{}:function:{name}", place.region, place.account);
    let mut caller = role_caller(random, role, name.to_owned(), at, address);
    caller.endpoint = endpoint;
    caller.workload = Workload::Lambda(arn);
    caller.user_agent = "Boto3/1.35.90 md/Botocore#1.35.90 ua/2.0 os/linux#5.10.230 md/arch#x86_64 lang/python#3.12.8 exec-env/AWS_Lambda_python3.12".to_owned();
    caller
}

/// A person signed in through IAM Identity Center.
pub(crate) fn person(random: &mut Random, role: Role, name: &str, at: i64) -> Caller {
    let address = office_address(random);
    let mail = format!("{name}@example.com");
    let mut caller = role_caller(random, role, mail.clone(), at, address);
    caller.console = crate::random::chance(random, 0.5);
    caller.user_agent = if caller.console {
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36".to_owned()
    } else {
        "aws-cli/2.31.11 md/awscrt#0.27.6 ua/2.1 os/macos#25.0.0 md/arch#arm64 lang/python#3.13.7 md/installer#exe"
            .to_owned()
    };
    if crate::random::chance(random, 0.3) {
        caller.source_identity = Some(mail);
    }
    caller
}

/// A build job that came in through the OpenID provider.
pub(crate) fn build_job(random: &mut Random, role: Role, session: &str, at: i64) -> Caller {
    let address = ci_address(random);
    let mut caller = role_caller(random, role, session.to_owned(), at, address);
    caller.user_agent =
        "aws-sdk-js/3.927.0 ua/2.1 os/linux#6.11.0-1018-azure lang/js md/nodejs#20.19.5 api/secrets-manager#3.927.0"
            .to_owned();
    caller
}

/// An infrastructure-as-code run.
pub(crate) fn terraform(random: &mut Random, role: Role, at: i64) -> Caller {
    let address = ci_address(random);
    let session = format!("aws-go-sdk-{}", uuid(random).replace('-', ""));
    let mut caller = role_caller(random, role, session, at, address);
    caller.user_agent = "APN/1.0 HashiCorp/1.0 Terraform/1.13.4 (+https://www.terraform.io) terraform-provider-aws/6.18.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.39.4 ua/2.1 os/linux lang/go#1.24.6 md/GOOS#linux md/GOARCH#amd64".to_owned();
    caller
}

/// A user with a long-term key.
pub(crate) fn user(cast: &Cast, random: &mut Random, place: Place, name: &str, at: i64) -> Caller {
    let arn = format!("arn:aws:iam::{}:user/{name}", place.account);
    let unique_id = cast.user_id(&arn);
    let address = nat_address(random, place);
    Caller {
        access_key: iam_id(&mut crate::random::random_for(cast.seed, &format!("key of {arn}")), "AKIA"),
        who: Who::User { account: place.account, arn, name: name.to_owned(), unique_id },
        session: String::new(),
        since: at,
        address,
        endpoint: None,
        user_agent: "aws-cli/1.44.8 md/Botocore#1.42.18 ua/2.1 os/linux#5.4.0-216-generic lang/python#3.8.10"
            .to_owned(),
        workload: Workload::None,
        source_identity: None,
        console: false,
        invoked_by: None,
    }
}

/// The account's owner, signed in to the console.
pub(crate) fn root(random: &mut Random, account: &'static str, at: i64) -> Caller {
    let mut caller = Caller {
        who: Who::Root { account },
        session: String::new(),
        access_key: iam_id(random, "ASIA"),
        since: at - at.rem_euclid(HOUR),
        address: office_address(random),
        endpoint: None,
        user_agent: String::new(),
        workload: Workload::None,
        source_identity: None,
        console: true,
        invoked_by: None,
    };
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
        .clone_into(&mut caller.user_agent);
    caller
}

/// An AWS service acting on its own.
pub(crate) fn aws_service(account: &'static str, name: &'static str) -> Caller {
    Caller {
        who: Who::Service { account, name },
        session: String::new(),
        access_key: String::new(),
        since: 0,
        address: name.to_owned(),
        endpoint: None,
        user_agent: name.to_owned(),
        workload: Workload::None,
        source_identity: None,
        console: false,
        invoked_by: Some(name),
    }
}
