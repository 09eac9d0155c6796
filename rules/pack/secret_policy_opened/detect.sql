-- Policies as they were put, taken apart: one row for each statement, then for each principal that it names.
WITH changes AS (
    SELECT
        account_id, event_id, secret_id,
        -- Whose policy it is: everybody else is another account.
        coalesce(secret_account, account_id) AS home,
        coalesce(json_get(raw, '/requestParameters/resourcePolicy'), json_get(raw, '/requestParameters/policy')) AS policy,
        json_get(raw, '/requestParameters/blockPublicPolicy') AS is_guarded
    FROM new_events
    WHERE event_name IN ('PutResourcePolicy', 'PutKeyPolicy') AND outcome = 'ok'
),
-- A list of statements, or a single one; more than a hundred are not looked at and said to be unreadable.
statements AS (
    SELECT
        account_id, event_id, secret_id, home,
        CASE
            WHEN json_get(policy, '/Statement/Effect') IS NULL
                THEN json_get(policy, concat('/Statement/', CAST(number AS VARCHAR)))
            WHEN number = 0 THEN json_get(policy, '/Statement')
        END AS statement
    FROM changes
    CROSS JOIN (SELECT unnest(range(0, 100)) AS number) AS numbers
),
allowed AS (
    SELECT
        account_id, event_id, secret_id, home,
        -- Everybody but some is everybody.
        CASE
            WHEN json_get(statement, '/NotPrincipal') IS NOT NULL THEN '*'
            ELSE coalesce(json_get(statement, '/Principal/AWS'), json_get(statement, '/Principal'))
        END AS principals,
        coalesce(json_get(statement, '/Condition'), '') AS condition
    FROM statements
    WHERE json_get(statement, '/Effect') = 'Allow'
),
-- A condition closes a wildcard only if it compares who calls, or through what, with values that are none themselves.
judged AS (
    SELECT
        *,
        regexp_like(
            condition,
            '(?i)aws:(principalorgid|principalorgpaths|principalaccount|principalarn|sourceaccount|sourcearn|sourcevpce|sourcevpc|userid)|kms:calleraccount'
        )
        AND NOT regexp_like(condition, '"\*+"')
        AND NOT regexp_like(condition, '(?i)"[a-z:]*not[a-z]*"|ifexists|forallvalues|"null"') AS is_closed
    FROM allowed
),
-- A single principal, or each of a list.
named AS (
    SELECT
        account_id, event_id, secret_id, home, is_closed,
        CASE
            WHEN principals LIKE '[%' THEN json_get(principals, concat('/', CAST(number AS VARCHAR)))
            WHEN number = 0 AND principals NOT LIKE '{%' THEN principals
        END AS named_principal
    FROM judged
    CROSS JOIN (SELECT unnest(range(0, 100)) AS number) AS numbers
),
-- Whom each statement lets in. An account is twelve digits, or stands in an ARN.
let_in AS (
    SELECT
        account_id, event_id, secret_id, home,
        named_principal = '*' OR coalesce(arn_part(named_principal, 'account') = '*', false) AS is_everybody,
        is_closed,
        coalesce(arn_part(named_principal, 'resource') LIKE '%/%', false) AS is_one,
        coalesce(arn_part(named_principal, 'account'), named_principal) AS whose
    FROM named
    WHERE named_principal IS NOT NULL
),
-- Organisations that a wildcard is held to by its condition.
held_to AS (
    SELECT account_id, event_id, secret_id, unnest(regexp_match(condition, '(o-[a-z0-9]{10,32})')) AS organisation
    FROM judged
    WHERE is_closed
),
found AS (
    SELECT
        account_id, event_id, secret_id,
        CASE WHEN is_everybody THEN 'everybody' ELSE 'account' END AS kind,
        CASE WHEN is_everybody THEN 'everybody' ELSE concat('account ', whose) END AS whom
    FROM let_in
    WHERE
        CASE
            WHEN is_everybody THEN NOT is_closed
            -- One role or user of another account: only who knows their own accounts can tell whether that is odd.
            WHEN is_one AND cardinality($accounts) = 0 THEN false
            ELSE regexp_like(whose, '^[0-9]{12}$') AND whose <> home AND NOT array_has($accounts, whose)
        END
    UNION ALL
    SELECT account_id, event_id, secret_id, 'account' AS kind, concat('organisation ', organisation) AS whom
    FROM held_to
    WHERE cardinality($organisations) > 0 AND NOT array_has($organisations, organisation)
    UNION ALL
    -- Broken text, or more than is looked at: nobody can say here whom it lets in.
    SELECT account_id, event_id, secret_id, 'unreadable' AS kind, 'nobody knows whom' AS whom
    FROM changes
    WHERE policy IS NOT NULL
        AND (json_get(policy, '/Statement') IS NULL OR json_get(policy, '/Statement/100') IS NOT NULL)
    UNION ALL
    SELECT account_id, event_id, secret_id, 'guard' AS kind, 'public policies' AS whom
    FROM changes
    WHERE is_guarded = 'false' AND $unguarded
),
-- API Gateway: a method or route that asks nobody who they are. Preflight requests (OPTIONS) never can.
methods AS (
    SELECT
        *,
        coalesce(
            json_get(raw, '/requestParameters/authorizationType'),
            json_get(raw, '/requestParameters/putMethodInput/authorizationType'),
            json_get(raw, '/requestParameters/createRouteInput/authorizationType'),
            json_get(raw, '/requestParameters/updateRouteInput/authorizationType')
        ) AS authorization,
        coalesce(
            json_get(raw, '/requestParameters/patchOperations'),
            json_get(raw, '/requestParameters/updateMethodInput/patchOperations'),
            ''
        ) AS patches,
        coalesce(
            json_get(raw, '/requestParameters/apiKeyRequired'),
            json_get(raw, '/requestParameters/putMethodInput/apiKeyRequired'),
            'false'
        ) AS has_key,
        concat_ws(
            ' ',
            coalesce(
                json_get(raw, '/requestParameters/routeKey'),
                json_get(raw, '/responseElements/routeKey'),
                json_get(raw, '/requestParameters/httpMethod'),
                'a route'
            ),
            'of API',
            coalesce(json_get(raw, '/requestParameters/restApiId'), json_get(raw, '/requestParameters/apiId'))
        ) AS method
    FROM new_events
    WHERE event_source LIKE 'apigateway.%'
        AND event_name IN ('PutMethod', 'UpdateMethod', 'CreateRoute', 'UpdateRoute')
        AND outcome = 'ok'
),
opened_methods AS (
    SELECT account_id, event_id, secret_id, 'method' AS kind, 'everybody' AS whom, method
    FROM methods
    WHERE method NOT LIKE 'OPTIONS %'
        AND has_key <> 'true'
        AND (upper(authorization) = 'NONE' OR regexp_like(patches, '\{[^{}]*/authorizationType[^{}]*"NONE"[^{}]*\}'))
),
-- One row for each event: the worst that was found.
worst AS (
    SELECT
        account_id, event_id, secret_id, max(method) AS method,
        min(
            CASE kind
                WHEN 'everybody' THEN 1 WHEN 'account' THEN 2 WHEN 'method' THEN 3 WHEN 'unreadable' THEN 4 ELSE 5
            END
        ) AS rank,
        array_to_string(array_sort(array_agg(DISTINCT CASE WHEN kind <> 'guard' THEN whom END)), ', ') AS found
    FROM (
        SELECT account_id, event_id, secret_id, kind, whom, CAST(NULL AS VARCHAR) AS method FROM found
        UNION ALL
        SELECT account_id, event_id, secret_id, kind, whom, method FROM opened_methods
    )
    GROUP BY account_id, event_id, secret_id
)
SELECT
    event.event_at, event.event_id, event.event_name, event.principal_id, event.secret_id,
    event.account_id, event.region, event.source_ip, event.object_key, event.record_index,
    CASE
        WHEN worst.rank = 1 THEN 'high'
        WHEN event.reader_class = 'upkeep' OR worst.rank >= 4 THEN 'low'
        -- A method that is new has let nobody in before; one that was changed did ask.
        WHEN worst.rank = 3 AND event.event_name IN ('PutMethod', 'CreateRoute') THEN 'low'
    END AS severity,
    CASE worst.rank
        WHEN 1 THEN 'everybody' WHEN 2 THEN 'account' WHEN 3 THEN 'method' WHEN 4 THEN 'unreadable' ELSE 'guard'
    END AS kind,
    -- A person behind a permission set is named by the session.
    CASE WHEN event.principal_id LIKE '%:role/aws-reserved/sso.amazonaws.com/%' THEN coalesce(event.session_name, event.principal_id) ELSE event.principal_id END AS who,
    worst.found,
    CASE
        WHEN event.secret_name IS NOT NULL THEN event.secret_name
        WHEN worst.method IS NOT NULL THEN worst.method
        ELSE concat('key ', coalesce(json_get(event.raw, '/requestParameters/keyId'), 'of an unknown id'))
    END AS target,
    coalesce(event.secret_reader_count, 0) AS reader_count,
    coalesce(event.principal_active_days, 0) AS active_days
FROM new_events AS event
JOIN worst
    ON worst.account_id = event.account_id
    AND worst.event_id = event.event_id
    AND worst.secret_id IS NOT DISTINCT FROM event.secret_id
WHERE event.event_name IN ('PutResourcePolicy', 'PutKeyPolicy', 'PutMethod', 'UpdateMethod', 'CreateRoute', 'UpdateRoute')
    -- Infrastructure as code makes open routes and switches the guard as it is told; both stand in its own review.
    AND NOT (event.reader_class = 'upkeep' AND worst.rank IN (3, 5))
ORDER BY event.event_at, event.event_id, event.secret_id
