-- Why could images not be had, in detail?
SELECT crawl, reason, detail, count(*) AS n_rows
FROM samples
WHERE status = 'failed'
GROUP BY ALL
ORDER BY crawl, n_rows DESC, detail
