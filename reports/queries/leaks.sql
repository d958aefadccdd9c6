-- Which samples copy a picture of the clean test sets?
SELECT sample_id, crawl, concept, url
FROM samples
WHERE list_contains(reasons, 'leak')
ORDER BY crawl, sample_id
