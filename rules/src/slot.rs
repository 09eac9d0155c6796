//! A table whose rows change from one judging to the next while its name and columns stay: plans made over it stay good.
//!
//! In: rows, put there before a judging. Out: those rows, when a plan over the table is run. Rows are looked up when the
//! plan begins, not when it is made, so even a physical plan can be run again over other rows.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use keytrail_lake::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    datafusion::{
        catalog::{Session, TableProvider},
        common::{Result, tree_node::TreeNodeRecursion},
        execution::{SendableRecordBatchStream, TaskContext},
        logical_expr::{Expr, TableType},
        physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
        physical_plan::{
            DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
            execution_plan::{Boundedness, EmissionType, SchedulingType},
            memory::MemoryStream,
        },
    },
};

/// The rows of one table in this judging.
#[derive(Debug)]
pub(crate) struct Slot {
    schema: SchemaRef,
    rows: Arc<Mutex<Vec<RecordBatch>>>,
}

impl Slot {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, rows: Arc::default() }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Puts rows in place of those that were there. They must have the table's columns.
    pub(crate) fn put(&self, rows: Vec<RecordBatch>) {
        drop(mem::replace(&mut *self.rows.lock().unwrap_or_else(PoisonError::into_inner), rows));
    }
}

#[async_trait]
impl TableProvider for Slot {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(SlotScan {
            schema,
            rows: self.rows.clone(),
            projection: projection.cloned(),
            properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)),
        }))
    }
}

/// Reads what is in the slot when it begins.
#[derive(Debug)]
struct SlotScan {
    schema: SchemaRef,
    rows: Arc<Mutex<Vec<RecordBatch>>>,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for SlotScan {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlotScan")
    }
}

impl ExecutionPlan for SlotScan {
    fn name(&self) -> &'static str {
        "SlotScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Box::pin(MemoryStream::try_new(rows, self.schema.clone(), self.projection.clone())?))
    }
}
