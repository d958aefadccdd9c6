-- Which concepts have the largest share of wrong or off-topic images?
SELECT concept, count(*) AS n_judged, round(avg((verdict <> 'right')::INT), 3) AS noise,
    round(avg((verdict = 'wrong_concept')::INT), 3) AS wrong_concept, round(avg((verdict = 'off_topic')::INT), 3) AS off_topic
FROM samples
WHERE verdict IS NOT NULL
GROUP BY concept
ORDER BY noise DESC, concept
