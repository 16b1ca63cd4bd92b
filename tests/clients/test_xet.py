"""The clients of this day, which send large files by Xet alone, against a live store."""

import hashlib
import json
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests import live
from tests.clients.models import save_tiny_gpt
from tests.clients.programs import Machine, curl, finished, machines
from tests.clients.watching import WatchedLine, watched
from tests.live import LiveStore

SIZE_BYTES = 12 * 1024**2
XORB = r"(POST|PUT) /xet/v1/xorb(s|-uploads)/"


@pytest.fixture
def line(store: LiveStore) -> Iterator[WatchedLine]:
    """The way to the store, watched."""
    with watched(store.url) as running:
        yield running


@pytest.fixture
def machine(store: LiveStore, line: WatchedLine, tmp_path: Path) -> Callable[..., Machine]:
    """Make machines of one new person, each with empty caches."""
    _, token = store.person()
    return machines(tmp_path, line.url, token)


@pytest.fixture
def repo(store: LiveStore, machine: Callable[..., Machine]) -> str:
    """A new model of that person."""
    one = machine()
    name = store.ask("/api/whoami-v2", one.token)["name"]
    repo = f"{name}/m-{secrets.token_hex(3)}"
    assert one.do(["create", repo]) == [repo]
    return repo


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(secrets.token_bytes(SIZE_BYTES))  # what the store has is not sent
    return path


