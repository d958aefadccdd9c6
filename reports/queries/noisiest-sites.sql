-- Which sites give the most label noise, among those with ten judged images or more?
SELECT regexp_extract(url, '^[a-z]+://([^/:?#]+)', 1) AS site, count(*) AS n_judged,
    round(avg((verdict = 'wrong_concept')::INT), 3) AS label_noise, round(avg((verdict = 'off_topic')::INT), 3) AS off_topic
FROM samples
WHERE verdict IS NOT NULL
GROUP BY site
HAVING count(*) >= 10
ORDER BY label_noise DESC, site
LIMIT 50
