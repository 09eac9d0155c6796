-- Different secrets that a principal read within the window, against the most that it reads on a whole day.
WITH judged AS (
    SELECT
        account_id, event_id, secret_id, event_at, event_name, principal_id, region, source_ip, object_key, record_index,
        usual_secrets_max, usual_secrets_days,
        usual_secrets_days >= $min_days AS has_habit,
        CASE
            WHEN usual_secrets_days >= $min_days
                THEN greatest($min_secrets, CAST($factor * usual_secrets_max AS BIGINT))
            WHEN principal_first_at <= event_at - $learning THEN $min_secrets
            ELSE $without_habit
        END AS threshold,
        CASE
            WHEN usual_secrets_days >= $min_days
                THEN concat('at most ', usual_secrets_max, ' a day on ', usual_secrets_days, ' active days of the last 30')
            WHEN usual_secrets_days > 0 THEN concat('active on ', usual_secrets_days, ' of the last 30 days only')
            ELSE 'not active in the last 30 days'
        END AS usual
    FROM new_events
    WHERE outcome = 'ok'
        AND secret_id IS NOT NULL
        AND action IN ('read', 'invoke', 'decrypt')
        AND reader_class = 'consumer'
),
-- What was read: named in the call, or shown by KMS to have come with a path. For Secrets Manager KMS names nothing new.
-- CloudTrail's times are whole seconds: events of one second take turns by their ids, so that each is judged by what
-- stands before it only.
turns AS (
    SELECT
        event.account_id, event.event_id, event.principal_id, event.secret_id,
        CASE WHEN known.secret_id IS NULL THEN event.secret_id END AS new_secret_id,
        to_timestamp_micros(
            CAST(event.event_at AS BIGINT)
                + dense_rank() OVER (PARTITION BY event.principal_id, event.event_at ORDER BY event.event_id)
        ) AS turn,
        count(DISTINCT event.secret_id) OVER (PARTITION BY event.principal_id) AS all_secrets
    FROM recent_events AS event
    LEFT JOIN pairs AS known
        ON known.principal_id = event.principal_id
        AND known.secret_id = event.secret_id
        AND known.first_read_at < date_trunc('day', event.event_at)
    -- What comes with a path that is read habitually counts as that path.
    LEFT JOIN pairs AS habit
        ON habit.principal_id = event.principal_id
        AND event.action = 'decrypt'
        AND habit.secret_id LIKE '%:parameter/%*'
        AND starts_with(event.secret_id, rtrim(habit.secret_id, '*'))
        AND habit.first_read_at < date_trunc('day', event.event_at)
    WHERE event.outcome = 'ok'
        AND event.secret_id IS NOT NULL
        AND (event.action IN ('read', 'invoke') OR (event.action = 'decrypt' AND event.secret_kind = 'parameter'))
        AND habit.secret_id IS NULL
),
counted AS (
    SELECT
        *,
        count(DISTINCT secret_id) OVER (
            PARTITION BY principal_id ORDER BY turn RANGE BETWEEN $window PRECEDING AND CURRENT ROW
        ) AS distinct_count,
        count(DISTINCT new_secret_id) OVER (
            PARTITION BY principal_id ORDER BY turn RANGE BETWEEN $window PRECEDING AND CURRENT ROW
        ) AS new_count,
        lag(turn) OVER (PARTITION BY principal_id, secret_id ORDER BY turn) AS read_before
    FROM turns
    -- Most principals read few secrets: only where there are enough in all is it worth counting.
    WHERE all_secrets >= least($min_secrets, $without_habit)
),
stepped AS (
    SELECT
        *,
        lag(distinct_count) OVER (PARTITION BY principal_id ORDER BY turn, secret_id) AS distinct_before,
        lag(new_count) OVER (PARTITION BY principal_id ORDER BY turn, secret_id) AS new_before
    FROM counted
),
over AS (
    SELECT
        judged.*, stepped.turn, stepped.distinct_count,
        -- Somebody without a habit may read again what it used long ago: a service that starts once a quarter.
        coalesce(
            CASE WHEN judged.has_habit THEN stepped.distinct_before ELSE stepped.new_before END, 0
        ) < judged.threshold AS is_crossing
    FROM judged
    JOIN stepped
        ON stepped.account_id = judged.account_id
        AND stepped.event_id = judged.event_id
        AND stepped.secret_id = judged.secret_id
    WHERE CASE WHEN judged.has_habit THEN stepped.distinct_count ELSE stepped.new_count END >= judged.threshold
        -- Reading the same secret again adds nothing.
        AND (stepped.read_before IS NULL OR stepped.read_before < stepped.turn - $window)
),
findings AS (
    SELECT DISTINCT
        over.account_id, over.event_id, earlier.secret_id, over.event_at, over.event_name, over.principal_id, over.region,
        over.source_ip, over.object_key, over.record_index, over.usual_secrets_days, over.has_habit, over.usual,
        over.distinct_count
    FROM over
    JOIN turns AS earlier
        ON earlier.principal_id = over.principal_id
        AND earlier.turn <= over.turn
        AND earlier.turn >= over.turn - $window
        -- The event that makes it a bulk read also stands for the secrets that led up to it.
        AND (over.is_crossing OR (earlier.event_id = over.event_id AND earlier.secret_id = over.secret_id))
)
SELECT
    event_at, event_id, event_name, principal_id, secret_id, account_id, region, source_ip, object_key, record_index,
    CASE WHEN NOT has_habit THEN 'medium' END AS severity,
    distinct_count,
    usual,
    -- On no active day were there as many.
    0 AS as_many_days,
    usual_secrets_days
FROM findings
ORDER BY event_at, event_id, secret_id
