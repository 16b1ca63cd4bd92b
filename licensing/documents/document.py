"""What a license says, as data and as canonical bytes. ``docs/license-files.md`` has every field.

Times are whole seconds since 1970, UTC, as in JSON Web Tokens (RFC 7519).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from licensing.documents.errors import MalformedLicenseError, WrongPurposeError
from licensing.documents.strict import Fields, canonical, read_canonical

VERSION = 1
PURPOSE = "gpt-store/license"
AUDIENCE = "gpt-store"
MAX_FILE_BYTES = 8 * 1024**2
"""Longest license file, in bytes."""
MAX_DOCUMENT_BYTES = MAX_FILE_BYTES // 4 * 3 - 4096
"""Longest document, in bytes: base64 makes it a third longer, and header and signature join it."""
MAX_FILES = 20_000
"""Files of all models of one license together."""
MAX_MODELS = 100
MAX_RIGHTS = 100
MAX_PATH_BYTES = 1000
MAX_SEATS = 10**9
"""Most seats, and how a license without a limit of seats is written."""
MAX_LIFE_S = 400 * 86_400
"""Longest life of one file, in seconds: a year, and time to fetch the next."""
FILE_LIFE_S = 31 * 86_400
"""Usual life of one file, in seconds. A license that was taken back is still believed offline for
so long (a file checked out for a machine: ``issuing.MAX_HOURS``), and a holder has to fetch a new
file so often."""
UPDATES = ("all", "major", "revision")
_KINDS_OF_LICENSEE = ("person", "organization")
_KINDS_OF_SEAT = ("people", "machines")


@dataclass(frozen=True, slots=True)
class Licensee:
    """Who may use the models.

    Args:
        name: As the store shows it.
        kind: ``person`` or ``organization``.
        id: The store's id of them.
    """

    name: str
    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Seats:
    """How many may use the models at once.

    Args:
        count: From 1; ``MAX_SEATS``: no limit.
        kind: ``people`` or ``machines``.
    """

    count: int
    kind: str


@dataclass(frozen=True, slots=True)
class Terms:
    """The text both sides agreed to.

    Args:
        sha256: Of the text as UTF-8, in hex.
        title: Its name.
        url: Where it can be read.
    """

    sha256: str
    title: str
    url: str


@dataclass(frozen=True, slots=True, order=True)
class CoveredFile:
    """One licensed file, by its path in the repository."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CoveredModel:
    """One licensed model at one revision. An update that is covered makes another of these.

    Args:
        id: The store's id, which no rename changes.
        name: ``ns/name`` when the license was written.
        revision: The commit, 40 hex digits.
        line: The line of revisions the license follows (a branch, or a major version).
        files: What it covers, in the order of their paths.
    """

    id: str
    name: str
    revision: str
    line: str
    files: tuple[CoveredFile, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """The one machine a checked-out file is for.

    Args:
        fingerprint: What ``gpt-store machine`` prints there.
        name: As its owner calls it.
    """

    fingerprint: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseDocument:
    """A license as it is signed.

    Args:
        store: The store's address (``iss``).
        license_id: The license's public id (``jti``).
        issued_at: When the file was written (``iat``).
        valid_from: When it begins to count (``nbf``).
        file_expires_at: When the file stops proving anything (``exp``).
        license_expires_at: When the license itself ends; ``None``: never.
        licensee: Who holds it.
        seats: For how many.
        rights: What it allows, by name.
        terms: The text agreed to.
        offer: Title of what was bought.
        updates: Which later revisions it covers: ``all``, ``major`` or ``revision`` (none).
        is_test: Paid through the sandbox: worth nothing, and said loudly.
        models: What is licensed.
        machine: Set in files that were checked out for one machine.
    """

    store: str
    license_id: str
    issued_at: int
    valid_from: int
    file_expires_at: int
    license_expires_at: int | None
    licensee: Licensee
    seats: Seats
    rights: Mapping[str, str | int | bool]
    terms: Terms
    offer: str
    updates: str
    is_test: bool
    models: tuple[CoveredModel, ...]
    machine: Machine | None = None


def expiry_of_file(issued_at: int, license_expires_at: int | None) -> int:
    """Return when a file of ``issued_at`` should expire: in a month, or with its license."""
    usual = issued_at + FILE_LIFE_S
    return usual if license_expires_at is None else min(usual, license_expires_at)


def write_document(document: LicenseDocument) -> bytes:
    """Return the canonical bytes of a license.

    Raises:
        MalformedLicenseError: the reader would refuse them; nothing unreadable is ever signed.
    """
    data = canonical(_payload(document))
    read_document(data)
    return data


def read_document(data: bytes) -> LicenseDocument:
    """Return the license in ``data``.

    Raises:
        WrongPurposeError: the store signed it for something else.
        MalformedLicenseError: larger than allowed, or a member is missing, unknown or senseless.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise MalformedLicenseError("The license is larger than any store writes.")
    value = read_canonical(data)
    if not isinstance(value, dict) or value.get("purpose") != PURPOSE:
        raise WrongPurposeError("This was signed for something else. It is no license.")
    if value.get("v") != VERSION or value.get("aud") != AUDIENCE:
        raise WrongPurposeError(
            "This license is of a version that this program does not know. Install a newer one."
        )
    document = _document(value)
    _check_times(document)
    return document


def _payload(document: LicenseDocument) -> dict[str, Any]:
    machine = document.machine
    return {
        "v": VERSION,
        "purpose": PURPOSE,
        "aud": AUDIENCE,
        "iss": document.store,
        "jti": document.license_id,
        "iat": document.issued_at,
        "nbf": document.valid_from,
        "exp": document.file_expires_at,
        "license_expires_at": document.license_expires_at,
        "licensee": _members(document.licensee),
        "seats": _members(document.seats),
        "rights": dict(document.rights),
        "terms": _members(document.terms),
        "offer": document.offer,
        "updates": document.updates,
        "test": document.is_test,
        "models": [
            _members(model) | {"files": [_members(file) for file in sorted(model.files)]}
            for model in document.models
        ],
        "machine": None if machine is None else _members(machine),
    }


def _members(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


_NAMES = {
    *("v", "purpose", "aud", "iss", "jti", "iat", "nbf", "exp", "license_expires_at", "licensee"),
    *("seats", "rights", "terms", "offer", "updates", "test", "models", "machine"),
}


def _document(value: dict[str, Any]) -> LicenseDocument:
    top = Fields(value, "license", _NAMES)
    top.integer("v")  # to JSON's readers in Python, true equals 1
    licensee = Fields(value["licensee"], "licensee", {"name", "kind", "id"})
    seats = Fields(value["seats"], "seats", {"count", "kind"})
    terms = Fields(value["terms"], "terms", {"sha256", "title", "url"})
    models = tuple(_model(item) for item in top.items("models", least=1, most=MAX_MODELS))
    if sum(len(model.files) for model in models) > MAX_FILES:
        raise MalformedLicenseError(f"A license covers at most {MAX_FILES} files.")
    if len({(model.id, model.revision) for model in models}) < len(models):
        raise MalformedLicenseError("A revision of a model is licensed twice in one file.")
    return LicenseDocument(
        store=top.text("iss"),
        license_id=top.text("jti", most_chars=64),
        issued_at=top.integer("iat"),
        valid_from=top.integer("nbf"),
        file_expires_at=top.integer("exp"),
        license_expires_at=top.integer_or_none("license_expires_at"),
        licensee=Licensee(
            name=licensee.text("name"),
            kind=licensee.choice("kind", _KINDS_OF_LICENSEE),
            id=licensee.text("id", most_chars=64),
        ),
        seats=Seats(
            count=seats.integer("count", least=1, most=MAX_SEATS),
            kind=seats.choice("kind", _KINDS_OF_SEAT),
        ),
        rights=top.words("rights", most=MAX_RIGHTS),
        terms=Terms(
            sha256=terms.hex("sha256", chars=64),
            title=terms.text("title"),
            url=terms.text("url", most_chars=2000, may_be_empty=True),
        ),
        offer=top.text("offer"),
        updates=top.choice("updates", UPDATES),
        is_test=top.boolean("test"),
        models=models,
        machine=_machine(value["machine"]),
    )


def _machine(value: Any) -> Machine | None:
    if value is None:
        return None
    fields = Fields(value, "machine", {"fingerprint", "name"})
    return Machine(fields.text("fingerprint"), fields.text("name", may_be_empty=True))


def _model(value: Any) -> CoveredModel:
    fields = Fields(value, "model", {"id", "name", "revision", "line", "files"})
    files = tuple(_file(item) for item in fields.items("files", least=1, most=MAX_FILES))
    paths = [file.path for file in files]
    if any(here >= after for here, after in pairwise(paths)):
        raise MalformedLicenseError("The licensed files are out of order, or one is named twice.")
    return CoveredModel(
        id=fields.text("id", most_chars=64),
        name=fields.text("name"),
        revision=fields.hex("revision", chars=40),
        line=fields.text("line"),
        files=files,
    )


def _file(value: Any) -> CoveredFile:
    fields = Fields(value, "file", {"path", "sha256", "size_bytes"})
    path = fields.text("path", most_chars=MAX_PATH_BYTES)
    is_plain = not path.startswith(("/", "\\")) and not {"", ".", ".."} & set(path.split("/"))
    if not is_plain or len(path.encode()) > MAX_PATH_BYTES:
        raise MalformedLicenseError("A licensed file has a path that leads out of its folder.")
    return CoveredFile(path, fields.hex("sha256", chars=64), fields.integer("size_bytes"))


def _check_times(document: LicenseDocument) -> None:
    ends_s = document.license_expires_at
    if not document.issued_at < document.file_expires_at <= document.issued_at + MAX_LIFE_S:
        raise MalformedLicenseError("The file expires before it was written, or lives too long.")
    if ends_s is not None and document.file_expires_at > ends_s:
        raise MalformedLicenseError("The file outlives its license.")
    if document.valid_from >= document.file_expires_at:
        raise MalformedLicenseError("The file expires before it begins to count.")
