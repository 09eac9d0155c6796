-- Uses with a long-term key that are not habitual for the user and the secret.
SELECT
    event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key, record_index,
    CASE WHEN pair_active_days > 0 THEN 'low' END AS severity,
    access_key_id,
    pair_active_days,
    principal_active_days,
    -- The user itself is a reader after its first use.
    greatest(secret_reader_count - CASE WHEN is_first_use THEN 0 ELSE 1 END, 0) AS other_readers
FROM new_events
WHERE action IN ('read', 'invoke')
    AND outcome = 'ok'
    AND secret_id IS NOT NULL
    AND credential_kind = 'long_term_key'
    -- Root has a rule of its own.
    AND principal_kind <> 'root'
    AND reader_class = 'consumer'
    -- Whoever used the secret in its first days is one of its readers, as long as it goes on.
    AND event_at >= coalesce(secret_first_seen_at, principal_first_at) + $learning
    AND (
        pair_active_days = 0
        OR (
            pair_active_days < $habit_days
            AND pair_first_read_at >= coalesce(secret_first_seen_at, principal_first_at) + $learning
        )
    )
ORDER BY event_at, event_id, secret_id
