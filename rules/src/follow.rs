//! What a long-lived runner follows instead of reading it again: the lake's horizon and the alert log.
//!
//! In: a lake, and how far it was followed. Out: the horizon now, and the alerts that changed since, whoever changed
//! them. Each look reads only the files of the commits after the last one, so its cost does not grow with the lake.
//!
//! Bad input: a row of the alert log that cannot be read is an error; the caller then reads the log whole.

use keytrail_lake::{
    Lake,
    datafusion::{execution::context::SessionConfig, prelude::SessionContext},
    schema::TableName,
};
use keytrail_model::{Alert, Micros, Suppression};
use serde_json::{Map, Value};

use crate::{columns, runner::RunError};

/// How far a lake was followed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Follower {
    delivered: Option<Micros>,
    /// Where no object tells when it was delivered, the newest event has to do.
    newest_event: Option<Micros>,
    /// The commit of the last object that was looked at.
    objects_to: Option<i64>,
    alerts_to: Option<i64>,
    /// How many rows the log of suppressions had. It only grows.
    suppressions: Option<i64>,
}

impl Follower {
    /// How far the lake had seen at the last look: what the view `horizon` says.
    pub(crate) fn horizon(&self) -> Option<Micros> {
        self.delivered.or(self.newest_event)
    }

    /// Looks again. The alerts are those that were written since the last look, the newest state last.
    pub(crate) async fn look(&mut self, lake: &Lake) -> Result<Vec<Alert>, RunError> {
        let session = tables(lake).await?;
        let after = self.objects_to.unwrap_or(-1);
        let objects = TableName::Objects.stored();
        let sql = format!(
            "SELECT max(delivered_at) FILTER (WHERE outcome = 'committed') AS delivered_at, max(ledger_version) AS upto \
             FROM {objects} WHERE ledger_version > {after}"
        );
        let newest = rows(&session, &sql).await?;
        self.delivered = self.delivered.max(number(newest.first(), "delivered_at"));
        self.objects_to = self.objects_to.max(number(newest.first(), "upto"));
        if self.delivered.is_none() {
            let events = TableName::AccessEvents.stored();
            let newest = rows(&session, &format!("SELECT max(event_at) AS event_at FROM {events}")).await?;
            self.newest_event = number(newest.first(), "event_at");
        }
        self.written(&session).await
    }

    /// The same for the alerts alone.
    pub(crate) async fn alerts(&mut self, lake: &Lake) -> Result<Vec<Alert>, RunError> {
        let session = tables(lake).await?;
        self.written(&session).await
    }

    /// The suppressions, if any was made or ended since the last look.
    pub(crate) async fn suppressions(&mut self, lake: &Lake) -> Result<Option<Vec<Suppression>>, RunError> {
        let session = tables(lake).await?;
        let log = TableName::SuppressionLog.stored();
        let count = number(rows(&session, &format!("SELECT count(*) AS count FROM {log}")).await?.first(), "count");
        if count == self.suppressions {
            return Ok(None);
        }
        self.suppressions = count;
        Ok(Some(lake.suppressions().await?))
    }

    async fn written(&mut self, session: &SessionContext) -> Result<Vec<Alert>, RunError> {
        let after = self.alerts_to.unwrap_or(-1);
        let log = TableName::AlertLog.stored();
        let sql = format!("SELECT * FROM {log} WHERE sequence > {after} ORDER BY sequence");
        let mut alerts = Vec::new();
        for row in rows(session, &sql).await? {
            let sequence = number(Some(&row), "sequence");
            alerts.push(alert(row)?);
            self.alerts_to = self.alerts_to.max(sequence);
        }
        Ok(alerts)
    }
}

/// The stored tables alone: planning every view costs more than all that is asked here.
async fn tables(lake: &Lake) -> Result<SessionContext, RunError> {
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for (name, provider) in lake.providers().await? {
        session.register_table(name, provider)?;
    }
    Ok(session)
}

async fn rows(session: &SessionContext, sql: &str) -> Result<Vec<Map<String, Value>>, RunError> {
    let mut rows = Vec::new();
    for batch in session.sql(sql).await?.collect().await? {
        rows.extend(columns::rows(&batch)?);
    }
    Ok(rows)
}

fn number(row: Option<&Map<String, Value>>, name: &str) -> Option<i64> {
    row?.get(name).and_then(Value::as_i64)
}

/// A row of the alert log: the columns are the alert's fields, except that lists are JSON in a text. What an older program
/// did not write is null, and missing for us.
fn alert(mut row: Map<String, Value>) -> Result<Alert, RunError> {
    row.retain(|_, value| !value.is_null());
    for name in ["evidence", "why"] {
        if let Some(Value::String(text)) = row.get(name) {
            let value = serde_json::from_str(text).map_err(RunError::AlertLog)?;
            row.insert(name.to_owned(), value);
        }
    }
    serde_json::from_value(Value::Object(row)).map_err(RunError::AlertLog)
}
