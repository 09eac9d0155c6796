-- Deletions that hurt. Deletions are numbered in the order of events: those within the window are counted from the first
-- number of the window to one's own.
WITH numbered AS (
    SELECT
        account_id, event_id, secret_id, principal_id, event_at,
        row_number() OVER (PARTITION BY principal_id ORDER BY event_at, event_id, secret_id) AS number
    FROM recent_events
    WHERE event_name IN ('DeleteSecret', 'DeleteParameter', 'DeleteParameters')
        AND outcome = 'ok'
        AND secret_id IS NOT NULL
),
counted AS (
    SELECT
        account_id, event_id, secret_id,
        number + 1 - min(number) OVER (
            PARTITION BY principal_id ORDER BY event_at RANGE BETWEEN $window PRECEDING AND CURRENT ROW
        ) AS deletions
    FROM numbered
),
judged AS (
    SELECT
        event.*,
        coalesce(counted.deletions, 0) AS deletions,
        event.event_name IN ('ScheduleKeyDeletion', 'DisableKey') AS is_key,
        -- A parameter is gone at once; a secret only if that was asked for.
        event.event_name = 'DeleteSecret'
            AND coalesce(json_get(event.raw, '/requestParameters/forceDeleteWithoutRecovery'), 'false') <> 'true' AS is_recoverable,
        event.event_name = 'DeleteSecret'
            AND json_get(event.raw, '/requestParameters/forceDeleteWithoutRecovery') = 'true' AS is_forced,
        coalesce(event.secret_last_use_day_at >= date_trunc('day', event.event_at) - $in_use, false) AS is_in_use
    FROM new_events AS event
    LEFT JOIN counted
        ON counted.account_id = event.account_id
        AND counted.event_id = event.event_id
        AND counted.secret_id = event.secret_id
    WHERE event.outcome = 'ok'
        AND (
            event.event_name IN ('ScheduleKeyDeletion', 'DisableKey')
            OR (
                event.event_name IN ('DeleteSecret', 'DeleteParameter', 'DeleteParameters')
                AND event.secret_id IS NOT NULL
                -- Seen for the first time shortly before: made for a while. (Seen first by its deletion, it may be old.)
                AND NOT coalesce(
                    event.secret_first_seen_at > event.event_at - $young AND event.secret_first_seen_at < event.event_at, false
                )
            )
        )
)
SELECT
    event_at, event_id, event_name, principal_id, secret_id,
    account_id, region, source_ip, object_key, record_index,
    CASE
        WHEN is_key THEN 'low'
        WHEN reader_class = 'upkeep' THEN CASE WHEN is_in_use AND NOT is_recoverable THEN 'medium' ELSE 'low' END
        WHEN deletions >= $several OR (is_in_use AND is_forced) THEN 'high'
        WHEN is_in_use THEN 'medium'
        ELSE 'low'
    END AS severity,
    CASE WHEN is_key THEN 'key' WHEN deletions >= $several THEN 'several' ELSE 'one' END AS kind,
    -- A person behind a permission set is named by the session.
    CASE WHEN principal_id LIKE '%:role/aws-reserved/sso.amazonaws.com/%' THEN coalesce(session_name, principal_id) ELSE principal_id END AS who,
    deletions,
    is_recoverable,
    is_in_use,
    json_get(raw, '/requestParameters/keyId') AS key_id,
    secret_last_use_day_at AS last_use_at,
    coalesce(secret_reader_count, 0) AS reader_count,
    coalesce(principal_active_days, 0) AS active_days,
    0 AS usual_seen
FROM judged
WHERE
    CASE
        WHEN is_key THEN reader_class <> 'upkeep'
        -- Infrastructure as code deletes for good as a matter of course; it matters only if somebody uses the secret.
        WHEN reader_class = 'upkeep' THEN is_in_use
        ELSE is_in_use OR is_forced OR deletions >= $several
    END
ORDER BY event_at, event_id, secret_id
