-- How accurate is each trained model on the clean sets?
SELECT clean_set, arm, seed, count(*) AS n_pictures, round(avg((concept = predicted_concept)::INT), 4) AS accuracy
FROM predictions
GROUP BY clean_set, arm, seed
ORDER BY clean_set, arm, seed
