"""The line that stands for a card in lists."""

import re


def summary_of(body: str) -> str:
    """Return the first running text of a card, at most 200 characters, without Markdown."""
    for block in re.split(r"\n\s*\n", body[:20_000]):
        line = " ".join(block.split())
        if not line or line.startswith(("#", "|", "```", "<", "![", "---", ">", "- ", "* ", "[!")):
            continue
        text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", line)
        text = re.sub(r"\[([^\]]{0,200})\]\([^)]{0,500}\)", r"\1", text)
        text = re.sub(r"[*`~]+|(?<!\w)_+|_+(?!\w)|<[^>]{0,200}>", "", text).strip()
        if len(text) > 200:
            text = text[:199].rsplit(" ", 1)[0] + "…"
        if text:
            return text
    return ""
