-- What was fetched in the last week of fetching, day by day, and how much of it is kept?
WITH images AS (SELECT crawl, image_id, bool_or(keep) AS kept FROM samples GROUP BY ALL)
SELECT date_trunc('day', fetched_at)::DATE AS day, crawl, source, coalesce(detail, 'ok') AS outcome, count(*) AS n_images,
    count(*) FILTER (kept) AS n_kept
FROM fetches LEFT JOIN images USING (crawl, image_id)
WHERE fetched_at > (SELECT max(fetched_at) FROM fetches) - INTERVAL 7 DAYS
GROUP BY ALL
ORDER BY day, crawl, n_images DESC, source, outcome
