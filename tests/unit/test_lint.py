"""`make lint` finds what runs code out of data, and secrets; what its tools have no rule for is looked for here."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import ROOT

BIN = Path(sys.executable).parent
RECIPES = (ROOT / "Makefile").read_text()
# A line each, after the imports that it needs.
UNSAFE = {
    "torch.load(file)": "import torch",
    "torch.load(file, weights_only=False)": "import torch",
    "load(file)": "from torch import load",
    "torch.jit.load(file)": "import torch",
    "torch.export.load(file)": "import torch",
    "torch.package.PackageImporter(file)": "import torch",
    "torch.hub.load(file, 'model')": "import torch",
    "PackageImporter(file)": "from torch.package import PackageImporter",
    "yaml.load(file)": "import yaml",
    "yaml.load(file, Loader=yaml.UnsafeLoader)": "import yaml",
    "yaml.unsafe_load(file)": "import yaml",
    "unsafe_load(file)": "from yaml import unsafe_load",
    "YAML(typ='unsafe')": "from ruamel.yaml import YAML",
    "YAML(typ=kind)": "from ruamel.yaml import YAML",
    "np.load(file, allow_pickle=True)": "import numpy as np",
    "np.load(file, allow_pickle=allowed)": "import numpy as np",
    "np.load(file, None, True)": "import numpy as np",
    "np.lib.format.read_array(file, allow_pickle=True)": "import numpy as np",
    "joblib.load(file)": "import joblib",
    "cloudpickle.loads(data)": "import cloudpickle",
    "ray.cloudpickle.loads(data)": "import ray.cloudpickle",
    "cp.loads(data)": "from ray import cloudpickle as cp",
    "pickle.loads(data)": "import pickle",
    "pickle.Unpickler(file)": "import pickle",
    "marshal.loads(data)": "import marshal",
    "shelve.open(name)": "import shelve",
    "dill.loads(data)": "import dill",
    "pandas.read_pickle(file)": "import pandas",
    "eval(text)": "",
    "exec(text)": "",
}
SAFE = {
    "torch.load(file, weights_only=True)": "import torch",
    "torch.export.save(program, file)": "import torch",
    "YAML()": "from ruamel.yaml import YAML",
    "YAML(typ='safe', pure=True)": "from ruamel.yaml import YAML",
    "np.load(file)": "import numpy as np",
    "np.load(file, allow_pickle=False)": "import numpy as np",
}


def calls_with_unsafe_arguments(source: str) -> Iterator[int]:
    """The lines of them, where the function itself is none to refuse."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        function = ast.unparse(call.func)
        pickles = given.get("allow_pickle", ast.Constant(False))
        if re.fullmatch(r"(np|numpy)\.load", function) and len(call.args) > 2:
            pickles = call.args[2]
        kind = given.get("typ", ast.Constant("safe")) if function.endswith("YAML") else ast.Constant("safe")
        if ast.unparse(pickles) != "False" or ast.unparse(kind) not in ("'safe'", "'rt'"):
            yield call.lineno


def lines_found(file: Path) -> set[int]:
    """Those of a file in study/ that the project's own rules find something unsafe in."""
    ruff = [BIN / "ruff", "check", "--output-format=concise", "--stdin-filename=study/seeded.py", "-"]
    flags = re.findall(r"\$\(BIN\)/bandit (.*?) study hpgan_core benchmarks", RECIPES)[0].split()
    bandit = [BIN / "bandit", *flags, "--format=custom", "--msg-template={relpath}:{line}:1: {test_id}", file]
    found = set(calls_with_unsafe_arguments(file.read_text()))
    for command in (ruff, bandit):
        with file.open() as source:
            done = subprocess.run(command, cwd=ROOT, stdin=source, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        found |= {int(line) for line in re.findall(r"^\S+?:(\d+):\d+: (?:S\d|TID251|B\d)", done.stdout, re.MULTILINE)}
    return found


def test_what_runs_code_out_of_data_is_refused(tmp_path: Path) -> None:
    for calls in (UNSAFE, SAFE):
        lines = [
            line for call, needed in calls.items() for line in (f"def f():\n    {needed or 'pass'}", f"    {call}")
        ]
        seeded = tmp_path / "seeded.py"
        seeded.write_text("\n".join(lines) + "\n")
        found = lines_found(seeded)
        # The import may be what is refused.
        refused = {call for number, call in enumerate(calls) if found & {3 * number + 2, 3 * number + 3}}
        assert refused == (set(UNSAFE) if calls is UNSAFE else set())


def test_no_call_of_ours_has_an_unsafe_argument() -> None:
    files = [file for folder in ("study", "hpgan_core", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [file for file in files if list(calls_with_unsafe_arguments(file.read_text()))] == []


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("notes.txt", "nothing\n", None),
        ("digest.txt", f"sha256 {'0123456789abcdef' * 4} of a file\n", None),
        ("secrets/token", "short", "git must not track these"),
        ("deploy/secrets/token", "short", "git must not track these"),
        ("notes.txt", "0123456789abcdef" * 4, "look like made by `make secrets`"),
        (".env", f"A=1\nTOKEN={'0123456789abcdef' * 4}\n", "look like made by `make secrets`"),
        ("settings.py", 'password = "correct-horse"\n', "Secret Keyword"),  # pragma: allowlist secret
        (None, "", "not a git repository"),
    ],
)
def test_a_tracked_secret_is_found(tmp_path: Path, file: str | None, content: str, says: str | None) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    if file is not None:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
        subprocess.run("git init -q && git add --all", cwd=tmp_path, shell=True, check=True)
    make = ["make", "-o", "install", f"BIN={BIN}", "no-secrets"]
    done = subprocess.run(make, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode == 0) == (says is None), done.stdout + done.stderr
    assert (says or "") in done.stdout + done.stderr


def test_lint_looks_for_secrets() -> None:
    assert re.search(r"^lint: .*\bno-secrets\b", RECIPES, re.MULTILINE)
