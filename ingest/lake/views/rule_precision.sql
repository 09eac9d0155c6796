-- How often each rule was right, by the verdicts of people. Suppressed, historical and withdrawn alerts count as alerts and
-- not as judged ones until somebody gives a verdict.
--   rule_id: the rule
--   alerts: every alert that it ever raised
--   open: open or acknowledged ones that are not historical
--   suppressed: those that a suppression or the state `shadow` covers
--   true_positive: closed with this verdict
--   expected: closed with this verdict
--   false_positive: closed with this verdict
--   duplicate: closed with this verdict; says nothing about the rule
--   judged: true_positive + expected + false_positive
--   precision: true_positive / judged; null while nothing was judged
SELECT
    rule_id, alerts, open, suppressed, true_positive, expected, false_positive, duplicate,
    true_positive + expected + false_positive AS judged,
    CAST(true_positive AS DOUBLE) / nullif(true_positive + expected + false_positive, 0) AS precision
FROM (
    SELECT
        rule_id,
        count(*) AS alerts,
        count(*) FILTER (WHERE state IN ('open', 'acknowledged') AND NOT historical) AS open,
        count(*) FILTER (WHERE state = 'suppressed') AS suppressed,
        count(*) FILTER (WHERE verdict = 'true_positive') AS true_positive,
        count(*) FILTER (WHERE verdict = 'expected') AS expected,
        count(*) FILTER (WHERE verdict = 'false_positive') AS false_positive,
        count(*) FILTER (WHERE verdict = 'duplicate') AS duplicate
    FROM alerts
    WHERE class = 'detection'
    GROUP BY rule_id
)
