"""What operators may name as the source of an import."""

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from catalog.models import ModelRepo
from tests.receivers import Receiver


@pytest.mark.parametrize(
    "endpoint",
    [
        "file:///etc",
        "unix:///run/hub.sock",
        "reference://a",
        "ftp://127.0.0.1/",
        "/etc",
        "../etc",
        "",
    ],
)
def test_only_hubs_are_imported_from(staff: User, endpoint: str) -> None:
    with pytest.raises(CommandError, match="http or https"):
        call_command("import_model", "a/b", endpoint=endpoint)

    assert not ModelRepo.objects.exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/b/c", "a/..", "file:a"])
def test_only_ids_of_models_are_imported(staff: User, name: str) -> None:
    with Receiver() as hub:
        with pytest.raises(CommandError):
            call_command("import_model", name, endpoint=f"http://127.0.0.1:{hub.port}")

    assert hub.connections == 0
    assert not ModelRepo.objects.exists()
