"""``python -m scripts.demo_models``: train the demo catalogue again, or one stage of it."""

import argparse
import os
import sys
from pathlib import Path

import torch

from scripts.demo_models import stages
from scripts.demo_models.corpus import MissingTextsError

ROOT = Path(__file__).resolve().parent.parent.parent
STAGES = {
    "base": stages.base,
    "tuned": stages.tuned,
    "quantized": stages.quantized,
    "cards": stages.cards,
}


def main(argv: list[str] | None = None) -> int:
    """Run the chosen stages in order; return an exit status."""
    parser = argparse.ArgumentParser(prog="demo_models", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of: {', '.join(STAGES)}")
    parser.add_argument("--austen", default=os.environ.get("AUSTEN_DIR", "texts/austen"))
    parser.add_argument("--kjv", default=os.environ.get("KJV_FILE", "texts/kjv.txt"))
    parser.add_argument("--out", default=ROOT / "demo" / "models", type=Path)
    parser.add_argument("--work", default=ROOT / "build" / "demo_models", type=Path)
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.stages) - set(STAGES):
        parser.error(f"no stage {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    torch.set_num_threads(1)  # two threads are slower as soon as anything else runs
    places = stages.Places(
        austen=Path(chosen.austen), kjv=Path(chosen.kjv), out=chosen.out, work=chosen.work
    )
    for name in chosen.stages or STAGES:
        print(f"── {name}", flush=True)
        try:
            STAGES[name](places)
        except MissingTextsError as exc:
            print(exc, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
