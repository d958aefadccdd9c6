-- Which copies of one picture carry different concepts?
SELECT duplicate_group, list(DISTINCT concept ORDER BY concept) AS concepts, count(*) AS n_copies
FROM samples
WHERE duplicate_group IS NOT NULL AND concept IS NOT NULL
GROUP BY duplicate_group
HAVING count(DISTINCT concept) > 1
ORDER BY n_copies DESC, duplicate_group
LIMIT 50
