//! From the configuration to AWS, and to the settings of the worker.
//!
//! In: the settings. Out: clients and plain structs for `ingest`. Nothing is called here except what finding credentials
//! takes; a wrong region or a missing profile is told with its key.

use anyhow::Result;
use keytrail_ingest::{
    aws::{AccountRole, AssumeRole, Aws, AwsSettings},
    normalize::Scope,
    objects::s3::{ReadSettings, S3Store},
    worker::WorkerSettings,
};

use super::ingest::ingest_settings;
use crate::{
    exit_code::{ExitCode, Failure},
    settings::{QueueAddress, Settings},
};

/// Connects as the configuration says.
pub(crate) async fn aws(settings: &Settings) -> Result<Aws, Failure> {
    Aws::connect(aws_settings(settings)).await.map_err(|error| {
        Failure::new(ExitCode::Config, error.to_string())
            .hint("set aws.region and aws.profile, or AWS's own variables (AWS_REGION, AWS_PROFILE, …)")
    })
}

/// The buckets, read with the worker's limits.
pub(crate) fn buckets(aws: &Aws, settings: &Settings) -> S3Store {
    let object_timeout = settings.file.worker.object_timeout.0;
    S3Store::new(aws.clone(), ReadSettings { object_timeout, ..ReadSettings::default() })
}

fn aws_settings(settings: &Settings) -> AwsSettings {
    let section = &settings.file.aws;
    let of_queue = || settings.file.queue.url.as_ref().and_then(QueueAddress::of).map(|queue| queue.region);
    let role = &section.assume_role;
    AwsSettings {
        region: section.region.as_ref().map(|region| region.as_str().to_owned()).or_else(of_queue),
        endpoint_url: section.endpoint_url.as_ref().map(|url| url.as_str().to_owned()),
        profile: section.profile.clone(),
        path_style: section.path_style,
        assume_role: role.role_arn.as_ref().map(|arn| AssumeRole {
            role_arn: arn.as_str().to_owned(),
            external_id: role.external_id.as_ref().map(|id| id.reveal().to_owned()),
            session_name: Some(role.session_name.clone()),
        }),
        accounts: section
            .accounts
            .iter()
            .map(|account| AccountRole {
                account_id: account.id.as_str().to_owned(),
                role_arn: account.role_arn.as_str().to_owned(),
                external_id: account.external_id.as_ref().map(|id| id.reveal().to_owned()),
            })
            .collect(),
        ..AwsSettings::default()
    }
}

/// What bounds the worker.
pub(crate) fn worker_settings(settings: &Settings, scope: Scope) -> Result<WorkerSettings, Failure> {
    let section = &settings.file.worker;
    Ok(WorkerSettings {
        ingest: ingest_settings(settings)?,
        scope,
        lease: section.lease.0,
        wait: section.wait.0,
        max_messages: section.max_messages,
        max_message_bytes: section.max_message_bytes.as_usize(),
        commit_after: section.commit_after.0,
        fetches: section.fetches,
        give_up_after: section.give_up_after,
        shutdown_within: section.shutdown_within.0,
        ..WorkerSettings::default()
    })
}
