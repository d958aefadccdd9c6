"""Show text from outside: no character of it drives a terminal, hides, or turns the direction of what stands beside it."""

import re

# Controls, line separators, surrogates, direction marks, invisible format characters and tags. Joiners stay: scripts and emoji need them.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# What a spreadsheet takes for the start of a formula, in ASCII and in full width.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
SPACES = str.maketrans("\t\n\r", "   ")
WINDOW = 8  # times the length that is shown: how much of a long text is looked at


def visible(text: str) -> str:
    """The text with every character that can't be seen written out as \\xNN or \\uNNNN."""
    return UNSEEN.sub(lambda match: escape(match[0]), text)


def clip(text: str | None, length: int = 60) -> str:
    """One line of at most `length` characters: white space as single blanks, what can't be seen written out, cut with an ellipsis."""
    start = (text or "")[: WINDOW * length]
    plain = visible(" ".join(start.translate(SPACES).split()))
    cut = len(plain) > length or len(start) < len(text or "")
    return plain if not cut else plain[: length - 1].rstrip() + "…"


def escape(letter: str) -> str:
    """One character as \\xNN, \\uNNNN or \\UNNNNNNNN."""
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def defused(text: str) -> str:
    """Text for a spreadsheet's cell: a leading apostrophe keeps a formula from running; line ends and tabs stay."""
    plain = UNSEEN.sub(lambda match: match[0] if match[0] in "\t\n" else escape(match[0]), text)
    return f"'{plain}" if text.lstrip(" ").startswith(FORMULA) else plain
