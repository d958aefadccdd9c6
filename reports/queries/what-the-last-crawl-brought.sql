-- What did the last crawl add to each concept?
SELECT curated_concept, count(*) AS n_kept, round(avg(confidence), 3) AS mean_confidence
FROM samples
WHERE keep AND crawl = (SELECT crawl FROM crawls ORDER BY arrival DESC LIMIT 1)
GROUP BY curated_concept
ORDER BY n_kept DESC, curated_concept
