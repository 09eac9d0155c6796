//! Joins that can be stopped, and joins that are refused.
//!
//! In: the physical plan, after the engine's own rules. Out: the same plan with every join and unnest wrapped so that it
//! yields to the scheduler (else dropping the stream would not end it), or an error when a join without an equality
//! (nested loop, cross) is estimated to look at more pairs of rows than [`Limits::join_pairs`].
//!
//! What it cannot do: a nested loop whose sizes the engine cannot estimate passes, and one that finds no match does not
//! yield inside a batch; then the time limit answers the caller while that thread works on to the batch's end.
//!
//! [`Limits::join_pairs`]: super::Limits::join_pairs

use std::sync::Arc;

use deltalake::datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode},
    },
    config::ConfigOptions,
    error::DataFusionError,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        statistics::{StatisticsArgs, StatisticsContext},
    },
};
use keytrail_model::display::count;
use thiserror::Error;

/// A join without an equality that would look at too many pairs.
#[derive(Debug, Error)]
#[error(
    "this join has no equality between its sides, so it would compare about {} pairs of rows; the limit is {}",
    count(i64::try_from(*pairs).unwrap_or(i64::MAX)),
    count(i64::try_from(*limit).unwrap_or(i64::MAX))
)]
pub struct JoinTooLarge {
    pub pairs: u64,
    pub limit: u64,
}

/// The optimizer rule; see the module's words.
#[derive(Debug)]
pub(super) struct StoppableJoins {
    pub(super) join_pairs: u64,
}

impl StoppableJoins {
    fn judge(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
        let sizes = StatisticsContext::new();
        let mut pairs: u64 = 1;
        for side in plan.children() {
            let rows = sizes.compute(side.as_ref(), &StatisticsArgs::new())?.num_rows;
            let Some(rows) = rows.get_value() else { return Ok(()) };
            pairs = pairs.saturating_mul(*rows as u64);
        }
        if pairs > self.join_pairs {
            return Err(DataFusionError::External(Box::new(JoinTooLarge { pairs, limit: self.join_pairs })));
        }
        Ok(())
    }
}

impl PhysicalOptimizerRule for StoppableJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match node.name() {
            "NestedLoopJoinExec" | "CrossJoinExec" => {
                self.judge(&node)?;
                Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
            }
            name if name.ends_with("JoinExec") || name == "UnnestExec" => {
                Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
            }
            _ => Ok(Transformed::no(node)),
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "stoppable_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
