//! The suppressions' log: every change of a suppression is a row with its full state, and the newest row counts.
//!
//! In: suppressions as they stand after a change. Out: one atomic commit. Nothing is ever deleted: who silenced what, for how
//! long and why stays readable after it has ended.
//!
//! Bad input: a row that lacks what every suppression has is [`LakeErrorKind::Damaged`].

use std::collections::HashMap;

use deltalake::{arrow::array::RecordBatch, kernel::Action};
use futures::StreamExt;
use keytrail_model::{Matcher, Micros, Suppression};

use crate::{
    encode::{Texts, collect, integer_column, integers, maybe_texts, moment_column, moments, texts},
    error::{At, LakeError, LakeErrorKind},
    lake::Lake,
    project::append,
    read,
    schema::TableName,
    table::{Draft, Landed, version_of},
    write::Purpose,
};

const NAME: TableName = TableName::SuppressionLog;
/// Room for the suppressions of one commit in the sequence.
const SEQUENCE_STEP: i64 = 1_000_000;

impl Lake {
    /// Appends suppressions as they stand now.
    ///
    /// # Errors
    /// The log cannot be read or written; nothing is recorded then.
    pub async fn append_suppressions(&self, suppressions: &[Suppression]) -> Result<(), LakeError> {
        if suppressions.is_empty() {
            return Ok(());
        }
        let table = self.inner.tables.get(NAME);
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = table.latest().await?;
            let version = i64::try_from(version_of(&snapshot) + 1).unwrap_or(i64::MAX / SEQUENCE_STEP);
            let batch = encode(suppressions, version.saturating_mul(SEQUENCE_STEP))?;
            let adds = self.write_rows(&snapshot, NAME, batch, Purpose::Fresh).await?;
            let draft = Draft {
                actions: adds.iter().cloned().map(Action::Add).collect(),
                metadata: HashMap::new(),
                transactions: Vec::new(),
                operation: append(NAME),
            };
            match table.land(&snapshot, draft).await? {
                Landed::At(_) => return Ok(()),
                Landed::Lost => self.discard(&snapshot, &adds).await,
                // The same states may be appended twice, which the fold does not show.
                Landed::Unknown => tracing::debug!("suppressions not confirmed"),
            }
            self.pause(attempt).await;
        }
        Err(LakeError::new(NAME, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    /// Every suppression as it stands, ended and expired ones too, in the order in which they were made.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn suppressions(&self) -> Result<Vec<Suppression>, LakeError> {
        let snapshot = self.inner.tables.get(NAME).latest().await?;
        let store = snapshot.log_store().object_store(None);
        let mut newest: HashMap<String, (i64, i64, Suppression)> = HashMap::new();
        for file in self.files(NAME).of(&snapshot, NAME)? {
            let mut stream = read::open(store.clone(), &file, None, None).await?;
            while let Some(batch) = stream.next().await {
                for (sequence, suppression) in decode(&batch.at(&file.path)?)? {
                    let entry = newest
                        .entry(suppression.suppression_id.clone())
                        .or_insert_with(|| (sequence, sequence, suppression.clone()));
                    entry.0 = entry.0.min(sequence);
                    if sequence > entry.1 {
                        (entry.1, entry.2) = (sequence, suppression);
                    }
                }
            }
        }
        let mut suppressions: Vec<(i64, i64, Suppression)> = newest.into_values().collect();
        suppressions.sort_by_key(|(first, ..)| *first);
        Ok(suppressions.into_iter().map(|(.., suppression)| suppression).collect())
    }
}

fn encode(suppressions: &[Suppression], sequence: i64) -> Result<RecordBatch, LakeError> {
    collect(NAME.spec(), |column| {
        let text = |get: fn(&Suppression) -> &str| texts(suppressions.iter().map(get));
        let maybe = |get: fn(&Suppression) -> &Option<String>| {
            maybe_texts(suppressions.iter().map(|suppression| get(suppression).as_deref()))
        };
        let moment = |get: fn(&Suppression) -> Option<Micros>| moment_column(suppressions.iter().map(get));
        Some(match column {
            "suppression_id" => text(|it| &it.suppression_id),
            "rule" => maybe(|it| &it.matcher.rule),
            "principal" => maybe(|it| &it.matcher.principal),
            "secret" => maybe(|it| &it.matcher.secret),
            "network" => maybe(|it| &it.matcher.network),
            "account" => maybe(|it| &it.matcher.account),
            "owner" => text(|it| &it.owner),
            "reason" => text(|it| &it.reason),
            "created_at" => moment(|it| Some(it.created_at)),
            "created_by" => text(|it| &it.created_by),
            "expires_at" => moment(|it| Some(it.expires_at)),
            "ended_at" => moment(|it| it.ended_at),
            "ended_by" => maybe(|it| &it.ended_by),
            "sequence" => integer_column((sequence..).take(suppressions.len()).map(Some)),
            _ => return None,
        })
    })
}

fn decode(batch: &RecordBatch) -> Result<Vec<(i64, Suppression)>, LakeError> {
    use deltalake::arrow::array::Array;

    let text = |name| Texts::of(batch, name);
    let (id, owner, reason, created_by) =
        (text("suppression_id")?, text("owner")?, text("reason")?, text("created_by")?);
    let (rule, principal, secret) = (text("rule")?, text("principal")?, text("secret")?);
    let (network, account, ended_by) = (text("network")?, text("account")?, text("ended_by")?);
    let (created_at, expires_at) = (moments(batch, "created_at")?, moments(batch, "expires_at")?);
    let (ended_at, sequence) = (moments(batch, "ended_at")?, integers(batch, "sequence")?);
    let owned = |texts: &Texts, row| texts.maybe(row).map(str::to_owned);
    (0..batch.num_rows())
        .map(|row| {
            let suppression = Suppression {
                suppression_id: id.always(row)?.to_owned(),
                matcher: Matcher {
                    rule: owned(&rule, row),
                    principal: owned(&principal, row),
                    secret: owned(&secret, row),
                    network: owned(&network, row),
                    account: owned(&account, row),
                },
                owner: owner.always(row)?.to_owned(),
                reason: reason.always(row)?.to_owned(),
                created_at: created_at.value(row),
                created_by: created_by.always(row)?.to_owned(),
                expires_at: expires_at.value(row),
                ended_at: ended_at.is_valid(row).then(|| ended_at.value(row)),
                ended_by: owned(&ended_by, row),
            };
            Ok((sequence.value(row), suppression))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ask, lake};

    fn suppression(id: &str) -> Suppression {
        Suppression {
            suppression_id: id.to_owned(),
            matcher: Matcher { principal: Some("*role/ci-*".to_owned()), ..Matcher::default() },
            owner: "platform".to_owned(),
            reason: "the migration \u{202e}\"'".to_owned(),
            created_at: 1,
            created_by: "ana".to_owned(),
            expires_at: 9_000_000,
            ended_at: None,
            ended_by: None,
        }
    }

    #[tokio::test]
    async fn the_newest_state_counts_and_the_old_one_stays() {
        let (_folder, lake) = lake().await;
        assert!(lake.suppressions().await.expect("a log").is_empty());
        lake.append_suppressions(&[suppression("one"), suppression("two")]).await.expect("a commit");
        let ended = Suppression { ended_at: Some(5), ended_by: Some("bo".to_owned()), ..suppression("one") };
        lake.append_suppressions(std::slice::from_ref(&ended)).await.expect("a commit");
        assert_eq!(lake.suppressions().await.expect("a log"), [ended, suppression("two")]);
        assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT sequence) FROM suppression_log").await, ["3|3"]);
    }

    #[tokio::test]
    async fn writers_at_the_same_moment_both_land() {
        let (_folder, lake) = lake().await;
        let (one, two) = ([suppression("one")], [suppression("two")]);
        let (first, second) = tokio::join!(lake.append_suppressions(&one), lake.append_suppressions(&two));
        first.and(second).expect("both land");
        assert_eq!(lake.suppressions().await.expect("a log").len(), 2);
    }
}
