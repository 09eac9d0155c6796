//! Why a rule fires on an event, or which of its conditions keeps it from firing.
//!
//! ```text
//! rows of one event ─▶ [when] ─▶ the rule's tables, new_events = these rows ─▶ plan of detect.sql ─▶ rows? ─▶ conditions that hold
//!                                                                                              none ─▶ conditions that do not
//! ```
//!
//! In: a rule, the state as the rules have it, the rows of one event. Out: an [`Explanation`]. The SQL itself is asked, step by step, so
//! that what is said is what the rule does; nothing is recorded.
//!
//! Invariant: rules judge by moments and by the state as of the event, so the state of today gives the answer of then.

mod plan;

use keytrail_lake::{
    arrow::array::{Array, AsArray, RecordBatch, StringArray},
    arrow::{compute::cast, datatypes::DataType},
    datafusion::prelude::SessionContext,
};
use keytrail_model::{Finding, Micros};

use crate::{
    engine::{Engine, JudgeError},
    evaluate::{self, Limits},
    manifest::{RuleState, Run},
    rule::Rule,
    state::Scope,
    tables::{self, Judging},
    template::Templates,
};

/// One condition of a rule's SQL, and what it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// As the SQL has it: `outcome = 'ok'`.
    pub text: String,
    /// What stands in its columns, with their names.
    pub values: Vec<(String, String)>,
    /// What is wrong with it where it is more than "it is not so".
    pub said: String,
}

/// What a rule makes of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It finds something. The conditions are those that the event had to meet.
    Fires { findings: Vec<Finding>, conditions: Vec<Condition> },
    /// It finds nothing, because of these.
    Quiet(Vec<Condition>),
    /// It is not asked about such events, and why.
    NotAsked(String),
    /// It does not run.
    Fails(String),
}

/// One rule's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub rule_id: String,
    pub version: String,
    /// What it finds is recorded and told nobody.
    pub is_shadow: bool,
    pub answer: Answer,
}

/// What the rules are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The rows of one event, as the view `access_events` has them.
    pub rows: &'a RecordBatch,
    /// What its principal and secrets did in the time that [`looks_back`] tells, the event itself among it; empty for the event alone.
    pub recent: &'a [RecordBatch],
}

/// How far before an event its rules look.
pub fn looks_back(engine: &Engine) -> Micros {
    engine.rules().iter().map(|rule| rule.pack.manifest.looks_back).max().unwrap_or(0)
}

/// Asks every rule, or one, about the rows of one event. The engine's state has folded them before or folds them now; its alerts stay
/// as they are.
///
/// # Errors
/// The rows are not those of `access_events`.
pub async fn explain(
    engine: &mut Engine,
    event: &Event<'_>,
    only: Option<&str>,
    now: Micros,
) -> Result<Vec<Explanation>, JudgeError> {
    let rows = event.rows;
    let touched = engine.remember(rows, vec![true; rows.num_rows()])?;
    let settings = engine.settings();
    let judging = Judging {
        state: engine.state(),
        scope: Scope::Touched(&touched),
        new_events: vec![rows.clone()],
        recent_events: event.recent.to_vec(),
        coverage: Vec::new(),
        networks: &settings.networks,
        readers: &settings.readers,
    };
    let session = tables::session(&judging)?;
    let limits = Limits { time_budget: settings.time_budget, max_findings: settings.max_findings };
    let mut explanations = Vec::new();
    for rule in engine.rules().iter().filter(|rule| only.is_none_or(|id| rule.id() == id)) {
        explanations.push(Explanation {
            rule_id: rule.id().to_owned(),
            version: rule.pack.manifest.version.clone(),
            is_shadow: rule.pack.manifest.state == RuleState::Shadow,
            answer: answer(rule, &session, rows, now, limits).await,
        });
    }
    let broken = engine.broken().iter().filter(|error| only.is_none_or(|id| error.rule_id == id));
    explanations.extend(broken.map(|error| Explanation {
        rule_id: error.rule_id.clone(),
        version: String::new(),
        is_shadow: false,
        answer: Answer::Fails(error.to_string()),
    }));
    Ok(explanations)
}

async fn answer(rule: &Rule, session: &SessionContext, rows: &RecordBatch, now: Micros, limits: Limits) -> Answer {
    if !rule.enabled {
        return Answer::NotAsked("the configuration switches it off (`enabled = false`)".to_owned());
    }
    if !rule.runs(Run::Batch) {
        return Answer::NotAsked("it runs on a schedule and judges what the lake holds, not single events".to_owned());
    }
    if let Some(missing) = unmet(rule, rows) {
        return Answer::NotAsked(missing);
    }
    let findings = match evaluate::evaluate(rule, session, &Templates::default(), now, limits).await {
        Ok(findings) => findings,
        Err(error) => return Answer::Fails(error.to_string()),
    };
    let walked = async {
        let plan = evaluate::check(rule, session, now).await.map_err(|error| error.to_string())?;
        let walk = plan::Walk::new(session, &plan);
        if findings.is_empty() { walk.blocks().await } else { walk.conditions().await }
            .map_err(|error| error.strip_backtrace())
    };
    match walked.await {
        Err(error) => Answer::Fails(error),
        Ok(conditions) if findings.is_empty() => Answer::Quiet(conditions),
        Ok(conditions) => Answer::Fires { findings, conditions },
    }
}

/// Which list of `[when]` no row of the event is on.
fn unmet(rule: &Rule, rows: &RecordBatch) -> Option<String> {
    let when = &rule.pack.manifest.when;
    let lists = [
        ("action", "actions", &when.actions),
        ("outcome", "outcomes", &when.outcomes),
        ("event_name", "event_names", &when.event_names),
        ("principal_kind", "principal_kinds", &when.principal_kinds),
        ("credential_kind", "credential_kinds", &when.credential_kinds),
    ];
    let given: Vec<_> = lists.into_iter().filter(|(.., list)| !list.is_empty()).collect();
    let texts: Vec<(&str, &str, &Vec<String>, StringArray)> = given
        .into_iter()
        .filter_map(|(column, key, list)| {
            let values = cast(rows.column_by_name(column)?, &DataType::Utf8).ok()?;
            Some((column, key, list, values.as_string::<i32>().clone()))
        })
        .collect();
    let value = |texts: &StringArray, row: usize| texts.is_valid(row).then(|| texts.value(row).to_owned());
    let is_met =
        |list: &[String], texts: &StringArray, row: usize| value(texts, row).is_some_and(|value| list.contains(&value));
    if (0..rows.num_rows()).any(|row| texts.iter().all(|(.., list, texts)| is_met(list, texts, row))) {
        return None;
    }
    let (column, key, list, values) =
        texts.iter().find(|(.., list, texts)| !(0..rows.num_rows()).any(|row| is_met(list, texts, row)))?;
    let said = value(values, 0).unwrap_or_else(|| "null".to_owned());
    Some(format!("`when.{key}` wants {column} to be {}; it is {said}", list.join(" or ")))
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
