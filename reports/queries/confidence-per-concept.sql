-- How sure are we of each concept's kept samples?
SELECT curated_concept, count(*) AS n_kept, round(min(confidence), 3) AS least,
    round(median(confidence), 3) AS middle, round(avg(confidence), 3) AS mean
FROM samples
WHERE keep
GROUP BY curated_concept
ORDER BY mean, curated_concept
