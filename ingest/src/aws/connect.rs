//! Settings -> credentials and clients.
//!
//! In: [`AwsSettings`]. Out: [`Aws`], which gives out clients of S3 (per region), SQS, STS and CloudTrail (per account and
//! region). Connecting sends nothing but what the credential chain needs to find the region; wrong credentials show at the
//! first call, or at [`Aws::identity`]. Clients share one credential cache per role, and are kept for the next asker.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_config::{
    AppName, BehaviorVersion, Region, SdkConfig, identity::IdentityCache, retry::RetryConfig, sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_sdk_s3::config::{SharedCredentialsProvider, StalledStreamProtectionConfig};
use thiserror::Error;
use tokio::sync::OnceCell;

use super::{
    failure::{Failure, is_region},
    settings::{AssumeRole, AwsSettings},
};

const SESSION_NAME: &str = "keytrail";
/// Where an endpoint is set and no region is: emulators and S3-compatible stores do not care.
const ANY_REGION: &str = "us-east-1";
/// AWS has fewer regions; names beyond this come from somebody's invention.
const MAX_REGIONS: usize = 64;

/// A connection to AWS. A clone is the same one.
#[derive(Clone)]
pub struct Aws {
    inner: Arc<Inner>,
}

struct Inner {
    settings: AwsSettings,
    config: SdkConfig,
    region: String,
    path_style: bool,
    accounts: HashMap<String, OnceCell<SdkConfig>>,
    identity: OnceCell<Identity>,
    s3: Mutex<HashMap<String, aws_sdk_s3::Client>>,
    sqs: aws_sdk_sqs::Client,
    sts: aws_sdk_sts::Client,
}

/// Whose credentials these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub account_id: String,
    pub arn: String,
}

/// AWS cannot be used as it is set up.
#[derive(Debug, Error)]
#[error("{place}: {kind}")]
pub struct AwsError {
    /// What was tried.
    pub place: String,
    #[source]
    pub kind: AwsErrorKind,
}

#[derive(Debug, Error)]
pub enum AwsErrorKind {
    #[error("no region is set: set `aws.region`, AWS_REGION, or a region in the profile")]
    NoRegion,
    #[error("{0:?} is no region's name")]
    NotARegion(String),
    #[error("a role cannot be assumed: the configuration was made without aws_config's loader, and has no clock")]
    NoClock,
    #[error("no role is set for account {0}: add it to [[aws.accounts]] with a role that the worker may assume")]
    UnknownAccount(String),
    #[error("there are no credentials: {0}")]
    NoCredentials(String),
    #[error("access is denied ({code}): {message}")]
    Forbidden { code: String, message: String },
    #[error("AWS cannot be reached: {0}")]
    Unavailable(String),
    #[error("AWS refuses the request ({code}): {message}")]
    Refused { code: String, message: String },
}

impl AwsErrorKind {
    /// Whether trying again, after a pause, can help without anybody acting.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl AwsError {
    pub(super) fn new(place: impl Into<String>, kind: AwsErrorKind) -> Self {
        Self { place: place.into(), kind }
    }

    pub(super) fn of(place: impl Into<String>, failure: &Failure) -> Self {
        let kind = match failure {
            Failure::Unreached(text) => AwsErrorKind::Unavailable(text.clone()),
            Failure::NoCredentials(text) => AwsErrorKind::NoCredentials(text.clone()),
            Failure::NotSent(text) => AwsErrorKind::Refused { code: failure.code(), message: text.clone() },
            Failure::Answered(answer) => match answer.status {
                401 | 403 => AwsErrorKind::Forbidden { code: failure.code(), message: answer.message.clone() },
                429 | 500.. => AwsErrorKind::Unavailable(failure.text()),
                // CloudTrail and STS say it with 400.
                _ if answer.code.contains("AccessDenied") => {
                    AwsErrorKind::Forbidden { code: failure.code(), message: answer.message.clone() }
                }
                _ if answer.code.contains("Throttl") => AwsErrorKind::Unavailable(failure.text()),
                _ => AwsErrorKind::Refused { code: failure.code(), message: answer.message.clone() },
            },
        };
        Self::new(place, kind)
    }
}

