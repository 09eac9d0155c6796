//! One judging: the rows that came and those that they make doubtful, through every rule that they concern.
//!
//! ```text
//! take_in   late rows? ─▶ later rows of the same keys from memory (the rest is told as `late`) ─▶ fold
//! judge     rules whose [when] agrees ─▶ findings
//!           alerts that lose evidence ─▶ the rest of their evidence is judged too ─▶ fold into alerts, withdraw
//! ```
//!
//! Invariants: an event is judged with all its rows; what is judged again and not found again is withdrawn, and only from
//! rules that ran without an error; rows that are not folded yet are never judged.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use keytrail_alerts::{EVIDENCE_CAP, FoldChanges, Rejudged};
use keytrail_lake::arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
};
use keytrail_model::{AlertClass, AlertState, Finding, Micros};

use crate::{
    engine::{Engine, JudgeError},
    error::RuleError,
    evaluate::{self, Limits},
    finding::WHY_MAX,
    history::{History, Key, Wanted, Within},
    late,
    lines::Lines,
    manifest::Run,
    odd,
    recent::{conform, schema},
    rule::Rule,
    state::{Scope, Touched},
    tables::{Judging, Tables},
    when::Facets,
};

/// Rounds of judging what alerts that lost evidence also rest on. Each can only empty alerts that stood before.
const WHOLE_ALERT_ROUNDS: usize = 4;

/// Rows that were folded and are to be judged.
#[derive(Debug, Default)]
pub struct Taken {
    /// What came.
    rows: Vec<RecordBatch>,
    /// What was judged before and is to be judged again.
    again: Vec<RecordBatch>,
    /// For rules that look back: rows before these, from memory, and which ones memory does not have.
    before: Vec<RecordBatch>,
    beyond: Wanted,
    pub touched: Touched,
    /// Ids of the events that were judged before.
    rejudged: HashSet<String>,
    /// Keys whose rows are to be judged again from a moment on, and are not all in memory.
    pub late: BTreeMap<Key, Micros>,
}

/// What a judging came to.
#[derive(Debug, Default)]
pub struct Judged {
    pub changes: FoldChanges,
    /// What the rules found, in the order of the rules.
    pub findings: Vec<Finding>,
}

/// What some rules said of some rows.
#[derive(Debug, Default)]
struct Said {
    findings: Vec<Finding>,
    /// Rules that ran without an error, or had no row to look at.
    ran: BTreeSet<String>,
    failed: Vec<RuleError>,
}

impl Engine {
    /// Folds rows, and finds out which rows that were judged before may mean something else now: at most `again_rows` of
    /// them are taken from memory, the rest is named in [`Taken::late`].
    pub fn take_in(&mut self, step: Vec<(RecordBatch, Vec<bool>)>, again_rows: usize) -> Result<Taken, JudgeError> {
        let mut taken = Taken::default();
        let (mut lines, mut flags) = (Vec::new(), Vec::new());
        for (batch, changed) in step {
            let batch = conform(&batch, &schema())?;
            lines.push(Lines::new(&batch)?);
            flags.push(changed);
            taken.rows.push(batch);
        }
        let floor = self.recent.floor();
        let classes = late::classes(&lines, &self.state, &self.settings.readers);
        let mut near = Wanted::default();
        for (key, since) in late::since(&lines, &self.state) {
            if since > floor {
                near.add(key, since);
            } else if self.state.may_have(&key, since) {
                taken.late.insert(key, since);
            }
        }
        for (lines, changed) in lines.iter().zip(&flags) {
            for (line, _) in lines.iter().zip(changed).filter(|(_, changed)| **changed) {
                let gone = self.recent.forget_replaced(&line);
                // Where the rest of the event is not in memory, the later round judges it as a whole.
                if !taken.late.contains_key(&Key::Principal(line.principal_id.to_owned())) {
                    taken.rejudged.insert(line.event_id.to_owned());
                    taken.rejudged.extend(gone);
                }
            }
        }
        taken.again = self.recent.rows(&near)?;
        if taken.again.iter().map(RecordBatch::num_rows).sum::<usize>() > again_rows {
            taken.again.clear();
            taken.rejudged.clear();
            taken.late.append(&mut near.since);
        }
        let again = lines_of(&taken.again)?;
        taken.rejudged.extend(again.iter().flat_map(Lines::iter).map(|line| line.event_id.to_owned()));

        lines.extend(again);
        let looked_at = self.looked_at(&lines);
        taken.before = self.recent.rows(&looked_at)?;
        taken.beyond = self.beyond(&looked_at);

        let new = lines.len() - taken.again.len();
        for (batch, changed) in taken.rows.iter().zip(flags) {
            self.commits.extend(Lines::new(batch)?.iter().map(|line| line.ingested_at));
            taken.touched.add(self.remember(batch, changed)?);
            self.recent.insert(batch)?;
        }
        self.touch(&lines, &mut taken.touched);
        let now = late::classes(lines.get(..new).unwrap_or_default(), &self.state, &self.settings.readers);
        let changed = late::since_of_classes(&classes, &now, &self.state);
        self.take_more(&mut taken, changed, again_rows)?;
        Ok(taken)
    }

