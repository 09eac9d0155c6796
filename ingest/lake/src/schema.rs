//! The one table of columns: name, type, whether it may be empty, unit and meaning of every column of every table.
//!
//! Delta's schema, Arrow's schema, the statistics that are kept, the sort orders and the column comments that readers
//! see are all derived from here. Columns are only ever added, at the end and nullable, with the format version that
//! brought them (`Column::since`); a table that lacks one gets it when a newer program opens it, and older files
//! read as null there. A change that old readers could misunderstand raises [`FORMAT`], which older writers refuse.

use std::{collections::HashMap, fmt, sync::Arc};

use deltalake::{
    arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit},
    kernel::{ArrayType, DataType, MetadataValue, PrimitiveType, StructField},
};

mod access_events;
mod alerts;
mod others;

/// The format of the tables that this program writes.
///
/// 2: an object may have several lines in `objects`, of which the newest counts (`replaces`).
/// 3: an alert may be merged into another or suppressed, which a reader that does not know it would show as standing.
pub const FORMAT: FormatVersion = FormatVersion(3);

/// The table property that holds the format version.
pub(crate) const FORMAT_PROPERTY: &str = "keytrail.formatVersion";

/// The table property that names the columns with statistics.
pub(crate) const STATISTICS_PROPERTY: &str = "delta.dataSkippingStatsColumns";

/// A version of the tables' format. Readers may read newer tables; writers must refuse to write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormatVersion(pub u32);

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The tables of a lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableName {
    AccessEvents,
    Events,
    Objects,
    Quarantine,
    AlertLog,
    SuppressionLog,
    DeliveryLog,
}

impl TableName {
    /// Every table.
    pub const ALL: [Self; 7] = [
        Self::AccessEvents,
        Self::Events,
        Self::Objects,
        Self::Quarantine,
        Self::AlertLog,
        Self::SuppressionLog,
        Self::DeliveryLog,
    ];

    /// The folder under the lake's root.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::AccessEvents => "access_events",
            Self::Events => "events",
            Self::Objects => "objects",
            Self::Quarantine => "quarantine",
            Self::AlertLog => "alert_log",
            Self::SuppressionLog => "suppression_log",
            Self::DeliveryLog => "delivery_log",
        }
    }

    /// The name under which sessions see the stored rows (views carry the plain names).
    pub const fn stored(self) -> &'static str {
        match self {
            Self::AccessEvents => "access_events_stored",
            Self::Events => "events",
            Self::Objects => "objects_stored",
            Self::Quarantine => "quarantine_stored",
            Self::AlertLog => "alert_log",
            Self::SuppressionLog => "suppression_log",
            Self::DeliveryLog => "delivery_log",
        }
    }

    /// What the table holds and how it is laid out.
    pub const fn spec(self) -> &'static TableSpec {
        match self {
            Self::AccessEvents => &access_events::ACCESS_EVENTS,
            Self::Events => &others::EVENTS,
            Self::Objects => &others::OBJECTS,
            Self::Quarantine => &others::QUARANTINE,
            Self::AlertLog => &alerts::ALERT_LOG,
            Self::SuppressionLog => &alerts::SUPPRESSION_LOG,
            Self::DeliveryLog => &alerts::DELIVERY_LOG,
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.folder())
    }
}

/// The types that columns have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    /// UTC microseconds.
    Moment,
    Integer,
    Flag,
    TextList,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub column_type: ColumnType,
    pub nullable: bool,
    /// The format version that brought it.
    pub since: FormatVersion,
    /// What a number or a moment counts; empty for text and flags.
    pub unit: &'static str,
    /// What it means, in one sentence.
    pub doc: &'static str,
}

/// One table.
#[derive(Debug)]
pub struct TableSpec {
    pub name: TableName,
    pub doc: &'static str,
    pub columns: &'static [Column],
    /// The text column, `YYYY-MM-DD`, that the files are foldered by.
    pub partition: Option<&'static str>,
    /// Order inside a file as committed.
    pub fresh_order: &'static [&'static str],
    /// Order inside a file of a settled day after compaction.
    pub settled_order: &'static [&'static str],
    /// Columns whose smallest and largest value per file are kept, so that whole files can be skipped.
    pub statistics: &'static [&'static str],
    /// Columns with bloom filters.
    pub bloom: &'static [&'static str],
}

impl TableSpec {
    /// Arrow's schema of the rows.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::arrow_field).collect::<Vec<_>>()))
    }

    /// Delta's fields.
    pub(crate) fn delta_fields(&self) -> Vec<StructField> {
        self.columns.iter().map(Column::delta_field).collect()
    }

    /// The table properties of a new table.
    ///
    /// A checkpoint every 20 commits keeps opening cheap (at most 20 small files to replay) for about 5 % of a commit's
    /// cost. The log is kept 60 days, twice CloudTrail's redelivery span, because the ledger lines ride in it until
    /// they are projected; nobody but `Lake::vacuum`, which projects first, may clean it.
    pub(crate) fn properties(&self) -> HashMap<String, Option<String>> {
        let pairs = [
            (FORMAT_PROPERTY, FORMAT.to_string()),
            ("delta.checkpointInterval", "20".to_owned()),
            ("delta.logRetentionDuration", "interval 60 days".to_owned()),
            ("delta.enableExpiredLogCleanup", "false".to_owned()),
            ("delta.deletedFileRetentionDuration", "interval 7 days".to_owned()),
            (STATISTICS_PROPERTY, self.statistics.join(",")),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect()
    }
}