impl Aws {
    /// Finds region and credentials as every AWS tool does, then applies what is set.
    pub async fn connect(settings: AwsSettings) -> Result<Self, AwsError> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &settings.endpoint_url {
            loader = loader.endpoint_url(endpoint);
        }
        let limits = settings.time_limits;
        // The chain's own calls (STS, SSO, instance metadata) keep to the limits too.
        loader = loader.timeout_config(timeouts(&settings)).retry_config(attempts(limits.attempts));
        Self::from_config(loader.load().await, settings).await
    }

    /// The same from a configuration made elsewhere, with its credentials. It must come from `aws_config`'s loader: a role cannot be
    /// assumed without the clock that the loader puts into it.
    pub async fn from_config(config: SdkConfig, settings: AwsSettings) -> Result<Self, AwsError> {
        // A setting for one service alone (AWS_ENDPOINT_URL_S3) shows only in the environment.
        let s3_alone = std::env::var_os("AWS_ENDPOINT_URL_S3").is_some_and(|url| !url.is_empty());
        let has_endpoint = config.endpoint_url().is_some() || s3_alone;
        let region = settings.region.clone().or_else(|| config.region().map(|region| region.as_ref().to_owned()));
        let region = match region {
            Some(region) => region,
            None if has_endpoint => ANY_REGION.to_owned(),
            None => return Err(AwsError::new("aws", AwsErrorKind::NoRegion)),
        };
        if !is_region(&region) {
            return Err(AwsError::new("aws.region", AwsErrorKind::NotARegion(region)));
        }
        let mut config = config.into_builder();
        config
            .set_region(Region::new(region.clone()))
            .set_retry_config(Some(attempts(settings.time_limits.attempts)))
            .set_timeout_config(Some(timeouts(&settings)))
            .set_app_name(AppName::new(SESSION_NAME).ok());
        let mut config = config.build();
        if config.time_source().is_none() && (settings.assume_role.is_some() || !settings.accounts.is_empty()) {
            return Err(AwsError::new("aws", AwsErrorKind::NoClock));
        }
        if let Some(role) = &settings.assume_role {
            config = assume(&config, role).await;
        }
        let mut queue = timeouts(&settings).to_builder();
        queue.set_read_timeout(Some(settings.time_limits.queue_answer));
        let sqs = aws_sdk_sqs::config::Builder::from(&config).timeout_config(queue.build()).build();
        let inner = Inner {
            region,
            path_style: settings.path_style.unwrap_or(has_endpoint),
            accounts: settings.accounts.iter().map(|role| (role.account_id.clone(), OnceCell::new())).collect(),
            identity: OnceCell::new(),
            s3: Mutex::default(),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            sts: aws_sdk_sts::Client::new(&config),
            config,
            settings,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The region that is asked where nothing says otherwise.
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    /// What clients of other services are made from.
    pub fn config(&self) -> &SdkConfig {
        &self.inner.config
    }

    pub fn settings(&self) -> &AwsSettings {
        &self.inner.settings
    }

    /// A client of S3 in a region, else in the default one. A name that is no region's counts as none.
    pub fn s3(&self, region: Option<&str>) -> aws_sdk_s3::Client {
        let region = region.filter(|region| is_region(region)).unwrap_or(&self.inner.region);
        let mut clients = self.inner.s3.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(region) {
            return client.clone();
        }
        let config = aws_sdk_s3::config::Builder::from(&self.inner.config)
            .region(Region::new(region.to_owned()))
            .force_path_style(self.inner.path_style)
            // An announced bucket is a plain name; nothing in a name may lead to another place.
            .use_arn_region(false)
            .disable_multi_region_access_points(true)
            // A second one, with the time corrected, helps against a wrong clock; for all else the store has its own patience.
            .retry_config(attempts(self.inner.settings.time_limits.attempts.min(2)))
            // Reading has limits of its own, which tell slow from stalled.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let client = aws_sdk_s3::Client::from_conf(config);
        if clients.len() < MAX_REGIONS {
            clients.insert(region.to_owned(), client.clone());
        }
        client
    }

    /// The client of SQS in the default region; its calls may take longer than the longest poll.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        self.inner.sqs.clone()
    }

    pub fn sts(&self) -> aws_sdk_sts::Client {
        self.inner.sts.clone()
    }

    /// A client of CloudTrail in an account and region; `None` is the worker's own.
    pub async fn cloudtrail(
        &self,
        account_id: Option<&str>,
        region: Option<&str>,
    ) -> Result<aws_sdk_cloudtrail::Client, AwsError> {
        let config = self.account(account_id).await?;
        let region = region.filter(|region| is_region(region)).unwrap_or(&self.inner.region);
        let config = aws_sdk_cloudtrail::config::Builder::from(&config).region(Region::new(region.to_owned())).build();
        Ok(aws_sdk_cloudtrail::Client::from_conf(config))
    }

    /// The configuration for calls into an account: its role, if one is set, else the worker's own identity if it is its account.
    async fn account(&self, account_id: Option<&str>) -> Result<SdkConfig, AwsError> {
        let Some(account_id) = account_id else {
            return Ok(self.inner.config.clone());
        };
        let role = self.inner.settings.accounts.iter().find(|role| role.account_id == account_id);
        if let (Some(role), Some(cell)) = (role, self.inner.accounts.get(account_id)) {
            let role = AssumeRole {
                role_arn: role.role_arn.clone(),
                external_id: role.external_id.clone(),
                session_name: self.inner.settings.assume_role.as_ref().and_then(|role| role.session_name.clone()),
            };
            return Ok(cell.get_or_init(|| assume(&self.inner.config, &role)).await.clone());
        }
        if self.identity().await?.account_id == account_id {
            return Ok(self.inner.config.clone());
        }
        let kind = AwsErrorKind::UnknownAccount(account_id.to_owned());
        Err(AwsError::new(format!("account {account_id}"), kind))
    }

    /// Who the worker is (STS GetCallerIdentity); asked once, remembered once it is known.
    pub async fn identity(&self) -> Result<&Identity, AwsError> {
        let ask = || async {
            let answer = self.inner.sts.get_caller_identity().send().await;
            let answer = answer.map_err(|error| AwsError::of("sts:GetCallerIdentity", &Failure::of(&error)))?;
            Ok(Identity { account_id: answer.account.unwrap_or_default(), arn: answer.arn.unwrap_or_default() })
        };
        self.inner.identity.get_or_try_init(ask).await
    }
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.inner.region)
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