def put(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_a_file_there_and_back(
    store: LiveStore, machine, line: WatchedLine, repo: str, source: Path, tmp_path: Path
) -> None:
    machine().do(["upload", repo, str(source), "weights.bin"])
    sent = list(line.asked)
    store.settled(repo, machine().token)
    line.clear()
    by_xet, plainly = tmp_path / "by-xet", tmp_path / "plainly"
    machine().do(["download", repo, "weights.bin", str(by_xet)])
    fetched = list(line.asked)
    machine(HF_HUB_DISABLE_XET="1").do(["download", repo, "weights.bin", str(plainly)])

    content = source.read_bytes()
    assert by_xet.read_bytes() == plainly.read_bytes() == content
    assert any(re.search(XORB, each) for each in sent)
    assert any("/xet/v2/shards" in each for each in sent)
    assert not any("/api/lfs/" in each for each in sent)
    assert any("GET /xet/data/" in each for each in fetched)
    assert not any(each.startswith("GET") and "/resolve/" in each for each in fetched)
    assert (
        curl(f"{store.url}/{repo}/resolve/main/weights.bin", "-r", "5000000-5000999")
        == (content[5_000_000:5_001_000])
    )


def test_a_file_is_copied_to_another_model_without_being_sent(
    store: LiveStore, machine, line: WatchedLine, repo: str, source: Path, tmp_path: Path
) -> None:
    up = machine()
    up.do(["upload", repo, str(source), "weights.bin"])
    store.settled(repo, up.token)
    name, token = store.person()
    other = machines(tmp_path / "other", line.url, token)
    target, back = f"{name}/copies", tmp_path / "back"
    other().do(["create", target])
    line.clear()

    other().do(["copy", repo, "weights.bin", target, "copy.bin"])
    asked = list(line.asked)
    store.settled(target, token)
    other().do(["download", target, "copy.bin", str(back)])

    assert any("/lfs-files/duplicate" in each for each in asked)
    assert not any("/xet/" in each or "/api/lfs/" in each for each in asked)
    assert back.read_bytes() == source.read_bytes()


def test_what_came_in_one_piece_is_copied_too(
    store: LiveStore, machine, line: WatchedLine, repo: str, tmp_path: Path
) -> None:
    """Random bytes, of which chunks save nothing, and a file of a few bytes."""
    up = machine(HF_HUB_DISABLE_XET="1")
    files = {"large.bin": secrets.token_bytes(2_000_000), "small.bin": b"\0few"}
    for name, content in files.items():
        up.do(["upload", repo, put(tmp_path / name, content), name])
    assert line.count("PUT /api/lfs/") == 2
    until = time.monotonic() + live.START_S
    while not all("xetHash" in each for each in large_files(store, repo, up.token)):
        assert time.monotonic() < until, "the files got no Xet hash"
        time.sleep(0.5)
    name, token = store.person()
    other = machines(tmp_path / "other", line.url, token)
    target = f"{name}/copies"
    line.clear()

    other().do(["create", target], *(["copy", repo, path, target, path] for path in files))
    store.settled(target, token)
    for path, content in files.items():
        other().do(["download", target, path, str(tmp_path / "back")])
        assert (tmp_path / "back").read_bytes() == content
    assert not line.count("(PUT|POST) /(xet|api/lfs)/")


def large_files(store: LiveStore, repo: str, token: str) -> list[dict[str, object]]:
    return [each for each in store.ask(f"/api/models/{repo}/tree/main", token) if "lfs" in each]


def test_folders_commands_and_models(
    store: LiveStore, machine, repo: str, line: WatchedLine, tmp_path: Path
) -> None:
    """``hf upload``, ``hf download``, ``snapshot_download``, ``from_pretrained``."""
    model = save_tiny_gpt(tmp_path / "model", seed=secrets.randbits(31))  # nobody has sent it yet
    up = machine()
    up.run("hf", "upload", repo, str(model), ".")
    assert line.count(XORB)
    store.settled(repo, up.token)

    machine().run("hf", "download", repo, "--local-dir", str(tmp_path / "cli"))
    machine().do(["snapshot", repo, str(tmp_path / "snapshot")])
    load = (
        "import sys, torch\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "print(float(sum(p.double().sum() for p in model.parameters())))\n"
    )
    remote = machine().run(sys.executable, "-c", load, repo)
    local = machine().run(sys.executable, "-c", load, str(model))

    assert remote == local
    for folder in ("cli", "snapshot"):
        for path in model.iterdir():
            assert (tmp_path / folder / path.name).read_bytes() == path.read_bytes()


def test_many_small_files_and_open_ones(
    store: LiveStore, machine, repo: str, line: WatchedLine, tmp_path: Path
) -> None:
    files = {f"part-{n:03}.safetensors": secrets.token_bytes(2000 + n) for n in range(120)}
    for name, content in files.items():
        put(tmp_path / "many" / name, content)
    one = put(tmp_path / "one.bin", secrets.token_bytes(300_000))
    other = put(tmp_path / "other.bin", secrets.token_bytes(300_000))
    up = machine()

    up.do(["folder", repo, str(tmp_path / "many")])
    shards, xorbs = line.count("/shards"), line.count(XORB)
    line.clear()
    up.do(["upload_bytes", repo, one, "bytes.bin"], ["upload_open", repo, other, "open.bin"])
    by_lfs = line.count("PUT /api/lfs/")
    store.settled(repo, up.token)
    machine().do(["snapshot", repo, str(tmp_path / "back")])

    assert (shards, xorbs) == (1, 1)
    assert by_lfs == 1  # file objects never go by Xet, bytes do
    for name, content in files.items():
        assert (tmp_path / "back" / name).read_bytes() == content
    for name, path in (("bytes.bin", one), ("open.bin", other)):
        assert (tmp_path / "back" / name).read_bytes() == Path(path).read_bytes()


def test_what_is_here_is_not_sent_again(
    store: LiveStore, machine, line: WatchedLine, repo: str, tmp_path: Path
) -> None:
    content = secrets.token_bytes(SIZE_BYTES)
    source = put(tmp_path / "a.bin", content)
    first = machine()
    first.do(["upload", repo, source, "a.bin"])
    full = line.sent_bytes
    store.settled(repo, first.token)

    line.clear()
    first.do(["upload", repo, source, "again.bin"])
    same_machine = line.sent_bytes
    line.clear()
    machine().do(["upload", repo, source, "fresh.bin"])
    fresh_machine = line.sent_bytes
    changed = content[:5_000_000] + secrets.token_bytes(1_200_000) + content[6_200_000:]
    line.clear()
    machine().do(["upload", repo, put(tmp_path / "b.bin", changed), "b.bin"])
    a_tenth = line.sent_bytes
    line.clear()
    shifted = content[:1000] + b"inserted" + content[1000:]
    machine().do(["upload", repo, put(tmp_path / "c.bin", b"x" * 9 + content), "c.bin"])
    at_the_front = line.sent_bytes
    machine().do(["upload", repo, put(tmp_path / "d.bin", shifted), "d.bin"])

    assert full > SIZE_BYTES
    assert same_machine < 60_000
    assert fresh_machine < 60_000
    assert a_tenth < 0.13 * SIZE_BYTES
    assert at_the_front <= full + 100_000  # its first chunk is new: nothing may be found by it
    store.settled(repo, first.token)
    machine().do(
        ["download", repo, "b.bin", str(tmp_path / "b")],
        ["download", repo, "c.bin", str(tmp_path / "c")],
        ["download", repo, "d.bin", str(tmp_path / "d")],
    )
    assert (tmp_path / "b").read_bytes() == changed
    assert (tmp_path / "c").read_bytes() == b"x" * 9 + content
    assert (tmp_path / "d").read_bytes() == shifted


def test_what_is_public_of_a_xorb_is_not_sent_again_and_the_rest_is(
    store: LiveStore, machine, line: WatchedLine, repo: str, tmp_path: Path
) -> None:
    size = 2 * 1024**2
    both = {name: secrets.token_bytes(size) for name in ("hidden.bin", "shown.bin")}
    sources = {name: put(tmp_path / "both" / name, content) for name, content in both.items()}
    first, private = machine(), f"{repo}-private"
    _, token = store.person()
    first.do(["create", private, True], ["folder", private, str(tmp_path / "both")])
    xorbs = line.count(XORB)
    line.clear()
    first.do(["upload", repo, sources["shown.bin"], "shown.bin"])
    of_the_same_xorb = line.sent_bytes
    store.settled(repo, first.token)
    other = Machine(tmp_path / "theirs", line.url, token)
    theirs = store.ask("/api/whoami-v2", token)["name"] + "/m"
    other.do(["create", theirs])

    sent = {}
    for name, source in sources.items():
        line.clear()
        Machine(tmp_path / f"theirs-{name}", line.url, token).do(["upload", theirs, source, name])
        sent[name] = line.sent_bytes

    assert xorbs == 1
    assert of_the_same_xorb < 60_000
    assert sent["shown.bin"] < 60_000
    assert sent["hidden.bin"] > size
    store.settled(theirs, token)
    for name, content in both.items():
        other.do(["download", theirs, name, str(tmp_path / "back")])
        assert (tmp_path / "back").read_bytes() == content


def test_a_token_is_renewed(machine, line: WatchedLine, repo: str, source: Path) -> None:
    (name,) = machine().do(["renew", repo, str(source)])

    assert len(name) == 64
    assert line.count("/xet-write-token/main") >= 1
    assert line.count("/shards") == 1


def test_a_proposal(store: LiveStore, machine, line: WatchedLine, repo: str, tmp_path) -> None:
    content = secrets.token_bytes(300_000)
    source = put(tmp_path / "p.bin", content)
    _, token = store.person()
    stranger = Machine(tmp_path / "theirs", line.url, token)

    (revision,) = stranger.do(["propose", repo, source, "p.bin"])
    store.settled(repo, machine().token)

    machine().do(["download", repo, "p.bin", str(tmp_path / "back"), revision])
    assert (tmp_path / "back").read_bytes() == content


def used_bytes(store: LiveStore, token: str) -> int:
    """Return what the own room of a person holds."""
    rooms = store.ask("/api/v1/storage", token)
    return sum(int(room["used_bytes"]) for room in rooms["results"])


def test_what_strangers_bring_is_theirs_to_use_and_to_pay(
    store: LiveStore, machine, line: WatchedLine, repo: str, tmp_path: Path
) -> None:
    content = secrets.token_bytes(300_000)
    source = put(tmp_path / "p.bin", content)
    (_, token), (_, other) = store.person(), store.person()
    stranger = Machine(tmp_path / "theirs", line.url, token)
    owners, before = machine().token, used_bytes(store, machine().token)

    (sha256,) = stranger.do(["preupload", repo, source, "p.bin"])

    assert any(re.search(XORB, each) for each in line.asked)
    assert not any("/api/lfs/" in each for each in line.asked)
    assert used_bytes(store, token) >= len(content)
    assert used_bytes(store, owners) == before

    # whoever knows its hash has nothing of it
    file = {"path": "p.bin", "algo": "sha256", "oid": sha256, "size": len(content)}
    lines = [{"key": "header", "value": {"summary": "Theirs"}}, {"key": "lfsFile", "value": file}]
    refused = httpx2.post(
        f"{store.url}/api/models/{repo}/commit/main?create_pr=1",
        content="\n".join(map(json.dumps, lines)),
        headers={"Authorization": f"Bearer {other}", "Content-Type": "application/x-ndjson"},
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "lfs_object_missing")
    assert store.ask(f"/api/models/{repo}/discussions")["count"] == 0

    (revision,) = stranger.do(["propose", repo, source, "p.bin"])
    number = revision.rpartition("/")[2]
    assert used_bytes(store, owners) == before
    store.ask(f"/api/models/{repo}/discussions/{number}/merge", owners, body={"comment": ""})

    assert used_bytes(store, owners) >= before + len(content)
    assert used_bytes(store, token) < len(content)
    store.settled(repo, owners)
    machine().do(["download", repo, "p.bin", str(tmp_path / "back")])
    assert (tmp_path / "back").read_bytes() == content


def test_the_same_file_from_four_at_once(
    store: LiveStore, machine, repo: str, tmp_path: Path
) -> None:
    content = secrets.token_bytes(SIZE_BYTES)
    source = put(tmp_path / "a.bin", content)
    before = blob_bytes(store)

    running = [machine().start(["upload", repo, source, f"{n}.bin"]) for n in range(4)]
    ended = [process.communicate(timeout=240) for process in running]
    late = [n for n, process in enumerate(running) if process.returncode]
    for n in late:  # two commits met on one branch: the second is told so
        assert re.search("409|412", ended[n][1]), ended[n][1]
        machine().do(["upload", repo, source, f"{n}.bin"])

    assert blob_bytes(store) - before < 1.3 * SIZE_BYTES
    store.settled(repo, machine().token)
    for n in range(4):
        got = curl(f"{store.url}/{repo}/resolve/main/{n}.bin")
        assert hashlib.sha256(got).digest() == hashlib.sha256(content).digest()


def blob_bytes(store: LiveStore) -> int:
    blobs = store.data_dir / "blobs"
    return sum(path.stat().st_size for path in blobs.rglob("*") if path.is_file())


def kill_web(store: LiveStore) -> None:
    """Kill -9 every process of the store's web server."""
    family = psutil.Process(store.process.pid).children(recursive=True)
    web = [each for each in family if "gunicorn" in " ".join(each.cmdline())]
    assert web
    for each in web:
        each.send_signal(signal.SIGKILL)


STEPS = {
    "before a xorb": (XORB, "before"),
    "while a xorb comes": (XORB, "after"),
    "after a xorb": (r"POST /xet/v1/xorb-commits/|POST /xet/v2/shards", "before"),
    "before the shard": (r"POST /xet/v2/shards", "before"),
    "while the shard is read": (r"POST /xet/v2/shards", "after"),
    "before the commit": (r"POST /api/models/\S+/commit/", "before"),
    "while it is committed": (r"POST /api/models/\S+/commit/", "after"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_web_server_that_is_killed(
    store: LiveStore, machine, line: WatchedLine, repo: str, tmp_path: Path, step: str
) -> None:
    pattern, moment = STEPS[step]
    content = secrets.token_bytes(2_000_000)
    source = put(tmp_path / "a.bin", content)
    kills: list[str] = []

    def kill_once(asked: str) -> None:
        if re.search(pattern, asked) and not kills:
            kills.append(asked)
            kill_web(store)

    setattr(line, moment, kill_once)
    one = machine()

    tries = 0
    done = None
    while done is None and tries < 4:
        tries += 1
        process = one.start(["upload", repo, source, "a.bin"])
        out, err = process.communicate(timeout=240)
        done = out if process.returncode == 0 else None
        live.wait_ready(store)

    assert kills
    assert done is not None, err
    store.settled(repo, one.token)
    back = tmp_path / "back"
    machine().do(["download", repo, "a.bin", str(back)])
    assert back.read_bytes() == content


@pytest.fixture(scope="module")
def hasty() -> Iterator[list[LiveStore]]:
    """A store whose links end after 10 seconds; the last of the list is running."""
    stores = [live.start(STORE_XET_LINK_S="10")]
    yield stores
    live.discard(stores[-1])


@pytest.mark.xdist_group("hasty")
def test_links_that_end_while_they_are_used(hasty: list[LiveStore], tmp_path: Path) -> None:
    store = hasty[-1]
    name, token = store.person()
    content = secrets.token_bytes(SIZE_BYTES)
    source = put(tmp_path / "a.bin", content)
    late: list[str] = []
    with watched(store.url) as line:
        Machine(tmp_path / "h1", line.url, token).do(
            ["create", f"{name}/m"], ["upload", f"{name}/m", source, "a.bin"]
        )
        store.settled(f"{name}/m", token)

        def wait(asked: str) -> None:
            # Once: the client asks for a new link first and sleeps after it, longer each time.
            if re.search(r"GET /xet/(\d+/)?data/", asked) and not late:
                late.append(asked)
                time.sleep(11.5)

        line.clear()
        line.before = wait
        back = tmp_path / "back"
        Machine(tmp_path / "h2", line.url, token).do(["download", f"{name}/m", "a.bin", str(back)])
        asked_again = line.count(r"GET /xet/(\d+/)?v2/reconstructions/")

    assert late
    assert asked_again >= 2
    assert back.read_bytes() == content


LOSE = """
from catalog.models import *
from catalog.content.blobs import discard
for model in (DedupChunk, XetClaim, RepoLfsObject, LfsObject, XetFileXorb, XetFile):
    model.objects.all().delete()
gone = list(Xorb.objects.values_list("blob", flat=True))
Xorb.objects.all().delete()
print(sum(discard(blob) for blob in gone))
"""


@pytest.mark.xdist_group("hasty")
def test_lost_xorbs_and_a_new_generation(hasty: list[LiveStore], tmp_path: Path) -> None:
    """Clients never send again what they remember to have sent, until the address changes."""
    store = hasty[-1]
    name, token = store.person()
    repo, source = f"{name}/m", put(tmp_path / "a.bin", secrets.token_bytes(1_000_000))

    def upload(path: str) -> subprocess.Popen[str]:
        machine = Machine(tmp_path / "home", store.url, token)
        return machine.start(["create", repo], ["upload", repo, source, path])

    finished(upload("a.bin"))
    assert int(store.manage("shell", "--no-imports", "-c", LOSE)) >= 1
    _, err = (refused := upload("b.bin")).communicate(timeout=240)
    assert refused.returncode != 0
    assert "not in the store" in err
    store.stop()
    store = live.start(store.data_dir, STORE_XET_GENERATION="2", **store.settings)
    hasty.append(store)

    finished(upload("b.bin"))
    store.settled(repo, token)

    assert curl(f"{store.url}/{repo}/resolve/main/b.bin") == Path(source).read_bytes()