impl Column {
    const fn new(name: &'static str, column_type: ColumnType, doc: &'static str) -> Self {
        Self { name, column_type, nullable: true, since: FormatVersion(1), unit: "", doc }
    }

    /// Text that may be missing.
    pub(crate) const fn text(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ColumnType::Text, doc)
    }

    /// A moment that may be missing.
    pub(crate) const fn moment(name: &'static str, doc: &'static str) -> Self {
        let mut column = Self::new(name, ColumnType::Moment, doc);
        column.unit = "UTC microseconds";
        column
    }

    /// A number that may be missing.
    pub(crate) const fn integer(name: &'static str, unit: &'static str, doc: &'static str) -> Self {
        let mut column = Self::new(name, ColumnType::Integer, doc);
        column.unit = unit;
        column
    }

    /// True, false or missing.
    pub(crate) const fn flag(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ColumnType::Flag, doc)
    }

    /// A list of texts.
    pub(crate) const fn text_list(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, ColumnType::TextList, doc)
    }

    /// The same column, never missing.
    pub(crate) const fn always(mut self) -> Self {
        self.nullable = false;
        self
    }

    /// The same column, brought by this format.
    pub(crate) const fn since(mut self, since: FormatVersion) -> Self {
        self.since = since;
        self
    }

    fn arrow_field(&self) -> Field {
        let arrow_type = match self.column_type {
            ColumnType::Text => ArrowType::Utf8,
            ColumnType::Moment => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Integer => ArrowType::Int64,
            ColumnType::Flag => ArrowType::Boolean,
            ColumnType::TextList => ArrowType::List(Arc::new(Field::new("element", ArrowType::Utf8, true))),
        };
        Field::new(self.name, arrow_type, self.nullable)
    }

    pub(crate) fn delta_field(&self) -> StructField {
        let delta_type = match self.column_type {
            ColumnType::Text => DataType::Primitive(PrimitiveType::String),
            ColumnType::Moment => DataType::Primitive(PrimitiveType::Timestamp),
            ColumnType::Integer => DataType::Primitive(PrimitiveType::Long),
            ColumnType::Flag => DataType::Primitive(PrimitiveType::Boolean),
            ColumnType::TextList => {
                DataType::Array(Box::new(ArrayType::new(DataType::Primitive(PrimitiveType::String), true)))
            }
        };
        let comment = if self.unit.is_empty() { self.doc.to_owned() } else { format!("{} ({})", self.doc, self.unit) };
        StructField::new(self.name, delta_type, self.nullable)
            .with_metadata([("comment", MetadataValue::String(comment))])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The columns that `product.md` promises, in its order.
    const PROMISED: &str = "event_id, shared_event_id, event_at, delivered_at, ingested_at, event_source, event_name, \
        action, outcome, secret_id, secret_name, secret_kind, secret_account, secret_region, secret_resolution, \
        version_id, version_stage, version_evidence, principal_id, principal_kind, principal_account, \
        principal_unique_id, session_name, source_identity, access_key_id, credential_kind, mfa, invoked_by, workload, \
        source_ip, source_network, vpc_endpoint_id, user_agent, user_agent_family, tls_version, account_id, region, \
        error_code, error_message, with_decryption, object_key, record_index, raw";

    #[test]
    fn access_events_has_the_promised_columns_first() {
        let columns = TableName::AccessEvents.spec().columns.iter().map(|column| column.name);
        let promised: Vec<&str> = PROMISED.split(", ").collect();
        assert_eq!(columns.take(promised.len()).collect::<Vec<_>>(), promised);
    }

    #[test]
    fn every_table_is_sound() {
        for name in TableName::ALL {
            let spec = name.spec();
            assert_eq!(spec.name, name);
            let names: HashSet<&str> = spec.columns.iter().map(|column| column.name).collect();
            assert_eq!(names.len(), spec.columns.len(), "{name}: a column twice");
            let mut used = [spec.fresh_order, spec.settled_order, spec.statistics, spec.bloom].concat();
            used.extend(spec.partition);
            for column in used {
                assert!(names.contains(column), "{name}: {column} is no column");
            }
            for column in spec.columns {
                assert!(column.doc.ends_with('.'), "{name}.{}: the doc is a sentence", column.name);
                assert!(column.since <= FORMAT);
                let needs_unit = matches!(column.column_type, ColumnType::Integer | ColumnType::Moment);
                assert_eq!(needs_unit, !column.unit.is_empty(), "{name}.{}: unit", column.name);
            }
        }
    }
}
