-- Which sites can't be reached, and why?
SELECT regexp_extract(url, '^[a-z]+://([^/:?#]+)', 1) AS site, detail, count(*) AS n_rows
FROM samples
WHERE status = 'failed'
GROUP BY site, detail
ORDER BY n_rows DESC, site, detail
LIMIT 50