    /// Adds the rows of more keys to what is judged again.
    fn take_more(
        &mut self,
        taken: &mut Taken,
        since: BTreeMap<Key, Micros>,
        again_rows: usize,
    ) -> Result<(), JudgeError> {
        let mut near = Wanted::default();
        for (key, since) in since {
            if since > self.recent.floor() {
                near.add(key, since);
            } else {
                taken.late.insert(key, since);
            }
        }
        let more = self.recent.rows(&near)?;
        if more.iter().map(RecordBatch::num_rows).sum::<usize>() > again_rows {
            taken.late.append(&mut near.since);
            return Ok(());
        }
        let lines = lines_of(&more)?;
        taken.rejudged.extend(lines.iter().flat_map(Lines::iter).map(|line| line.event_id.to_owned()));
        taken.before.extend(self.recent.rows(&self.looked_at(&lines))?);
        self.touch(&lines, &mut taken.touched);
        taken.again.extend(more);
        Ok(())
    }

    /// Rows that were folded and judged before, to be judged again as they are.
    pub async fn take_again(&mut self, rows: Vec<RecordBatch>, history: &dyn History) -> Result<Taken, JudgeError> {
        let again = self.folded(rows)?;
        let lines = lines_of(&again)?;
        let mut taken = Taken { again, ..Taken::default() };
        taken.rejudged.extend(lines.iter().flat_map(Lines::iter).map(|line| line.event_id.to_owned()));
        let looked_at = self.looked_at(&lines);
        taken.before = self.recent.rows(&looked_at)?;
        let beyond = self.beyond(&looked_at);
        if !beyond.is_empty() {
            taken.before.extend(self.folded(history.rows(&beyond).await?)?);
        }
        self.touch(&lines, &mut taken.touched);
        Ok(taken)
    }

    /// Runs the batch rules over what was taken in, and folds what they find into the alerts.
    pub async fn judge(&mut self, taken: Taken, history: &dyn History, now: Micros) -> Result<Judged, JudgeError> {
        self.ready()?;
        let due: Vec<Rule> = self.rules.iter().filter(|rule| rule.enabled && rule.runs(Run::Batch)).cloned().collect();
        let Taken { rows, again, mut before, beyond, touched, mut rejudged, .. } = taken;
        if !beyond.is_empty() {
            before.extend(self.folded(history.rows(&beyond).await?)?);
        }
        let mut events = rows;
        events.extend(again);
        let mut said = self.say(&due, &events, &before, &touched, now).await?;
        for _ in 0..WHOLE_ALERT_ROUNDS {
            let rest = self.rest_of_losers(&said, &rejudged);
            if rest.is_empty() {
                break;
            }
            let events = self.whole_events(rest, &rejudged, history).await?;
            let found = self.take_again(events, history).await?;
            if found.rejudged.is_subset(&rejudged) {
                break;
            }
            let more = self.say(&due, &found.again, &found.before, &found.touched, now).await?;
            said.findings.extend(more.findings);
            said.ran.retain(|rule| more.ran.contains(rule));
            said.failed.extend(more.failed);
            rejudged.extend(found.rejudged);
        }
        Ok(self.conclude(said, rejudged, now))
    }

    /// Runs the scheduled rules that are due, over the whole state.
    pub async fn judge_schedule(
        &mut self,
        coverage: Vec<RecordBatch>,
        now: Micros,
        forced: bool,
    ) -> Result<FoldChanges, JudgeError> {
        Ok(self.schedule(coverage, now, forced).await?.changes)
    }

    /// The same, with what each rule found.
    pub async fn schedule(
        &mut self,
        coverage: Vec<RecordBatch>,
        now: Micros,
        forced: bool,
    ) -> Result<Judged, JudgeError> {
        let ids = self.due(now, forced);
        if ids.is_empty() {
            return Ok(Judged::default());
        }
        self.ready()?;
        let due: Vec<Rule> = self.rules.iter().filter(|rule| ids.iter().any(|id| id == rule.id())).cloned().collect();
        let named = Tables::named_in(due.iter().flat_map(Rule::sql_texts));
        let judging = Judging {
            state: &self.state,
            scope: Scope::Everything,
            new_events: Vec::new(),
            recent_events: Vec::new(),
            coverage,
            networks: &self.settings.networks,
            readers: &self.settings.readers,
        };
        let said = self.run(&due, &judging, &named, now).await?;
        // A schedule sees the state and no rows: nothing is withdrawn by it.
        let judged = self.conclude(said, HashSet::new(), now);
        self.state.scheduled.extend(ids.into_iter().map(|id| (id, now)));
        Ok(judged)
    }

