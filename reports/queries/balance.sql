-- How evenly are the kept samples spread over concepts and splits?
SELECT curated_concept, count(*) FILTER (split = 'train') AS n_train, count(*) FILTER (split = 'val') AS n_val,
    count(*) FILTER (split = 'test') AS n_test, round(sum(weight), 1) AS weight
FROM samples
WHERE keep
GROUP BY curated_concept
ORDER BY n_train DESC, curated_concept
