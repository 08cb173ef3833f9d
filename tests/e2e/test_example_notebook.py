"""The example notebook runs from top to bottom on a real study and shows what it says."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.e2e.conftest import Launched

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "compare.ipynb"


# Jupyter's own sockets, closed by its own threads when it pleases.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_example_notebook_runs(launched: Launched, tmp_path: Path) -> None:
    shutil.copytree(launched.study, tmp_path / "studies" / "quick")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/png") == 4
    assert kinds.count("image/gif") == 1
    assert "gt replaces both" in str(outputs)
