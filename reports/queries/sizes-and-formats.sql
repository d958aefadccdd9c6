-- Which formats and sizes do the images have?
SELECT format, count(*) AS n_images, round(median(original_width)) AS median_width, round(median(original_height)) AS median_height,
    round(sum(bytes) / 1e6, 1) AS megabytes, round(avg(keep::INT), 3) AS kept_share
FROM samples
WHERE status = 'ok'
GROUP BY format
ORDER BY n_images DESC, format
