-- Where does each crawl lose its samples, and how many are kept?
SELECT * FROM funnel
