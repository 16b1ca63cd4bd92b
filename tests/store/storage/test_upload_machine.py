"""Uploads in parts against a model that is nothing but bytes: any order of any calls."""

import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from store.storage import (
    DigestMismatchError,
    LocalConfig,
    PartListError,
    SizeMismatchError,
    UploadNotFoundError,
    UploadPlan,
    storage_from,
)
from tests.store.storage.lab import Source, digest_of, files_below, read

PART = 4
FILES = [b"", b"a", b"abcd", b"abcde", b"abcdabcd", b"abcdefghij", b"xyz" * 5]
"""Few and alike, so that uploads of one digest, equal parts and swapped parts are common."""


@dataclass
class Model:
    """What the machine believes about one upload."""

    plan: UploadPlan
    data: bytes
    state: str = "open"
    parts: dict[int, bytes] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    old_tags: set[tuple[int, str]] = field(default_factory=set)

    def due(self, number: int) -> bytes:
        return self.data[(number - 1) * PART : number * PART]

    @property
    def numbers(self) -> range:
        return range(1, self.plan.part_count + 1)

    @property
    def sent(self) -> bytes:
        return b"".join(self.parts[n] for n in self.numbers)


class Uploads(RuleBasedStateMachine):
    """Start, send, send again, swap, complete rightly and wrongly, abort, restart, sweep."""

    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.store = storage_from(LocalConfig(self.root))
        self.stored: set[bytes] = set()
        self.models: list[Model] = []

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(target=uploads, data=st.sampled_from(FILES))
    def start(self, data: bytes) -> Model:
        plan = self.store.start(digest_of(data), len(data), part_size_bytes=PART)
        self.models.append(Model(plan, data))
        return self.models[-1]

    @rule(upload=uploads, data=st.data(), step=st.integers(1, 5))
    def send_right(self, upload: Model, data: st.DataObject, step: int) -> None:
        number = data.draw(st.sampled_from(upload.numbers))
        self.send(upload, number, upload.due(number), step)

    @rule(upload=uploads)
    def send_all(self, upload: Model) -> None:
        for number in upload.numbers:
            self.send(upload, number, upload.due(number), PART)

    @rule(upload=uploads, data=st.data())
    def send_other_bytes(self, upload: Model, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(upload.numbers))
        size = upload.plan.size_of(number)
        body = data.draw(st.binary(min_size=size, max_size=size))
        self.send(upload, number, body, PART)

    @rule(upload=uploads, data=st.data())
    def swap(self, upload: Model, data: st.DataObject) -> None:
        first, second = (data.draw(st.sampled_from(upload.numbers)) for _ in range(2))
        for one, other in ((first, second), (second, first)):
            if upload.plan.size_of(one) == upload.plan.size_of(other):
                self.send(upload, one, upload.due(other), PART)

    @rule(upload=uploads, data=st.data(), off_by=st.sampled_from([-2, -1, 1, 2, 9]))
    def send_wrong_size(self, upload: Model, data: st.DataObject, off_by: int) -> None:
        number = data.draw(st.sampled_from(upload.numbers))
        size = upload.plan.size_of(number) + off_by
        if size < 0:
            return
        expected = SizeMismatchError if upload.state == "open" else UploadNotFoundError
        with pytest.raises(expected):
            self.store.put_part(upload.plan, number, io.BytesIO(b"x" * size))

    @rule(upload=uploads)
    def hang_up_in_the_middle(self, upload: Model) -> None:
        def break_off(position: int) -> None:
            if position:
                raise ConnectionResetError

        if upload.state == "open" and upload.plan.size_of(1):
            with pytest.raises(ConnectionResetError):
                self.store.put_part(upload.plan, 1, Source(b"?" * 9, step=1, before=break_off))

    def send(self, upload: Model, number: int, body: bytes, step: int) -> None:
        if upload.state != "open":
            with pytest.raises(UploadNotFoundError):
                self.store.put_part(upload.plan, number, Source(body, step))
            return
        tag = self.store.put_part(upload.plan, number, Source(body, step))
        if number in upload.tags:
            upload.old_tags.add((number, upload.tags[number]))
        upload.parts[number], upload.tags[number] = body, tag

    @rule(upload=uploads, data=st.data(), with_list=st.booleans())
    def complete(self, upload: Model, data: st.DataObject, with_list: bool) -> None:
        listed = data.draw(st.permutations([*upload.tags.items()])) if with_list else None
        self.check_complete(upload, listed, fits=True)

    @rule(upload=uploads, data=st.data())
    def complete_with_a_wrong_list(self, upload: Model, data: st.DataObject) -> None:
        listed = [*upload.tags.items()]
        wrong = {
            "missing": listed[1:],
            "repeated": listed + listed[:1],
            "unknown": [*listed, (upload.plan.part_count + 1, "0" * 64)],
            "no tag": [(number, "") for number, _ in listed],
            "foreign": [(n, t) for m in self.models if m is not upload for n, t in m.tags.items()],
            "old": [*upload.old_tags],
        }
        chosen = wrong[data.draw(st.sampled_from(sorted(wrong)))]
        if sorted(chosen) != sorted(listed):
            self.check_complete(upload, chosen, fits=False)

    def check_complete(
        self, upload: Model, listed: list[tuple[int, str]] | None, *, fits: bool
    ) -> None:
        call = self.store.complete
        if upload.state == "done":
            call(upload.plan, listed)  # again, and nothing happens
        elif upload.state == "over":
            with pytest.raises(UploadNotFoundError):
                call(upload.plan, listed)
        elif not fits or set(upload.parts) != set(upload.numbers):
            with pytest.raises(PartListError):
                call(upload.plan, listed)
        elif upload.sent != upload.data:
            with pytest.raises(DigestMismatchError):
                call(upload.plan, listed)
            upload.state = "over"
        else:
            call(upload.plan, listed)
            upload.state = "done"
            self.stored.add(upload.data)

    @rule(upload=consumes(uploads))
    def abort(self, upload: Model) -> None:
        self.store.abort(upload.plan)
        self.store.abort(upload.plan)
        upload.state = "over"
        with pytest.raises(UploadNotFoundError):
            self.store.complete(upload.plan)
        self.models.remove(upload)

    @rule(data=st.sampled_from(FILES))
    def put(self, data: bytes) -> None:
        self.store.put(io.BytesIO(data), digest_of(data), len(data))
        self.stored.add(data)

    @rule(data=st.sampled_from(FILES))
    def delete(self, data: bytes) -> None:
        self.store.delete(digest_of(data))
        self.stored.discard(data)

    @rule()
    def restart(self) -> None:
        self.store = storage_from(LocalConfig(self.root))

    @rule()
    def sweep_fresh(self) -> None:
        assert self.store.sweep(older_than_s=3600) == 0

    @rule()
    def expire(self) -> None:
        before = list((self.root / "uploads").iterdir())
        assert self.store.sweep(older_than_s=-60) == len(before)
        for model in self.models:
            model.state = "over"

    @invariant()
    def visible_is_what_was_verified(self) -> None:
        listed = {blob.digest: blob.size_bytes for blob in self.store.blobs()}
        assert listed == {digest_of(data): len(data) for data in self.stored}
        assert all(read(self.store, digest_of(data)) == data for data in self.stored)

    @invariant()
    def nothing_else_is_left(self) -> None:
        names = {name for name in files_below(self.root) if not name.startswith("sha256/")}
        expected = set()
        for model in self.models:
            if model.state == "open":
                expected |= {f"uploads/{model.plan.id}/{n:05d}" for n in model.parts}
            if model.state == "done":
                expected.add(f"uploads/{model.plan.id}/done-{model.plan.digest}")
        assert names == expected


TestUploads = Uploads.TestCase
TestUploads.settings = settings(
    max_examples=70,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
