-- Which kept samples were kept most narrowly?
SELECT sample_id, concept, curated_concept, round(confidence, 4) AS confidence, url
FROM samples
WHERE keep
ORDER BY confidence, sample_id
LIMIT 50
