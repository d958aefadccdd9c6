"""Show a validation: one plain HTML page out of its results, readable offline and the same bytes for the same results."""

from collections.abc import Mapping
from typing import Any

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ crawl }}: {{ verdict }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.passed { color: #17663a } .failed { color: #a11; font-weight: 600 }
</style>
</head>
<body>
<h1>Crawl {{ crawl }}: <span class="{{ 'passed' if accepted else 'failed' }}">{{ verdict }}</span></h1>
<h2>Expectations</h2>
<table>
<tr><th>Column</th><th>Expectation</th><th>Figure</th><th>Limit</th><th>Comes from</th><th>Outcome</th></tr>
{% for result in results -%}
<tr><td>{{ result.column }}</td><td>{{ result.expectation }}</td><td class="number">{{ "%.6g" | format(result.figure) }}</td>
<td class="number">{{ "%g" | format(result.bound) }}</td><td>{{ result.limit }}</td>
<td class="{{ 'passed' if result.passed else 'failed' }}">{{ "passed" if result.passed else "failed" }}
{%- if result.examples %}: {{ result.examples | join(", ") }}{% endif %}</td></tr>
{% endfor %}
</table>
{% for title, counts in tables %}
<h2>{{ title }}</h2>
<table>
{% for name, value in counts.items() -%}
<tr><td>{{ name }}</td><td class="number">{{ "%.6g" | format(value) if value is float else value }}</td></tr>
{% else -%}
<tr><td>none</td></tr>
{% endfor %}
</table>
{% endfor %}
</body>
</html>
"""


def validation_page(report: Mapping[str, Any]) -> str:
    """The page for a report with crawl, accepted, results, figures, reasons and details. Every value is escaped."""
    from jinja2 import Environment

    titles = {"figures": "Figures", "reasons": "Rows that go no further, by reason", "details": "Failures in detail"}
    tables = [(title, report[key]) for key, title in titles.items()]
    verdict = "accepted" if report["accepted"] else "refused"
    return Environment(autoescape=True).from_string(PAGE).render(**report, verdict=verdict, tables=tables)
