-- On which concepts of the clean sets do the arms differ most?
WITH accuracy AS (
    SELECT clean_set, concept, arm, avg((concept = predicted_concept)::INT) AS accuracy FROM predictions GROUP BY ALL
)
SELECT clean_set, concept, arg_max(arm, accuracy) AS best_arm, round(max(accuracy), 3) AS best, arg_min(arm, accuracy) AS worst_arm,
    round(min(accuracy), 3) AS worst
FROM accuracy
GROUP BY clean_set, concept
ORDER BY best - worst DESC, clean_set, concept
