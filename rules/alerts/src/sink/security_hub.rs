//! AWS Security Hub: `BatchImportFindings`, signed with Signature Version 4.
//!
//! Each alert of a delivery is one finding. Importing a finding again replaces it, so a repeated try does no harm. The call
//! answers 200 even where it refused findings: those are read from the answer, and an answer that cannot be read is a failure.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use keytrail_model::{Alert, arn::partition_of};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Outgoing, Receipt, SendError, SendErrorKind, Sink, asff, aws,
    http::{Answer, Http},
    json as bounded,
    settings::SecurityHubSettings,
};

/// Security Hub's own limit, and findings in one call: together well below its 6 MB.
const FINDING: usize = 240_000;
const AT_ONCE: usize = 20;
const CONTENT: &str = "application/json";

pub(crate) struct SecurityHub {
    http: Http,
    credentials: SharedCredentialsProvider,
    settings: SecurityHubSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Imported {
    failed_count: u64,
    #[serde(default)]
    failed_findings: Vec<FailedFinding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FailedFinding {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    error_message: String,
}

impl SecurityHub {
    pub(crate) fn new(name: &str, settings: &SecurityHubSettings, config: &SdkConfig) -> Result<Self, SendError> {
        let region = &settings.region;
        let suffix = if partition_of(region) == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        let base = settings.endpoint_url.clone().unwrap_or_else(|| format!("https://securityhub.{region}.{suffix}"));
        let http =
            Http::new(name, &format!("{}/findings/import", base.trim_end_matches('/')), false, &[], &settings.http)?;
        let wrong = |why| SendError::misconfigured(name, http.place(), why);
        if settings.account_id.len() != 12 || !settings.account_id.bytes().all(|it| it.is_ascii_digit()) {
            return Err(wrong("`account_id` is not twelve digits"));
        }
        let credentials = config.credentials_provider().ok_or_else(|| wrong("there are no AWS credentials"))?;
        Ok(Self { http, credentials, settings: settings.clone() })
    }

    async fn import(&self, findings: Vec<Value>) -> Result<u16, SendError> {
        let body = json!({ "Findings": findings }).to_string();
        let headers = self.signed(&body).await?;
        let answer = self.http.post(headers, body.into_bytes()).await.map_err(known)?;
        self.taken(&answer)?;
        Ok(answer.status)
    }

    async fn signed(&self, body: &str) -> Result<HeaderMap, SendError> {
        let failed = |kind, detail| self.http.error(kind, None, detail);
        let in_time = tokio::time::timeout(self.settings.http.timeout, self.credentials.provide_credentials()).await;
        let credentials = in_time
            .map_err(|_| failed(SendErrorKind::Timeout, Some("fetching credentials".to_owned())))?
            .map_err(|error| failed(SendErrorKind::Unavailable { retry_after: None }, aws::chain(&error)))?;
        let identity = credentials.into();
        let unsigned = |_| failed(SendErrorKind::Misconfigured("the request could not be signed"), None);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.settings.region)
            .name("securityhub")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| failed(SendErrorKind::Misconfigured("the request could not be signed"), None))?
            .into();
        let request = SignableRequest::new(
            "POST",
            self.http.url().as_str(),
            std::iter::once(("content-type", CONTENT)),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(unsigned)?;
        let (instructions, _signature) = sign(request, &parameters).map_err(unsigned)?.into_parts();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
        for (name, value) in instructions.headers() {
            let (Ok(name), Ok(mut value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) else {
                return Err(failed(SendErrorKind::Misconfigured("the request could not be signed"), None));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    /// A 200 says how many findings were refused.
    fn taken(&self, answer: &Answer) -> Result<(), SendError> {
        let unclear = || {
            let detail = Some("its answer could not be read".to_owned());
            self.http.error(SendErrorKind::Unavailable { retry_after: None }, Some(answer.status), detail)
        };
        let imported: Imported =
            answer.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).ok_or_else(unclear)?;
        if imported.failed_count == 0 {
            return Ok(());
        }
        let first = imported.failed_findings.first();
        let code = first.map_or("", |failed| failed.error_code.as_str());
        let text = format!(
            "{} refused: {code} {}",
            imported.failed_count,
            first.map_or("", |failed| failed.error_message.as_str())
        );
        Err(self.http.error(aws::kind_of(answer.status, code), Some(answer.status), self.http.shown(&text)))
    }
}

/// AWS answers 400 for some things that work later.
fn known(mut error: SendError) -> SendError {
    if error.kind == SendErrorKind::Refused {
        error.kind = aws::kind_of(error.status.unwrap_or_default(), error.detail.as_deref().unwrap_or_default());
    }
    error
}

#[async_trait::async_trait]
impl Sink for SecurityHub {
    fn name(&self) -> &str {
        self.http.sink()
    }

    fn kind(&self) -> &'static str {
        "securityhub"
    }

    fn place(&self) -> &str {
        self.http.place()
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let too_large = || self.http.error(SendErrorKind::TooLarge { limit: FINDING }, None, None);
        let mut status = None;
        for (batch, alerts) in outgoing.alerts.chunks(AT_ONCE).enumerate() {
            let one = |(position, alert): (usize, &Alert)| {
                // The message is about the first alert, unless it is about all of them.
                let is_main = batch == 0 && position == 0 && outgoing.message.storm.is_none();
                let message = is_main.then_some(&outgoing.message);
                let finding = asff::finding(alert, outgoing.change, message, &self.settings);
                (bounded::line(&finding).len() <= FINDING).then_some(finding).ok_or_else(too_large)
            };
            let findings = alerts.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?;
            status = Some(self.import(findings).await?);
        }
        Ok(Receipt { status, detail: None })
    }
}

#[cfg(test)]
#[path = "security_hub_tests.rs"]
mod tests;
