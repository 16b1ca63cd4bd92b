"""Cards on pages: what they may look like, and what never gets through."""

import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.cards import highlighting, rendering
from catalog.cards.rendering import render_card, render_text
from catalog.cards.summaries import summary_of

FILES, PAGES = "/ns/m/resolve/main/", "/ns/m/blob/main/"


def html_of(text: str) -> str:
    return render_card(text, file_base=FILES, page_base=PAGES).html


class Inventory(HTMLParser):
    """Every tag and attribute a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


ATTACKS = """
<script>alert(1)</script>
<img src=x onerror=alert(1)>
<svg onload=alert(1)>
<svg><script>alert(1)</script></svg>
<iframe src="javascript:alert(1)"></iframe>
<a href="javascript:alert(1)">x</a>
<a href="java\tscript:alert(1)">x</a>
<a href="JaVaScRiPt:alert(1)">x</a>
<a href="&#106;avascript:alert(1)">x</a>
<a href=" javascript:alert(1)">x</a>
<a href="\x01javascript:alert(1)">x</a>
<a href="vbscript:msgbox(1)">x</a>
<a href="data:text/html,<script>alert(1)</script>">x</a>
[x](javascript:alert(1))
[x](JAVASCRIPT:alert(1))
[x](data:text/html;base64,PHNjcmlwdD4=)
[x](<javascript:alert(1)>)
[x](http://[x)
![x](http://[x)
[x](java%0ascript:alert(1))
[x]: javascript:alert(1)
![x](javascript:alert(1))
![x](data:image/svg+xml;base64,PHN2Zz4=)
![x](//evil.example/x.png)
![x](https://evil.example/x.png)
<img src="https://evil.example/x.png">
<img src="//evil.example/x.png">
<img src="../../../../admin">
<img srcset="https://evil.example/x.png 1x">
<picture><source srcset="https://evil.example/x.png"><img src="x.png"></picture>
<body onload=alert(1)>
<form action="https://evil.example"><input name=password><button>Go</button></form>
<input type="text" name="q">
<input type="image" src="x" onerror="alert(1)">
<base href="https://evil.example/">
<meta http-equiv="refresh" content="0;url=https://evil.example">
<link rel="stylesheet" href="https://evil.example/x.css">
<style>body{background:url(https://evil.example)}</style>
<p style="background:url(https://evil.example)">x</p>
<object data="x.swf"></object>
<embed src="x.swf">
<math><mtext><script>alert(1)</script></mtext></math>
<math><mi//xlink:href="data:x,<script>alert(1)</script>">
<math href="javascript:alert(1)">x</math>
<math><maction actiontype="statusline#x" xlink:href="javascript:alert(1)">x</maction></math>
<math><annotation-xml encoding="text/html"><script>alert(1)</script></annotation-xml></math>
<noscript><p title="</noscript><img src=x onerror=alert(1)>">
<template><script>alert(1)</script></template>
<details ontoggle=alert(1) open>x</details>
<video src=x onerror=alert(1)></video>
<audio src=x onerror=alert(1)></audio>
<marquee onstart=alert(1)>x</marquee>
<isindex action=javascript:alert(1)>
<textarea autofocus onfocus=alert(1)>
<select autofocus onfocus=alert(1)>
<keygen autofocus onfocus=alert(1)>
<div id="search">clobber</div>
<a id="navigation" name="navigation">clobber</a>
<img name="body">
<form id="csrf"><input name="action"></form>
<x onclick=alert(1)>y</x>
<a href="x" target="_top" onclick="alert(1)">x</a>
<a href="https://evil.example" rel="opener">x</a>
<<script>alert(1)//<</script>
<scr<script>ipt>alert(1)</scr</script>ipt>
<img src="x" alt="`><script>alert(1)</script>">
<a href="\\\\evil.example">x</a>
<a href="/\\evil.example">x</a>
<span class="x" hx-get="/settings">x</span>
<button data-copy="evil">x</button>
$\\href{javascript:alert(1)}{x}$
$\\text{<script>alert(1)</script>}$
```"><script>alert(1)</script>
x
```
<!--<img src="--><img src=x onerror=alert(1)//">
""".strip().splitlines()


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_active_gets_through(attack: str) -> None:
    for text in (attack, f"# Title {attack}", f"| a |\n|---|\n| {attack} |", f"> - {attack}"):
        for tag, attributes in Inventory(html_of(text)).found:
            assert tag in rendering._TAGS
            for name, value in attributes.items():
                assert not name.startswith(("on", "hx-", "data-", "xlink"))
                assert name not in {"style", "srcset", "name", "action", "target", "formaction"}
                if name == "src":
                    assert (value or "").startswith(FILES)
                    assert ".." not in (value or "")
                if name == "href":
                    assert (value or "").startswith(
                        ("http://", "https://", "mailto:", "/", "#card-")
                    )
                    assert not (value or "").startswith(("//", "/\\"))
                if name == "id":
                    assert (value or "").startswith("card-")
                if tag == "input" and name == "type":
                    assert value == "checkbox"


@given(st.text(alphabet="<>/=\"'&;:()[]{}!#*_`~$|\\ \n\tabsvgonscriptxlink:href0", max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_anything_active(text: str) -> None:
    for tag, attributes in Inventory(html_of(text)).found:
        assert tag in rendering._TAGS
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_a_usual_card() -> None:
    text = (
        "# My *GPT*\n\nIt writes **novels**. [Paper](docs/paper.md) and [site](https://e.org).\n"
        "\n![Loss](img/loss curve.png)\n\n## Data\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n\n"
        "```python\nprint(1)\n```\n\n- [x] done\n\nBoth $a^2$ and\n\n$$\\frac{1}{2}$$\n\n## Data\n"
    )

    card = render_card(text, file_base=FILES, page_base=PAGES)

    assert [(h.level, h.text, h.anchor) for h in card.toc] == [
        (1, "My GPT", "card-my-gpt"),
        (2, "Data", "card-data"),
        (2, "Data", "card-data-2"),
    ]
    assert '<h2 id="card-data-2">Data</h2>' in card.html
    assert 'href="/ns/m/blob/main/docs/paper.md"' in card.html
    assert 'href="https://e.org" rel="nofollow noopener ugc"' in card.html
    assert '<span class="nb">print</span>' in card.html
    assert "<mfrac>" in card.html
    assert 'type="checkbox"' in card.html
    assert card.summary == "It writes novels. Paper and site."
    assert card.toc[0].as_dict() == {"level": 1, "text": "My GPT", "anchor": "card-my-gpt"}


def test_pictures_come_from_the_repository() -> None:
    html = html_of("![Loss](img/./a/../loss.png) <img src='./x y.png'> ![far](https://e.org/x.png)")

    assert 'src="/ns/m/resolve/main/img/loss.png" alt="Loss"' in html
    assert 'src="/ns/m/resolve/main/x%20y.png"' in html
    assert '<a href="https://e.org/x.png" rel="nofollow noopener ugc">far</a>' in html
    assert "<img" not in html_of("![up](../../x.png) ![empty]()")


def test_anchors_and_footnotes_lead_somewhere() -> None:
    html = html_of("[go](#data)\n\n# Data\n\nnote[^1]\n\n[^1]: text\n")

    assert 'href="#card-data"' in html
    assert 'id="card-data"' in html
    assert 'href="#card-fn1"' in html
    assert 'id="card-fn1"' in html


def test_formulas_have_a_limit() -> None:
    html = html_of("$a$ " * 600 + " $" + "x" * 3000 + "$ $\\frac{$")

    assert html.count("<math") == rendering.MAX_FORMULAS
    assert "<code>a</code>" in html


TANGLES = {
    "brackets": "[" * 300_000,
    "stars": "*a " * 60_000,
    "quotes": ">" * 3_000 + "x",
    "table": "|a" * 50_000,
    "lists": "".join(" " * n + "- x\n" for n in range(700)),
    "links": "[a](" * 50_000,
    "ticks": "`a" * 60_000,
    "tags": "<a " * 60_000,
    "pictures": "![a" * 50_000,
    "backslashes": "\\" * 250_000,
    "dollars": "$a" * 60_000,
    "mixed": "a*b_c[d](e `f` " * 12_000,
    "deep quotes": "> " * 25 + "x\n" + "> a\n" * 40_000,
    "rows": "|a|b|\n|-|-|\n" + "|x|y|\n" * 20_000,
    "footnotes": "[^1]" * 4_000 + "\n\n[^1]: x",
    "entities": "&amp;" * 50_000,
    "large": "word " * 60_000,
    "one line": "word " * 10_000,
    "nested list": "- " * 60 + "x",
    "many quotes": "> x\n" * 900,
    "many rows": "|a|\n|-|\n" + "|x|\n" * 7_000,
}


@pytest.mark.parametrize("text", TANGLES.values(), ids=TANGLES.keys())
def test_tangled_cards_take_no_time(text: str) -> None:
    started = time.process_time()

    card = render_card(text, file_base=FILES, page_base=PAGES)

    assert time.process_time() - started < 2  # a limit on the blow-up, not a benchmark
    assert card.html
    assert not card.is_plain or "This card is shown as plain text" in card.html


def test_minimal_text() -> None:
    assert render_text("a *b* <b>c</b> ![x](y)").startswith(
        "<p>a <em>b</em> &lt;b&gt;c&lt;/b&gt; !"
    )
    assert render_text("[" * 300_000).startswith("<p>[[")


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ("", ""),
        ("# Only a title\n", ""),
        ("<p align=center>x</p>\n\n- a list\n\nText `code` *here*.\n", "Text code here."),
        ("In __8__ bits (_Q8_0_), as `a_b`.", "In 8 bits (Q8_0), as a_b."),
        ("word " * 100, ("word " * 39).strip() + "…"),
    ],
)
def test_summaries(body: str, summary: str) -> None:
    assert summary_of(body) == summary


def test_highlighting() -> None:
    assert highlighting.highlight("<b>", "brainfuck") == "&lt;b&gt;"
    assert highlighting.highlight("x" * 200_000, "python").startswith("xxx")
    assert highlighting.language_of("a/config.json") == "json"
    assert highlighting.language_of("chat_template.jinja") == "jinja"
    assert highlighting.language_of("LICENSE") == "text"


def test_the_committed_stylesheet_is_current() -> None:
    path = Path(highlighting.__file__).parents[1] / "static/catalog/highlight.css"

    assert path.read_text() == highlighting.stylesheet()
