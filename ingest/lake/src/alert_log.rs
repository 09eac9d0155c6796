//! The alerts' log: every change of an alert is a row with its full state, and the newest row counts.
//!
//! In: alerts as they stand after a change, and the version of `access_events` they were judged up to. Out: one atomic
//! commit of both, so that after a crash a judging is either recorded with its alerts or done again as a whole.

use std::collections::HashMap;

use deltalake::{
    DeltaTable,
    arrow::{
        array::{Array, ArrayRef, AsArray, ListBuilder, RecordBatch, StringBuilder},
        compute::cast,
        datatypes::{DataType, Field},
    },
    kernel::Action,
};
use futures::StreamExt;
use keytrail_model::{Alert, Evidence, Micros};

use crate::{
    encode::{
        Texts, collect, flag_column, flags, integer_column, integers, maybe_texts, moment_column, moments, texts,
    },
    error::{At, LakeError, LakeErrorKind},
    lake::Lake,
    project::append,
    read,
    schema::TableName,
    table::{Draft, Landed, transaction, transaction_version, version_of},
    write::Purpose,
};

const NAME: TableName = TableName::AlertLog;
/// The application id of the rules' commits; its version is the version of `access_events` that was judged.
const APP: &str = "keytrail-rules";
/// Room for the alerts of one commit in the sequence.
const SEQUENCE_STEP: i64 = 1_000_000;

impl Lake {
    /// Appends alerts, and with them the version that is now judged. A version that was recorded before, or an older
    /// one, is recorded already: then nothing is written and the answer is false.
    ///
    /// # Errors
    /// The log cannot be read or written; nothing is recorded then.
    pub async fn append_alerts(&self, alerts: &[Alert], judged: Option<u64>) -> Result<bool, LakeError> {
        self.append_if(alerts, judged, |recorded| judged.is_none() || recorded < judged).await
    }

    /// Appends alerts that were judged from one version to another. Where the recorded version is no longer the one that
    /// the judging began at, somebody else has judged meanwhile: then nothing is written and the answer is false.
    ///
    /// # Errors
    /// The log cannot be read or written; nothing is recorded then.
    pub async fn append_judged(&self, alerts: &[Alert], from: Option<u64>, to: u64) -> Result<bool, LakeError> {
        self.append_if(alerts, Some(to), |recorded| recorded == from).await
    }

