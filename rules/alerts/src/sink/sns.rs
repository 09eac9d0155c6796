//! An SNS topic: text for people, or JSON for programs, with attributes to filter by.
//!
//! One publish per try: the SDK's own retries are off, so that the queue in front alone decides. A `.fifo` topic gets the
//! alert's fingerprint as its group and the delivery id against repetitions.

use std::collections::HashMap;

use aws_config::{Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{
    Client,
    error::{ProvideErrorMetadata as _, SdkError},
    operation::publish::PublishError,
    types::MessageAttributeValue,
};
use keytrail_model::arn::Arn;

use super::{
    Outgoing, Receipt, SendError, SendErrorKind, Sink, aws,
    settings::{SnsFormat, SnsSettings},
    text::{ascii, clean},
    webhook,
};

/// SNS's own limits: message and attributes together 256 KiB, a subject under 100 ASCII characters.
const MESSAGE: usize = 240 * 1024;
const SUBJECT: usize = 99;
const ATTRIBUTE: usize = 256;

pub(crate) struct Sns {
    name: String,
    client: Client,
    topic_arn: String,
    format: SnsFormat,
    is_fifo: bool,
}

impl Sns {
    pub(crate) fn new(name: &str, settings: &SnsSettings, config: &SdkConfig) -> Result<Self, SendError> {
        let topic = Arn::parse(&settings.topic_arn).filter(|arn| arn.service == "sns" && !arn.region.is_empty());
        let Some(topic) = topic else {
            return Err(SendError::misconfigured(name, &clean(&settings.topic_arn, 300), "that is no topic's ARN"));
        };
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(settings.timeout)
            .operation_attempt_timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            .build();
        let mut builder = aws_sdk_sns::config::Builder::from(config)
            .region(Region::new(topic.region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(endpoint) = &settings.endpoint_url {
            builder = builder.endpoint_url(endpoint);
        }
        Ok(Self {
            name: name.to_owned(),
            client: Client::from_conf(builder.build()),
            topic_arn: settings.topic_arn.clone(),
            format: settings.format,
            is_fifo: settings.topic_arn.ends_with(".fifo"),
        })
    }

    async fn publish(&self, outgoing: &Outgoing, delivery_id: String, body: String) -> Result<Receipt, SendError> {
        let mut request = self.client.publish().topic_arn(&self.topic_arn).message(body).subject(subject(outgoing));
        if self.is_fifo {
            let group = outgoing.alerts.first().map_or("keytrail", |alert| alert.fingerprint.as_str());
            request = request.message_group_id(fifo_id(group)).message_deduplication_id(fifo_id(&delivery_id));
        }
        for (name, value) in attributes(outgoing, delivery_id) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            // The builder fails only without a data type.
            if let Ok(value) = value {
                request = request.message_attributes(name, value);
            }
        }
        let answer = request.send().await.map_err(|error| self.failed(&error))?;
        Ok(Receipt { status: Some(200), detail: answer.message_id().and_then(aws::shown) })
    }

    fn failed(&self, error: &SdkError<PublishError>) -> SendError {
        let (kind, status, detail) = match error {
            SdkError::ServiceError(answered) => {
                let status = answered.raw().status().as_u16();
                let code = answered.err().code().unwrap_or_default();
                let text = format!("{code} {}", answered.err().message().unwrap_or_default());
                (aws::kind_of(status, code), Some(status), aws::shown(&text))
            }
            SdkError::ResponseError(half) => {
                let status = half.raw().status().as_u16();
                let kind = match aws::kind_of(status, "") {
                    // A 200 whose body broke off: nobody knows whether it was taken.
                    SendErrorKind::Refused if status < 300 => SendErrorKind::Unreachable,
                    kind => kind,
                };
                (kind, Some(status), None)
            }
            SdkError::TimeoutError(_) => (SendErrorKind::Timeout, None, None),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => (SendErrorKind::Timeout, None, None),
            SdkError::ConstructionFailure(_) => {
                (SendErrorKind::Misconfigured("the request could not be made"), None, aws::chain(error))
            }
            // No connection, or no credentials: both may be there later.
            _ => (SendErrorKind::Unreachable, None, aws::chain(error)),
        };
        SendError { status, detail, ..SendError::of(&self.name, &self.topic_arn, kind) }
    }
}

#[async_trait::async_trait]
impl Sink for Sns {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "sns"
    }

    fn place(&self) -> &str {
        &self.topic_arn
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, SendError> {
        let too_large = || SendError::of(&self.name, &self.topic_arn, SendErrorKind::TooLarge { limit: MESSAGE });
        let mut receipt = Receipt { status: None, detail: None };
        for (part, body) in bodies(outgoing, self.format).ok_or_else(too_large)?.into_iter().enumerate() {
            receipt = self.publish(outgoing, webhook::part_id(&outgoing.delivery_id, part), body).await?;
        }
        Ok(receipt)
    }
}

/// The messages of a delivery: one, or in OCSF as many as it takes.
pub(crate) fn bodies(outgoing: &Outgoing, format: SnsFormat) -> Option<Vec<String>> {
    match format {
        SnsFormat::Text => Some(vec![outgoing.message.text(MESSAGE)]),
        SnsFormat::Json(format) => webhook::bodies(outgoing, format, MESSAGE),
    }
}

/// ASCII, one line, under 100 characters, never empty.
pub(crate) fn subject(outgoing: &Outgoing) -> String {
    ascii(&outgoing.message.headline, SUBJECT)
}

/// What subscriptions filter by. Empty values are not allowed, so they are left out.
pub(crate) fn attributes(outgoing: &Outgoing, delivery_id: String) -> HashMap<&'static str, String> {
    let main = outgoing.alerts.first();
    let all = [
        ("change", outgoing.change.as_str().to_owned()),
        ("severity", outgoing.message.severity.as_str().to_owned()),
        ("delivery_id", delivery_id),
        ("rule", main.map(|alert| alert.rule_id.clone()).unwrap_or_default()),
        ("class", main.map(|alert| alert.class.as_str().to_owned()).unwrap_or_default()),
        ("account", main.and_then(|alert| alert.account_id.clone()).unwrap_or_default()),
        ("alert_id", main.map(|alert| alert.alert_id.clone()).unwrap_or_default()),
    ];
    all.into_iter()
        .map(|(name, value)| (name, clean(&value, ATTRIBUTE)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// Up to 128 alphanumeric characters and hyphens.
fn fifo_id(text: &str) -> String {
    let id: String = text.chars().filter(|it| it.is_ascii_alphanumeric() || *it == '-').take(128).collect();
    if id.is_empty() { "keytrail".to_owned() } else { id }
}

#[cfg(test)]
#[path = "sns_tests.rs"]
mod tests;
