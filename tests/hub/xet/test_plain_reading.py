"""Readers that know nothing of Xet: a file in xorbs is like any other."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import User
from catalog.content.reading import content_of
from catalog.models import ModelRepo, Ref
from inference.runners.folders import model_folder
from licensing.delivery import counting
from tests.factories import add_files, safetensors
from tests.hub.xet.calling import JSON, OCTETS, Made, XetClient, body_of, made, path_of
from tests.inference import tiny

WEIGHTS = Made(safetensors(size=300))
SIZE = len(WEIGHTS.content)


@pytest.fixture
def file(mine: XetClient) -> XetClient:
    mine.publish({"model.safetensors": WEIGHTS})
    return mine


def get(caller: XetClient, method: str = "GET", **headers: str):
    return caller.resolve("model.safetensors", method, **headers)


def test_the_whole(file: XetClient, visitor: XetClient) -> None:
    answer = get(visitor)

    assert answer.status_code == 200
    assert body_of(answer) == WEIGHTS.content
    assert answer["Content-Length"] == str(SIZE)
    assert answer["ETag"] == answer["X-Linked-Etag"] == f'"{WEIGHTS.sha256}"'
    assert answer["X-Linked-Size"] == str(SIZE)
    assert answer["Accept-Ranges"] == "bytes"


def test_where_xet_clients_find_it(file: XetClient, visitor: XetClient) -> None:
    for method in ("HEAD", "GET"):
        answer = get(visitor, method)
        body_of(answer)
        commit = answer["X-Repo-Commit"]
        route = f"http://testserver/api/models/alice/tiny/xet-read-token/{commit}"
        recipe = f"http://testserver/xet/v1/reconstructions/{WEIGHTS.file}"
        assert answer["X-Xet-Hash"] == WEIGHTS.file
        assert answer["X-Xet-Refresh-Route"] == route
        assert answer["Link"] == (
            f'<{route}>; rel="xet-auth", <{recipe}>; rel="xet-reconstruction-info"'
        )
        assert visitor.client.get(path_of(route)).status_code == 200


def test_listings_tell_the_same(file: XetClient) -> None:
    tree = file.client.get("/api/models/alice/tiny/tree/main").json()
    info = file.client.post(
        "/api/models/alice/tiny/paths-info/main",
        {"paths": ["model.safetensors", ".gitattributes"]},
        content_type=JSON,
    ).json()

    for lines in (tree, info):
        found = {line["path"]: line.get("xetHash") for line in lines}
        assert found == {"model.safetensors": WEIGHTS.file, ".gitattributes": None}


def test_small_files_may_be_left_to_plain_http(file: XetClient, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"xet_min_bytes": SIZE + 1})

    assert "X-Xet-Hash" not in get(file, "HEAD")
    tree = file.client.get("/api/models/alice/tiny/tree/main").json()
    assert not any("xetHash" in line for line in tree)


def test_only_where_it_is(file: XetClient, visitor: XetClient) -> None:
    accept = {"Accept": "application/vnd.xet-fileinfo+json"}

    asked = get(visitor, **accept)
    other = visitor.client.get("/alice/tiny/resolve/main/.gitattributes", headers=accept)

    assert asked.json() == {
        "hash": WEIGHTS.file,
        "refreshUrl": asked["X-Xet-Refresh-Route"],
        "reconstructionUrl": f"http://testserver/xet/v1/reconstructions/{WEIGHTS.file}",
        "etag": f'"{WEIGHTS.sha256}"',
        "size": SIZE,
    }
    assert asked["Content-Type"] == "application/vnd.xet-fileinfo+json"
    assert asked["X-Linked-Size"] == str(SIZE)
    assert asked["X-Xet-Hash"] == WEIGHTS.file
    assert other["Content-Type"] != asked["Content-Type"]


@hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_any_range(mine: XetClient, repo: ModelRepo, data: st.DataObject) -> None:
    if "file" not in mine.__dict__:
        mine.publish({"model.safetensors": WEIGHTS})
        mine.__dict__["file"] = True
    kind = data.draw(st.sampled_from(["a-b", "a-", "-n"]))
    first = data.draw(st.integers(0, SIZE - 1))
    last = data.draw(st.integers(first, SIZE + 10_000))
    if kind == "a-b":
        asked, wanted = f"{first}-{last}", WEIGHTS.content[first : last + 1]
    elif kind == "a-":
        asked, wanted = f"{first}-", WEIGHTS.content[first:]
    else:
        asked, wanted = f"-{last + 1}", WEIGHTS.content[-(last + 1) :]

    answer = get(mine, Range=f"bytes={asked}")

    assert answer.status_code == 206
    assert body_of(answer) == wanted
    assert answer["Content-Length"] == str(len(wanted))
    start = SIZE - len(wanted) if kind == "-n" else first
    assert answer["Content-Range"] == f"bytes {start}-{start + len(wanted) - 1}/{SIZE}"
    content = content_of(repo, WEIGHTS.sha256)
    assert content.read_at(start, len(wanted)) == wanted


def test_ranges_behind_the_end(file: XetClient) -> None:
    answer = get(file, Range=f"bytes={SIZE}-")

    assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{SIZE}")


def test_ranges_on_a_condition(file: XetClient) -> None:
    part = {"Range": "bytes=5-9"}

    same = get(file, **part, **{"If-Range": f'"{WEIGHTS.sha256}"'})
    other = get(file, **part, **{"If-Range": '"other"'})

    assert (same.status_code, body_of(same)) == (206, WEIGHTS.content[5:10])
    assert (other.status_code, body_of(other)) == (200, WEIGHTS.content)


def test_several_ranges_get_the_whole(file: XetClient) -> None:
    answer = get(file, Range="bytes=0-1,5-9")

    assert (answer.status_code, body_of(answer)) == (200, WEIGHTS.content)


def test_heads_and_known_tags(file: XetClient) -> None:
    head = get(file, "HEAD")
    part = get(file, "HEAD", Range="bytes=0-9")
    known = get(file, **{"If-None-Match": f'"{WEIGHTS.sha256}"'})

    assert (head.status_code, head["Content-Length"], head.content) == (200, str(SIZE), b"")
    assert (part.status_code, part["Content-Length"], part.content) == (206, "10", b"")
    assert (known.status_code, known.content) == (304, b"")


def test_a_full_read_is_counted_once(file: XetClient, visitor: XetClient) -> None:
    counting.flush()

    body_of(get(visitor, Range="bytes=0-99"))
    part = counting.flush()
    body_of(get(visitor))
    whole = counting.flush()

    assert (part, whole) == (0, 1)


def test_a_download_by_recipe_is_counted(file: XetClient, visitor: XetClient) -> None:
    counting.flush()
    path = f"/v2/reconstructions/{WEIGHTS.file}"

    file.get(path, headers=visitor.read, Range="bytes=0-99")
    part = counting.flush()
    file.get(path, headers=visitor.read, Range=f"bytes=100-{SIZE + 5}")
    end = counting.flush()

    assert (part, end) == (0, 1)


def test_the_zip(file: XetClient) -> None:
    answer = file.client.get("/alice/tiny/archive/main.zip")

    with zipfile.ZipFile(io.BytesIO(body_of(answer))) as zipped:
        assert zipped.testzip() is None
        assert zipped.read("model.safetensors") == WEIGHTS.content


def test_git_lfs(file: XetClient) -> None:
    (item,) = file.batch(WEIGHTS, operation="download").json()["objects"]
    path = path_of(item["actions"]["download"]["href"])

    got = file.client.get(path, headers=file.headers)

    assert body_of(got) == WEIGHTS.content


def test_workers_lay_it_out(mine: XetClient, repo: ModelRepo, alice: User, tmp_path: Path) -> None:
    files = {path.name: path.read_bytes() for path in tiny.build(tmp_path / "tiny").iterdir()}
    weights = Made(files.pop("model.safetensors"))
    add_files(alice, repo, files)
    mine.publish({"model.safetensors": weights})
    commit = Ref.objects.get(repo=repo, name="refs/heads/main").commit_oid

    with model_folder(repo, commit, lambda: None) as folder:
        written = (folder / "model.safetensors").read_bytes()

    assert written == weights.content
    assert not content_of(repo, weights.sha256).is_whole


def test_the_scanner_reads_it(file: XetClient, alice: User, repo: ModelRepo) -> None:
    from catalog.models import FileScan

    scan = FileScan.objects.get(repo=repo, path="model.safetensors")

    assert (scan.verdict, scan.kind) == ("clean", "safetensors")


def test_damaged_bytes_are_no_content(file: XetClient, settings) -> None:
    """A flipped length in a stored record: the answer breaks off instead of lying."""
    (blob,) = [
        path
        for path in settings.BLOB_DIR.rglob("*")
        if path.is_file() and path.stat().st_size == len(WEIGHTS.xorb)
    ]
    data = bytearray(blob.read_bytes())
    data[5] ^= 0xFF
    blob.chmod(0o644)
    blob.write_bytes(bytes(data))
    from catalog.content.reading import DamagedContentError

    answer = get(file)
    with pytest.raises(DamagedContentError):
        body_of(answer)
    answer.close()


def test_both_forms_are_read(mine: XetClient, repo: ModelRepo) -> None:
    """A file that came whole and in xorbs."""
    other = made()
    (item,) = mine.batch(other).json()["objects"]
    mine.client.generic("PUT", path_of(item["actions"]["upload"]["href"]), other.content, OCTETS)
    mine.publish({"b.bin": other})

    content = content_of(repo, other.sha256)

    assert content.is_whole
    assert content.recipe is not None
    assert content.read_at(100, 50) == other.content[100:150]
    assert body_of(mine.resolve("b.bin")) == other.content
