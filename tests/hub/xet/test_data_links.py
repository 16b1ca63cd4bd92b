"""Links to pieces of xorbs: good for one run of bytes and for nothing else."""

import re
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import time_machine

from licensing.delivery import xorbs
from tests.hub.xet.calling import Made, XetClient, body_of, made, path_of, repack

WEIGHTS, OTHER = made(), made(seed=2)


@pytest.fixture
def link(mine: XetClient) -> str:
    """A link to some of the chunks in the middle, and not to their neighbours."""
    mine.publish({"a.bin": WEIGHTS, "b.bin": OTHER})
    assert len(WEIGHTS.chunks) > 3
    first = len(WEIGHTS.chunks[0])
    last = len(WEIGHTS.content) - len(WEIGHTS.chunks[-1]) - 1
    return path_of(link_of(mine, WEIGHTS, first, last)["url"])


def link_of(caller: XetClient, content: Made, first: int, last: int) -> dict:
    body = caller.get(f"/v2/reconstructions/{content.file}", Range=f"bytes={first}-{last}").json()
    ((block,),) = body["xorbs"].values()
    return block


def span_of(link: str) -> tuple[int, int]:
    first, last = dict(parse_qsl(link.partition("?")[2]))["span"].split("-")
    return int(first), int(last)


def get(caller: XetClient, link: str, asked: str | None, **more: str):
    headers = more if asked is None else {"Range": asked} | more
    answer: Any = caller.client.get(link, headers=headers)
    answer.whole = body_of(answer)
    return answer


def test_the_run_itself(mine: XetClient, link: str) -> None:
    first, last = span_of(link)

    answer = get(mine, link, f"bytes={first}-{last}")

    assert answer.status_code == 206
    assert answer.whole == WEIGHTS.xorb[first : last + 1]
    assert answer["Content-Range"] == f"bytes {first}-{last}/{len(WEIGHTS.xorb)}"
    assert answer["Content-Length"] == str(last - first + 1)
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Cache-Control"].startswith("private")
    assert "Content-Encoding" not in answer


def test_a_part_of_the_run(mine: XetClient, link: str) -> None:
    first, last = span_of(link)

    for start, end in ((first, first), (last, last), (first + 7, last - 9)):
        answer = get(mine, link, f"bytes={start}-{end}")
        assert answer.status_code == 206
        assert answer.whole == WEIGHTS.xorb[start : end + 1]


def test_several_parts_of_the_run(mine: XetClient, link: str) -> None:
    first, last = span_of(link)
    spans = [(first, first + 9), (last - 5, last), (first + 3, first + 50_000)]

    answer = get(mine, link, "bytes=" + ", ".join(f"{a}-{b}" for a, b in spans))

    data = answer.whole
    match = re.fullmatch(r"multipart/byteranges; boundary=(\w+)", answer["Content-Type"])
    assert answer.status_code == 206
    assert match
    assert answer["Content-Length"] == str(len(data))
    at = 0
    for a, b in spans:
        head = (
            f"\r\n--{match[1]}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Range: bytes {a}-{b}/{len(WEIGHTS.xorb)}\r\n\r\n"
        ).encode()
        assert data[at : at + len(head)] == head
        at += len(head)
        assert data[at : at + b - a + 1] == WEIGHTS.xorb[a : b + 1]
        at += b - a + 1
    assert data[at:] == f"\r\n--{match[1]}--\r\n".encode()


def test_everything_else_is_refused_alike(mine: XetClient, link: str) -> None:
    """Only 403 makes clients ask for fresh links."""
    first, last = span_of(link)
    inside = f"bytes={first}-{last}"
    ranges = [
        None,
        "",
        f"bytes={first - 1}-{last}",
        f"bytes={first}-{last + 1}",
        f"bytes=0-{len(WEIGHTS.xorb) - 1}",
        "bytes=0-0",
        f"bytes={first}-",
        "bytes=-10",
        f"bytes={last}-{first}",
        f"{inside},{last + 1}-{last + 2}",
        f"{inside}, 0-0",
        f"bytes={first}-{last},",
        f"items={first}-{last}",
        f"bytes={first}-{'9' * 30}",
        "bytes=" + ",".join([f"{first}-{first}"] * 257),
    ]

    answers = [get(mine, link, asked) for asked in ranges]
    answers.append(get(mine, link, inside, **{"If-Range": '"x"'}))

    for asked, answer in zip([*ranges, "If-Range"], answers, strict=True):
        assert answer.status_code == 403, asked
        assert WEIGHTS.xorb[first : first + 20] not in answer.whole


def changed(link: str, **query: str) -> str:
    path, _, text = link.partition("?")
    return f"{path}?{urlencode(dict(parse_qsl(text)) | query)}"


