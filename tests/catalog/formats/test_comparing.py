"""Two safetensors files, tensor by tensor, within a bound of bytes."""

import numpy as np
import pytest
from safetensors.numpy import save

from catalog.formats.comparing import BLOCK_BYTES, Allowance, compare_files
from catalog.formats.errors import SafetensorsError
from catalog.formats.sources import BytesSource

ENOUGH = 10**9


def source(**tensors: np.ndarray) -> BytesSource:
    return BytesSource(save(tensors))


def kinds(old, new, bound: int = ENOUGH) -> dict[str, str]:
    found = compare_files(old, new, Allowance(bound))
    return {change.name: change.kind for change in found.changes}


def test_each_way_a_tensor_can_differ() -> None:
    one = np.ones((4, 4), np.float32)
    old = source(same=one, gone=one, typed=one, shaped=one, changed=one, scalar=np.array(1.0))
    new = source(
        same=one,
        added=one,
        typed=one.astype(np.float16),
        shaped=one.reshape(2, 8),
        changed=one * 2,
        scalar=np.array(1.0),
    )

    found = compare_files(old, new, Allowance(ENOUGH))

    assert kinds(old, new) == {
        "added": "added",
        "changed": "values",
        "gone": "removed",
        "shaped": "shape",
        "typed": "type",
    }
    assert (found.same, found.uncompared) == (2, 0)
    assert [change.name for change in found.changes] == sorted(kinds(old, new))


def test_a_file_that_was_not_there_or_is_no_more() -> None:
    file = source(a=np.ones(3, np.float32), b=np.ones(3, np.float32))

    assert kinds(None, file) == {"a": "added", "b": "added"}
    assert kinds(file, None) == {"a": "removed", "b": "removed"}


def test_the_last_number_counts() -> None:
    size = BLOCK_BYTES // 4 + 1
    old, new = np.zeros(size, np.float32), np.zeros(size, np.float32)
    new[-1] = 1

    assert kinds(source(w=old), source(w=new)) == {"w": "values"}
    assert kinds(source(w=old), source(w=old)) == {}


def test_where_the_bound_ends_it_says_so() -> None:
    small, large = np.ones(8, np.float32), np.ones(4096, np.float32)
    file = source(small=small, large=large)
    allowance = Allowance(2 * small.nbytes)

    found = compare_files(file, file, allowance)

    assert (found.same, found.uncompared) == (1, 1)
    assert [(change.name, change.kind) for change in found.changes] == [("large", "uncompared")]
    assert allowance.left_bytes == 0


def test_files_that_lie_are_refused() -> None:
    good = source(w=np.ones(3, np.float32))

    with pytest.raises(SafetensorsError):
        compare_files(good, BytesSource(b"no header at all"), Allowance(ENOUGH))
