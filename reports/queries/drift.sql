-- Which crawls lie further from the crawls before them than is usual, and in what?
SELECT crawl, measure, round(value, 4) AS value, most, exceeded, n_rows, n_rows_before
FROM drift
ORDER BY exceeded DESC, value / greatest(most, 1e-9) DESC, crawl, measure
LIMIT 100
