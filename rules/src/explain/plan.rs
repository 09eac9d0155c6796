//! Asks a query's plan, step by step, where its rows go.
//!
//! In: the plan of a rule's SQL as it was written, not yet optimised, and a session whose `new_events` holds one event. Out: the conditions
//! that leave nothing ([`Walk::blocks`]), or those that the event passed ([`Walk::conditions`]).
//!
//! Each sub-plan is a query of its own. Where a step gives nothing although what it reads gives something, its conditions are tried
//! one by one. Only steps that read `new_events` count: that other tables are empty somewhere is no reason.

use std::collections::BTreeSet;

use keytrail_lake::{
    arrow::util::display::array_value_to_string,
    datafusion::{
        common::{
            Column,
            tree_node::{TreeNode, TreeNodeRecursion},
        },
        error::DataFusionError,
        logical_expr::{Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, utils::split_conjunction},
        prelude::{DataFrame, SessionContext},
        sql::unparser::expr_to_sql,
    },
};
use keytrail_model::display::terminal_safe;

use super::Condition;

/// Rows whose values are shown for one condition.
const ROWS: usize = 3;
/// Conditions beyond this are not listed: a page is for reading.
const MOST: usize = 60;
/// Longest condition shown, in characters.
const TEXT: usize = 300;

/// A plan and the session that runs its steps.
pub(super) struct Walk<'a> {
    session: &'a SessionContext,
    plan: &'a LogicalPlan,
    /// The table that the walk follows.
    followed: &'static str,
}

impl<'a> Walk<'a> {
    pub(super) fn new(session: &'a SessionContext, plan: &'a LogicalPlan) -> Self {
        // A rule over `recent_events` alone is followed through those.
        let followed = if reads(plan, "new_events") { "new_events" } else { "recent_events" };
        Self { session, plan, followed }
    }

    /// The conditions that keep the event from being found.
    pub(super) async fn blocks(&self) -> Result<Vec<Condition>, DataFusionError> {
        let mut found = Vec::new();
        let mut steps = vec![self.plan];
        while let Some(step) = steps.pop() {
            if !reads(step, self.followed) || self.gives(step).await? {
                continue;
            }
            let mut empty = Vec::new();
            for input in step.inputs() {
                if reads(input, self.followed) && !self.gives(input).await? {
                    empty.push(input);
                }
            }
            if empty.is_empty() {
                self.block(step, &mut found).await?;
            }
            steps.extend(empty.into_iter().rev());
            if found.len() >= MOST {
                break;
            }
        }
        Ok(unique(found))
    }

    /// The conditions that the event met on its way.
    pub(super) async fn conditions(&self) -> Result<Vec<Condition>, DataFusionError> {
        let (mut found, mut steps) = (Vec::new(), Vec::new());
        self.plan.apply(|step| {
            steps.push(step.clone());
            Ok(TreeNodeRecursion::Continue)
        })?;
        // Inputs first: the order in which the SQL reads.
        for step in steps.iter().rev().filter(|step| reads(step, self.followed)) {
            let conditions: Vec<Expr> = match step {
                LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate).into_iter().cloned().collect(),
                LogicalPlan::Join(join) if join.join_type == JoinType::Inner => on(join),
                _ => continue,
            };
            if !self.gives(step).await? {
                continue;
            }
            for condition in conditions {
                let values = self.values(step, &condition).await?;
                found.push(Condition { text: text(&condition), values, said: String::new() });
            }
            if found.len() >= MOST {
                break;
            }
        }
        Ok(unique(found))
    }

    /// Why one step gives nothing although what it reads gives something.
    async fn block(&self, step: &LogicalPlan, found: &mut Vec<Condition>) -> Result<(), DataFusionError> {
        match step {
            LogicalPlan::Filter(filter) => self.filter(filter, found).await,
            LogicalPlan::Join(join) => self.join(join, found).await,
            other => {
                let said = format!("this step gives nothing: {}", other.display());
                found.push(Condition { text: String::new(), values: Vec::new(), said: short(&said) });
                Ok(())
            }
        }
    }

    async fn filter(&self, filter: &Filter, found: &mut Vec<Condition>) -> Result<(), DataFusionError> {
        let conditions = split_conjunction(&filter.predicate);
        let input = filter.input.as_ref();
        let before = found.len();
        for condition in &conditions {
            let alone = LogicalPlanBuilder::from(input.clone()).filter((*condition).clone())?.build()?;
            if !self.gives(&alone).await? {
                found.push(self.unmet(input, condition, "is not so").await?);
            }
        }
        if found.len() == before {
            for condition in conditions {
                found.push(
                    self.unmet(input, condition, "holds for some rows, not for those that meet the others").await?,
                );
            }
        }
        Ok(())
    }

    async fn join(&self, join: &Join, found: &mut Vec<Condition>) -> Result<(), DataFusionError> {
        let (left, right) = (join.left.as_ref(), join.right.as_ref());
        for side in [left, right] {
            if !self.gives(side).await? {
                let said = format!("there is nothing in {} for the event's principal and secret", name_of(side));
                found.push(Condition { text: joined(join), values: Vec::new(), said: short(&said) });
                return Ok(());
            }
        }
        let both = LogicalPlanBuilder::from(left.clone()).cross_join(right.clone())?.build()?;
        let conditions = on(join);
        let before = found.len();
        for condition in &conditions {
            let alone = LogicalPlanBuilder::from(left.clone())
                .join_on(right.clone(), JoinType::Inner, [condition.clone()])?
                .build()?;
            if !self.gives(&alone).await? {
                found.push(self.unmet(&both, condition, "finds nothing").await?);
            }
        }
        if found.len() == before {
            let all = conditions.into_iter().reduce(Expr::and);
            if let Some(all) = all {
                found.push(self.unmet(&both, &all, "finds nothing, although each part alone does").await?);
            }
        }
        Ok(())
    }

    async fn unmet(&self, input: &LogicalPlan, condition: &Expr, said: &str) -> Result<Condition, DataFusionError> {
        let values = self.values(input, condition).await?;
        Ok(Condition { text: text(condition), values, said: said.to_owned() })
    }

    /// What stands in the columns of a condition.
    async fn values(&self, input: &LogicalPlan, condition: &Expr) -> Result<Vec<(String, String)>, DataFusionError> {
        let columns: BTreeSet<Column> =
            condition.column_refs().into_iter().filter(|column| input.schema().has_column(column)).cloned().collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let mut values: Vec<(String, BTreeSet<String>)> = Vec::new();
        for (column, name) in columns.iter().zip(&names) {
            let twice = names.iter().filter(|other| *other == name).count() > 1;
            values.push((if twice { column.flat_name() } else { name.clone() }, BTreeSet::new()));
        }
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let plan = LogicalPlanBuilder::from(input.clone()).project(columns.into_iter().map(Expr::Column))?.build()?;
        for batch in self.frame(plan).limit(0, Some(ROWS))?.collect().await? {
            for ((_, said), column) in values.iter_mut().zip(batch.columns()) {
                for row in 0..batch.num_rows() {
                    let value = if column.is_null(row) {
                        "null".to_owned()
                    } else {
                        short(&array_value_to_string(column, row)?)
                    };
                    said.insert(value);
                }
            }
        }
        Ok(values.into_iter().map(|(name, said)| (name, said.into_iter().collect::<Vec<_>>().join(" | "))).collect())
    }

    /// Whether a step gives at least one row.
    async fn gives(&self, step: &LogicalPlan) -> Result<bool, DataFusionError> {
        let batches = self.frame(step.clone()).limit(0, Some(1))?.collect().await?;
        Ok(batches.iter().any(|batch| batch.num_rows() > 0))
    }

    fn frame(&self, plan: LogicalPlan) -> DataFrame {
        DataFrame::new(self.session.state(), plan)
    }
}

