"""The rows that scoring writes for each model and benchmark: what the model did on each item; and the kinds of items."""

from __future__ import annotations

import pyarrow as pa

STATUS_OK, STATUS_MISSING, STATUS_UNDECODABLE = "ok", "missing", "undecodable"
STATUS_UNSCORED = "unscored"
"""Of outcomes that somebody brought, if they do not say whether the model was right."""

CHOICE, CLASSIFICATION, LINEAR_PROBE = "choice", "classification", "linear_probe"
TEXT_RETRIEVAL, IMAGE_RETRIEVAL = "text_retrieval", "image_retrieval"
ITT, TOT = "itt", "tot"
MATCH_TEXT, MATCH_IMAGE, MATCH_GROUP = "text", "image", "group"
TEXT_ORIGINAL, TEXT_REWRITTEN = "text_original", "text_rewritten"
"""The halves of `text` if the second caption is a rewrite of the first (BiVLC): given the image of the one, and of the other."""
KINDS = (
    *(CHOICE, CLASSIFICATION, LINEAR_PROBE, TEXT_RETRIEVAL, IMAGE_RETRIEVAL),
    *(ITT, TOT, MATCH_TEXT, MATCH_IMAGE, MATCH_GROUP, TEXT_ORIGINAL, TEXT_REWRITTEN),
)
"""Of items; groups of items have kinds of their own."""

ITEMS = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # one of KINDS, or that of a group (pair, set)
        pa.field("item", pa.string(), nullable=False),  # unique within set and kind
        pa.field("image", pa.string(), nullable=False),  # id of the item's image
        pa.field("status", pa.string(), nullable=False),  # ok, or why the item was not scored: missing, undecodable, unscored
        pa.field("correct", pa.bool_()),  # null unless status is ok; retrieval: rank 1
        pa.field("correct_ties_right", pa.bool_()),  # the same, ties right; null if the benchmark has one rule only
        pa.field("correct_ties_wrong", pa.bool_()),  # the same, ties wrong
        pa.field("margin", pa.float64()),  # cosine with the true answer minus the largest with a wrong one; the least of several
        pa.field("rank", pa.int64()),  # retrieval only: place of the (first) true answer, 1 is best
        pa.field("r_precision", pa.float64()),  # retrieval with several true answers only: share of them among the R nearest
        pa.field("average_precision", pa.float64()),  # the same: mAP@R (Musgrave et al. 2020)
        pa.field("label", pa.string()),  # the image's class, or the item's group in the macro accuracy
        pa.field("predicted", pa.string()),  # classification and linear probe only
        pa.field("seen", pa.bool_()),  # classification only, if known: fine-tuning showed the class
        pa.field("targets", pa.int64(), nullable=False),  # right answers among the candidates
        pa.field("candidates", pa.int64(), nullable=False),  # answers to choose from
        pa.field("truncated", pa.bool_(), nullable=False),  # a text of the item was cut to the model's context
        pa.field("indistinct", pa.bool_(), nullable=False),  # so that a right answer has the tokens of a wrong one
    ]
)
