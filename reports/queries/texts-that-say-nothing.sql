-- Which texts come again and again, and are they kept?
SELECT alt_text, count(*) AS n_rows, count(DISTINCT concept) AS n_concepts, round(avg(keep::INT), 3) AS kept_share
FROM samples
WHERE alt_text <> ''
GROUP BY alt_text
HAVING count(*) > 1
ORDER BY n_concepts DESC, n_rows DESC, alt_text
LIMIT 50
