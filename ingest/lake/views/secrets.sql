-- Every secret that is known to exist because a call on it succeeded, its life and its use. Paths that were read as a
-- whole are not secrets; a name that only failed calls mention is not known to exist.
--   secret_id: the canonical ARN, or the name as typed while no ARN is known for it
--   secret_name: its name
--   secret_kind: secretsmanager, parameter or api
--   secret_account: the account that owns it
--   secret_region: the region it is in
--   first_seen_at: the first successful call on it
--   created_at: when it was made, if the log reaches back so far
--   deleted_at: when its deletion was asked for; null once restored or made again
--   first_read_at: its first use by anybody
--   last_read_at: its last use by anybody
--   last_use_at: its last use by a consumer: neither upkeep (rotation function, scanners, infrastructure as code) nor a sync agent
--   last_sync_at: its last use by a sync agent
--   reader_count: how many principals used it, of any class
--   read_count: how many uses, of any class
--   rotation_count: how often its value changed
--   last_rotation_at: when its value last changed
--   owner: who answers for it, from the inventory; null where no inventory was imported
--   known_by: created, used, changed or mentioned: the strongest way it is known
--   consumer_count: how many principals used it that are neither upkeep nor sync agents
--   use_count: how many uses these made
--   last_evidence_at: for a parameter, the last KMS decrypt that a service made for a consumer; it names what a path read returned
WITH life AS (
    SELECT
        secret_id,
        first_value(secret_name ORDER BY event_at DESC) FILTER (WHERE secret_name IS NOT NULL) AS secret_name,
        max(secret_kind) AS secret_kind,
        max(secret_account) AS secret_account,
        max(secret_region) AS secret_region,
        min(event_at) AS first_seen_at,
        max(event_at) FILTER (
            WHERE event_name = 'CreateSecret' OR (event_name = 'PutParameter' AND (action = 'create' OR version_id = '1'))
        ) AS created_at,
        max(event_at) FILTER (
            WHERE event_name IN ('DeleteSecret', 'EndSecretVersionDelete', 'DeleteParameter', 'DeleteParameters')
        ) AS deletion_at,
        max(event_at) FILTER (
            WHERE event_name IN ('RestoreSecret', 'CancelSecretVersionDelete', 'CreateSecret', 'PutParameter')
        ) AS revival_at,
        bool_or(action IN ('write', 'rotate', 'stage')) AS was_changed
    FROM access_events
    WHERE outcome = 'ok' AND secret_id IS NOT NULL AND secret_resolution <> 'path'
    GROUP BY secret_id
),
use AS (
    SELECT
        secret_id,
        min(first_read_at) AS first_read_at,
        max(last_read_at) AS last_read_at,
        max(last_read_at) FILTER (WHERE reader_class NOT IN ('upkeep', 'sync_agent')) AS last_use_at,
        max(last_read_at) FILTER (WHERE reader_class = 'sync_agent') AS last_sync_at,
        count(*) AS reader_count,
        sum(read_count) AS read_count,
        count(*) FILTER (WHERE reader_class NOT IN ('upkeep', 'sync_agent')) AS consumer_count,
        sum(read_count) FILTER (WHERE reader_class NOT IN ('upkeep', 'sync_agent')) AS use_count
    FROM pairs
    GROUP BY secret_id
),
evidence AS (
    SELECT secret_id, max(event_at) AS last_evidence_at
    FROM access_events
    WHERE action = 'decrypt' AND outcome = 'ok' AND secret_kind = 'parameter' AND invoked_by IS NOT NULL
        AND reader_class(principal_id) IS NULL
    GROUP BY secret_id
),
changes AS (
    SELECT secret_id, count(*) AS rotation_count, max(rotated_at) AS last_rotation_at
    FROM rotations
    GROUP BY secret_id
)
SELECT
    life.secret_id, life.secret_name, life.secret_kind, life.secret_account, life.secret_region, life.first_seen_at,
    life.created_at,
    CASE WHEN life.revival_at IS NULL OR life.deletion_at > life.revival_at THEN life.deletion_at END AS deleted_at,
    use.first_read_at, use.last_read_at, use.last_use_at, use.last_sync_at,
    coalesce(use.reader_count, 0) AS reader_count,
    coalesce(use.read_count, 0) AS read_count,
    coalesce(changes.rotation_count, 0) AS rotation_count,
    changes.last_rotation_at,
    CAST(NULL AS VARCHAR) AS owner,
    CASE
        WHEN life.created_at IS NOT NULL THEN 'created'
        WHEN use.secret_id IS NOT NULL THEN 'used'
        WHEN life.was_changed THEN 'changed'
        ELSE 'mentioned'
    END AS known_by,
    coalesce(use.consumer_count, 0) AS consumer_count,
    coalesce(use.use_count, 0) AS use_count,
    evidence.last_evidence_at
FROM life
LEFT JOIN use ON use.secret_id = life.secret_id
LEFT JOIN changes ON changes.secret_id = life.secret_id
LEFT JOIN evidence ON evidence.secret_id = life.secret_id
