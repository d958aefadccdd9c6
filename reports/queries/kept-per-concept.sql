-- How many samples of each concept are kept, and how many came from, or went to, other concepts?
SELECT name, n_rows, n_kept, n_moved_in, n_moved_out, round(n_kept / greatest(n_rows, 1), 3) AS kept_per_row
FROM concepts
ORDER BY n_kept DESC, name
