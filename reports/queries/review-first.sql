-- Which samples should a person look at first?
SELECT sample_id, concept, suggested_concept, round(confidence, 3) AS confidence, round(review_priority, 3) AS review_priority, url
FROM samples
WHERE review_priority IS NOT NULL AND reviewed IS NULL
ORDER BY review_priority DESC, sample_id
LIMIT 50
