-- Which verdicts does the dataset not follow yet, for they came after it was curated, or the picture has changed since?
WITH ranked AS (
    SELECT *, row_number() OVER (PARTITION BY sample_id ORDER BY reviewed_at DESC, reviewer DESC, verdict DESC) AS place FROM reviews
)
SELECT sample_id, ranked.verdict, ranked.concept, samples.reviewed AS followed, samples.sha256 <> ranked.sha256 AS picture_changed, reviewer, reviewed_at
FROM ranked LEFT JOIN samples USING (sample_id)
WHERE place = 1 AND coalesce(samples.reviewed, 'withdrawn') <> ranked.verdict
ORDER BY reviewed_at DESC, sample_id
