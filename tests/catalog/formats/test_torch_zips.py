"""Containers that torch.load would take, but torch.save would not write."""

import io
import pickle
import struct
import zipfile

import pytest

from catalog.formats import pickles
from catalog.formats.sources import FULL, BytesSource, MeteredSource
from catalog.formats.verdicts import Verdict
from tests.catalog.formats.files import case_name, judged, refusal, torch_file, torch_zip, zipped

PLAIN = pickle.dumps({"a": 1}, 2)


def recoded(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def central(data: bytes) -> int:
    """Return where the first entry of the central directory begins."""
    return data.index(b"PK\x01\x02")


GOOD_ZIP = torch_zip(PLAIN)
DATA_AT = GOOD_ZIP.index(PLAIN)


def local_stored_differently() -> bytes:
    return recoded(GOOD_ZIP, GOOD_ZIP.index(b"archive/data.pkl"), b"archive/mata.pkl")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (torch_zip(PLAIN, {"code/model.py": b"import os"}), "torch_odd_member"),
        (torch_zip(PLAIN, {"constants.pkl": PLAIN}), "torch_odd_member"),
        (torch_zip(PLAIN, {"data/../x": b""}), "torch_odd_member"),
        (torch_zip(PLAIN, {"DATA.PKL": PLAIN}), "torch_odd_member"),
        (zipped({"a/data.pkl": PLAIN, "b/version": b"3"}), "torch_odd_member"),
        (zipped({"data.pkl": PLAIN}), "torch_odd_member"),
        (zipped({"archive/version": b"3"}), "torch_no_pickle"),
        (zipped({}), "torch_no_pickle"),
        (zipped({"archive/data.pkl": PLAIN * 9}, zipfile.ZIP_DEFLATED), "zip_compressed"),
        (torch_zip(PLAIN + PLAIN), "pickle_trailing_bytes"),
        (torch_zip(PLAIN + b"\0"), "pickle_trailing_bytes"),
        (torch_zip(b""), "pickle_broken"),
        (recoded(GOOD_ZIP, DATA_AT + 8, b"b"), "zip_checksum"),
        (local_stored_differently(), "zip_header_mismatch"),
        (recoded(GOOD_ZIP, 6, b"\1"), "zip_header_mismatch"),
        (recoded(recoded(GOOD_ZIP, 6, b"\1"), central(GOOD_ZIP) + 8, b"\1"), "zip_header_mismatch"),
        (recoded(GOOD_ZIP, 8, b"\x08"), "zip_header_mismatch"),
        (recoded(GOOD_ZIP, 14, b"\x01"), "zip_header_mismatch"),
        (recoded(GOOD_ZIP, central(GOOD_ZIP) + 42, b"\1"), "zip_hidden_bytes"),
        (b"PK\x03\x04" + GOOD_ZIP, "zip_damaged"),
        (GOOD_ZIP + b"x", "zip_damaged"),
        (GOOD_ZIP[:-1], "zip_damaged"),
        (GOOD_ZIP[:100], "zip_damaged"),
    ],
    ids=case_name,
)
def test_refuses_odd_containers(data: bytes, code: str) -> None:
    assert refusal(data) == code


def described(*, honest: bool = True) -> bytes:
    """A container whose members have their sizes behind them, as torch writes it."""
    data = torch_file({})
    at = data.index(b"PK\x07\x08")
    return data if honest else recoded(data, at + 4, b"\0\0")


def test_sizes_behind_a_member_must_be_true() -> None:
    assert judged(described(), "x.bin").verdict is Verdict.UNKNOWN
    assert refusal(described(honest=False)) == "zip_header_mismatch"


def test_bytes_before_the_directory_are_refused() -> None:
    at, end = central(GOOD_ZIP), GOOD_ZIP.index(b"PK\x05\x06")
    data = GOOD_ZIP[:at] + b"hidden" + recoded(GOOD_ZIP, end + 16, struct.pack("<L", at + 6))[at:]

    assert refusal(data) == "zip_damaged"


def test_the_good_container_is_good() -> None:
    source = MeteredSource(BytesSource(GOOD_ZIP), FULL)

    assert pickles.check_torch_zip(source) == pickles.PickleSummary((), 1)


def test_two_members_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", PLAIN)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("archive/data.pkl", PLAIN)

    assert refusal(buffer.getvalue()) == "zip_hidden_bytes"
