"""State dicts in every shape that training codes of the field leave them in; all made here, from the model they must give."""

import argparse
import os
import subprocess
import zipfile

import numpy as np
import open_clip
import pytest
import torch

from degla.errors import ModelError
from degla.models import ModelRef
from degla.models.loading import LoadedClip, load
from degla.models.weights import read_weights

# NegCLIP, CE-CLIP and DeGLA are trained with forks of open_clip: the state under `state_dict`, wrapped by DDP, beside the
# epoch and the optimizer. `model` is BLIP's and FSC-CLIP's habit; OpenAI's own files are half precision with three sizes.
SHAPES = {
    "plain": lambda state: state,
    "wrapped": lambda state: prefixed(state),
    "open_clip": lambda state: {"epoch": 5, "name": "negclip", "state_dict": prefixed(state), "optimizer": optimizer(state)},
    "model": lambda state: {"model": state, "epoch": 5, "config": {"lr": 1e-6, "betas": [0.9, 0.98]}},
    "openai": lambda state: {
        **{key: value.half() for key, value in state.items()},
        **{"input_resolution": torch.tensor(32), "context_length": torch.tensor(24), "vocab_size": torch.tensor(49408)},
    },
}


def prefixed(state):
    return {f"module.{key}": value for key, value in state.items()}


def optimizer(state):
    return {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-6, "params": [0]}]}


@pytest.fixture
def clip(architecture) -> LoadedClip:
    return load(ModelRef(architecture=str(architecture), weights="random"), seed=1)


