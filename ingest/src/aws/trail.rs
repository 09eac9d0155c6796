//! Do the trails see every read of a secret?
//!
//! In: an account and regions. Out: [`Trails`]: each trail with its settings, and what it misses, in a sentence, with the command
//! that mends it. Only DescribeTrails, GetTrailStatus and GetEventSelectors are called; nothing is changed. What may not be
//! asked is listed as unknown, never taken for sound.
//!
//! The judgement is [`judge()`] and [`Selectors`]: pure, from what the calls brought.

use std::collections::BTreeMap;

use aws_sdk_cloudtrail::{primitives::DateTime, types::Trail};
use keytrail_model::Micros;

pub use self::{
    judge::{TrailFinding, TrailProblem, judge},
    selectors::{AdvancedSelector, BasicSelector, DataResource, FieldSelector, Kept, Selectors},
};
use super::{Aws, AwsError, Failure};

mod judge;
mod selectors;
#[cfg(test)]
mod tests;

/// One trail as it is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrailFact {
    pub arn: String,
    pub name: String,
    pub home_region: String,
    pub is_multi_region: bool,
    pub is_organization: bool,
    pub bucket: Option<String>,
    pub prefix: Option<String>,
    pub kms_key: Option<String>,
    pub validates_log_files: bool,
    /// `None` where it could not be asked.
    pub is_logging: Option<bool>,
    pub delivery_error: Option<String>,
    pub delivered_at: Option<Micros>,
    /// `None` where they could not be asked.
    pub selectors: Option<Selectors>,
    /// What could not be asked, and why.
    pub unknown: Vec<String>,
    pub findings: Vec<TrailFinding>,
}

impl TrailFact {
    /// Everything is known, and nothing is missed.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.unknown.is_empty()
    }
}

/// The trails of an account.
#[derive(Debug, Default)]
pub struct Trails {
    pub facts: Vec<TrailFact>,
    /// Regions that could not be asked.
    pub unasked: Vec<AwsError>,
}

impl Trails {
    /// Whether one trail sees everything; then what others miss (a trail of data events alone, say) does not matter.
    pub fn is_covered(&self) -> bool {
        self.facts.iter().any(TrailFact::is_sound)
    }
}

/// Asks which trails record an account's regions (the default region where none are named), and judges each. An error where no
/// region answered.
pub async fn check_trails(aws: &Aws, account_id: Option<&str>, regions: &[String]) -> Result<Trails, AwsError> {
    let here = [aws.region().to_owned()];
    let asked = if regions.is_empty() { &here } else { regions };
    let mut found: BTreeMap<String, TrailFact> = BTreeMap::new();
    let mut trails = Trails::default();
    for region in asked {
        match describe(aws, account_id, region).await {
            Ok(facts) => found.extend(facts.into_iter().map(|fact| (fact.arn.clone(), fact))),
            Err(error) => trails.unasked.push(error),
        }
    }
    if trails.unasked.len() == asked.len()
        && let Some(error) = trails.unasked.pop()
    {
        return Err(error);
    }
    for mut fact in found.into_values() {
        ask_status(aws, account_id, &mut fact).await;
        ask_selectors(aws, account_id, &mut fact).await;
        fact.findings = judge(&fact, regions);
        trails.facts.push(fact);
    }
    Ok(trails)
}

async fn describe(aws: &Aws, account_id: Option<&str>, region: &str) -> Result<Vec<TrailFact>, AwsError> {
    let client = aws.cloudtrail(account_id, Some(region)).await?;
    // Shadows are the trails of other regions, and of the organisation, that record this one.
    let answer = client.describe_trails().include_shadow_trails(true).send().await;
    let place = || format!("cloudtrail:DescribeTrails in {region}");
    let answer = answer.map_err(|error| AwsError::of(place(), &Failure::of(&error)))?;
    Ok(answer.trail_list.unwrap_or_default().into_iter().map(|trail| fact(trail, region)).collect())
}

fn fact(trail: Trail, region: &str) -> TrailFact {
    TrailFact {
        arn: trail.trail_arn.unwrap_or_default(),
        name: trail.name.unwrap_or_default(),
        home_region: trail.home_region.unwrap_or_else(|| region.to_owned()),
        is_multi_region: trail.is_multi_region_trail.unwrap_or_default(),
        is_organization: trail.is_organization_trail.unwrap_or_default(),
        bucket: trail.s3_bucket_name,
        prefix: trail.s3_key_prefix,
        kms_key: trail.kms_key_id,
        validates_log_files: trail.log_file_validation_enabled.unwrap_or_default(),
        ..TrailFact::default()
    }
}

async fn ask_status(aws: &Aws, account_id: Option<&str>, fact: &mut TrailFact) {
    let unknown = |error: AwsError| error.to_string();
    let client = match aws.cloudtrail(account_id, Some(&fact.home_region)).await {
        Ok(client) => client,
        Err(error) => return fact.unknown.push(unknown(error)),
    };
    match client.get_trail_status().name(&fact.arn).send().await {
        Ok(status) => {
            fact.is_logging = status.is_logging;
            fact.delivery_error = status.latest_delivery_error.filter(|error| !error.is_empty());
            fact.delivered_at = status.latest_delivery_time.and_then(|at| micros(&at));
            if fact.is_logging.is_none() {
                fact.unknown.push("cloudtrail:GetTrailStatus does not say whether the trail is logging".to_owned());
            }
        }
        Err(error) => fact.unknown.push(unknown(AwsError::of("cloudtrail:GetTrailStatus", &Failure::of(&error)))),
    }
}

async fn ask_selectors(aws: &Aws, account_id: Option<&str>, fact: &mut TrailFact) {
    let client = match aws.cloudtrail(account_id, Some(&fact.home_region)).await {
        Ok(client) => client,
        // Said once already.
        Err(_) => return,
    };
    match client.get_event_selectors().trail_name(&fact.arn).send().await {
        Ok(answer) => fact.selectors = Some(Selectors::from(answer)),
        Err(error) => {
            let error = AwsError::of("cloudtrail:GetEventSelectors", &Failure::of(&error));
            fact.unknown.push(error.to_string());
        }
    }
}

fn micros(at: &DateTime) -> Option<Micros> {
    Micros::try_from(at.as_nanos() / 1_000).ok()
}
