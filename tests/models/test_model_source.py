"""How a model's weights were trained is agreed on by all who say it, or asked for: never guessed where it differs."""

import json
import logging
import shutil
import subprocess
import sys

import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg
from safetensors.torch import save_file

from degla.errors import ConfigError, InputError, MissingInputError, ModelError
from degla.models import ModelRef
from degla.models.architecture import list_architectures, read_architecture
from degla.models.claims import Preprocessing
from degla.models.loading import load
from degla.models.lookup import TOKENIZER_FILES
from degla.models.source import find

OLD, NEW = "a" * 40, "b" * 40
STATED = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bilinear", "resize_mode": "squash"}


@pytest.fixture
def weights(tmp_path):
    """A weights file that says nothing; `find` does not open it."""
    path = tmp_path / "w.pt"
    torch.save({}, path)
    return str(path)


def folder_of(tmp_path, architecture, name="open_clip_model.safetensors", preprocess=STATED):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": json.loads(architecture.read_text()), "preprocess_cfg": preprocess})
    )
    model = load(ModelRef(architecture=str(architecture), weights="random"), seed=1).model
    state = {key: value.clone() for key, value in model.state_dict().items()}
    if name.endswith(".safetensors"):
        save_file(state, folder / name)
    else:
        torch.save(state, folder / name)
    return folder, model


def test_the_defaults_are_those_of_open_clip():
    ours, theirs = Preprocessing(224), PreprocessCfg()
    for key in ("size", "mean", "std", "interpolation", "resize_mode", "fill_color"):
        assert getattr(ours, key) == getattr(theirs, key)


def test_the_architectures_are_those_of_open_clip_and_read_without_torch():
    assert set(list_architectures()) == set(open_clip.list_models())
    assert read_architecture("ViT-B-32") == open_clip.get_model_config("ViT-B-32")
    code = "import sys; from degla.models.source import find; from degla.models import ModelRef; find(ModelRef());"
    code += "find(ModelRef(architecture='coca_ViT-B-32', weights='random')); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("name", ["PE-Core-T-16-384", "MobileCLIP-S1", "ViT-B-32-quickgelu", "ViT-H-14-CLIPA", "coca_ViT-B-32"])
def test_a_named_architecture_with_a_file_takes_what_all_its_published_weights_agree_on(name, weights):
    tag = open_clip.list_pretrained_tags_by_model(name)[0]
    published = open_clip.pretrained.get_pretrained_cfg(name, tag)
    found = find(ModelRef(architecture=name, weights=weights, activation="" if "quick" in name else "gelu")).preprocessing
    assert {key: getattr(found, key) for key in STATED} == {key: published[key] for key in STATED}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ViT-L-14-quickgelu", None),
        ("ViT-L-14", r"ViT-L-14 differ.*mean: \[0\.48\S+, .*as its openai.*mean: \[0\.5, 0\.5, 0\.5\].*as its laion2b_s32b_b82k"),
        ("ViT-H-14-quickgelu", r"ViT-H-14-quickgelu differ.*as its .*; or .*as its "),
    ],
)
def test_what_published_weights_do_not_agree_on_is_asked_for(name, words, weights):
    ref = ModelRef(architecture=name, weights=weights, activation="" if "quick" in name else "gelu")
    if words is None:
        assert find(ref).preprocessing == Preprocessing(224)
        return
    with pytest.raises(ModelError, match=words) as asked:
        find(ref)
    for option in str(asked.value).split("model.preprocessing='")[1:]:  # what it offers is what it takes
        import yaml

        stated = yaml.safe_load(option.partition("'")[0])
        found = find(ref.model_validate(ref.model_dump() | {"preprocessing": {k: stated[k] for k in STATED}})).preprocessing
        assert list(found.mean) == stated["mean"]


def test_a_tag_and_random_weights_ask_nothing():
    tag = "laion2b_s32b_b82k"
    assert find(ModelRef(architecture="ViT-L-14", weights=tag)).preprocessing.mean == (0.5, 0.5, 0.5)
    assert find(ModelRef(architecture="ViT-L-14", weights="random")).preprocessing == Preprocessing(224)


def test_a_file_without_activation_is_asked_for_it_where_both_exist(weights):
    with pytest.raises(ModelError, match="does not say with which activation.*model.activation=quickgelu"):
        find(ModelRef(architecture="ViT-B-32", weights=weights))
    assert find(ModelRef(architecture="ViT-B-32-quickgelu", weights=weights)).note == ""
    assert find(ModelRef(architecture="ViT-B-32", weights=weights, activation="gelu")).architecture.get("quick_gelu") is None
    found = find(ModelRef(architecture="ViT-B-32", weights=weights, activation="quickgelu"))
    assert found.architecture["quick_gelu"]
    assert found.note == "ViT-B-32 was replaced by ViT-B-32-quickgelu, as its weights were trained with quickgelu"