def load_file(architecture, path) -> LoadedClip:
    return load(ModelRef(architecture=str(architecture), weights=str(path)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_state_dict_of_the_field_gives_the_model_it_was_taken_from(shape, legacy, architecture, clip, tmp_path):
    path = tmp_path / "w.pt"
    torch.save(SHAPES[shape](clip.model.state_dict()), path, _use_new_zipfile_serialization=not legacy)
    loaded = load_file(architecture, path).model.state_dict()
    assert loaded.keys() == clip.model.state_dict().keys()
    for key, value in clip.model.state_dict().items():
        assert loaded[key].dtype == torch.float32
        expected = value.half().float() if shape == "openai" else value
        assert torch.equal(loaded[key], expected), key


def test_the_names_are_those_of_openai():
    """As OpenAI's public code names them: with any of them missing, strict loading would fail."""
    with torch.device("meta"):
        names = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu")).state_dict().keys()
    assert len(names) == 302
    assert {"visual.conv1.weight", "transformer.resblocks.11.mlp.c_proj.bias", "token_embedding.weight", "logit_scale"} < names


@pytest.mark.parametrize(
    ("prefix", "container", "ending"),
    [
        ("model.", "state_dict", ".ckpt"),
        ("clip.", "", ".pt"),
        ("_orig_mod.", "model_state_dict", ".pth"),
        ("module._orig_mod.", "net", ".bin"),
        ("a.b.c.", "module", ".pt"),
    ],
)
def test_any_prefix_of_all_names_and_any_usual_container_are_removed(prefix, container, ending, architecture, clip, tmp_path):
    state = {f"{prefix}{key}": value for key, value in clip.model.state_dict().items()}
    torch.save({container: state, "epoch": 1} if container else state, tmp_path / f"w{ending}")
    assert torch.equal(load_file(architecture, tmp_path / f"w{ending}").model.visual.proj, clip.model.visual.proj)


def test_a_prefix_that_one_name_lacks_stays_and_is_named(architecture, clip, tmp_path):
    state = {f"model.{key}": value for key, value in clip.model.state_dict().items()}
    torch.save({**state, "loss.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"unexpected keys: model\."):
        load_file(architecture, tmp_path / "w.pt")


def test_of_two_sets_of_weights_the_model_is_taken_and_the_other_named(architecture, clip, tmp_path, caplog):
    state = clip.model.state_dict()
    torch.save({"model": prefixed(state), "teacher": {key: value + 1 for key, value in state.items()}}, tmp_path / "w.pt")
    assert torch.equal(load_file(architecture, tmp_path / "w.pt").model.visual.proj, clip.model.visual.proj)
    assert "'model'; there are others too: teacher" in caplog.text


def test_buffers_that_older_versions_saved_are_dropped(architecture, clip, tmp_path):
    torch.save({**clip.model.state_dict(), "attn_mask": torch.zeros(24, 24)}, tmp_path / "w.pt")
    assert torch.equal(load_file(architecture, tmp_path / "w.pt").model.visual.proj, clip.model.visual.proj)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_numpy_scalars_and_an_argparse_namespace_are_read_over(legacy, architecture, clip, tmp_path):
    beside = {
        "epoch": np.int64(3),
        "best": np.float64(0.5),
        "flag": np.bool_(True),
        "half": np.float16(1),
        "args": argparse.Namespace(lr=1e-5, betas=(0.9, 0.98), nested=argparse.Namespace(model="ViT-B/32")),
    }
    content = {**beside, "state_dict": prefixed(clip.model.state_dict())}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    assert torch.equal(load_file(architecture, tmp_path / "w.pt").model.visual.proj, clip.model.visual.proj)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_a_weight_that_is_no_number_is_refused_with_file_and_tensor(value, half, architecture, clip, tmp_path):
    state = {key: tensor.clone() for key, tensor in clip.model.state_dict().items()}
    state["visual.conv1.weight"][0, 0, 0, 0] = value
    torch.save({key: tensor.half() for key, tensor in state.items()} if half else state, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w\.pt: 1 of 12,288 values of visual.conv1.weight are NaN or infinite"):
        load_file(architecture, tmp_path / "w.pt")


def reduced(function, *arguments):
    """An object whose pickle calls the function."""
    return type("Reduced", (), {"__reduce__": lambda self: (function, arguments)})()


class WithState:
    """Pickled as an empty argparse namespace whose state is then set."""

    def __init__(self, state):
        self.state = state

    def __reduce__(self):
        return argparse.Namespace, (), self.state


def malicious(owned):
    command = f"import os; os.mkdir({str(owned)!r})"
    array = np.array([reduced(os.mkdir, str(owned))], dtype=object)
    crafted = np.dtype({"names": ["f"], "formats": ["O"], "offsets": [0], "itemsize": 8})
    return {
        "os.system": reduced(os.system, f"mkdir {owned}"),
        "eval": reduced(eval, command.removeprefix("import os; ").replace("os", "__import__('os')")),
        "exec": reduced(exec, command),
        "import": reduced(__import__, "os"),
        "getattr chain": reduced(getattr, reduced(__import__, "os"), "mkdir"),
        "getattr of an admitted name": reduced(getattr, argparse.Namespace, "__init__"),
        "subprocess": reduced(subprocess.check_call, ["mkdir", str(owned)]),
        "open": reduced(open, str(owned), "w"),
        "torch.load again": reduced(torch.load, str(owned)),
        "object array": array,
        "object scalar": reduced(np.dtype, reduced(os.mkdir, str(owned))),
        "crafted dtype": reduced(np.frombuffer, b"AAAAAAAA", crafted),
        "argument of an admitted class": argparse.Namespace(evil=reduced(os.mkdir, str(owned))),
        "class by state": WithState({"__class__": reduced(os.mkdir, str(owned))}),
    }


@pytest.mark.parametrize("kind", malicious("x"))
def test_malicious_files_are_refused_and_run_nothing(kind, architecture, clip, tmp_path):
    owned = tmp_path / "owned"
    torch.save({"state_dict": clip.model.state_dict(), "extra": malicious(owned)[kind]}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"w\.pt holds more than tensors \(\S+\) and is not unpickled"):
        load_file(architecture, tmp_path / "w.pt")
    assert not owned.exists()


def scalar_pickle(dtype: bytes, data: bytes) -> bytes:
    """`numpy._core.multiarray.scalar(dtype, data)` written by hand, as no honest program writes it."""
    return b"\x80\x02cnumpy._core.multiarray\nscalar\n" + dtype + data + b"\x86R."


@pytest.mark.parametrize(
    "content",
    [
        # a scalar of an object dtype whose bytes would be taken for a pointer
        scalar_pickle(
            b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x85R", b"c_codecs\nencode\nX\x08\x00\x00\x00AAAAAAAAX\x06\x00\x00\x00latin1\x86R"
        ),
        # a dtype with a forged state: fields of objects at any offset
        scalar_pickle(
            b"cnumpy\ndtype\nX\x02\x00\x00\x00V8\x85R(K\x03X\x01\x00\x00\x00|NX\x01\x00\x00\x00f\x85}X\x01\x00\x00\x00fcnumpy\ndtype\n"
            b"X\x01\x00\x00\x00O\x85RK\x00\x86sK\x08K\x01K?tb",
            b"c_codecs\nencode\nX\x08\x00\x00\x00AAAAAAAAX\x06\x00\x00\x00latin1\x86R",
        ),
        # a namespace whose class and methods are set
        b"\x80\x02cargparse\nNamespace\n)R}(X\x09\x00\x00\x00__class__X\x01\x00\x00\x00xX\x0c\x00\x00\x00__setstate__K\x01ub.",
    ],
    ids=["object scalar", "forged dtype", "forged namespace"],
)
def test_forged_bystanders_are_never_made(content, tmp_path):
    """What stands for them takes anything and keeps nothing: NumPy is not called."""
    path = tmp_path / "w.pt"
    torch.save({"a": 1}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(name, content if name.endswith("data.pkl") else data)
    with pytest.raises(ModelError, match="not a state dict"):
        read_weights(path)


def test_a_pickle_bomb_is_refused_and_does_not_go_off(architecture, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    for content in ({"state_dict": Bomb()}, {"state_dict": {"logit_scale": torch.zeros(())}, "args": Bomb()}):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(ModelError, match=r"w\.pt holds more than tensors.*\.safetensors"):
            load_file(architecture, tmp_path / "w.pt")
    assert not (tmp_path / "owned").exists()
    torch.load(tmp_path / "w.pt", weights_only=False)  # it is a bomb
    assert (tmp_path / "owned").exists()


def test_a_torchscript_archive_is_refused_by_name(architecture, tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "ViT-B-32.pt"))
    with pytest.raises(ModelError, match="TorchScript archive.*weights=openai"):
        load_file(architecture, tmp_path / "ViT-B-32.pt")


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {"logit_scale": 4.6}}, {"model": {"a": {}}}])
def test_what_is_no_state_dict_is_refused(content, architecture, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="not a state dict.*'state_dict'"):
        load_file(architecture, tmp_path / "w.pt")


def test_weights_of_another_architecture_are_refused_with_the_names_that_fit(tmp_path):
    """A file with ViT-B/16's names and shapes (its values are nowhere in memory) for a ViT-B/32."""
    with torch.device("meta"):
        other = open_clip.CLIP(**open_clip.get_model_config("ViT-B-16"))
    state = {key: torch.zeros(()).expand(value.shape) for key, value in other.state_dict().items()}
    torch.save({"state_dict": prefixed(state)}, tmp_path / "w.pt")
    with pytest.raises(ModelError) as refused:
        load_file("ViT-B-32-quickgelu", tmp_path / "w.pt")
    for part in ("ViT-B-32-quickgelu", "visual.conv1.weight is (768, 3, 16, 16), expected (768, 3, 32, 32)", "ViT-B-16"):
        assert part in str(refused.value)
