//! What AWS says of the trails, as conditions for the on-call and as facts for `doctor`.
//!
//! In: a connection with its account roles. Out: the trails of every account of the configuration, asked through its role,
//! and of the worker's own account, asked with its own identity. Where one trail of an account sees everything, what
//! another leaves out is no trouble.

use keytrail_ingest::aws::{
    Aws, AwsError,
    trail::{Trails, check_trails},
};
use keytrail_model::Micros;
use keytrail_rules::system::{Condition, worker};

/// The trails of one account, or why they cannot be asked about.
pub(crate) struct AccountTrails {
    pub(crate) account_id: String,
    pub(crate) trails: Result<Trails, AwsError>,
}

/// Asks every account that is configured, and the worker's own.
pub(crate) async fn ask(aws: &Aws) -> Vec<AccountTrails> {
    let mut accounts: Vec<String> = aws.settings().accounts.iter().map(|role| role.account_id.clone()).collect();
    if let Ok(identity) = aws.identity().await
        && !accounts.contains(&identity.account_id)
    {
        accounts.push(identity.account_id.clone());
    }
    let mut asked = Vec::with_capacity(accounts.len());
    for account_id in accounts {
        let trails = check_trails(aws, Some(&account_id), &[]).await;
        asked.push(AccountTrails { account_id, trails });
    }
    asked
}

/// One condition for each thing that an account's trails miss. An account that cannot be asked makes the whole answer
/// an error: its alerts must stand.
pub(crate) async fn conditions(aws: &Aws, now: Micros) -> Result<Vec<Condition>, AwsError> {
    let mut conditions = Vec::new();
    for account in ask(aws).await {
        let trails = account.trails?;
        if trails.is_covered() {
            continue;
        }
        for trail in &trails.facts {
            conditions.extend(trail.findings.iter().map(|finding| {
                worker::trail_misconfigured(&account.account_id, &trail.name, &finding.missed, &finding.mend, now)
            }));
        }
    }
    Ok(conditions)
}