    async fn append_if(
        &self,
        alerts: &[Alert],
        judged: Option<u64>,
        may: impl Fn(Option<u64>) -> bool,
    ) -> Result<bool, LakeError> {
        let mut unconfirmed = false;
        let table = self.inner.tables.get(NAME);
        if alerts.is_empty() && judged.is_none() {
            return Ok(false);
        }
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = table.latest().await?;
            let recorded = judged_in(&snapshot).await?;
            if !may(recorded) {
                // After a lost answer our own commit may be what is recorded.
                return Ok(unconfirmed && recorded == judged);
            }
            let version = i64::try_from(version_of(&snapshot) + 1).unwrap_or(i64::MAX / SEQUENCE_STEP);
            let batch = encode(alerts, version.saturating_mul(SEQUENCE_STEP))?;
            let adds = self.write_rows(&snapshot, NAME, batch, Purpose::Fresh).await?;
            let judged = judged.map(|judged| transaction(APP, i64::try_from(judged).unwrap_or(i64::MAX)));
            let confirmable = judged.is_some();
            let draft = Draft {
                actions: adds.iter().cloned().map(Action::Add).collect(),
                metadata: HashMap::new(),
                transactions: judged.into_iter().collect(),
                operation: append(NAME),
            };
            match table.land(&snapshot, draft).await? {
                Landed::At(_) => return Ok(true),
                Landed::Lost => self.discard(&snapshot, &adds).await,
                // With a judged version the next round sees whether it landed; without one the same states may be
                // appended twice, which the fold does not show.
                Landed::Unknown => {
                    unconfirmed = true;
                    tracing::debug!(confirmable, "alerts not confirmed");
                }
            }
            self.pause(attempt).await;
        }
        Err(LakeError::new(NAME, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    /// Changes alerts on what the log says at that very moment: `decide` is given every alert as it stands and answers with the
    /// new states. Where somebody else writes meanwhile, it is asked again with what stands then, so that no newer state is undone.
    ///
    /// # Errors
    /// The log cannot be read or written; nothing is recorded then. What `decide` refuses is the inner error.
    pub async fn change_alerts<E>(
        &self,
        mut decide: impl FnMut(&[Alert]) -> Result<Vec<Alert>, E>,
    ) -> Result<Result<Vec<Alert>, E>, LakeError> {
        let table = self.inner.tables.get(NAME);
        let mut unconfirmed: Option<Vec<Alert>> = None;
        for attempt in 0..self.inner.settings.commit_attempts {
            let snapshot = table.latest().await?;
            let standing = self.alerts_of(&snapshot).await?;
            // After a lost answer our own commit may be what stands.
            if let Some(ours) = unconfirmed.take_if(|ours| ours.iter().all(|alert| standing.contains(alert))) {
                return Ok(Ok(ours));
            }
            let changed = match decide(&standing) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
            if changed.is_empty() {
                return Ok(Ok(changed));
            }
            let version = i64::try_from(version_of(&snapshot) + 1).unwrap_or(i64::MAX / SEQUENCE_STEP);
            let batch = encode(&changed, version.saturating_mul(SEQUENCE_STEP))?;
            let adds = self.write_rows(&snapshot, NAME, batch, Purpose::Fresh).await?;
            let draft = Draft {
                actions: adds.iter().cloned().map(Action::Add).collect(),
                metadata: HashMap::new(),
                transactions: Vec::new(),
                operation: append(NAME),
            };
            match table.land(&snapshot, draft).await? {
                Landed::At(_) => return Ok(Ok(changed)),
                Landed::Lost => self.discard(&snapshot, &adds).await,
                Landed::Unknown => unconfirmed = Some(changed),
            }
            self.pause(attempt).await;
        }
        Err(LakeError::new(NAME, LakeErrorKind::Contended { attempts: self.inner.settings.commit_attempts }))
    }

    /// The version of `access_events` up to which the rules have judged.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn judged(&self) -> Result<Option<u64>, LakeError> {
        judged_in(&self.inner.tables.get(NAME).latest().await?).await
    }

    /// Every alert as it stands, in the order of their first rows.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn alerts(&self) -> Result<Vec<Alert>, LakeError> {
        self.alerts_of(&self.inner.tables.get(NAME).latest().await?).await
    }

    async fn alerts_of(&self, snapshot: &DeltaTable) -> Result<Vec<Alert>, LakeError> {
        let store = snapshot.log_store().object_store(None);
        let mut newest: HashMap<String, (i64, i64, Alert)> = HashMap::new();
        for file in self.files(NAME).of(snapshot, NAME)? {
            let mut stream = read::open(store.clone(), &file, None, None).await?;
            while let Some(batch) = stream.next().await {
                for (sequence, alert) in decode(&batch.at(&file.path)?)? {
                    match newest.get_mut(&alert.alert_id) {
                        Some((first, last, known)) => {
                            *first = sequence.min(*first);
                            if sequence > *last {
                                (*last, *known) = (sequence, alert);
                            }
                        }
                        None => {
                            newest.insert(alert.alert_id.clone(), (sequence, sequence, alert));
                        }
                    }
                }
            }
        }
        let mut alerts: Vec<(i64, i64, Alert)> = newest.into_values().collect();
        alerts.sort_by_key(|(first, ..)| *first);
        Ok(alerts.into_iter().map(|(.., alert)| alert).collect())
    }
}

