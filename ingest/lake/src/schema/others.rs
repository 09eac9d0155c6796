//! The columns of `events`, `objects` and `quarantine`.

use super::{Column, FormatVersion, TableName, TableSpec};

/// Every CloudTrail record, kept with `scope = "all"`. Key: (`account_id`, `event_id`).
pub(super) static EVENTS: TableSpec = TableSpec {
    name: TableName::Events,
    doc: "Every CloudTrail record (scope = all); unique by account_id, event_id.",
    partition: Some("event_date"),
    fresh_order: &["event_at"],
    settled_order: &["event_source", "event_at"],
    statistics: &[
        "event_at",
        "delivered_at",
        "event_source",
        "event_name",
        "principal_id",
        "account_id",
        "region",
        "batch_id",
    ],
    bloom: &["event_id", "principal_id"],
    columns: &[
        Column::text("event_id", "CloudTrail's eventID.").always(),
        Column::moment("event_at", "When the call completed.").always(),
        Column::moment("delivered_at", "When CloudTrail delivered the object, where its key tells."),
        Column::moment("ingested_at", "When the row was committed to the lake.").always(),
        Column::text("event_source", "The AWS service that was called.").always(),
        Column::text("event_name", "The operation.").always(),
        Column::text("event_category", "Management, Data, NetworkActivity and what else CloudTrail has."),
        Column::flag("read_only", "Whether the operation only reads."),
        Column::text("account_id", "The account that the record was delivered for.").always(),
        Column::text("region", "The region of the call.").always(),
        Column::text("principal_id", "Who acted, with sessions folded into their role.").always(),
        Column::text("principal_kind", "role, user, root, service, account, federated, identity_center or unknown.")
            .always(),
        Column::text("source_ip", "The caller's own address, where it is known."),
        Column::text("user_agent", "The caller's user agent as sent."),
        Column::text("error_code", "AWS's error code."),
        Column::text("object_key", "The object that the record stands in.").always(),
        Column::integer("record_index", "position from 0", "Where in the object the record stands.").always(),
        Column::text("raw", "The record as JSON, redacted.").always(),
        Column::text("event_date", "The UTC day of event_at, YYYY-MM-DD; the tables' folders.").always(),
        Column::text("batch_id", "The commit that wrote the row; sorts by time.").always(),
    ],
};

/// One row per object seen, and one more each time it was read again after trouble: the newest counts. Key:
/// (`object_digest`, `ledger_version`).
pub(super) static OBJECTS: TableSpec = TableSpec {
    name: TableName::Objects,
    doc: "What became of each object: committed, skipped or quarantined; the newest ledger_version of an object counts.",
    partition: Some("object_date"),
    fresh_order: &["object_key"],
    settled_order: &["object_key"],
    statistics: &["object_key", "outcome", "account_id", "region", "delivered_at", "ledger_version", "replaces"],
    bloom: &["object_digest"],
    columns: &[
        Column::text("object_key", "Where the object is: s3://bucket/key or a path.").always(),
        Column::text("object_version", "Which bytes: an ETag, a version id or a digest.").always(),
        Column::text("object_digest", "A short digest of key and version.").always(),
        Column::text("outcome", "committed, skipped or quarantined.").always(),
        Column::text("reason", "Why it was skipped or quarantined."),
        Column::text("content_kind", "What the content was.").always(),
        Column::text("account_id", "The account in the object's key."),
        Column::text("region", "The region in the object's key."),
        Column::moment("delivered_at", "When CloudTrail delivered the object, where its key tells."),
        Column::moment("committed_at", "When the lake committed it.").always(),
        Column::integer("size_bytes", "bytes", "Size as delivered.").always(),
        Column::integer("json_bytes", "bytes", "Size after decompression.").always(),
        Column::integer("record_count", "records", "Records seen: kept, ignored and quarantined.").always(),
        Column::integer("kept_count", "records", "Records that became rows.").always(),
        Column::integer("ignored_count", "records", "Records that do not touch secrets.").always(),
        Column::integer("quarantined_count", "records", "Records that could not be understood.").always(),
        Column::moment("first_event_at", "The earliest event in it."),
        Column::moment("last_event_at", "The latest event in it."),
        Column::integer("ledger_version", "table version", "The commit of access_events that holds its ledger line.")
            .always(),
        Column::text("object_date", "The day in the object's key, YYYY-MM-DD, or `unknown`; the table's folders.")
            .always(),
        Column::flag(
            "replaces",
            "True where the object was read again: the line takes the place of its earlier ones (a smaller ledger_version).",
        )
        .since(FormatVersion(2)),
    ],
};

/// One row per record that could not be understood. Key: (`object_digest`, `record_index`).
pub(super) static QUARANTINE: TableSpec = TableSpec {
    name: TableName::Quarantine,
    doc: "One row per record that could not be understood each time it was read, and where its bytes are.",
    partition: Some("object_date"),
    fresh_order: &["object_key", "record_index"],
    settled_order: &["object_key", "record_index"],
    statistics: &["object_key", "account_id", "region", "delivered_at", "ledger_version"],
    bloom: &["object_digest"],
    columns: &[
        Column::text("object_key", "Where the object is: s3://bucket/key or a path.").always(),
        Column::text("object_version", "Which bytes: an ETag, a version id or a digest.").always(),
        Column::text("object_digest", "A short digest of key and version.").always(),
        Column::integer(
            "record_index",
            "position from 0",
            "Where in the object the record stands; -1 for the whole object.",
        )
        .always(),
        Column::text("reason", "What is wrong and where.").always(),
        Column::integer("byte_offset", "bytes", "Where the record starts in the decompressed object.").always(),
        Column::integer("byte_length", "bytes", "How long it is.").always(),
        Column::text("content_kind", "What the content was.").always(),
        Column::text("account_id", "The account in the object's key."),
        Column::text("region", "The region in the object's key."),
        Column::moment("delivered_at", "When CloudTrail delivered the object, where its key tells."),
        Column::moment("committed_at", "When the lake committed it.").always(),
        Column::integer("ledger_version", "table version", "The commit of access_events that holds its ledger line.")
            .always(),
        Column::text("object_date", "The day in the object's key, YYYY-MM-DD, or `unknown`; the table's folders.")
            .always(),
    ],
};
