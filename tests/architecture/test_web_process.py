"""The web process starts without the machine-learning libraries."""

import subprocess
import sys


def test_the_web_process_never_imports_torch() -> None:
    code = (
        "import sys, store.wsgi\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'gguf'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