    /// Raises and closes the alerts of rules that do not work, where no rows came.
    pub fn report(&mut self, now: Micros) -> FoldChanges {
        if self.troubles.is_quiet() {
            FoldChanges::default()
        } else {
            self.conclude(Said::default(), HashSet::new(), now).changes
        }
    }

    fn conclude(&mut self, said: Said, rejudged: HashSet<String>, now: Micros) -> Judged {
        let Said { findings, ran, failed } = said;
        let mut all = findings.clone();
        let mut closed = Vec::new();
        if !self.troubles.is_quiet() || !failed.is_empty() {
            let runs = |id: &str| self.rules.iter().any(|rule| rule.id() == id && rule.enabled);
            let (errors, mended) = self.troubles.tell(&failed, |id| ran.contains(id) || !runs(id), now);
            closed = self.inbox.close_rule_errors(&mended, now);
            all.extend(errors);
        }
        let mut changes = self.fold(all, &Rejudged { rules: ran, events: rejudged }, now);
        changes.updated.extend(closed);
        self.troubles.look_at(changes.updated.iter().chain(&changes.raised));
        Judged { changes, findings }
    }

    /// Runs rules over rows.
    async fn say(
        &self,
        rules: &[Rule],
        events: &[RecordBatch],
        before: &[RecordBatch],
        touched: &Touched,
        now: Micros,
    ) -> Result<Said, JudgeError> {
        let lines = lines_of(events)?;
        let facets = Facets::of(&lines);
        let (due, idle): (Vec<&Rule>, Vec<&Rule>) =
            rules.iter().partition(|rule| facets.agree(&rule.pack.manifest.when));
        let idle: BTreeSet<String> = idle.into_iter().map(|rule| rule.id().to_owned()).collect();
        if due.is_empty() {
            return Ok(Said { ran: idle, ..Said::default() });
        }
        let due: Vec<Rule> = due.into_iter().cloned().collect();
        let named = Tables::named_in(due.iter().flat_map(Rule::sql_texts));
        let recent_events = if named.contains("recent_events") {
            let all: Vec<RecordBatch> = events.iter().chain(before).cloned().collect();
            distinct(&all)?
        } else {
            Vec::new()
        };
        let judging = Judging {
            state: &self.state,
            scope: Scope::Touched(touched),
            new_events: distinct(events)?,
            recent_events,
            coverage: Vec::new(),
            networks: &self.settings.networks,
            readers: &self.settings.readers,
        };
        let mut said = self.run(&due, &judging, &named, now).await?;
        said.ran.extend(idle);
        Ok(said)
    }

    async fn run(
        &self,
        rules: &[Rule],
        judging: &Judging<'_>,
        named: &BTreeSet<&'static str>,
        now: Micros,
    ) -> Result<Said, JudgeError> {
        let mut said = Said::default();
        let Some(tables) = &self.tables else { return Ok(said) };
        tables.fill(judging, named)?;
        let limits = Limits { time_budget: self.settings.time_budget, max_findings: self.settings.max_findings };
        for rule in rules {
            match evaluate::evaluate_kept(rule, tables.session(), &self.plans, &self.templates, now, limits).await {
                Ok(found) => {
                    said.findings.extend(found);
                    said.ran.insert(rule.id().to_owned());
                }
                Err(error) => {
                    tracing::warn!(rule = rule.id(), %error, "rule failed");
                    said.failed.push(error);
                }
            }
        }
        tables.clear();
        odd::explain(&self.state, &self.settings.readers, &judging.new_events, &mut said.findings)?;
        for finding in &mut said.findings {
            finding.why.truncate(WHY_MAX);
        }
        Ok(said)
    }

    /// For rules that look back: the rows of the same principals and secrets shortly before these.
    fn looked_at(&self, lines: &[Lines]) -> Wanted {
        let mut wanted = Wanted::default();
        let looks_back = self.looks_back();
        if looks_back <= 0 {
            return wanted;
        }
        let mut last = Micros::MIN;
        for line in lines.iter().flat_map(Lines::iter) {
            let since = line.event_at.saturating_sub(looks_back);
            wanted.add(Key::Principal(line.principal_id.to_owned()), since);
            if let Some(secret) = line.secret_id {
                wanted.add(Key::Secret(secret.to_owned()), since);
            }
            last = last.max(line.event_at);
        }
        wanted.within = Within { first: Micros::MIN, last };
        wanted
    }

