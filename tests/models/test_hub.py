"""A tag of open_clip is a file: its content is in the checksum, the cache serves it, and without it the error says what to do."""

import json

import pytest
import torch
from huggingface_hub import constants
from open_clip import pretrained
from safetensors.torch import save_file

from degla.errors import MissingInputError, ModelError
from degla.models import ModelRef, hub
from degla.models import architecture as architectures
from degla.models.loading import load


@pytest.fixture
def cached(tmp_path, monkeypatch, architecture, clip):
    """A function that puts weights, scaled, into a hub cache under a commit; `tiny`, tag `v1`, names them."""
    monkeypatch.setattr(architectures, "_open_clip_configs", lambda: {"tiny": architecture})
    entry = {"url": "", "hf_hub": "org/tiny/", "quick_gelu": True}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny", {"v1": entry})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pretrained, "download_pretrained", lambda config: pytest.fail("asked the hub"))
    monkeypatch.setattr(hub, "hub_unreachable", lambda url: "")
    repository = tmp_path / "cache" / "models--org--tiny"

    def put(scale, commit):
        folder = repository / "snapshots" / commit
        folder.mkdir(parents=True)
        state = {key: value * scale for key, value in clip.model.state_dict().items()}
        save_file(state, folder / "open_clip_model.safetensors")
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(commit)

    return put


def test_what_a_tag_holds_is_in_the_checksum_and_is_what_is_loaded(cached, clip):
    ref = ModelRef(architecture="tiny", weights="v1")
    cached(1.0, "a" * 40)
    first = ref.checksum()
    assert torch.equal(load(ref).model.visual.conv1.weight, clip.model.visual.conv1.weight)
    cached(2.0, "b" * 40)
    assert ref.checksum() != first, "the hub's main has moved"
    assert torch.equal(load(ref).model.visual.conv1.weight, 2 * clip.model.visual.conv1.weight)
    cached(1.0, "c" * 40)
    assert ref.checksum() == first, "the same content under another commit is the same model"


def test_without_the_file_and_the_hub_the_error_says_what_to_do(cached, monkeypatch):
    def offline(config):
        raise OSError("no route to host")

    monkeypatch.setattr(pretrained, "download_pretrained", offline)
    for act in (lambda ref: ref.checksum(), load):
        with pytest.raises(
            MissingInputError, match=r"no route to host.*access to org/tiny, copy the cache \(.*cache\), or give files"
        ):
            act(ModelRef(architecture="tiny", weights="v1"))
    with pytest.raises(ModelError, match="no weights 'v2' for tiny; its tags: v1"):
        ModelRef(architecture="tiny", weights="v2").checksum()
    with pytest.raises(ModelError, match="unknown architecture 'tinny'"):
        ModelRef(architecture="tinny", weights="v1").checksum()


def test_without_a_network_the_hub_is_not_asked_at_all(cached, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "hub_unreachable", lambda url: "huggingface.co: no network")
    with pytest.raises(MissingInputError, match=r"^weights 'v1' of tiny not in the cache.*\(huggingface.co: no network\)"):
        ModelRef(architecture="tiny", weights="v1").checksum()
    snapshot = tmp_path / "cache" / "models--org--own" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    with pytest.raises(MissingInputError, match="weights of hf-hub:org/own not in the cache"):
        hub.check_weights("org/own", snapshot)
    (snapshot / "model.safetensors").touch()
    hub.check_weights("org/own", snapshot)


def test_a_tokenizer_of_the_hub_is_in_the_checksum(cached, architecture, tmp_path):
    cached(1.0, "a" * 40)
    plain = ModelRef(architecture="tiny", weights="v1").checksum()
    config = json.loads(architecture.read_text())
    config["text_cfg"]["hf_tokenizer_name"] = "org/words"
    architecture.write_text(json.dumps(config))
    sums = set()
    for commit in ("1" * 40, "2" * 40):
        folder = tmp_path / "cache" / "models--org--words"
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "snapshots" / commit / "tokenizer_config.json").write_text("{}")
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        sums.add(ModelRef(architecture="tiny", weights="v1").checksum())
    assert len(sums | {plain}) == 3
