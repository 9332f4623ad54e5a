"""How a kernel is started: in this interpreter, without the user's own set-up."""

import os
import subprocess
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from interest_lib.layout import ONE_THREAD
from interest_lib.project import Project


def kernel_environment(project: Project) -> dict[str, str]:
    """Environment variables of a kernel: those of this process, but one thread within a sum.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> from pathlib import Path
    >>> root = Path(mkdtemp())
    >>> _ = (root / "study.yml").write_text("{default_dataset: made_up, notebooks: {}, profiles: {}}")
    >>> kernel_environment(Project(root))["PYTHONHASHSEED"]
    '0'
    """
    path = [str(project.library.parent), os.environ.get("PYTHONPATH")]
    return {
        **os.environ,
        **dict.fromkeys(ONE_THREAD, "1"),
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYTHONDIR": str(project.root / "artifacts" / ".ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }


def kernel_manager(project: Project) -> type[AsyncKernelManager]:
    """A kernel manager for notebooks of the project, whatever kernels are installed on this machine."""

    class CurrentInterpreter(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
            # what the process itself prints, past the notebook, would mix with the lines of the runner
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            await super().start_kernel(**options, **quiet, env=kernel_environment(project))

    return CurrentInterpreter
