-- Which words stand in the texts of dropped samples more often than in those of kept ones?
WITH words AS (
    SELECT DISTINCT sample_id, keep, unnest(regexp_extract_all(lower(alt_text), '[a-z]{3,}')) AS word FROM samples WHERE status = 'ok'
),
counts AS (SELECT word, count(*) FILTER (NOT keep) AS n_dropped, count(*) FILTER (keep) AS n_kept FROM words GROUP BY word)
SELECT word, n_dropped, n_kept, round(n_dropped / (n_dropped + n_kept), 3) AS dropped_share
FROM counts
WHERE n_dropped + n_kept >= 10
ORDER BY dropped_share DESC, n_dropped DESC, word
LIMIT 50
