-- Which sites are slow, or have to be asked again and again?
SELECT regexp_extract(url, '^[a-z]+://([^/:?#]+)', 1) AS site, count(*) AS n_images, round(median(seconds), 3) AS median_seconds,
    round(max(seconds), 3) AS longest_seconds, round(avg(attempts), 2) AS mean_attempts, count(http_status) AS n_answered
FROM fetches JOIN (SELECT DISTINCT crawl, image_id, url FROM samples WHERE url <> '') USING (crawl, image_id)
GROUP BY site
ORDER BY median_seconds DESC, site
LIMIT 50
