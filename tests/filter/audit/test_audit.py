"""The artefact audit: the text-only classifier is its formula and tells what can be told, in any order of the rows."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from text_pairs import ANIMALS, Row, drawn_rows, exchanged, pairs_of, read_target, replaced, slow_log_odds

from degla.errors import DataError
from degla.filter.audit.accuracy import BlindAccuracy, audit, check_audit
from degla.filter.audit.text_classifier import CaptionModel, score_pairs
from degla.filter.audit.word_pairs import Texts, read_pairs

pytestmark = pytest.mark.slow

KINDS = [("swap_nouns", "rules"), ("swap_nouns", "vllm:a"), ("replace_nouns", "rules")]


def mixed(rows: list[Row]) -> list[Row]:
    return [replace(row, type=KINDS[k % 3][0], generator=KINDS[k % 3][1]) for k, row in enumerate(rows)]


def figures(rows: list[BlindAccuracy]) -> dict[tuple[str, str], BlindAccuracy]:
    return {(row.type, row.generator): row for row in rows}


def test_the_log_odds_are_those_of_the_slow_model():
    rows = mixed(drawn_rows(90))
    rows[3] = replace(rows[3], text="Two dogs, and a cat's dog dog dog")
    rows[4] = replace(rows[4], text="")
    pairs = pairs_of(rows)
    for split in (0, 1):
        odds = score_pairs(pairs, split)
        expected = slow_log_odds(rows, list(pairs.half(split)), pairs.num_words)
        np.testing.assert_allclose(odds.captions, [captions for captions, _ in expected], atol=2e-5)
        np.testing.assert_allclose(odds.both, [both for _, both in expected], atol=2e-5)


def test_the_probabilities_of_all_next_words_add_up_to_one():
    pairs = pairs_of(drawn_rows(40))
    model = CaptionModel.fit(pairs.captions, pairs.num_words)
    for before in ([], [5], [5, 6], [9, 2]):
        p = []
        for word in range(pairs.num_words):
            whole, start = ([0, 0, *before, *more] for more in ([word], []))
            scores = [model.score(Texts(np.array([*text, 1], np.int32), np.array([0, len(text) + 1]))) for text in (whole, start)]
            ends = [_last(model, text) for text in (whole, start)]
            p.append(np.exp(scores[0] - ends[0] - (scores[1] - ends[1])))
        assert np.sum(p) == pytest.approx(1)


def _last(model: CaptionModel, words: list[int]) -> float:
    """log p of the end after the last two of these words."""
    end = np.array([words[-2] << 42 | words[-1] << 21 | 1])
    p = np.array([1 / model.num_words])
    for length, level in enumerate(model.levels, 1):
        p = level.interpolate(end & ((1 << 21 * length) - 1), p)
    return float(np.log(p[0]))


def test_the_order_of_rows_changes_nothing():
    rows = mixed(drawn_rows(200))
    first = pairs_of(rows)
    again = pairs_of(rows, order=random.Random(1))
    assert figures(audit(again)) == figures(audit(first))
    order = np.argsort(again.caption_ids[again.caption])
    assert np.array_equal(score_pairs(again, 0).both[order], score_pairs(first, 0).both)


def test_the_size_of_the_pieces_changes_nothing(monkeypatch):
    pairs = pairs_of(mixed(drawn_rows(200)))
    whole = score_pairs(pairs, 0)
    monkeypatch.setattr("degla.filter.audit.text_classifier._ROWS", 7)
    pieces = score_pairs(pairs, 0)
    assert np.array_equal(whole.both, pieces.both)
    assert np.array_equal(whole.captions, pieces.captions)


def test_a_negative_that_is_the_caption_cannot_be_told():
    rows = [replace(row, text=row.caption.upper()) for row in drawn_rows(60)]
    assert {(row.blind_accuracy, row.captions_alone) for row in audit(pairs_of(rows))} == {(0.5, 0.5)}


def test_words_that_only_negatives_have_are_told_and_exchanged_texts_are_not():
    rows = drawn_rows(1000, told=0.8)
    told = audit(pairs_of(rows))[0]
    assert told.blind_accuracy > 0.85
    chance = audit(pairs_of(exchanged(rows)))[0]
    assert chance.low < 0.5 < chance.high


def test_a_word_that_a_generator_prefers_is_told_though_captions_have_it_as_often_as_others():
    rows = [row for row in drawn_rows(1000, told=0) if "cow" not in row.caption]
    rows = [replace(row, text=replaced(row.caption, ANIMALS, "cow")) for row in rows]
    with_cows = [(f"cow-{k}", replaced(row.caption, ANIMALS, "cow")) for k, row in enumerate(rows[::4])]
    found = audit(pairs_of(rows, with_cows))[0]
    assert found.captions_alone == pytest.approx(0.5, abs=0.05)
    assert found.blind_accuracy == 1


def test_no_text_of_an_image_is_scored_by_a_model_that_has_read_another_of_it():
    rows = [replace(row, image=f"image-{k // 3}") for k, row in enumerate(drawn_rows(90))]
    pairs = pairs_of(rows)
    rows[1] = replace(rows[1], caption=rows[2].caption, text=rows[4].text)
    other = pairs_of(rows)
    assert pairs.num_words == other.num_words
    before, after = score_pairs(pairs, 0), score_pairs(other, 0)
    own_half = pairs.half(0) == pairs.half(0)[1]
    for name in ("captions", "both"):
        changed = getattr(before, name) != getattr(after, name)
        assert changed[~own_half].any()
        assert not changed[own_half & (np.arange(90) != 1)].any()


def test_other_halves_are_about_halves_and_others():
    pairs = pairs_of(drawn_rows(2000))
    assert abs(pairs.half(0).mean() - 0.5) < 0.05
    assert abs((pairs.half(0) == pairs.half(1)).mean() - 0.5) < 0.05


def test_figures_of_types_and_generators_add_up():
    rows = figures(audit(pairs_of(mixed(drawn_rows(300)))))
    for kind in (("swap_nouns", "all"), ("all", "rules"), ("all", "all")):
        parts = [rows[each] for each in KINDS if kind[0] in ("all", each[0]) and kind[1] in ("all", each[1])]
        assert rows[kind].pairs == sum(part.pairs for part in parts)
        assert rows[kind].blind_accuracy == pytest.approx(sum(p.pairs * p.blind_accuracy for p in parts) / rows[kind].pairs)
    assert next(iter(rows)) == ("all", "all")
    assert set(rows) == {*KINDS, ("swap_nouns", "all"), ("all", "rules"), ("all", "all")}  # of the others there is but one
    rows = audit(pairs_of([replace(row, generator="me") for row in mixed(drawn_rows(300))]))
    assert [(row.type, row.generator) for row in rows] == [("all", "all"), ("replace_nouns", "me"), ("swap_nouns", "me")]


def test_the_interval_is_wilsons():
    rows = [Row(f"image-{k}", "a dog on a mat", "a dog on a mat") for k in range(10)]
    found = audit(pairs_of(rows))[0].as_json()
    assert (found["pairs"], found["blind_accuracy"], found["low"], found["high"]) == (10, 0.5, 0.2366, 0.7634)


def test_a_type_above_the_limit_stops_with_what_to_do():
    rows = audit(pairs_of(mixed(drawn_rows(600, told=1))))
    check_audit(rows, 1.0, "")
    with pytest.raises(
        DataError, match=r"replace_nouns by rules: .* is 100\.0 % on 200 pairs .*max_blind_accuracy=0\.7"
    ) as error:
        check_audit([row for row in rows if row.type == "replace_nouns"], 0.7, "Look.")
    assert "filter.audit.target=0.65" in str(error.value)


def test_few_pairs_do_not_stop_the_stage():
    check_audit([BlindAccuracy("swap_nouns", "rules", 4, 1.0, 0.51, 1.0, 1.0)], 0.7, "")


def test_nothing_kept_has_no_figures():
    captions = pairs_of(drawn_rows(4))
    assert audit(captions.where(np.zeros(4, bool))) == []


def test_captions_that_are_not_there_are_named():
    with pytest.raises(DataError, match="no caption to train the text-only classifier"):
        read_pairs([], [])
    one, other = (pa.RecordBatch.from_pydict({"caption_id": [k], "image_id": ["i"], "caption": ["a dog"]}) for k in (1, 2))
    columns = {"caption_id": [2], "type": ["t"], "generator": ["g"], "text": ["a cat"], "candidate": [0], "attempt": [1]}
    negatives = pa.RecordBatch.from_pydict(columns)
    assert len(read_pairs([one, other], [negatives])) == 1
    with pytest.raises(DataError, match="1 negatives have caption ids that no caption has, such as 2"):
        read_pairs([one], [negatives])


COCO = "coco_captions_val2017/captions_val2017.json"
SUGARCREPE = {  # per cent, of 2026-11-25, with the captions of COCO val2017
    "add_att": (692, 99.9, 99.7),
    "add_obj": (2062, 99.7, 98.5),
    "replace_att": (788, 77.3, 66.1),
    "replace_obj": (1652, 76.8, 62.8),
    "replace_rel": (1406, 85.8, 75.0),
    "swap_att": (666, 75.4, 72.5),
    "swap_obj": (245, 72.9, 67.6),
}


@pytest.mark.parametrize("name", SUGARCREPE)
def test_sugarcrepe_is_told_as_recorded(shared_data, name: str):
    found = audit(read_target(str(shared_data(f"sugarcrepe/{name}.json")), Path(shared_data(COCO))))[0]
    pairs, blind_accuracy, captions_alone = SUGARCREPE[name]
    assert found.pairs == pairs
    assert 100 * found.blind_accuracy == pytest.approx(blind_accuracy, abs=0.5)
    assert 100 * found.captions_alone == pytest.approx(captions_alone, abs=0.5)


def test_negclips_negatives_are_told_as_recorded(shared_data):
    target = shared_data("negclip_valid/valid_neg_clip.tsv")
    found = audit(read_target(str(target), Path(shared_data(COCO))))[0]
    assert found.pairs == 7370
    assert 100 * found.blind_accuracy == pytest.approx(91.7, abs=0.5)
