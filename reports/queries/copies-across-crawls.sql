-- Which near-copies lie in different crawls?
SELECT pairs.sample_id, pairs.crawl, other_id, other.crawl AS other_crawl, evidence, round(similarity, 4) AS similarity
FROM pairs JOIN samples AS other ON other.sample_id = other_id
WHERE other.crawl <> pairs.crawl
ORDER BY similarity DESC, pairs.sample_id, other_id
LIMIT 100
