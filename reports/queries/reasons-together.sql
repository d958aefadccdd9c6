-- Which reasons hold of the same samples?
SELECT reason, other_reason, n_rows, round(share, 3) AS share
FROM cooccur()