/// Nothing is sent here: the role is assumed at the first call that needs it, and again before its credentials end.
async fn assume(config: &SdkConfig, role: &AssumeRole) -> SdkConfig {
    let mut provider = AssumeRoleProvider::builder(&role.role_arn)
        .session_name(role.session_name.as_deref().unwrap_or(SESSION_NAME))
        .configure(config);
    if let Some(external_id) = &role.external_id {
        provider = provider.external_id(external_id);
    }
    let provider = SharedCredentialsProvider::new(provider.build().await);
    let config = config.to_builder().credentials_provider(provider);
    config.identity_cache(IdentityCache::lazy().build()).build()
}

/// Standard, not adaptive: one slow bucket must not slow down every other call.
fn attempts(most: u32) -> RetryConfig {
    RetryConfig::standard().with_max_attempts(most.max(1))
}

fn timeouts(settings: &AwsSettings) -> TimeoutConfig {
    let limits = settings.time_limits;
    TimeoutConfig::builder().connect_timeout(limits.connect).read_timeout(limits.answer).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn from(config: aws_config::ConfigLoader, settings: AwsSettings) -> Result<Aws, AwsErrorKind> {
        // A region of its own, so that nothing of this machine's environment counts.
        let config = config.region(Region::new("eu-north-1")).no_credentials().load().await;
        Aws::from_config(config, settings).await.map_err(|error| error.kind)
    }

    fn loader() -> aws_config::ConfigLoader {
        aws_config::defaults(BehaviorVersion::latest())
    }

    #[tokio::test]
    async fn the_region_is_the_set_one_then_the_environments_then_any_for_an_endpoint() {
        let set = AwsSettings { region: Some("eu-west-1".to_owned()), ..AwsSettings::default() };
        assert_eq!(from(loader(), set).await.expect("set").region(), "eu-west-1");
        assert_eq!(from(loader(), AwsSettings::default()).await.expect("found").region(), "eu-north-1");
        let nowhere = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
        let endpoint = nowhere.endpoint_url("http://127.0.0.1:1").build();
        let aws = Aws::from_config(endpoint, AwsSettings::default()).await.expect("any region will do");
        assert_eq!((aws.region(), aws.inner.path_style), (ANY_REGION, true));
        let odd = AwsSettings { region: Some("evil.example/".to_owned()), ..AwsSettings::default() };
        assert!(matches!(from(loader(), odd).await, Err(AwsErrorKind::NotARegion(_))));
    }

    #[tokio::test]
    async fn clients_keep_to_the_limits_and_are_kept() {
        let aws = from(loader(), AwsSettings::default()).await.expect("connected");
        let s3 = aws.s3(Some("eu-west-1"));
        let timeouts = s3.config().timeout_config().expect("set").clone();
        assert_eq!(timeouts.connect_timeout(), Some(std::time::Duration::from_secs(3)));
        assert_eq!(s3.config().region().map(Region::as_ref), Some("eu-west-1"));
        assert_eq!(s3.config().retry_config().map(RetryConfig::max_attempts), Some(2));
        let queue = aws.sqs().config().timeout_config().expect("set").read_timeout();
        assert!(queue > Some(std::time::Duration::from_secs(20)), "{queue:?}");
        for n in 0..2 * MAX_REGIONS {
            aws.s3(Some(&format!("eu-invented-{n}")));
        }
        assert_eq!(aws.inner.s3.lock().expect("nobody panicked").len(), MAX_REGIONS);
        let elsewhere = aws.s3(Some("evil.example/"));
        assert_eq!(elsewhere.config().region().map(Region::as_ref), Some("eu-north-1"));
    }

    #[tokio::test]
    async fn a_role_needs_a_clock_and_an_account_a_role() {
        let role = AssumeRole {
            role_arn: "arn:aws:iam::111122223333:role/keytrail".to_owned(),
            external_id: Some("sesame".to_owned()),
            session_name: None,
        };
        let settings = AwsSettings { assume_role: Some(role), ..AwsSettings::default() };
        let without =
            SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("eu-west-1")).build();
        let error = Aws::from_config(without, settings.clone()).await.expect_err("no clock");
        assert!(matches!(error.kind, AwsErrorKind::NoClock), "{error}");
        let aws = from(loader(), settings).await.expect("nothing is sent yet");
        assert!(!format!("{aws:?}").contains("sesame"));
    }
}