async fn judged_in(snapshot: &DeltaTable) -> Result<Option<u64>, LakeError> {
    Ok(transaction_version(snapshot, APP, NAME).await?.and_then(|version| u64::try_from(version).ok()))
}

fn encode(alerts: &[Alert], sequence: i64) -> Result<RecordBatch, LakeError> {
    let evidence = alerts
        .iter()
        .map(|alert| serde_json::to_string(&alert.evidence))
        .collect::<Result<Vec<String>, _>>()
        .map_err(|error| LakeErrorKind::Damaged(format!("evidence: {error}")))
        .at(NAME)?;
    let why = alerts
        .iter()
        .map(|alert| serde_json::to_string(&alert.why))
        .collect::<Result<Vec<String>, _>>()
        .map_err(|error| LakeErrorKind::Damaged(format!("why: {error}")))
        .at(NAME)?;
    collect(NAME.spec(), |column| {
        let text = |get: fn(&Alert) -> &str| texts(alerts.iter().map(get));
        let maybe = |get: fn(&Alert) -> Option<&str>| maybe_texts(alerts.iter().map(get));
        let moment = |get: fn(&Alert) -> Micros| moment_column(alerts.iter().map(|alert| Some(get(alert))));
        Some(match column {
            "alert_id" => text(|alert| &alert.alert_id),
            "rule_id" => text(|alert| &alert.rule_id),
            "rule_version" => text(|alert| &alert.rule_version),
            "severity" => text(|alert| alert.severity.as_str()),
            "class" => text(|alert| alert.class.as_str()),
            "state" => text(|alert| alert.state.as_str()),
            "verdict" => maybe(|alert| alert.verdict.map(|verdict| verdict.as_str())),
            "title" => text(|alert| &alert.title),
            "reason" => text(|alert| &alert.reason),
            "principal_id" => maybe(|alert| alert.principal_id.as_deref()),
            "secret_ids" => text_lists(alerts.iter().map(|alert| &alert.secret_ids)),
            "account_id" => maybe(|alert| alert.account_id.as_deref()),
            "region" => maybe(|alert| alert.region.as_deref()),
            "first_event_at" => moment(|alert| alert.first_event_at),
            "last_event_at" => moment(|alert| alert.last_event_at),
            "event_count" => integer_column(alerts.iter().map(|alert| Some(alert.event_count))),
            "raised_at" => moment(|alert| alert.raised_at),
            "updated_at" => moment(|alert| alert.updated_at),
            "historical" => flag_column(alerts.iter().map(|alert| Some(alert.historical))),
            "fold_key" => text_lists(alerts.iter().map(|alert| &alert.fold_key)),
            "changed_by" => maybe(|alert| alert.changed_by.as_deref()),
            "note" => maybe(|alert| alert.note.as_deref()),
            "evidence" => texts(evidence.iter().map(String::as_str)),
            "fingerprint" => text(|alert| &alert.fingerprint),
            "previous_alert_id" => maybe(|alert| alert.previous_alert_id.as_deref()),
            "merged_into" => maybe(|alert| alert.merged_into.as_deref()),
            "suppressed_by" => maybe(|alert| alert.suppressed_by.as_deref()),
            "why" => texts(why.iter().map(String::as_str)),
            "sequence" => integer_column((sequence..).take(alerts.len()).map(Some)),
            _ => return None,
        })
    })
}

pub(crate) fn text_lists<'a>(lists: impl Iterator<Item = &'a Vec<String>>) -> ArrayRef {
    let field = Field::new("element", DataType::Utf8, true);
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(field);
    for list in lists {
        builder.append_value(list.iter().map(Some));
    }
    std::sync::Arc::new(builder.finish())
}

