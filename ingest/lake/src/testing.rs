//! Rows for tests, made from what the test is about; everything else is plain.

use deltalake::{
    arrow::array::RecordBatch,
    arrow::util::display::{ArrayFormatter, FormatOptions},
    datafusion::execution::context::SessionContext,
};
use keytrail_model::{
    AccessEvent, Action, Micros, ObjectEntry, ObjectId, ObjectOutcome, Outcome, PrincipalKind, Resolution, SecretKind,
};

use crate::{
    commit::Batch,
    lake::{Lake, LakeSettings},
};

/// A moment that tests start from: 2026-08-01T00:00:00Z.
pub(crate) const START: Micros = 1_785_542_400_000_000;

/// A row without a secret.
pub(crate) fn bare(event_id: &str, event_at: Micros) -> AccessEvent {
    AccessEvent {
        event_id: event_id.to_owned(),
        shared_event_id: None,
        corrects_event_id: None,
        event_at,
        delivered_at: None,
        event_source: "secretsmanager.amazonaws.com".to_owned(),
        event_name: "GetSecretValue".to_owned(),
        action: Action::Other,
        outcome: Outcome::Ok,
        secret_id: None,
        secret_name: None,
        secret_kind: None,
        secret_account: None,
        secret_region: None,
        secret_resolution: Resolution::None,
        version_id: None,
        version_stage: None,
        version_evidence: None,
        principal_id: "arn:aws:iam::111122223333:role/app/api".to_owned(),
        principal_kind: PrincipalKind::Role,
        principal_account: Some("111122223333".to_owned()),
        principal_unique_id: None,
        session_name: None,
        source_identity: None,
        access_key_id: None,
        credential_kind: None,
        mfa: None,
        invoked_by: None,
        workload: None,
        source_ip: None,
        source_network: None,
        vpc_endpoint_id: None,
        user_agent: None,
        user_agent_family: None,
        tls_version: None,
        account_id: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
        error_code: None,
        error_message: None,
        with_decryption: None,
        object_key: "log.json.gz".to_owned(),
        record_index: 0,
        raw: "{}".to_owned(),
    }
}

/// The ARN of a secret of this name.
pub(crate) fn secret_arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}-AbCdEf")
}

/// An ok read of a secret.
pub(crate) fn read(event_id: &str, name: &str, event_at: Micros) -> AccessEvent {
    AccessEvent {
        action: Action::Read,
        secret_id: Some(secret_arn(name)),
        secret_name: Some(name.to_owned()),
        secret_kind: Some(SecretKind::SecretsManager),
        secret_account: Some("111122223333".to_owned()),
        secret_region: Some("eu-west-1".to_owned()),
        secret_resolution: Resolution::Arn,
        ..bare(event_id, event_at)
    }
}

/// A KMS decrypt made for a read.
pub(crate) fn decrypt(event_id: &str, name: &str, version: &str, event_at: Micros) -> AccessEvent {
    AccessEvent {
        action: Action::Decrypt,
        event_source: "kms.amazonaws.com".to_owned(),
        event_name: "Decrypt".to_owned(),
        version_id: Some(version.to_owned()),
        ..read(event_id, name, event_at)
    }
}

/// The ledger line of an object that was read to its end.
pub(crate) fn object(key: &str) -> ObjectEntry {
    ObjectEntry {
        object: ObjectId { key: key.to_owned(), version: "1".to_owned() },
        outcome: ObjectOutcome::Committed,
        content_kind: "cloudtrail".to_owned(),
        account_id: Some("111122223333".to_owned()),
        region: Some("eu-west-1".to_owned()),
        delivered_at: Some(START),
        size_bytes: 1,
        json_bytes: 2,
        record_count: 1,
        kept_count: 1,
        ignored_count: 0,
        quarantined: Vec::new(),
        first_event_at: None,
        last_event_at: None,
    }
}

/// A batch of rows, each from the object that it names.
pub(crate) fn batch(rows: impl IntoIterator<Item = AccessEvent>) -> Batch {
    let rows: Vec<AccessEvent> = rows.into_iter().collect();
    let mut keys: Vec<&str> = rows.iter().map(|row| row.object_key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let objects = keys.into_iter().map(object).collect();
    Batch { rows, objects, ..Batch::default() }
}

/// The same row, from this object.
pub(crate) fn from_object(mut row: AccessEvent, key: &str) -> AccessEvent {
    row.object_key = key.to_owned();
    row
}

/// A lake in a folder of its own.
pub(crate) async fn lake() -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(folder.path(), LakeSettings::default()).await.expect("a lake");
    (folder, lake)
}

/// The answer of SQL over the stored tables, as text: one line per row, columns parted by `|`.
pub(crate) async fn ask(lake: &Lake, sql: &str) -> Vec<String> {
    let context = SessionContext::new();
    for (name, provider) in lake.providers().await.expect("providers") {
        context.register_table(name, provider).expect("a table");
    }
    lines(context.sql(sql).await.expect("a plan").collect().await.expect("rows"))
}

/// Rows as text: one line each, columns parted by `|`.
pub(crate) fn lines(batches: Vec<RecordBatch>) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("a formatter"))
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

/// Every row of `access_events`: event, secret's name, version; sorted.
pub(crate) async fn rows(lake: &Lake) -> Vec<String> {
    ask(lake, "SELECT event_id, secret_name, version_id FROM access_events_stored ORDER BY 1, 2").await
}
