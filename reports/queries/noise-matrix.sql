-- Which concept is given where another one is right?
SELECT concept, suggested_concept, n_rows, round(share, 3) AS share
FROM noise_matrix()
WHERE concept <> suggested_concept
ORDER BY n_rows DESC, concept, suggested_concept
LIMIT 50
