"""Decides, on the trusted side, what one box may see: folders, devices, user, environment."""

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from inference.box.limits import BoxLimits
from inference.box.protocol import SetupRequest

CODE_ROOT = Path(__file__).resolve().parent.parent.parent
"""Folder the packages of the project lie in."""
NOBODY = 65534
"""User and group without files or rights of their own."""

_SYSTEM_FOLDERS = (
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/cuda",
    "/usr/share/zoneinfo",
    "/lib",
    "/lib64",
    "/sys/devices",
    "/proc/self",
    "/proc/driver/nvidia",
)
_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/dev/urandom",
    "/dev/zero",
)
_PASSED_ON = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""Variables a graphics card may need; they carry no secrets."""


def environment(limits: BoxLimits) -> dict[str, str]:
    """Return the whole environment of a box: nothing of ours, no network, fixed threads."""
    threads = str(limits.threads)
    chosen = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_HOME": "/nonexistent",
        "USE_HUB_KERNELS": "0",
        "CUDA_CACHE_DISABLE": "1",
        "TORCHINDUCTOR_CACHE_DIR": "/proc/self",  # must be there; stays unused
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
    }
    if limits.device == "cpu":
        chosen["CUDA_VISIBLE_DEVICES"] = ""
    for name in _PASSED_ON:
        if name in os.environ:
            chosen.setdefault(name, os.environ[name])
    return chosen


def code_folders(code_root: Path = CODE_ROOT) -> list[Path]:
    """Return the folders Python needs: the interpreter, its libraries, this room's code."""
    paths = sysconfig.get_paths()
    folders = [sys.prefix, sys.base_prefix, paths["purelib"], paths["platlib"]]
    folders += [paths["stdlib"], paths["platstdlib"], str(code_root / "inference")]
    return sorted({Path(folder).resolve() for folder in folders})


def model_files(model_dir: Path) -> list[Path]:
    """Return the model's folder and, where it holds links, the files they lead to."""
    links = [path for path in model_dir.iterdir() if path.is_symlink()]
    return [model_dir.resolve(), *sorted(path.resolve() for path in links)]


def graphics_devices(limits: BoxLimits, root: Path = Path("/dev")) -> list[Path]:
    """Return the device files of graphics cards a box may use."""
    return [] if limits.device == "cpu" else sorted(root.glob("nvidia*"))


def box_user(needed: Iterable[Path]) -> int | None:
    """Return the user a box should become: nobody, if we are root and nobody can read all."""
    if os.geteuid() != 0 or not all(map(readable_by_anyone, needed)):
        return None
    return NOBODY


def readable_by_anyone(path: Path) -> bool:
    """Whether every user may reach ``path`` and read it, by its permissions alone."""
    try:
        parents_open = all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)
        mode = path.stat().st_mode
        needed = 0o005 if path.is_dir() else 0o004
        return parents_open and mode & needed == needed
    except OSError:
        return False


def setup_request(limits: BoxLimits, model_dir: Path | None) -> SetupRequest:
    """Describe the locks of a box for ``model_dir``; ``None`` is a trial without a model."""
    model = model_files(model_dir) if model_dir else []
    inside = [path for path in model_dir.iterdir() if path.is_file()] if model_dir else []
    code = code_folders()
    graphics = graphics_devices(limits)
    readable = [*code, *model, *_existing(_SYSTEM_FOLDERS), *_existing(_SYSTEM_FILES)]
    return SetupRequest(
        limits=limits,
        readable=[str(path) for path in readable],
        devices=[str(path) for path in (Path("/dev/null"), *graphics)],
        uid=box_user([Path(sys.executable), *code, *model, *inside]),
        parent_pid=os.getpid(),
    )


def _existing(paths: Iterable[str]) -> Iterator[Path]:
    return (Path(path) for path in paths if Path(path).exists())
