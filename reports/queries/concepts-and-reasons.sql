-- How many samples are there per concept and reason?
SELECT concept, reason, sum(n_rows)::BIGINT AS n_rows
FROM tallies
GROUP BY concept, step, reason
ORDER BY concept, step
