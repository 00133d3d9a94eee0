"""What is not a number is never right, and a feature that is not finite stops the stage; ties of equal tokens are exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoded import TINY, MakeEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from degla.errors import ModelError
from degla.evaluate import EvaluateConfig, linear_probe, protocols, run
from degla.evaluate.benchmark import BenchmarkImage, ChoiceItem, ChoiceSet, RetrievalSet
from degla.evaluate.config import EvaluatedModel
from degla.evaluate.features.contents import image_keys, text_keys
from degla.evaluate.features.store import StoredFeatures
from degla.evaluate.items import score_set
from degla.models import ModelRef
from degla.models.loading import load

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")

NUMBERS = st.one_of(st.floats(-1, 1, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0]))


def features(rows: int, width: int = 2) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (rows, width), elements=NUMBERS)


def broken(*found: np.ndarray) -> bool:
    return not all(np.isfinite(each).all() for each in found)


@given(features(1), features(3))
def test_no_choice_of_what_is_not_finite_is_right(image: np.ndarray, candidates: np.ndarray) -> None:
    margin = protocols.choice_margin(image[0], candidates)
    for ties_are_right in (True, False):
        assert not (broken(image, candidates) and protocols.choice_is_right(margin, ties_are_right))


@given(features(1), features(3))
def test_no_paraphrase_of_what_is_not_finite_is_right(image: np.ndarray, triple: np.ndarray) -> None:
    assert not (broken(image, triple) and protocols.image_to_text_margin(image[0], triple) > 0)
    assert not (broken(triple) and protocols.text_to_text_margin(triple) > 0)


@given(features(2), features(2))
def test_no_match_of_what_is_not_finite_is_right(images: np.ndarray, texts: np.ndarray) -> None:
    margins = protocols.match_margins(images, texts)
    assert not (broken(images, texts) and any(margin > 0 for margin in margins.values()))


@given(features(4), arrays(np.int64, 4, elements=st.integers(0, 2)), st.lists(features(2), min_size=3, max_size=3))
def test_no_class_of_what_is_not_finite_is_right(images: np.ndarray, labels: np.ndarray, prompts: list[np.ndarray]) -> None:
    with np.errstate(all="ignore"):
        classes = np.stack([protocols.class_embedding(each) for each in prompts])
    predicted, _ = protocols.classify(images, classes, labels)
    for image, label, found in zip(images, labels, predicted, strict=True):
        assert not (broken(image, *prompts) and found == label)


@given(features(3), features(6), st.permutations([0, 0, 1, 1, 2, 2]), arrays(np.int64, 6, elements=st.integers(0, 5)))
def test_nothing_that_is_not_finite_is_retrieved(
    images: np.ndarray, texts: np.ndarray, owner: list[int], text: np.ndarray
) -> None:
    own, text = np.array(owner), np.unique(text, return_inverse=True)[1]
    for image, rank in zip(images, protocols.text_retrieval_ranks(images, texts, own, text), strict=True):
        assert not (broken(image) and rank <= 10)
    first = np.unique(text, return_index=True)[1][text]
    for query, rank in zip(texts[first], protocols.image_retrieval_ranks(images, texts, own, text), strict=True):
        assert not (broken(query) and rank <= 10)


@given(features(3), features(3), st.integers(0, 2))
def test_an_answer_that_is_not_finite_is_not_retrieved(images: np.ndarray, texts: np.ndarray, place: int) -> None:
    own = np.arange(3)
    broken_texts, broken_images = texts.copy(), images.copy()
    broken_texts[place], broken_images[place] = np.nan, np.inf
    assert protocols.text_retrieval_ranks(images, broken_texts, own)[place] > 10
    assert protocols.image_retrieval_ranks(broken_images, texts, own)[place] > 10


@settings(max_examples=10)
@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.booleans())
def test_a_probe_refuses_what_is_not_finite(value: float, in_training: bool) -> None:
    training, scored = np.random.default_rng(0).normal(size=(20, 3)), np.random.default_rng(1).normal(size=(5, 3))
    (training if in_training else scored)[2, 1] = value
    with pytest.raises(ValueError, match="NaN|infinity"):
        linear_probe.predict(training, np.arange(20) % 2, scored)


@given(arrays(np.float64, (4, 3), elements=st.floats(-1, 1)), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_equal_answers_get_equal_cosines_wherever_they_stand(distinct: np.ndarray, places: list[int]) -> None:
    cosines = protocols._Answers(distinct[places]).cosines(distinct)
    for one, first in enumerate(places):
        for other, second in enumerate(places):
            assert (cosines[:, one] == cosines[:, other]).all() or first != second
    np.testing.assert_allclose(cosines, distinct @ distinct[places].T, atol=1e-12)


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"im{number}.png")
    rows = [f"im{number}.png\ta photo of number {number}" for number in range(4)]
    (tmp_path / "captions.tsv").write_text("\n".join(["image\tcaption", *rows]) + "\n")
    return {"name": "retrieval_photos", "paths": {"captions": str(tmp_path / "captions.tsv"), "images": str(tmp_path)}}


@pytest.mark.parametrize(
    ("tensor", "item"), [("visual.proj", "image im0.png"), ("text_projection", "text 'a photo of number 0'")]
)
def test_a_model_that_overflows_is_named_with_its_item(
    photos: dict[str, Any], tiny_json: Path, tmp_path: Path, tensor: str, item: str
) -> None:
    weights = load(ModelRef(architecture=str(tiny_json), weights="random")).model.state_dict()
    weights[tensor].fill_(3e38)
    torch.save(weights, tmp_path / "broken.pt")
    ref = EvaluatedModel(architecture=str(tiny_json), weights=str(tmp_path / "broken.pt"))
    config = EvaluateConfig(benchmarks=[photos], models={"mine": ref}, trained=False, keep_features=False)
    with pytest.raises(ModelError, match=f"model mine: the feature of {item} is NaN or infinite"):
        run(config, {}, tmp_path / "scores")


def test_texts_that_are_cut_to_equal_tokens_tie_at_any_batch_size(make_encoder: MakeEncoder) -> None:
    start = "a " * 90
    others = [f"{'b ' * number}c" for number in range(1, 40)]
    for batch_size in (1, 3, 64):
        encoder = make_encoder(batch_size)
        encoder.texts([f"{start} red", *others[:20]])  # the second of the two comes in a later run
        found = encoder.texts([f"{start} red", *others, f"{start} blue"])
        assert found.truncated[0]
        assert (found.features[0] == found.features[-1]).all()


PICTURES = tuple(BenchmarkImage(str(n), np.full((1, 1, 3), n, dtype=np.uint8)) for n in range(4))


def stored(folder: Path, texts: dict[str, tuple[list[float], bool]], images: np.ndarray) -> StoredFeatures:
    made = StoredFeatures(folder)
    keys = text_keys(list(texts))
    made.text_store.add(keys, np.array([feature for feature, _ in texts.values()]), [cut for _, cut in texts.values()], keys)
    pictures = [key for key in image_keys(PICTURES[: len(images)]) if isinstance(key, bytes)]
    made.image_store.add(pictures, images, [False] * len(images), pictures)
    return made


@pytest.mark.parametrize("ties_are_right", [False, True])
def test_a_false_caption_that_was_cut_to_the_true_one_is_not_right_and_counted(ties_are_right: bool, tmp_path: Path) -> None:
    texts = {"long a": ([1.0, 0.0], True), "long b": ([1.0, 0.0], True), "A": ([0.0, 1.0], False), "a": ([0.0, 1.0], False)}
    items = (ChoiceItem("cut", 0, ("long a", "long b")), ChoiceItem("case", 0, ("A", "a")))
    table = score_set(ChoiceSet("s", PICTURES[:1], items, ties_are_right), stored(tmp_path, texts, np.eye(2)[:1]))
    assert table["indistinct"].to_pylist() == [True, False]
    assert table["correct"].to_pylist() == [False, ties_are_right]  # equal tokens of whole texts follow the benchmark's rule


CLASSES = RetrievalSet("s", PICTURES, ("cat", "dog", "cat", "dog"), np.arange(4))


def test_captions_of_equal_text_are_right_for_the_images_of_each_other(tmp_path: Path) -> None:
    perfect = stored(tmp_path, {"cat": ([1.0, 0.0], False), "dog": ([0.0, 1.0], False)}, np.eye(2)[[0, 1, 0, 1]])
    table = score_set(CLASSES, perfect)
    assert table["rank"].to_pylist() == [1] * 8
    assert table["targets"].to_pylist() == [2] * 8
    own = RetrievalSet("s", PICTURES, CLASSES.texts, CLASSES.text_image, equal_texts_are_right=False)
    table = score_set(own, perfect)
    assert table["rank"].to_pylist() == [2] * 8
    assert table["targets"].to_pylist() == [1] * 8
    assert CLASSES.num_shared() == 4


def slow_rank(cosines: np.ndarray, right: np.ndarray) -> int:
    best = max(value for value, own in zip(cosines, right, strict=True) if own)
    return 1 + sum(value >= best for value, own in zip(cosines, right, strict=True) if not own)


@pytest.mark.parametrize("block", [3, 512])
def test_ranks_with_shared_texts_agree_with_counting(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "_BLOCK", block)
    rng = np.random.default_rng(4)
    texts, owner = rng.integers(0, 9, 30), np.concatenate([np.arange(8), rng.integers(0, 8, 22)])
    texts = np.unique(texts, return_inverse=True)[1]
    images, features = rng.normal(size=(8, 5)), rng.normal(size=(texts.max() + 1, 5))[texts]
    right = np.array([[bool(set(texts[owner == image]) & {text}) for text in texts] for image in range(8)])
    cosines = images @ features.T
    expected = [slow_rank(cosines[image], right[image]) for image in range(8)]
    assert protocols.text_retrieval_ranks(images, features, owner, texts).tolist() == expected
    expected = [slow_rank(cosines[:, text], right[:, text]) for text in range(30)]
    assert protocols.image_retrieval_ranks(images, features, owner, texts).tolist() == expected


def test_counts_are_those_of_all_models(
    photos: dict[str, Any], tiny_json: Path, tmp_path: Path, make: Callable[[int], Path]
) -> None:
    short, long = (EvaluatedModel(architecture=str(make(length)), weights="random") for length in (5, 77))
    for order in ({"a": short, "b": long}, {"a": long, "b": short}):
        config = EvaluateConfig(benchmarks=[photos], models=order, trained=False, keep_features=False)
        counts = run(config, {}, tmp_path / f"scores-{order['a'].architecture[-7:]}").manifest.counts
        assert (counts["items"], counts["items_truncated"], counts["items_indistinct"], counts["items_missing"]) == (8, 4, 8, 0)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Path]:
    """A function that writes the configuration of a model with this context."""

    def write(context: int) -> Path:
        model = {**TINY["model_cfg"], "text_cfg": {**TINY["model_cfg"]["text_cfg"], "context_length": context}}  # type: ignore[dict-item]
        path = tmp_path / f"ctx-{context}.json"
        path.write_text(json.dumps({"model_cfg": model}))
        return path

    return write
