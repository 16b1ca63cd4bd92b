"""Which of several GGUF files of a model runs, as people name it: ``ns/name:Q4_K_M``."""

import re

from django.utils.translation import gettext as _

from catalog.models import ModelRepo
from inference.services.weights import gguf_files
from store.core.errors import NotFoundError


class WeightsNotFoundError(NotFoundError):
    """The revision has no such GGUF file; ``extra["files"]`` are those it has."""

    code = "weights_not_found"


def tags_of(files: dict[str, str]) -> dict[str, str]:
    """Return what each file is called after the colon, by path.

    That is what its weights are packed in, if those of no other are, else its name.
    """
    packed = list(files.values())
    return {
        path: kind if kind and packed.count(kind) == 1 else path for path, kind in files.items()
    }


def file_named(repo: ModelRepo, commit_oid: str, tag: str) -> str:
    """Return the path of the file somebody named.

    Args:
        repo: The model.
        commit_oid: Full commit id.
        tag: As of ``tags_of``, or a file's whole name, or what its name ends with; letters' case
            does not matter. Empty: whatever a loader takes.

    Raises:
        WeightsNotFoundError: there is none, or there are several.
    """
    if not tag:
        return ""
    files = gguf_files(repo, commit_oid)
    tags = tags_of(files)
    end = re.compile(rf"(?:^|[-_.]){re.escape(tag)}(?:\.gguf)?$", re.IGNORECASE)
    named = [path for path in files if tag.lower() in {path.lower(), tags[path].lower()}]
    found = named or [path for path in files if end.search(path)]
    if len(found) != 1:
        raise WeightsNotFoundError(
            _("%(model)s has no GGUF file to choose that is called %(tag)s. It has: %(files)s.")
            % {
                "model": repo.full_name,
                "tag": tag[:100],
                "files": ", ".join(tags.values()) or _("none"),
            },
            files=sorted(files),
        )
    return found[0]
