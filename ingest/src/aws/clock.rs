//! How far this machine's clock is from AWS's.
//!
//! In: a connection. Out: seconds, positive where this clock is ahead. Taken from the `Date` of an answer of STS, which is
//! whole seconds: one second of difference means nothing. AWS refuses requests that are off by five minutes.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sts::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextRef},
    error::BoxError,
    primitives::{DateTime, DateTimeFormat},
};
use keytrail_model::time;

use super::{Aws, AwsError, Failure, connect::AwsErrorKind};

/// Seconds between this clock and AWS's.
///
/// # Errors
/// STS does not answer, or its answer tells no time.
pub async fn skew_seconds(aws: &Aws) -> Result<i64, AwsError> {
    const PLACE: &str = "sts:GetCallerIdentity";
    let date = DateOfAnswer::default();
    let answer = aws.sts().get_caller_identity().customize().interceptor(date.clone()).send().await;
    // A clock that is far off makes AWS refuse the call, and the refusal tells the time too.
    let text = date.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let theirs = text.as_deref().and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
    match (theirs, answer) {
        (Some(theirs), _) => Ok(time::now() / time::SECOND - theirs.secs()),
        (None, Err(error)) => Err(AwsError::of(PLACE, &Failure::of(&error))),
        (None, Ok(_)) => Err(AwsError::new(PLACE, AwsErrorKind::Unavailable("the answer has no Date".to_owned()))),
    }
}

#[derive(Clone, Debug, Default)]
struct DateOfAnswer(Arc<Mutex<Option<String>>>);

impl Intercept for DateOfAnswer {
    fn name(&self) -> &'static str {
        "DateOfAnswer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").map(str::to_owned);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}
