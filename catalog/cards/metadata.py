"""What a card claims, in the hub's vocabulary. Wrong types become warnings, never exceptions."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from catalog.cards.licenses import Rights, rights_for
from catalog.cards.tasks import TASKS

MAX_ITEMS = 100
MAX_CHARS = 200
RELATIONS = ("finetune", "adapter", "merge", "quantized")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model this one was made from."""

    name: str
    relation: str
    """One of ``RELATIONS``."""


@dataclass(frozen=True, slots=True)
class CardMetadata:
    """The claims of one card."""

    licenses: tuple[str, ...] = ()
    license_name: str = ""
    license_link: str = ""
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    pipeline_tag: str = ""
    library_name: str = ""
    datasets: tuple[str, ...] = ()
    base_models: tuple[BaseModel, ...] = ()
    model_index: list[Any] | None = None
    warnings: tuple[str, ...] = field(default=())
    """What is wrong, in sentences for the owner."""

    @property
    def rights(self) -> Rights:
        """What the licenses allow, by our table."""
        return rights_for(self.licenses)


def read_metadata(data: dict[str, Any], *, formats: Iterable[str] = ()) -> CardMetadata:
    """Read the claims in a card's front matter.

    Args:
        data: The front matter.
        formats: Weight formats of the repository; they help to tell a quantization.
    """
    warnings: list[str] = []
    task = _one(data, "pipeline_tag", warnings)
    if task and task not in TASKS:
        warnings.append(f"pipeline_tag '{task}' is no task the hub knows.")
    return CardMetadata(
        licenses=tuple(text.lower() for text in _many(data, "license", warnings)),
        license_name=_one(data, "license_name", warnings),
        license_link=_one(data, "license_link", warnings),
        languages=tuple(text.lower() for text in _languages(data, warnings)),
        tags=_many(data, "tags", warnings),
        pipeline_tag=task,
        library_name=_one(data, "library_name", warnings).lower(),
        datasets=_many(data, "datasets", warnings),
        base_models=_bases(data, set(formats), warnings),
        model_index=_model_index(data, warnings),
        warnings=tuple(warnings),
    )


def tags_for(metadata: CardMetadata, formats: Iterable[str]) -> list[str]:
    """Return the hub's ``tags`` of a model: given ones first, then those derived from fields."""
    tags = [metadata.library_name, *formats, *metadata.tags, metadata.pipeline_tag]
    tags += metadata.languages
    tags += [f"dataset:{name}" for name in metadata.datasets]
    for base in metadata.base_models:
        tags += [f"base_model:{base.name}", f"base_model:{base.relation}:{base.name}"]
    tags += [f"license:{name}" for name in metadata.licenses]
    return [tag[:MAX_CHARS] for tag in dict.fromkeys(tags) if tag]


def _one(data: dict[str, Any], key: str, warnings: list[str]) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        warnings.append(f"'{key}' must be a text.")
        return ""
    return value.strip()[:MAX_CHARS]


def _many(data: dict[str, Any], key: str, warnings: list[str]) -> tuple[str, ...]:
    value = data.get(key)
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    texts = [item.strip()[:MAX_CHARS] for item in items if isinstance(item, str) and item.strip()]
    if len(texts) < len(items):
        warnings.append(f"'{key}' must be a text or a list of texts.")
    return tuple(dict.fromkeys(texts))[:MAX_ITEMS]


def _languages(data: dict[str, Any], warnings: list[str]) -> tuple[str, ...]:
    """YAML 1.1 reads ``no`` (Norwegian) as false; put it right."""
    value = data.get("language")
    items = value if isinstance(value, list) else [value]
    fixed = ["no" if item is False else item for item in items if item is not None]
    return _many({"language": fixed} if fixed else {}, "language", warnings)


def _bases(data: dict[str, Any], formats: set[str], warnings: list[str]) -> tuple[BaseModel, ...]:
    names = _many(data, "base_model", warnings)
    relation = _one(data, "base_model_relation", warnings).lower()
    if relation and relation not in RELATIONS:
        warnings.append(f"base_model_relation is one of {', '.join(RELATIONS)}.")
        relation = ""
    if not relation:
        tags = {tag.lower() for tag in _many(data, "tags", [])}
        relation = _guess(names, tags | {_one(data, "library_name", []).lower()}, formats)
    return tuple(BaseModel(name, relation) for name in names)


def _guess(names: tuple[str, ...], words: set[str], formats: set[str]) -> str:
    """Tell the relation as the hub documents it."""
    if words & {"peft", "lora", "adapter", "adapter-transformers"}:
        return "adapter"
    if len(names) > 1 or words & {"merge", "mergekit"}:
        return "merge"
    if formats == {"gguf"} or words & {"gguf", "gptq", "awq", "quantized", "mlx"}:
        return "quantized"
    return "finetune"


def _model_index(data: dict[str, Any], warnings: list[str]) -> list[Any] | None:
    value = data.get("model-index")
    if value is None:
        return None
    if not isinstance(value, list):
        warnings.append("'model-index' must be a list; it is left out.")
        return None
    return value
