-- What does each stage cost in time and memory?
SELECT stage, count(*) AS n_runs, round(avg(seconds), 1) AS mean_seconds, round(max(seconds), 1) AS longest_seconds,
    round(max(peak_memory_mb)) AS peak_memory_mb
FROM runs
WHERE status = 'completed'
GROUP BY stage
ORDER BY mean_seconds DESC