fn decode(batch: &RecordBatch) -> Result<Vec<(i64, Alert)>, LakeError> {
    let text = |name| Texts::of(batch, name);
    let moment = |name| moments(batch, name);
    let (alert_id, rule_id, rule_version) = (text("alert_id")?, text("rule_id")?, text("rule_version")?);
    let (severity, class, state, verdict) = (text("severity")?, text("class")?, text("state")?, text("verdict")?);
    let (title, reason, principal_id) = (text("title")?, text("reason")?, text("principal_id")?);
    let (account_id, region, evidence) = (text("account_id")?, text("region")?, text("evidence")?);
    let (note, changed_by) = (text("note")?, text("changed_by")?);
    let (fingerprint, previous, merged) = (text("fingerprint")?, text("previous_alert_id")?, text("merged_into")?);
    let (suppressed_by, why) = (text("suppressed_by")?, text("why")?);
    let (first_event_at, last_event_at) = (moment("first_event_at")?, moment("last_event_at")?);
    let (raised_at, updated_at) = (moment("raised_at")?, moment("updated_at")?);
    let (event_count, sequence) = (integers(batch, "event_count")?, integers(batch, "sequence")?);
    let historical = flags(batch, "historical")?;
    let (secret_ids, fold_key) = (lists(batch, "secret_ids")?, lists(batch, "fold_key")?);
    let owned = |texts: &Texts, row| texts.maybe(row).map(str::to_owned);
    (0..batch.num_rows())
        .map(|row| {
            let evidence: Vec<Evidence> = serde_json::from_str(evidence.always(row)?)
                .map_err(|error| LakeErrorKind::Damaged(format!("evidence: {error}")))
                .at(NAME)?;
            let alert = Alert {
                alert_id: alert_id.always(row)?.to_owned(),
                rule_id: rule_id.always(row)?.to_owned(),
                rule_version: rule_version.always(row)?.to_owned(),
                severity: severity.word(row)?,
                class: class.word(row)?,
                state: state.word(row)?,
                verdict: verdict.maybe_word(row)?,
                title: title.always(row)?.to_owned(),
                reason: reason.always(row)?.to_owned(),
                principal_id: owned(&principal_id, row),
                secret_ids: secret_ids.get(row).cloned().unwrap_or_default(),
                account_id: owned(&account_id, row),
                region: owned(&region, row),
                first_event_at: first_event_at.value(row),
                last_event_at: last_event_at.value(row),
                event_count: event_count.value(row),
                raised_at: raised_at.value(row),
                updated_at: updated_at.value(row),
                historical: historical.value(row),
                fold_key: fold_key.get(row).cloned().unwrap_or_default(),
                note: owned(&note, row),
                changed_by: owned(&changed_by, row),
                evidence,
                fingerprint: owned(&fingerprint, row).unwrap_or_default(),
                previous_alert_id: owned(&previous, row),
                merged_into: owned(&merged, row),
                suppressed_by: owned(&suppressed_by, row),
                why: match why.maybe(row) {
                    None => Vec::new(),
                    Some(text) => serde_json::from_str(text)
                        .map_err(|error| LakeErrorKind::Damaged(format!("why: {error}")))
                        .at(NAME)?,
                },
            };
            Ok((sequence.value(row), alert))
        })
        .collect()
}

pub(crate) fn lists(batch: &RecordBatch, name: &str) -> Result<Vec<Vec<String>>, LakeError> {
    let Some(column) = batch.column_by_name(name) else { return Ok(Vec::new()) };
    let column = cast(column, &DataType::new_list(DataType::Utf8, true)).at(NAME)?;
    let lists = column.as_list::<i32>();
    let list = |row: usize| {
        let values = lists.value(row);
        values.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    };
    Ok((0..lists.len()).map(|row| if lists.is_valid(row) { list(row) } else { Vec::new() }).collect())
}

#[cfg(test)]
mod tests {
    use keytrail_model::{AlertClass, AlertState, Severity, Verdict};

    use super::*;
    use crate::testing::{ask, lake};

