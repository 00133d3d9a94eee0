"""Every text and token comes to its place, normalised; what does not exist is a zero vector."""

import numpy as np
import pytest
import torch

from degla.train.embeddings import Encoded, embed


@pytest.mark.parametrize(("rows", "negatives"), [(4, 3), (2, 1), (3, 0)])
def test_texts_and_tokens_come_to_their_caption(rows, negatives):
    random = np.random.default_rng(rows)
    kind = np.where(random.random((rows, negatives)) < 0.6, random.integers(5, size=(rows, negatives)), -1)
    slot = np.flatnonzero(np.c_[np.ones((rows, 1), bool), kind >= 0])
    text, token = random.normal(size=(len(slot), 5)), random.normal(size=(len(slot), 6, 5))
    token[:, 0] = token[:, 4:] = 0
    image, patch = random.normal(size=(rows, 5)), random.normal(size=(rows, 9, 5))
    slot_T, type_BK, *parts = (torch.from_numpy(part) for part in (slot, kind, image, text, patch, token))
    scale = torch.ones(1)
    found = embed(Encoded(*parts[:2], scale, *parts[2:]), slot_T, type_BK)

    place = {int(number): at for at, number in enumerate(slot)}
    for i in range(rows):
        for t in range(1 + negatives):
            at = place.get(i * (1 + negatives) + t)
            embedding, tokens = found.pooled[1][i, t].numpy(), found.local.token_BTLD[i, t].numpy()
            if at is None:
                assert not embedding.any()
                assert not tokens.any()
                continue
            assert embedding == pytest.approx(text[at] / np.linalg.norm(text[at]), rel=1e-6)
            for w in range(6):
                assert tokens[w] == pytest.approx(token[at, w] / max(np.linalg.norm(token[at, w]), 1e-12), rel=1e-6)
        assert found.image_BD[i].numpy() == pytest.approx(image[i] / np.linalg.norm(image[i]), rel=1e-6)
    assert found.local.patch_BPD.numpy() == pytest.approx(patch, rel=1e-6)
    assert found.mask_BK.tolist() == (kind >= 0).tolist()
    plain = embed(Encoded(*parts[:2], scale), slot_T, type_BK)
    assert plain.local is None
    assert torch.equal(plain.negative_BKD, found.negative_BKD)
