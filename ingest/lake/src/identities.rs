//! Names of Secrets Manager secrets that are known to lead to one ARN.
//!
//! In: rows that state a full ARN. Out: rows that gave a name, or an ARN without its suffix, with the ARN filled in. A
//! name that has led to several ARNs (a secret deleted and made again) stays as typed: the view decides at read, with
//! all of the lake at hand. What is learned later, or by another worker, is repaired by the view too, so this map may lag.

use std::collections::HashMap;

use deltalake::datafusion::{execution::context::SessionContext, physical_plan::SendableRecordBatchStream};
use futures::StreamExt;
use keytrail_model::{AccessEvent, Resolution, SecretKind, arn};

use crate::{
    encode::Texts,
    error::{At, LakeError},
    lake::Lake,
    schema::TableName,
};

/// Account, region and name of a secret.
type Name = (String, String, String);

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    /// `None` where a name leads to several ARNs.
    arns: HashMap<Name, Option<String>>,
    capacity: usize,
}

impl Identities {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { arns: HashMap::new(), capacity }
    }

    /// Takes note of a full ARN.
    fn learn(&mut self, arn: &str) {
        let Some(name) = full_name(arn) else { return };
        let has_room = self.arns.len() < self.capacity;
        match self.arns.get_mut(&name) {
            Some(known) if known.as_deref() == Some(arn) => {}
            Some(known) => *known = None,
            None if has_room => {
                self.arns.insert(name, Some(arn.to_owned()));
            }
            None => {}
        }
    }

    /// Takes note of a row's ARN, if it states one.
    pub(crate) fn learn_from(&mut self, event: &AccessEvent) {
        if let Some(arn) = event.secret_id.as_deref().filter(|_| states_arn(event)) {
            self.learn(arn);
        }
    }

    /// Completes a row that gave a name or a partial ARN.
    pub(crate) fn resolve(&self, event: &mut AccessEvent) {
        if !is_unresolved(event) {
            return;
        }
        let Some(typed) = event.secret_id.as_deref() else { return };
        let (name, resolution) = match arn::Arn::parse(typed) {
            Some(parsed) => {
                let Some(name) = parsed.resource.strip_prefix("secret:") else { return };
                let name = (parsed.account.to_owned(), parsed.region.to_owned(), name.to_owned());
                (name, Resolution::PartialArn)
            }
            None => {
                let account = event.secret_account.clone().unwrap_or_else(|| event.account_id.clone());
                let region = event.secret_region.clone().unwrap_or_else(|| event.region.clone());
                ((account, region, typed.to_owned()), Resolution::Name)
            }
        };
        if let Some(Some(arn)) = self.arns.get(&name) {
            event.secret_id = Some(arn.clone());
            let (account, region, name) = name;
            event.secret_name = Some(name);
            event.secret_account = Some(account);
            event.secret_region = Some(region);
            // What was asked for through a parameter stays told as such, whatever it leads to.
            if event.secret_resolution == Resolution::Unresolved {
                event.secret_resolution = resolution;
            }
        }
    }
}

fn states_arn(event: &AccessEvent) -> bool {
    event.secret_kind == Some(SecretKind::SecretsManager) && event.secret_resolution == Resolution::Arn
}

/// Whether the row waits for an identity: what it gave was no full ARN.
pub(crate) fn is_unresolved(event: &AccessEvent) -> bool {
    let by_reference = || {
        event.secret_resolution == Resolution::Reference
            && event.secret_id.as_deref().is_some_and(|typed| full_name(typed).is_none())
    };
    event.secret_kind == Some(SecretKind::SecretsManager)
        && (event.secret_resolution == Resolution::Unresolved || by_reference())
}

/// Account, region and name of a full ARN: one with a suffix.
fn full_name(text: &str) -> Option<Name> {
    let parsed = arn::Arn::parse(text)?;
    let name = arn::secret_name(text).filter(|_| arn::has_secret_suffix(text))?;
    Some((parsed.account.to_owned(), parsed.region.to_owned(), name.to_owned()))
}

