-- A principal's first use of any secret of another account.
WITH trusted AS (
    SELECT DISTINCT event.principal_account
    FROM new_events AS event
    JOIN (SELECT unnest($trusted) AS pattern) AS known ON glob_match(known.pattern, event.principal_account)
),
uses AS (
    SELECT event.*
    FROM new_events AS event
    LEFT JOIN trusted ON trusted.principal_account = event.principal_account
    WHERE event.action = 'read'
        AND event.outcome = 'ok'
        AND event.secret_id IS NOT NULL
        AND event.principal_account <> event.secret_account
        AND event.principal_kind <> 'service'
        AND event.is_first_use
        AND event.reader_class = 'consumer'
        AND event.event_at >= coalesce(event.secret_first_seen_at, event.event_at) + $learning
        AND trusted.principal_account IS NULL
),
-- Already at home in that account: it used another of its secrets on an earlier day.
known AS (
    SELECT DISTINCT uses.account_id, uses.event_id, uses.secret_id
    FROM uses
    JOIN pairs AS own
        ON own.principal_id = uses.principal_id
        AND arn_part(own.secret_id, 'account') = uses.secret_account
        -- Calling an API of that account is no use of its secrets.
        AND own.secret_id NOT LIKE '%:execute-api:%'
        AND own.first_read_at < date_trunc('day', uses.event_at)
    UNION
    -- The same role, by the id that the owner's copy of the record has instead of an ARN, or the other way round.
    SELECT DISTINCT uses.account_id, uses.event_id, uses.secret_id
    FROM uses
    JOIN pair_identities AS same
        ON same.secret_id = uses.secret_id
        AND same.unique_id = uses.principal_unique_id
        AND same.principal_id <> uses.principal_id
        AND same.first_read_at < uses.event_at
),
-- Who else had used the secret by then, of the same account and of others.
readers AS (
    SELECT
        uses.account_id, uses.event_id, uses.secret_id,
        count(*) AS all_readers,
        count(*) FILTER (
            WHERE coalesce(
                arn_part(other.principal_id, 'account'),
                CASE WHEN other.principal_id LIKE 'account:%' THEN split_part(split_part(other.principal_id, ':', 2), '/', 1) END
            ) = uses.principal_account
        ) AS account_readers
    FROM uses
    JOIN pairs AS other
        ON other.secret_id = uses.secret_id
        AND other.principal_id <> uses.principal_id
        AND other.reader_class = 'consumer'
        AND other.first_read_at < uses.event_at
    GROUP BY uses.account_id, uses.event_id, uses.secret_id
)
SELECT
    uses.event_at, uses.event_id, uses.event_name, uses.principal_id, uses.secret_id, uses.account_id, uses.region,
    uses.source_ip, uses.object_key, uses.record_index,
    CASE WHEN coalesce(readers.account_readers, 0) > 0 THEN 'medium' END AS severity,
    uses.principal_account, uses.secret_account,
    coalesce(readers.account_readers, 0) AS account_readers,
    coalesce(readers.all_readers, 0) AS all_readers,
    coalesce(readers.all_readers - readers.account_readers, 0) AS other_readers
FROM uses
LEFT JOIN known
    ON known.account_id = uses.account_id AND known.event_id = uses.event_id AND known.secret_id = uses.secret_id
LEFT JOIN readers
    ON readers.account_id = uses.account_id AND readers.event_id = uses.event_id AND readers.secret_id = uses.secret_id
WHERE known.event_id IS NULL
ORDER BY uses.event_at, uses.event_id, uses.secret_id
