-- Reads of paths that the principal never read as a whole before, and that are not its own. Recursive or not makes no
-- difference: where parameters are called /service/key, one folder is everything that a service has.
WITH sweeps AS (
    SELECT
        *,
        secret_name = '/' AS is_root,
        -- `/a` has one part, `/a/b` two.
        array_length(string_to_array(trim(BOTH '/' FROM secret_name), '/')) AS depth,
        -- The folder as the beginning of an id: without its last part, which for a path is `*`.
        regexp_replace(secret_id, '/[^/]*$', '') AS folder
    FROM new_events
    WHERE event_name = 'GetParametersByPath'
        AND secret_id IS NOT NULL
        AND secret_name IS NOT NULL
        AND reader_class = 'consumer'
        AND (outcome = 'ok' OR (outcome = 'denied' AND $attempts AND secret_name = '/'))
        AND coalesce(pair_active_days, 0) = 0
),
-- The folders of the parameters, and the paths, that the principal used on earlier days.
own_folders AS (
    SELECT DISTINCT
        sweep.account_id, sweep.event_id, sweep.secret_id, sweep.folder,
        own.secret_id LIKE '%/*' AS is_path,
        regexp_replace(own.secret_id, '/[^/]*$', '') AS own_folder
    FROM sweeps AS sweep
    JOIN pairs AS own
        ON own.principal_id = sweep.principal_id
        AND own.secret_id LIKE '%:parameter/%'
        AND own.first_read_at < date_trunc('day', sweep.event_at)
),
at_home AS (
    SELECT DISTINCT account_id, event_id, secret_id
    FROM own_folders
    WHERE folder = own_folder
        -- Deeper in; a parameter that stands in no folder does not make the whole store its reader's.
        OR (starts_with(folder, own_folder || '/') AND (is_path OR own_folder LIKE '%:parameter/%'))
)
SELECT
    sweep.event_at, sweep.event_id, sweep.event_name, sweep.principal_id, sweep.secret_id, sweep.account_id, sweep.region,
    sweep.source_ip, sweep.object_key, sweep.record_index,
    CASE
        WHEN sweep.outcome <> 'ok' THEN 'low'
        WHEN sweep.is_root THEN 'high'
        -- A further tree beside those that it uses.
        WHEN sweep.depth > 1 AND sweep.namespace_days > 0 THEN 'low'
    END AS severity,
    sweep.outcome = 'ok' AS succeeded,
    sweep.secret_name AS tree,
    coalesce(sweep.namespace_readers, 0) AS namespace_readers,
    sweep.principal_active_days,
    coalesce(sweep.pair_active_days, 0) AS pair_active_days
FROM sweeps AS sweep
LEFT JOIN at_home
    ON at_home.account_id = sweep.account_id
    AND at_home.event_id = sweep.event_id
    AND at_home.secret_id = sweep.secret_id
WHERE sweep.is_root
    OR (
        at_home.event_id IS NULL
        -- A path named after the role is its own: role svc-orders and /prod/orders.
        AND strpos(
            '-' || regexp_replace(lower(coalesce(arn_part(sweep.principal_id, 'resource'), '')), '[^a-z0-9]+', '-', 'g') || '-',
            '-' || regexp_replace(lower(regexp_replace(sweep.secret_name, '^.*/', '')), '[^a-z0-9]+', '-', 'g') || '-'
        ) = 0
        AND CASE
            -- The top of a tree that many use: new to whoever reads all of it.
            WHEN sweep.depth = 1 AND sweep.namespace_readers >= $shared_by THEN true
            WHEN sweep.principal_active_days < $min_days THEN false
            -- Somebody else's tree. Who uses the top of a tree may be unknown, since its name is in no namespace.
            WHEN coalesce(sweep.namespace_days, 0) = 0 THEN coalesce(sweep.namespace_readers, 1) >= 1
            ELSE sweep.depth > 1
        END
    )
ORDER BY sweep.event_at, sweep.event_id, sweep.secret_id
