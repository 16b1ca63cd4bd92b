"""Components of the catalog's pages."""

from typing import Any, TypedDict
from urllib.parse import quote

from django import template

register = template.Library()


@register.filter
def segment(revision: str) -> str:
    """Encode a revision as one path segment."""
    return quote(revision, safe="")


@register.filter
def then_line(text: str, following: str) -> str:
    """Join two lines of a command."""
    return f"{text}\n{following}"


class Snippet(TypedDict):
    """One way to use a model."""

    title: Any
    code: str


class Usage(TypedDict):
    """All ways to use a model."""

    snippets: list[Snippet]


@register.inclusion_tag("catalog/_use.html", takes_context=True)
def use_this_model(context: dict[str, Any], repo: Any, listing: Any) -> Usage:
    """Show how to load, download and clone a model, ready to copy."""
    origin, name = context["origin"], repo.full_name
    export = f"export HF_ENDPOINT={origin}"
    if repo.is_private:
        export += " HF_TOKEN=hf_…"
    first = _first_file(listing)
    snippets: list[Snippet] = []
    if listing.is_runnable or listing.architecture:
        snippets.append({"title": "transformers", "code": _transformers(export, name, listing)})
    snippets += [
        {"title": "hf", "code": f"{export}\nhf download {name} --local-dir {repo.name}"},
        {
            "title": "huggingface_hub",
            "code": (
                "from huggingface_hub import snapshot_download\n\n"
                f'snapshot_download("{name}", endpoint="{origin}")'
            ),
        },
        {"title": "curl", "code": f"curl -L -C - -O {origin}/{name}/resolve/main/{first}"},
    ]
    return {"snippets": snippets}


def _first_file(listing: Any) -> str:
    """Return a file worth fetching: the weights when there are some."""
    if "safetensors" in listing.formats:
        return "model.safetensors"
    return "README.md"


def _transformers(export: str, name: str, listing: Any) -> str:
    auto = "AutoModelForCausalLM" if listing.is_runnable else "AutoModel"
    extra = ', gguf_file="…"' if listing.formats == ["gguf"] else ""
    return (
        f"# {export}\n"
        f"from transformers import AutoTokenizer, {auto}\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("{name}"{extra})\n'
        f'model = {auto}.from_pretrained("{name}"{extra})'
    )
