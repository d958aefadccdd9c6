-- Which off-topic images come again and again, so that they could be a concept?
SELECT array_to_string(words, ' ') AS name, n_rows, len(crawls) AS n_crawls, n_hosts, round(cohesion, 3) AS cohesion, nearest_concept, proposal_id
FROM proposals
ORDER BY n_rows DESC, proposal_id
