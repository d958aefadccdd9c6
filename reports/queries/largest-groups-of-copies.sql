-- Which pictures were copied most, and who survived?
SELECT duplicate_group, count(*) AS n_copies, count(DISTINCT concept) AS n_concepts, count(DISTINCT crawl) AS n_crawls,
    max(sample_id) FILTER (keep) AS survivor, min(url) AS a_url
FROM samples
WHERE duplicate_group IS NOT NULL
GROUP BY duplicate_group
HAVING count(*) > 1
ORDER BY n_copies DESC, duplicate_group
LIMIT 50
