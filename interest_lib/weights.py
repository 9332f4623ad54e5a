"""Networks in files that run no code when they are read: tensors by safetensors, settings as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from interest_lib.schema import InputError

_SETTINGS = "settings"
Network = TypeVar("Network", bound=nn.Module)


def save_network(path: Path, network: nn.Module, settings: Mapping[str, Any]) -> None:
    """Write a network's weights, with the settings that make another one of the same form.

    Parameters
    ----------
    path : pathlib.Path
        One file, by habit ending in ``.safetensors``; the settings stand in its header as JSON.
    network : torch.nn.Module
    settings : mapping
        Arguments of the network's class: numbers, texts, lists, and mappings of them.

    Raises
    ------
    TypeError
        When the settings cannot be written as JSON.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "line.safetensors"
    >>> line = nn.Linear(2, 1)
    >>> save_network(path, line, {"in_features": 2, "out_features": 1})
    >>> bool((load_network(path, nn.Linear).weight == line.weight).all())
    True
    """
    tensors = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, path, metadata={_SETTINGS: json.dumps(settings, sort_keys=True)})


def load_network(path: Path, make: Callable[..., Network]) -> Network:
    """The network that `save_network` has written, ready to foretell.

    Parameters
    ----------
    path : pathlib.Path
    make : callable
        Makes a network from the settings, which are given by name; usually its class.

    Raises
    ------
    InputError
        When the file is missing, is no such file, or holds a network of another form.
    """
    try:
        with safe_open(path, framework="pt") as file:
            settings = json.loads((file.metadata() or {})[_SETTINGS])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        network = make(**settings)
        network.load_state_dict(tensors)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: save the network first, by save_network.") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} does not hold such a network ({error}): save it anew.") from error
    return network.eval()