impl Lake {
    /// Learns the batch's own ARNs, then completes its rows. The lake's ARNs are loaded when a row first needs them.
    pub(crate) async fn resolve(&self, events: &mut [AccessEvent]) -> Result<(), LakeError> {
        let mut identities = self.inner.identities.lock().await;
        if identities.is_none() && events.iter().any(is_unresolved) {
            *identities = Some(self.load_identities().await?);
        }
        // Before the first load nothing need be remembered: the load will read it from the lake.
        let Some(known) = identities.as_mut() else { return Ok(()) };
        for event in events.iter() {
            known.learn_from(event);
        }
        for event in events {
            known.resolve(event);
        }
        Ok(())
    }

    async fn load_identities(&self) -> Result<Identities, LakeError> {
        let name = TableName::AccessEvents;
        let mut identities = Identities::new(self.inner.settings.identity_memory_secrets);
        let context = SessionContext::new();
        let table = self.inner.tables.get(name).latest().await?;
        let provider = table.table_provider().build().await.at(name)?;
        context.register_table(name.stored(), std::sync::Arc::new(provider)).at(name)?;
        let rows = context
            .sql(
                "SELECT DISTINCT secret_id FROM access_events_stored \
                 WHERE secret_kind = 'secretsmanager' AND secret_resolution = 'arn' AND secret_id IS NOT NULL",
            )
            .await
            .at(name)?;
        let mut rows: SendableRecordBatchStream = rows.execute_stream().await.at(name)?;
        while let Some(batch) = rows.next().await {
            let batch = batch.at(name)?;
            let arns = Texts::of(&batch, "secret_id")?;
            for row in 0..batch.num_rows() {
                if let Some(arn) = arns.maybe(row) {
                    identities.learn(arn);
                }
            }
        }
        Ok(identities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{read, secret_arn};

    fn unresolved(typed: &str) -> AccessEvent {
        let mut event = read("e", "x", 0);
        event.secret_id = Some(typed.to_owned());
        event.secret_resolution = Resolution::Unresolved;
        event
    }

    #[test]
    fn names_and_partial_arns_are_completed() {
        let mut identities = Identities::new(10);
        identities.learn_from(&read("e", "app/db", 0));
        for (typed, resolution) in [
            ("app/db", Resolution::Name),
            ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db", Resolution::PartialArn),
        ] {
            let mut event = unresolved(typed);
            identities.resolve(&mut event);
            assert_eq!(event.secret_id, Some(secret_arn("app/db")));
            assert_eq!(event.secret_resolution, resolution);
        }
        for typed in ["app", "arn:aws:ssm:eu-west-1:111122223333:parameter/app/db", "", "arn"] {
            let mut event = unresolved(typed);
            identities.resolve(&mut event);
            assert_eq!(event.secret_id.as_deref(), Some(typed));
        }
    }

    #[test]
    fn a_reference_by_name_leads_to_the_secret_and_stays_a_reference() {
        let mut identities = Identities::new(10);
        identities.learn_from(&read("e", "app/db", 0));
        for typed in ["app/db", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db", &secret_arn("app/db")] {
            let mut event = unresolved(typed);
            event.secret_resolution = Resolution::Reference;
            assert_eq!(is_unresolved(&event), typed != secret_arn("app/db"), "{typed}");
            identities.resolve(&mut event);
            assert_eq!(event.secret_id, Some(secret_arn("app/db")), "{typed}");
            assert_eq!(event.secret_resolution, Resolution::Reference);
        }
        let mut event = unresolved("other");
        event.secret_resolution = Resolution::Reference;
        identities.resolve(&mut event);
        assert_eq!(event.secret_id.as_deref(), Some("other"));
    }

    #[test]
    fn a_name_of_two_secrets_is_not_guessed() {
        let mut identities = Identities::new(10);
        identities.learn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-AAAAAA");
        identities.learn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db-BBBBBB");
        let mut event = unresolved("app/db");
        identities.resolve(&mut event);
        assert_eq!(event.secret_resolution, Resolution::Unresolved);
    }
}
