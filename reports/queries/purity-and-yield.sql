-- How do expected purity and yield move with the threshold on confidence?
WITH judged AS (
    SELECT confidence, row_number() OVER best AS n, avg(confidence) OVER best AS purity, count(*) OVER () AS total
    FROM samples WHERE confidence IS NOT NULL AND duplicate_of IS NULL
    WINDOW best AS (ORDER BY confidence DESC, sample_id)
)
SELECT ceil(20 * n / total) / 20 AS yield, round(min(confidence), 3) AS threshold, round(arg_max(purity, n), 4) AS expected_purity
FROM judged
GROUP BY yield
ORDER BY yield