    fn alert(id: &str) -> Alert {
        Alert {
            alert_id: id.to_owned(),
            rule_id: "new_principal".to_owned(),
            rule_version: "1".to_owned(),
            severity: Severity::High,
            class: AlertClass::Detection,
            state: AlertState::Open,
            verdict: None,
            title: "a title".to_owned(),
            reason: "a reason \u{202e}\"'".to_owned(),
            principal_id: Some("someone".to_owned()),
            secret_ids: vec!["a".to_owned(), "b".to_owned()],
            account_id: None,
            region: None,
            first_event_at: 1,
            last_event_at: 2,
            event_count: 3,
            raised_at: 4,
            updated_at: 5,
            historical: false,
            fold_key: vec!["k".to_owned()],
            note: Some("looked at it".to_owned()),
            changed_by: None,
            evidence: vec![Evidence {
                event_at: 1,
                event_id: "e".to_owned(),
                event_name: "GetSecretValue".to_owned(),
                secret_id: None,
                source_ip: None,
                object_key: "o".to_owned(),
                record_index: 7,
            }],
            fingerprint: "f".to_owned(),
            previous_alert_id: None,
            merged_into: Some("two".to_owned()),
            suppressed_by: None,
            why: Vec::new(),
        }
    }

    #[tokio::test]
    async fn the_newest_state_counts_and_nothing_is_lost() {
        let (_folder, lake) = lake().await;
        assert_eq!(lake.judged().await.expect("judged"), None);
        assert!(lake.alerts().await.expect("alerts").is_empty());
        assert!(lake.append_alerts(&[alert("one"), alert("two")], Some(3)).await.expect("a commit"));
        let mut closed = alert("one");
        closed.state = AlertState::Closed;
        closed.verdict = Some(Verdict::Expected);
        assert!(lake.append_alerts(std::slice::from_ref(&closed), None).await.expect("a commit"));
        assert_eq!(lake.alerts().await.expect("alerts"), [closed, alert("two")]);
        assert_eq!(ask(&lake, "SELECT count(*), count(DISTINCT sequence) FROM alert_log").await, ["3|3"]);
        assert_eq!(ask(&lake, "SELECT secret_ids FROM alert_log LIMIT 1").await, ["[a, b]"]);
    }

    #[tokio::test]
    async fn a_change_is_decided_on_what_stands() {
        let (_folder, lake) = lake().await;
        lake.append_alerts(&[alert("one"), alert("two")], None).await.expect("a commit");
        let acknowledge = |standing: &[Alert]| -> Result<Vec<Alert>, String> {
            let one = standing.iter().find(|alert| alert.alert_id == "one").ok_or("no such alert")?;
            match one.state {
                AlertState::Open => Ok(vec![Alert { state: AlertState::Acknowledged, ..one.clone() }]),
                other => Err(format!("it is {other}")),
            }
        };
        // Two people at the same moment: one of them is told what the other did.
        let (first, second) = tokio::join!(lake.change_alerts(acknowledge), lake.change_alerts(acknowledge));
        let (first, second) = (first.expect("a commit"), second.expect("a commit"));
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        assert_eq!(first.and(second).expect_err("one of them"), "it is acknowledged");
        assert_eq!(ask(&lake, "SELECT count(*) FROM alert_log").await, ["3"]);
        let nothing = lake.change_alerts(|_| Ok::<_, String>(Vec::new())).await.expect("no commit");
        assert_eq!(nothing, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_judging_is_recorded_once() {
        let (_folder, lake) = lake().await;
        assert!(lake.append_alerts(&[alert("one")], Some(3)).await.expect("a commit"));
        for judged in [3, 2] {
            assert!(!lake.append_alerts(&[alert("late")], Some(judged)).await.expect("no commit"));
        }
        assert!(lake.append_alerts(&[], Some(4)).await.expect("a commit"), "a judging without alerts is recorded");
        assert_eq!(lake.judged().await.expect("judged"), Some(4));
        assert_eq!(lake.alerts().await.expect("alerts").len(), 1);
    }
}
