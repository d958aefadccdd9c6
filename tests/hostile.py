"""Texts and addresses that mean harm, one corpus for all doors: the report, the explorer, the terminal and files."""

import re

ONE_MEGABYTE = "long " * 200_000
TEXTS = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=document.title='owned'>",
    "</title></style></textarea></script><svg onload=document.title='owned'>",
    "' onmouseover='document.title=1' x='",
    '" autofocus onfocus="document.title=`owned`" x="',
    "<a href=\"javascript:document.title='owned'\">click</a>",
    "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7*7 %>",
    "'; DROP TABLE samples; --",
    "') UNION SELECT * FROM read_text('/etc/passwd') --",
    '=HYPERLINK("http://evil.test/","click")',
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "＝1+1",
    "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x1b[2J \x9b31m",
    "\x1b]8;;http://evil.test/\x07link\x1b]8;;\x07",
    "[bold]markup[/bold] [link=http://evil.test]x[/link]",
    "back\b\b\b\b\rover",
    "\u202egnp.exe\u2066 \u200fright to left\u2069",
    "hid\u200bden \ufeff\U000e0041\U000e0042",
    "&lt;b&gt; &amp;amp; \x00 \ud83d\ude42".encode("utf-16", "surrogatepass").decode("utf-16"),
    "ünï中文 🙂 👩\u200d🚀 עברית",
    ONE_MEGABYTE,
)
URLS = (
    "javascript:document.title='owned'",
    "data:text/html,<script>document.title='owned'</script>",
    "http://demo.test/<script>document.title='owned'</script>.jpg",
    'http://demo.test/x.jpg" onerror="document.title=`owned`',
    "http://demo.test/\x1b[2J\u202egpj.exe",
    "=cmd|'/C calc'!A0",
    "//evil.test/x.jpg",
    "file:///etc/passwd",
)
# Characters that drive a terminal or turn a text's direction; a line end is the writer's own.
DRIVING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def text_of(number: int) -> str:
    """The corpus in turn, so that many rows hold all of it."""
    return TEXTS[number % len(TEXTS)]


def url_of(number: int) -> str:
    """An address of the corpus, made distinct at its end."""
    return f"{URLS[number % len(URLS)]}#{number}"