/// Whether a plan reads a table.
fn reads(plan: &LogicalPlan, table: &str) -> bool {
    plan.exists(|step| Ok(matches!(step, LogicalPlan::TableScan(scan) if scan.table_name.table() == table)))
        .unwrap_or(true)
}

/// The conditions of a join, keys and filter alike.
fn on(join: &Join) -> Vec<Expr> {
    let keys = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let filter = join.filter.iter().flat_map(|filter| split_conjunction(filter)).cloned();
    keys.chain(filter).collect()
}

fn joined(join: &Join) -> String {
    on(join).into_iter().reduce(Expr::and).map_or_else(String::new, |condition| text(&condition))
}

/// How the SQL calls what a plan gives: its alias, or its tables.
fn name_of(plan: &LogicalPlan) -> String {
    if let LogicalPlan::SubqueryAlias(alias) = plan {
        return format!("`{}`", alias.alias.table());
    }
    let mut tables = BTreeSet::new();
    // The closure cannot fail, so the walk cannot either.
    let walked = plan.apply(|step| {
        if let LogicalPlan::TableScan(scan) = step {
            tables.insert(format!("`{}`", scan.table_name.table()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if walked.is_err() || tables.is_empty() {
        return "the other side".to_owned();
    }
    tables.into_iter().collect::<Vec<_>>().join(", ")
}

/// A condition as SQL has it.
fn text(condition: &Expr) -> String {
    let said = expr_to_sql(condition).map_or_else(|_| condition.human_display().to_string(), |sql| sql.to_string());
    let said = unquoted(&said);
    let said = match said.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        // The outer brackets are the unparser's own, where nothing in between closes them.
        Some(inner) if is_balanced(inner) => inner.to_owned(),
        _ => said,
    };
    short(&said)
}

/// Plain names without the quotes that the unparser puts around those that some dialect reserves.
fn unquoted(text: &str) -> String {
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let mut said = String::with_capacity(text.len());
    for (position, piece) in text.split('"').enumerate() {
        // Every second piece stood between quotes.
        match (position % 2, is_plain(piece)) {
            (0, _) | (_, true) => said.push_str(piece),
            _ => said.extend(['"'].iter().copied().chain(piece.chars()).chain(['"'])),
        }
    }
    said
}

fn is_balanced(text: &str) -> bool {
    let mut open = 0_i64;
    for sign in text.chars() {
        open += match sign {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if open < 0 {
            return false;
        }
    }
    open == 0
}

fn short(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let safe = terminal_safe(&one_line);
    if safe.chars().count() <= TEXT { safe } else { safe.chars().take(TEXT).chain(['…']).collect() }
}

fn unique(conditions: Vec<Condition>) -> Vec<Condition> {
    let mut seen = Vec::new();
    for condition in conditions {
        if !seen.contains(&condition) {
            seen.push(condition);
        }
    }
    seen.truncate(MOST);
    seen
}
