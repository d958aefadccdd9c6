-- What has been made in the week before the last run, and how long did it take?
SELECT stage, item, count(*) AS n_runs, max(started) AS last_started, round(sum(seconds), 1) AS seconds,
    count(*) FILTER (status <> 'completed') AS n_failed
FROM runs
WHERE started > (SELECT max(started) FROM runs) - INTERVAL 7 DAYS
GROUP BY stage, item
ORDER BY last_started DESC
