-- By what evidence were copies found?
SELECT crawl, evidence, count(*) AS n_pairs, round(min(similarity), 4) AS least_similarity
FROM pairs
GROUP BY ALL
ORDER BY crawl, evidence
