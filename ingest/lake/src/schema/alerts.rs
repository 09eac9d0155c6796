//! The columns of `alert_log`, `suppression_log` and `delivery_log`: what was found, what people decided, who was told.

use super::{Column, FormatVersion, TableName, TableSpec};

/// One row per change of an alert: its full state after the change. The alert now is its row of the highest sequence.
pub(super) static ALERT_LOG: TableSpec = TableSpec {
    name: TableName::AlertLog,
    doc: "The state of each alert after each change; the newest sequence counts.",
    partition: None,
    fresh_order: &["sequence"],
    settled_order: &["alert_id", "sequence"],
    statistics: &["alert_id", "sequence", "rule_id", "updated_at"],
    bloom: &["alert_id"],
    columns: &[
        Column::text("alert_id", "The same for the same finding, however often it is judged.").always(),
        Column::text("rule_id", "The rule.").always(),
        Column::text("rule_version", "The rule's version when it judged.").always(),
        Column::text("severity", "info, low, medium, high or critical.").always(),
        Column::text("class", "detection, rule_error or system.").always(),
        Column::text("state", "open, acknowledged, closed or suppressed.").always(),
        Column::text("verdict", "What a person decided it was."),
        Column::text("title", "What it is, in a few words.").always(),
        Column::text("reason", "What is odd, compared with what is usual.").always(),
        Column::text("principal_id", "Who acted."),
        Column::text_list("secret_ids", "The secrets concerned.").always(),
        Column::text("account_id", "The account concerned."),
        Column::text("region", "The region concerned."),
        Column::moment("first_event_at", "The first event it rests on.").always(),
        Column::moment("last_event_at", "The last event it rests on.").always(),
        Column::integer("event_count", "events", "How many events it rests on.").always(),
        Column::moment("raised_at", "When it was raised.").always(),
        Column::moment("updated_at", "When it last changed.").always(),
        Column::flag("historical", "Raised from backfill and never sent.").always(),
        Column::text_list("fold_key", "What its findings are folded by.").always(),
        Column::text("evidence", "The events it rests on, oldest first, capped, as JSON.").always(),
        Column::text("changed_by", "Who made the last change, where it was a person."),
        Column::text("note", "What that person said about it."),
        Column::integer("sequence", "position in the log", "Grows with each change.").always(),
        Column::text("fingerprint", "The same for every episode of one rule and fold key.").since(FormatVersion(3)),
        Column::text("previous_alert_id", "The episode before this one, where that was closed.")
            .since(FormatVersion(3)),
        Column::text("merged_into", "The episode that it turned out to be a part of.").since(FormatVersion(3)),
        Column::text("suppressed_by", "The suppression that covers it, or `shadow`.").since(FormatVersion(3)),
        Column::text("why", "Why it is odd: each dimension against its baseline, as JSON.").since(FormatVersion(3)),
    ],
};

/// One row per change of a suppression. The suppression now is its row of the highest sequence.
pub(super) static SUPPRESSION_LOG: TableSpec = TableSpec {
    name: TableName::SuppressionLog,
    doc: "The state of each suppression after each change; the newest sequence counts.",
    partition: None,
    fresh_order: &["sequence"],
    settled_order: &["suppression_id", "sequence"],
    statistics: &["suppression_id", "sequence"],
    bloom: &[],
    columns: &[
        Column::text("suppression_id", "Its id.").always().since(FormatVersion(3)),
        Column::text("rule", "The rule's id, or a glob; null for any.").since(FormatVersion(3)),
        Column::text("principal", "A glob on the principal; null for any.").since(FormatVersion(3)),
        Column::text("secret", "A glob that every secret of the alert matches; null for any.").since(FormatVersion(3)),
        Column::text("network", "A network that every address lies in; null for any.").since(FormatVersion(3)),
        Column::text("account", "The account's id; null for any.").since(FormatVersion(3)),
        Column::text("owner", "Who answers for it.").always().since(FormatVersion(3)),
        Column::text("reason", "Why.").always().since(FormatVersion(3)),
        Column::moment("created_at", "When it was made.").always().since(FormatVersion(3)),
        Column::text("created_by", "Who made it.").always().since(FormatVersion(3)),
        Column::moment("expires_at", "When it ends by itself.").always().since(FormatVersion(3)),
        Column::moment("ended_at", "When it was ended before its time.").since(FormatVersion(3)),
        Column::text("ended_by", "Who ended it.").since(FormatVersion(3)),
        Column::integer("sequence", "position in the log", "Grows with each change.").always().since(FormatVersion(3)),
    ],
};

/// One row per step of a delivery. The delivery now is its row of the highest sequence.
pub(super) static DELIVERY_LOG: TableSpec = TableSpec {
    name: TableName::DeliveryLog,
    doc: "Each step of telling a sink of an alert; the newest sequence of a delivery counts.",
    partition: None,
    fresh_order: &["sequence"],
    settled_order: &["delivery_id", "sequence"],
    statistics: &["delivery_id", "sequence", "sink", "at"],
    bloom: &["delivery_id"],
    columns: &[
        Column::text("delivery_id", "The same on every try.").always().since(FormatVersion(3)),
        Column::text("sink", "The sink's name in the configuration.").always().since(FormatVersion(3)),
        Column::text_list("alert_ids", "The alerts that are told of.").always().since(FormatVersion(3)),
        Column::text("change", "trigger, update, acknowledge, resolve, storm or storm_over.")
            .always()
            .since(FormatVersion(3)),
        Column::text("state", "claimed, delivered, failed, parked or covered.").always().since(FormatVersion(3)),
        Column::integer("attempt", "tries", "How often it was tried.").always().since(FormatVersion(3)),
        Column::moment("at", "When this step happened.").always().since(FormatVersion(3)),
        Column::moment("next_at", "When it is tried again, or when the claim ends.").since(FormatVersion(3)),
        Column::text("worker", "Which process.").always().since(FormatVersion(3)),
        Column::text("status", "What the sink answered, such as an HTTP status.").since(FormatVersion(3)),
        Column::text("detail", "What went wrong, or which delivery covers it.").since(FormatVersion(3)),
        Column::text("title", "What was said, in a few words.").always().since(FormatVersion(3)),
        Column::text("severity", "The alert's severity when it was told.").always().since(FormatVersion(3)),
        Column::integer("event_count", "events", "How many events the alert rested on when it was told.")
            .always()
            .since(FormatVersion(3)),
        Column::integer("secret_count", "secrets", "How many secrets the alert concerned when it was told.")
            .always()
            .since(FormatVersion(3)),
        Column::integer("sequence", "position in the log", "Grows with each step.").always().since(FormatVersion(3)),
    ],
};