def test_what_a_file_says_of_itself_must_agree_with_what_is_stated(tmp_path, architecture):
    folder, model = folder_of(tmp_path, architecture)
    ref = ModelRef(architecture=f"local-dir:{folder}")
    assert find(ref).preprocessing == Preprocessing(32, (0.5,) * 3, (0.25,) * 3, "bilinear", "squash")
    for statement, words in (
        ({"activation": "gelu"}, "trained with activation gelu.*asks for quickgelu"),
        ({"preprocessing": {**STATED, "resize_mode": "longest"}}, "says resize_mode longest.*says squash"),
        ({"preprocessing": {**STATED, "mean": (0.5, 0.5, 0.4)}}, "says mean"),
    ):
        with pytest.raises(ModelError, match=words):
            find(ref.model_validate(ref.model_dump() | statement))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    said = json.dumps({"size": 64, **STATED})
    save_file(state, folder / "open_clip_model.safetensors", metadata={"preprocess_cfg": said})
    with pytest.raises(ModelError, match="says size 64 .preprocess_cfg.*says 32"):
        find(ref)


@pytest.mark.parametrize(
    ("preprocess", "words"),
    [
        ({"mean": [0.5, 0.5], "std": [0.5] * 3}, "preprocess_cfg of .*mean"),
        ({"resize_mode": "stretch"}, "preprocess_cfg of .*resize_mode"),
        ({"interpolation": "nearest"}, "preprocess_cfg of .*interpolation"),
    ],
)
def test_preprocessing_that_open_clip_does_not_have_is_refused(preprocess, words, tmp_path, architecture):
    folder, _ = folder_of(tmp_path, architecture, preprocess=preprocess)
    with pytest.raises(ConfigError, match=words):
        find(ModelRef(architecture=f"local-dir:{folder}"))


def test_one_mean_is_that_of_all_channels_and_a_null_section_is_none(tmp_path, architecture, weights):
    folder, _ = folder_of(tmp_path, architecture, preprocess={"mean": 0.5, "std": 0.25, "interpolation": "random"})
    assert find(ModelRef(architecture=f"local-dir:{folder}")).preprocessing == Preprocessing(32, (0.5,) * 3, (0.25,) * 3)
    architecture.write_text(json.dumps({"model_cfg": json.loads(architecture.read_text()), "preprocess_cfg": None}))
    assert find(ModelRef(architecture=str(architecture), weights=weights)).preprocessing == Preprocessing(32)


def test_a_folder_by_its_bare_path_is_told_its_name(tmp_path):
    with pytest.raises(ModelError, match=f"is a folder: give local-dir:{tmp_path}"):
        find(ModelRef(architecture=str(tmp_path)))


def test_a_config_without_preprocessing_takes_the_default_and_says_it(architecture, tmp_path, caplog, weights):
    with caplog.at_level(logging.WARNING, logger="degla"):
        assert find(ModelRef(architecture=str(architecture), weights=weights)).preprocessing == Preprocessing(32)
        assert "says how images were prepared: taking open_clip's default, {mean: [0.48145466," in caplog.text
        caplog.clear()
        find(ModelRef(architecture=str(architecture), weights="random"))
        find(ModelRef(architecture=str(architecture), weights=weights, preprocessing=STATED))
        find(ModelRef())
    assert not caplog.text
    assert find(ModelRef(architecture="ViT-S-32-alt", weights=weights)).preprocessing == Preprocessing(224)
    assert "Neither" in caplog.text


@pytest.mark.parametrize("name", TOKENIZER_FILES)
def test_another_tokenizer_is_another_model(name, tmp_path, architecture):
    folder, _ = folder_of(tmp_path, architecture)
    (folder / name).write_text("{}")
    before = ModelRef(architecture=f"local-dir:{folder}").checksum()
    (folder / name).write_text("{ }")
    assert ModelRef(architecture=f"local-dir:{folder}").checksum() != before


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([1], "expected a JSON dict at the top"),
        ({"model_cfg": "ViT-B-32"}, "model_cfg and preprocess_cfg must be objects"),
        ({"preprocess_cfg": [0.5]}, "model_cfg and preprocess_cfg must be objects"),
        ({"model_cfg": {"embed_dim": 32}}, "vision_cfg, text_cfg missing"),
    ],
)
def test_a_config_of_another_form_is_refused(config, words, tmp_path):
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=words):
        find(ModelRef(architecture=f"local-dir:{tmp_path}"))