    /// What of it is not in memory and may be somewhere.
    fn beyond(&self, wanted: &Wanted) -> Wanted {
        let mut beyond = wanted.up_to(self.recent.floor());
        beyond.since.retain(|key, since| self.state.may_have(key, *since));
        beyond
    }

    /// The rest of what alerts rest on that lose evidence in this judging: their words and severity follow from all of it.
    fn rest_of_losers(&self, said: &Said, rejudged: &HashSet<String>) -> BTreeSet<(Micros, String)> {
        let found: HashSet<(&str, &[String], &str, Option<&str>)> = said
            .findings
            .iter()
            .filter_map(|finding| {
                let event = finding.evidence.as_ref()?.event_id.as_str();
                Some((finding.rule_id.as_str(), &*finding.fold_key, event, finding.secret_id.as_deref()))
            })
            .collect();
        let mut rest = BTreeSet::new();
        for alert in self.inbox.resting_on(rejudged.iter().map(String::as_str)) {
            let may_lose = alert.class == AlertClass::Detection
                && alert.state != AlertState::Closed
                && alert.evidence.len() < EVIDENCE_CAP
                && said.ran.contains(&alert.rule_id);
            let loses = alert.evidence.iter().any(|it| {
                let key = (alert.rule_id.as_str(), &*alert.fold_key, it.event_id.as_str(), it.secret_id.as_deref());
                rejudged.contains(&it.event_id) && !found.contains(&key)
            });
            if may_lose && loses {
                let others = alert.evidence.iter().filter(|it| !rejudged.contains(&it.event_id));
                rest.extend(others.map(|it| (it.event_at, it.event_id.clone())));
            }
        }
        rest
    }

    /// The rows of whole events, from memory or from history.
    async fn whole_events(
        &self,
        events: BTreeSet<(Micros, String)>,
        judged: &HashSet<String>,
        history: &dyn History,
    ) -> Result<Vec<RecordBatch>, JudgeError> {
        let wanted = Wanted { events, ..Wanted::default() };
        let mut rows = self.recent.rows(&wanted)?;
        let beyond = wanted.up_to(self.recent.floor());
        if !beyond.is_empty() {
            rows.extend(history.rows(&beyond).await?);
        }
        let is_new = |lines: &Lines| lines.iter().map(|line| !judged.contains(line.event_id)).collect();
        filtered(&distinct(&rows)?, is_new)
    }

    /// Only rows that are folded: what was committed since is judged when its turn comes.
    pub(crate) fn folded(&self, rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, JudgeError> {
        let rows = rows.iter().map(|batch| conform(batch, &schema())).collect::<Result<Vec<_>, _>>()?;
        let is_folded = |at: Micros| self.state.knows_commit(at) || self.commits.contains(&at);
        filtered(&rows, |lines| lines.iter().map(|line| is_folded(line.ingested_at)).collect())
    }

    /// Notes whom rows concern.
    fn touch(&mut self, lines: &[Lines], touched: &mut Touched) {
        for line in lines.iter().flat_map(Lines::iter) {
            touched.principals.insert(self.state.ids.of(line.principal_id));
            touched.secrets.extend(line.secret_id.map(|secret| self.state.ids.of(secret)));
        }
    }
}

fn lines_of(batches: &[RecordBatch]) -> Result<Vec<Lines>, JudgeError> {
    Ok(batches.iter().map(Lines::new).collect::<Result<_, _>>()?)
}

/// The rows for which the test says so.
fn filtered(
    batches: &[RecordBatch],
    mut keep: impl FnMut(&Lines) -> BooleanArray,
) -> Result<Vec<RecordBatch>, JudgeError> {
    let mut kept = Vec::with_capacity(batches.len());
    for batch in batches {
        let batch = filter_record_batch(batch, &keep(&Lines::new(batch)?))?;
        if batch.num_rows() > 0 {
            kept.push(batch);
        }
    }
    Ok(kept)
}

/// Each row once: the first of several.
fn distinct(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, JudgeError> {
    if batches.len() < 2 {
        return Ok(batches.to_vec());
    }
    let mut seen = HashSet::new();
    filtered(batches, |lines| {
        let owned = |(event, account, secret): (&str, &str, Option<&str>)| {
            (event.to_owned(), account.to_owned(), secret.map(str::to_owned))
        };
        lines.iter().map(|line| seen.insert(owned(line.identity()))).collect()
    })
}
