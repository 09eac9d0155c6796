-- First uses of a secret that the principal was refused shortly before.
WITH first_uses AS (
    SELECT *
    FROM new_events
    WHERE action IN ('read', 'invoke')
        AND outcome = 'ok'
        AND is_first_use
        AND reader_class = 'consumer'
        AND event_at >= secret_first_seen_at + $learning
),
-- A refusal names the secret as it was typed, so its name counts like its id.
refusals AS (
    SELECT
        first_use.account_id, first_use.event_id, first_use.secret_id,
        count(DISTINCT refused.event_id) AS refusals,
        min(refused.event_at) AS refused_at,
        max(refused.event_at) AS last_refused_at
    FROM first_uses AS first_use
    JOIN recent_events AS refused
        ON refused.principal_id = first_use.principal_id
        AND refused.secret_name = first_use.secret_name
        AND coalesce(refused.secret_account, '') = coalesce(first_use.secret_account, '')
        AND coalesce(refused.secret_region, '') = coalesce(first_use.secret_region, '')
    WHERE refused.outcome = 'denied'
        AND refused.event_at >= first_use.event_at - $window
        AND (
            refused.event_at < first_use.event_at
            OR (refused.event_at = first_use.event_at AND refused.event_id < first_use.event_id)
        )
    GROUP BY first_use.account_id, first_use.event_id, first_use.secret_id
),
-- What changed who may use the secret between the two: its policy, by anybody, or a role's trust, by the principal.
changes AS (
    SELECT first_use.account_id, first_use.event_id, first_use.secret_id, change.principal_id AS changed_by, change.event_name
    FROM first_uses AS first_use
    JOIN refusals
        ON refusals.account_id = first_use.account_id
        AND refusals.event_id = first_use.event_id
        AND refusals.secret_id = first_use.secret_id
    JOIN recent_events AS change
        ON change.secret_id = first_use.secret_id
        AND change.event_at >= refusals.refused_at
        AND change.event_at <= first_use.event_at
    WHERE change.action = 'policy' AND change.outcome = 'ok'
    UNION ALL
    SELECT first_use.account_id, first_use.event_id, first_use.secret_id, change.principal_id AS changed_by, change.event_name
    FROM first_uses AS first_use
    JOIN refusals
        ON refusals.account_id = first_use.account_id
        AND refusals.event_id = first_use.event_id
        AND refusals.secret_id = first_use.secret_id
    JOIN recent_events AS change
        ON change.principal_id = first_use.principal_id
        AND change.event_at >= refusals.refused_at
        AND change.event_at <= first_use.event_at
    WHERE change.event_name IN ('UpdateAssumeRolePolicy', 'PutKeyPolicy') AND change.outcome = 'ok'
),
changed AS (
    SELECT
        changes.account_id, changes.event_id, changes.secret_id,
        bool_or(changes.changed_by = first_use.principal_id) AS by_itself,
        min(changes.changed_by) AS changed_by,
        min(changes.event_name) AS event_name
    FROM changes
    JOIN first_uses AS first_use
        ON first_use.account_id = changes.account_id
        AND first_use.event_id = changes.event_id
        AND first_use.secret_id = changes.secret_id
    GROUP BY changes.account_id, changes.event_id, changes.secret_id
)
SELECT
    first_use.event_at, first_use.event_id, first_use.event_name, first_use.principal_id, first_use.secret_id,
    first_use.account_id, first_use.region, first_use.source_ip, first_use.object_key, first_use.record_index,
    CASE
        WHEN changed.by_itself THEN 'high'
        WHEN first_use.principal_first_at >= first_use.event_at - $new_for THEN 'low'
    END AS severity,
    refusals.refusals,
    first_use.event_at - refusals.last_refused_at AS since,
    coalesce(changed.by_itself, false) AS changed_by_itself,
    changed.changed_by,
    changed.event_name AS changed_by_event,
    coalesce(first_use.secret_reader_count, 0) AS other_readers,
    coalesce(first_use.pair_active_days, 0) AS pair_days,
    coalesce(first_use.principal_active_days, 0) AS active_days
FROM first_uses AS first_use
JOIN refusals
    ON refusals.account_id = first_use.account_id
    AND refusals.event_id = first_use.event_id
    AND refusals.secret_id = first_use.secret_id
LEFT JOIN changed
    ON changed.account_id = first_use.account_id
    AND changed.event_id = first_use.event_id
    AND changed.secret_id = first_use.secret_id
ORDER BY first_use.event_at, first_use.event_id, first_use.secret_id
