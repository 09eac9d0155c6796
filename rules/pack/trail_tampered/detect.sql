-- Calls of CloudTrail that leave less to be seen.
WITH calls AS (
    SELECT *
    FROM new_events
    WHERE event_source LIKE 'cloudtrail.%'
        AND event_name IN (
            'StopLogging', 'DeleteTrail', 'PutEventSelectors', 'UpdateTrail', 'DeleteEventDataStore',
            'StopEventDataStoreIngestion', 'UpdateEventDataStore'
        )
        AND outcome IN ('ok', 'denied')
),
-- The selectors of a call, plain and advanced: CloudTrail records what any of them selects. An object among the fields of an
-- advanced selector holds no other, so that a pattern without braces stays within it. An advanced selector that names the
-- services or calls of secrets at all does so to leave them out: to keep them it need not name them.
selectors AS (
    SELECT
        account_id, event_id,
        coalesce(json_get(selector, '/includeManagementEvents'), 'true') <> 'false' AS has_management,
        coalesce(json_get(selector, '/readWriteType'), 'All') <> 'WriteOnly' AS has_reads,
        coalesce(json_get(selector, '/excludeManagementEventSources'), '') NOT LIKE '%kms.%' AS has_kms
    FROM (
        SELECT account_id, event_id, json_get(raw, concat('/requestParameters/eventSelectors/', CAST(number AS VARCHAR))) AS selector
        FROM calls
        CROSS JOIN (SELECT unnest(range(0, 10)) AS number) AS numbers
        WHERE event_name = 'PutEventSelectors'
    )
    WHERE selector IS NOT NULL
    UNION ALL
    SELECT
        account_id, event_id,
        selector LIKE '%"Management"%' AS has_management,
        NOT regexp_like(selector, '\{[^{}]*("readOnly"[^{}]*"false"|"false"[^{}]*"readOnly")[^{}]*\}')
            AND NOT regexp_like(selector, '"(secretsmanager|ssm)\.')
            AND NOT regexp_like(selector, '"Get(SecretValue|Parameter)') AS has_reads,
        NOT regexp_like(selector, '"kms\.') AS has_kms
    FROM (
        SELECT
            account_id, event_id,
            json_get(raw, concat('/requestParameters/advancedEventSelectors/', CAST(number AS VARCHAR))) AS selector
        FROM calls
        CROSS JOIN (SELECT unnest(range(0, 50)) AS number) AS numbers
        WHERE event_name = 'PutEventSelectors'
    )
    WHERE selector IS NOT NULL
),
selected AS (
    SELECT
        account_id, event_id,
        bool_or(has_management) AS has_management,
        bool_or(has_management AND has_reads) AS has_reads,
        bool_or(has_management AND has_reads AND has_kms) AS has_kms
    FROM selectors
    GROUP BY account_id, event_id
),
-- What the same principal had done to trails shortly before.
before AS (
    SELECT
        calls.account_id, calls.event_id,
        count(*) AS changes_before,
        bool_or(earlier.event_name = 'CreateTrail') AS has_made_one
    FROM calls
    JOIN recent_events AS earlier
        ON earlier.principal_id = calls.principal_id
        AND earlier.account_id = calls.account_id
        AND earlier.event_at >= calls.event_at - $new_for
        AND (
            earlier.event_at < calls.event_at
            OR (earlier.event_at = calls.event_at AND earlier.event_id < calls.event_id)
        )
    WHERE earlier.event_source LIKE 'cloudtrail.%' AND earlier.outcome = 'ok'
    GROUP BY calls.account_id, calls.event_id
),
judged AS (
    SELECT
        calls.*,
        coalesce(before.changes_before, 0) AS changes_before,
        CASE
            WHEN calls.event_name IN ('StopLogging', 'StopEventDataStoreIngestion') THEN 'it records nothing any more'
            WHEN calls.event_name IN ('DeleteTrail', 'DeleteEventDataStore') THEN 'it is deleted'
            WHEN calls.event_name = 'PutEventSelectors' AND coalesce(before.has_made_one, false) THEN NULL
            WHEN calls.event_name = 'PutEventSelectors' AND NOT selected.has_management
                THEN 'management events are not recorded, and with them no use of any secret'
            WHEN calls.event_name = 'PutEventSelectors' AND NOT selected.has_reads
                THEN 'read events are not recorded, and with them no read of any secret'
            WHEN calls.event_name = 'PutEventSelectors' AND NOT selected.has_kms
                THEN 'KMS events are not recorded, which tell which version was read'
            WHEN calls.event_name = 'UpdateTrail' AND json_get(calls.raw, '/requestParameters/isMultiRegionTrail') = 'false'
                THEN 'only one region is recorded'
            WHEN calls.event_name = 'UpdateTrail' AND json_get(calls.raw, '/requestParameters/isOrganizationTrail') = 'false'
                THEN 'only one account is recorded'
            WHEN calls.event_name = 'UpdateTrail' AND json_get(calls.raw, '/requestParameters/includeGlobalServiceEvents') = 'false'
                THEN 'global services (IAM, STS) are not recorded'
            WHEN calls.event_name = 'UpdateTrail' AND json_get(calls.raw, '/requestParameters/enableLogFileValidation') = 'false'
                THEN 'its files are no longer signed'
            WHEN calls.event_name = 'UpdateEventDataStore'
                AND json_get(calls.raw, '/requestParameters/terminationProtectionEnabled') = 'false'
                THEN 'it may be deleted'
        END AS what,
        CASE
            WHEN calls.event_name IN ('StopLogging', 'StopEventDataStoreIngestion', 'DeleteTrail', 'DeleteEventDataStore') THEN 3
            WHEN calls.event_name = 'PutEventSelectors' THEN 2
            WHEN json_get(calls.raw, '/requestParameters/isMultiRegionTrail') = 'false'
                OR json_get(calls.raw, '/requestParameters/isOrganizationTrail') = 'false' THEN 2
            ELSE 1
        END - CASE WHEN calls.outcome = 'denied' THEN 1 ELSE 0 END
            - CASE WHEN calls.reader_class = 'upkeep' THEN 1 ELSE 0 END AS weight
    FROM calls
    LEFT JOIN selected ON selected.account_id = calls.account_id AND selected.event_id = calls.event_id
    LEFT JOIN before ON before.account_id = calls.account_id AND before.event_id = calls.event_id
)
SELECT
    event_at, event_id, event_name, principal_id, secret_id,
    account_id, region, source_ip, object_key, record_index,
    CASE weight WHEN 3 THEN 'high' WHEN 2 THEN 'medium' ELSE 'low' END AS severity,
    -- A person behind a permission set is named by the session.
    CASE WHEN principal_id LIKE '%:role/aws-reserved/sso.amazonaws.com/%' THEN coalesce(session_name, principal_id) ELSE principal_id END AS who,
    what,
    outcome = 'ok' AS succeeded,
    event_name LIKE '%EventDataStore%' AS is_store,
    -- A trail is named by its name or its ARN; the last part says which.
    regexp_replace(
        coalesce(
            json_get(raw, '/requestParameters/name'),
            json_get(raw, '/requestParameters/trailName'),
            json_get(raw, '/requestParameters/eventDataStore')
        ),
        '^.*/', ''
    ) AS trail,
    changes_before,
    coalesce(principal_active_days, 0) AS active_days
FROM judged
WHERE what IS NOT NULL AND weight >= 1
ORDER BY event_at, event_id
