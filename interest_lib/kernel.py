"""How a kernel is started: in this interpreter, without the user's own set-up."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
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


class Kernels:
    """The kernels that notebooks of the project run in, whatever kernels are installed on this machine.

    Parameters
    ----------
    project : Project

    Attributes
    ----------
    stopped : bool
        Whether `stop` was called: a notebook that breaks then did not break by itself.
    """

    def __init__(self, project: Project) -> None:
        self.stopped = False
        self._project = project
        self._started: list[AsyncKernelManager] = []

    def manager(self, folder: Path) -> type[AsyncKernelManager]:
        """A kernel manager, as papermill and nbclient ask for one; its kernel works in the folder."""
        environment, kernels, started = kernel_environment(self._project), self, self._started

        class CurrentInterpreter(AsyncKernelManager):
            @property
            def kernel_spec(self) -> KernelSpec:
                return KernelSpec(**get_kernel_dict())

            async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
                # what the process itself prints, past the notebook, would mix with the lines of the runner
                quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                kernels.go_on()
                started.append(self)
                await super().start_kernel(**{**options, **quiet, "env": environment, "cwd": str(folder)})

        return CurrentInterpreter

    def go_on(self) -> None:
        """Refuse to start a kernel or a cell after `stop`: an interrupt between two cells reaches nobody.

        Raises
        ------
        RuntimeError
            `stop` was called.
        """
        if self.stopped:
            raise RuntimeError("interrupted")

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Interrupt what runs in the kernels and in their processes, or kill it.

        Parameters
        ----------
        number : signal.Signals
            What is sent to every process.
        """
        self.stopped = True
        for kernel in self._started:
            group = getattr(kernel.provisioner, "pgid", None)
            if kernel.has_kernel and group:
                with suppress(ProcessLookupError):
                    os.killpg(group, number)
