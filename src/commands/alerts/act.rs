//! `keytrail alerts ack` and `close`: a person's decision, on the state that stands when it is recorded.

use anyhow::Result;
use keytrail_alerts::{Act, Change, lifecycle};
use keytrail_lake::Lake;
use keytrail_model::{Alert, time};

use super::{actor, one, usage};
use crate::{args::ActArgs, exit_code::Failure, output::Output};

pub(super) async fn acknowledge(lake: &Lake, id: &str, args: &ActArgs, output: Output) -> Result<()> {
    change(lake, id, Change::Acknowledge, args, output).await
}

pub(super) async fn close(lake: &Lake, id: &str, verdict: &str, args: &ActArgs, output: Output) -> Result<()> {
    let verdict = verdict.parse().map_err(usage)?;
    change(lake, id, Change::Close(verdict), args, output).await
}

async fn change(lake: &Lake, id: &str, change: Change, args: &ActArgs, output: Output) -> Result<()> {
    let by = actor(args.by.as_deref());
    let decide = |standing: &[Alert]| -> Result<Vec<Alert>, Failure> {
        let act = Act { by: by.clone(), note: args.note.clone(), at: time::now() };
        Ok(vec![lifecycle::apply(one(standing, id)?, change.clone(), &act).map_err(usage)?])
    };
    for alert in lake.change_alerts(decide).await?? {
        let verdict = alert.verdict.map_or_else(String::new, |verdict| format!(" as {verdict}"));
        output.line(format!("{} is {}{verdict}", alert.alert_id, alert.state))?;
    }
    Ok(())
}
