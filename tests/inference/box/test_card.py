"""Where a model goes on a machine with a graphics card, which only pretends here."""

from typing import Any

import pytest
import torch

from inference.box.card import device_for
from inference.box.limits import GIB


@pytest.mark.parametrize(
    ("free_bytes", "weights_bytes", "device"),
    [
        (16 * GIB, 13 * GIB, "cuda"),
        (16 * GIB, 15 * GIB, "cpu"),  # no room for keys and values
        (2 * GIB, 13 * GIB, "cpu"),  # others have the card
    ],
)
def test_a_model_goes_where_it_has_room(
    monkeypatch: pytest.MonkeyPatch, free_bytes: int, weights_bytes: int, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free_bytes, 16 * GIB))

    assert device_for(weights_bytes).type == device


def test_without_a_card_it_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> Any:
        raise AssertionError("there is no card to ask")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "mem_get_info", asked)

    assert device_for(1).type == "cpu"
