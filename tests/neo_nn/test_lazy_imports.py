from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "cupy", "jax", "scipy", "safetensors", "ml_dtypes")


def run(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_loads_no_vendor_library() -> None:
    run(f"import sys, neo_nn\nloaded = sorted(set({HEAVY!r}) & set(sys.modules))\nassert not loaded, loaded")


def test_training_and_saving_on_numpy_loads_no_torch() -> None:
    run(
        "import os, sys, tempfile, neo_array as na, neo_nn as nn\n"
        "model = nn.MLP.init(na.random.key(0), (3, 4, 2))\n"
        "nn.losses.cross_entropy(model(na.ones((2, 3))), na.asarray([0, 1]))\n"
        "path = os.path.join(tempfile.mkdtemp(), 'm')\n"
        "nn.save(path, model); nn.load(path, like=model)\n"
        "assert 'torch' not in sys.modules"
    )