def test_forged_links(mine: XetClient, link: str) -> None:
    first, last = span_of(link)
    asked = f"bytes={first}-{last}"
    query = dict(parse_qsl(link.partition("?")[2]))
    other = path_of(link_of(mine, OTHER, first, last)["url"])

    forged = [
        changed(link, span=f"0-{last}"),
        changed(link, span=f"{first}-{last + 1}"),
        changed(link, until=str(int(query["until"]) + 1)),
        changed(link, until="9" * 12),
        changed(link, until="never"),
        changed(link, until=""),
        changed(link, proof=""),
        changed(link, proof=query["proof"][::-1]),
        changed(link, proof=query["proof"].upper()),
        changed(link, proof="é"),
        link.partition("?")[0],
        link.replace(WEIGHTS.name, OTHER.name),
        link.replace(WEIGHTS.name, "ab" * 32),
        link.replace(WEIGHTS.name, "x"),
        changed(other, proof=query["proof"]),
    ]

    assert get(mine, link, asked).status_code == 206
    for each in forged:
        assert get(mine, each, asked).status_code == 403, each


def test_a_link_ends(mine: XetClient, link: str, settings) -> None:
    first, last = span_of(link)
    asked = f"bytes={first}-{last}"

    with time_machine.travel(time.time() + settings.ENV.xet_link_s - 5, tick=False):
        in_time = get(mine, link, asked)
    with time_machine.travel(time.time() + settings.ENV.xet_link_s + 2, tick=False):
        late = get(mine, link, asked)

    assert (in_time.status_code, late.status_code) == (206, 403)


def test_a_link_needs_nobody(mine: XetClient, link: str) -> None:
    first, last = span_of(link)

    for more in ({}, {"Authorization": "Bearer x"}, mine.write):
        assert get(mine, link, f"bytes={first}-{last}", **more).status_code == 206


def test_a_link_is_for_its_packing(mine: XetClient, link: str) -> None:
    """The same bytes of the same xorb are something else where it is packed in another way."""
    first, last = span_of(link)
    repack(WEIGHTS)

    assert get(mine, link, f"bytes={first}-{last}").status_code == 403


def test_each_link_has_one_run(mine: XetClient, link: str) -> None:
    block = link_of(mine, WEIGHTS, 0, 10)

    (span,) = block["ranges"]
    assert span_of(block["url"]) == (span["bytes"]["start"], span["bytes"]["end"])
    assert span["chunks"] == {"start": 0, "end": 1}


def test_nginx_sends_it_where_that_is_set(mine: XetClient, link: str, settings) -> None:
    first, last = span_of(link)
    settings.ENV = settings.ENV.model_copy(update={"delivery": "x-accel"})

    inside = get(mine, link, f"bytes={first}-{last}")
    outside = get(mine, link, f"bytes=0-{last}")
    several = get(mine, link, f"bytes={first}-{first}, {last}-{last}")

    assert inside["X-Accel-Redirect"].startswith(settings.ENV.x_accel_prefix)
    path = settings.BLOB_DIR / inside["X-Accel-Redirect"].removeprefix(settings.ENV.x_accel_prefix)
    assert path.read_bytes() == WEIGHTS.xorb
    assert outside.status_code == 403
    assert "X-Accel-Redirect" not in outside
    assert several.status_code == 206
    assert "X-Accel-Redirect" not in several


class Bucket:
    """Stands for the storage: links of its own, or none; the rest is the real one."""

    def __init__(self, real, link: str | None) -> None:
        self.real, self.link = real, link
        self.spans: list[tuple[int, int]] = []

    def __getattr__(self, name: str):
        return getattr(self.real, name)

    def download_url(self, digest: str, *, span: tuple[int, int], **about) -> str | None:
        self.spans.append(span)
        return f"{self.link}/{digest}?life={about['expires_s']}" if self.link else None


def redirected(link: str | None, settings, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    bucket = Bucket(xorbs.storage(), link)
    settings.ENV = settings.ENV.model_copy(update={"delivery": "redirect", "xet_link_s": 77})
    monkeypatch.setattr(xorbs, "storage", lambda: bucket)
    return bucket


def test_an_object_store_sends_the_run_itself(
    mine: XetClient, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.publish({"a.bin": WEIGHTS})
    bucket = redirected("https://s3.test", settings, monkeypatch)

    block = link_of(mine, WEIGHTS, 0, len(WEIGHTS.chunks[0]) - 1)

    (ranges,) = block["ranges"]
    assert re.fullmatch(r"https://s3\.test/xorb-[0-9a-f]{64}\?life=77", block["url"])
    assert bucket.spans == [(ranges["bytes"]["start"], ranges["bytes"]["end"])]


def test_a_store_without_links_of_its_own_sends_the_run(
    mine: XetClient, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.publish({"a.bin": WEIGHTS})
    bucket = redirected(None, settings, monkeypatch)

    link = path_of(link_of(mine, WEIGHTS, 0, len(WEIGHTS.chunks[0]) - 1)["url"])

    first, last = span_of(link)
    assert bucket.spans == [(first, last)]
    assert get(mine, link, f"bytes={first}-{last}").whole == WEIGHTS.xorb[first : last + 1]
