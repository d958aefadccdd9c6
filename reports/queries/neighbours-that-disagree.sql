-- Which kept samples stand among images of other concepts?
WITH near AS (SELECT sample_id, neighbor_id FROM neighbors WHERE rank <= 5)
SELECT near.sample_id, mine.curated_concept, round(avg((other.suggested_concept = mine.curated_concept)::INT), 2) AS agreement,
    mode(other.suggested_concept) AS neighbours_say
FROM near JOIN samples AS mine ON mine.sample_id = near.sample_id JOIN samples AS other ON other.sample_id = neighbor_id
WHERE mine.keep
GROUP BY near.sample_id, mine.curated_concept
HAVING agreement <= 0.2
ORDER BY agreement, near.sample_id
LIMIT 50
