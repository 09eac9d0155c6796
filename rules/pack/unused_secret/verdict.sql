-- Whether each secret is used, one row per secret that exists. `keytrail report unused` shows these rows, and the rule
-- alerts on those whose verdict is `unused`. API routes are known only by being called, so they are left out, as are
-- deleted secrets; a replica is judged with its primary (same name and account, another region, made by replication).
--   secret_id, secret_name, secret_kind, secret_account, secret_region: which secret
--   verdict: used, start_time_reader, sync_only, cannot_tell or unused
--   explanation: why, in words
--   last_use_at, last_reader: the last use by a consumer, and by whom
--   idle_since: since when it is idle: the last use, else the first sight of it
--   gap_from: the first hour that the logs do not cover, where that is what is in doubt
WITH asked AS (
    SELECT *, $as_of - $days AS since
    FROM secrets
    WHERE deleted_at IS NULL
        AND secret_kind IN ('secretsmanager', 'parameter')
        AND secret_id LIKE 'arn:%'
        AND first_seen_at <= $as_of
),
-- The last consumer of each secret, and whether it is a workload: a role that is no person's.
last_readers AS (
    SELECT secret_id, principal_id, last_read_at, read_count, days_active, is_workload
    FROM (
        SELECT
            pair.secret_id, pair.principal_id, pair.last_read_at, pair.read_count, pair.days_active,
            who.principal_kind = 'role' AND who.principal_id NOT LIKE '%:role/aws-reserved/sso.amazonaws.com/%' AS is_workload,
            row_number() OVER (PARTITION BY pair.secret_id ORDER BY pair.last_read_at DESC, pair.principal_id) AS age
        FROM pairs AS pair
        JOIN principals AS who ON who.principal_id = pair.principal_id
        WHERE pair.reader_class = 'consumer'
    )
    WHERE age = 1
),
-- A use of any copy of a replicated secret is a use of it: copies carry one name and one suffix.
copies AS (
    SELECT secret_account, regexp_replace(secret_id, '^.*:secret:', '') AS copy_name, max(last_use_at) AS last_use_at
    FROM asked
    WHERE secret_kind = 'secretsmanager'
    GROUP BY secret_account, regexp_replace(secret_id, '^.*:secret:', '')
),
-- Paths that were read as a whole: which of the parameters under them were wanted is not logged.
paths AS (
    SELECT replace(secret_id, '/*', '/') AS path_prefix, max(last_read_at) AS last_read_at
    FROM pairs
    WHERE secret_id LIKE 'arn:%:ssm:%:parameter/%*' AND reader_class = 'consumer'
    GROUP BY replace(secret_id, '/*', '/')
),
under_paths AS (
    SELECT asked.secret_id, max(paths.last_read_at) AS path_read_at
    FROM asked
    JOIN paths ON starts_with(asked.secret_id, paths.path_prefix)
    WHERE asked.secret_kind = 'parameter'
    GROUP BY asked.secret_id
),
-- Whether the logs cover the whole time, in the secret's account and region.
covered AS (
    SELECT
        account_id, region,
        min(hour_at) AS covered_from,
        min(CASE WHEN state = 'gap' AND hour_at >= $as_of - $days THEN hour_at END) AS gap_from,
        count(CASE WHEN state = 'gap' AND hour_at >= $as_of - $days THEN 1 END) AS gap_hours
    FROM coverage
    GROUP BY account_id, region
),
facts AS (
    SELECT
        asked.*,
        -- A path read does not name what it returned; the KMS decrypts made for it do.
        greatest(asked.last_use_at, copies.last_use_at, asked.last_evidence_at) AS any_use_at,
        last_readers.principal_id AS last_reader,
        last_readers.read_count AS last_reader_count,
        last_readers.days_active AS last_reader_days,
        last_readers.is_workload AS last_reader_is_workload,
        under_paths.path_read_at,
        covered.covered_from,
        covered.gap_from,
        coalesce(covered.gap_hours, 0) AS gap_hours
    FROM asked
    LEFT JOIN last_readers ON last_readers.secret_id = asked.secret_id
    LEFT JOIN copies
        ON asked.secret_kind = 'secretsmanager'
        AND copies.secret_account = asked.secret_account
        AND copies.copy_name = regexp_replace(asked.secret_id, '^.*:secret:', '')
    LEFT JOIN under_paths ON under_paths.secret_id = asked.secret_id
    LEFT JOIN covered ON covered.account_id = asked.secret_account AND covered.region = asked.secret_region
),
judged AS (
    SELECT
        *,
        CASE
            WHEN any_use_at >= since THEN 'used'
            WHEN last_sync_at >= since THEN 'sync_only'
            WHEN path_read_at >= since THEN 'path'
            WHEN first_seen_at > since THEN 'young'
            WHEN covered_from IS NULL THEN 'uncovered'
            WHEN covered_from > since + INTERVAL '1 hour' THEN 'short_history'
            WHEN gap_hours > 0 THEN 'gap'
            -- Read on a day or two and never again, by a workload: a task that still runs may hold the value since it started.
            WHEN last_reader_days <= 2 AND last_reader_is_workload THEN 'start_time_reader'
            WHEN any_use_at IS NOT NULL THEN 'idle'
            WHEN last_read_at IS NOT NULL THEN 'upkeep_only'
            ELSE 'never'
        END AS finding
    FROM facts
)
SELECT
    secret_id, secret_name, secret_kind, secret_account, secret_region,
    CASE
        WHEN finding IN ('used', 'sync_only', 'start_time_reader') THEN finding
        WHEN finding IN ('idle', 'upkeep_only', 'never') THEN 'unused'
        ELSE 'cannot_tell'
    END AS verdict,
    CASE finding
        WHEN 'used' THEN 'it was used in this time'
        WHEN 'sync_only' THEN 'only sync agents read it, which copy it elsewhere'
        WHEN 'path' THEN 'a path above it was read as a whole, which does not tell which parameters were wanted'
        WHEN 'young' THEN 'it has not been known for so long'
        WHEN 'uncovered' THEN 'no logs of its account and region are in the lake'
        WHEN 'short_history' THEN 'the logs of its account and region do not reach back so far'
        WHEN 'gap' THEN concat('the logs have a gap of ', CAST(gap_hours AS VARCHAR), ' hours')
        WHEN 'start_time_reader' THEN 'its last reader is a workload that read it on one or two days only, so a task that still runs may hold the value since its start'
        WHEN 'idle' THEN 'nobody but upkeep has read it since its last use'
        WHEN 'upkeep_only' THEN 'it was only ever read by upkeep, such as its rotation function'
        ELSE 'it was never read at all'
    END AS explanation,
    any_use_at AS last_use_at,
    last_reader,
    coalesce(any_use_at, first_seen_at) AS idle_since,
    CASE finding WHEN 'gap' THEN gap_from WHEN 'short_history' THEN since END AS gap_from
FROM judged
