-- Who judged how many samples, and how often did the machine say the same?
SELECT reviewer, reviews.verdict, count(*) AS n_verdicts, max(reviewed_at) AS last_at,
    round(avg((samples.verdict = CASE reviews.verdict WHEN 'confirmed' THEN 'right' WHEN 'corrected' THEN 'wrong_concept'
        WHEN 'dropped' THEN 'off_topic' END)::INT), 3) AS machine_agrees
FROM reviews LEFT JOIN samples USING (sample_id)
GROUP BY reviewer, reviews.verdict
ORDER BY n_verdicts DESC, reviewer, reviews.verdict