@pytest.mark.parametrize("said", ["nonsense", "[1]"])
def test_preprocessing_in_a_weights_file_that_is_no_object_is_refused(said, tmp_path, architecture):
    folder, model = folder_of(tmp_path, architecture)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors", metadata={"preprocess_cfg": said})
    with pytest.raises(ModelError, match="no JSON object"):
        find(ModelRef(architecture=f"local-dir:{folder}"))


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin"])
def test_a_folder_loads_whatever_open_clip_finds_in_it(name, tmp_path, architecture):
    folder, model = folder_of(tmp_path, architecture, name)
    before = ModelRef(architecture=f"local-dir:{folder}/").checksum()
    assert ModelRef(weights="''") == ModelRef(weights=None) == ModelRef()
    loaded = load(ModelRef(architecture=f"local-dir:{folder}/", weights=None))
    assert torch.equal(loaded.model.visual.proj, model.visual.proj)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert ModelRef(architecture=f"local-dir:{folder}/").checksum() != before
    (folder / name).unlink()
    (folder / "my_weights.pt").touch()
    with pytest.raises(
        MissingInputError, match=r"expected one of open_clip_model\.safetensors, .*found my_weights\.pt, open_clip_config"
    ):
        find(ModelRef(architecture=f"local-dir:{folder}"))


def test_a_tag_beside_a_folder_is_refused_with_the_form_that_works(tmp_path, architecture):
    folder, _ = folder_of(tmp_path, architecture)
    with pytest.raises(ModelError, match="leave it out for the weights in the folder .-o model.weights="):
        find(ModelRef(architecture=f"local-dir:{folder}", weights="openai"))


def test_a_hub_model_is_the_folder_in_its_cache(tmp_path, architecture, monkeypatch):
    """As `huggingface_hub` lays its cache out; nothing is fetched."""
    from huggingface_hub import constants

    folder, model = folder_of(tmp_path, architecture)
    cache = tmp_path / "hub" / "models--me--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(OLD)
    shutil.copytree(folder, cache / "snapshots" / OLD)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    ref = ModelRef(architecture="hf-hub:me/tiny")
    loaded = load(ref)
    assert loaded.preprocessing == Preprocessing(32, (0.5,) * 3, (0.25,) * 3, "bilinear", "squash")
    assert torch.equal(loaded.model.visual.proj, model.visual.proj)
    other = {key: value + 1 for key, value in model.state_dict().items()}
    torch.save(other, tmp_path / "own.pt")
    own = load(ModelRef(architecture="hf-hub:me/tiny", weights=str(tmp_path / "own.pt")))
    assert own.preprocessing == loaded.preprocessing
    assert torch.equal(own.model.visual.proj, model.visual.proj + 1)
    (cache / "refs" / "main").write_text(NEW)
    shutil.copytree(cache / "snapshots" / OLD, cache / "snapshots" / NEW)
    assert ModelRef(architecture="hf-hub:me/tiny").checksum() != ModelRef(architecture=f"hf-hub:me/tiny@{OLD}").checksum()
    with pytest.raises(MissingInputError, match="hf-hub:me/none not in the cache, and the download failed"):
        load(ModelRef(architecture="hf-hub:me/none"))


def test_another_image_size_is_refused_with_both_ways_out_and_resized_if_asked(architecture, tmp_path, caplog):
    """The reference is open_clip's own loading, which resizes without being asked."""
    config = json.loads(architecture.read_text())
    config["vision_cfg"]["image_size"] = 64
    (tmp_path / "large.json").write_text(json.dumps(config))
    large = load(ModelRef(architecture=str(tmp_path / "large.json"), weights="random"), seed=1)
    path = str(tmp_path / "img64.pt")
    torch.save(large.model.state_dict(), path)
    ref = ModelRef(architecture=str(architecture), weights=path)
    with pytest.raises(ModelError, match=r"images of 64 pixels.*looks at 32.*image_size=64 to keep.*image_size=32 to resize"):
        load(ref)
    kept = load(ref.model_copy(update={"image_size": 64}))
    assert kept.preprocessing.size == 64
    assert torch.equal(kept.model.visual.positional_embedding, large.model.visual.positional_embedding)
    caplog.clear()
    resized = load(ref.model_copy(update={"image_size": 32}))
    assert "position embeddings resized from 64 to 32 pixels" in caplog.text
    theirs = open_clip.CLIP(**json.loads(architecture.read_text()))
    open_clip.load_checkpoint(theirs, path)
    assert torch.equal(resized.model.visual.positional_embedding, theirs.visual.positional_embedding)
    with pytest.raises(ModelError, match="no vision transformer of open_clip"):
        find(ModelRef(architecture="RN50", weights="random", image_size=192))
