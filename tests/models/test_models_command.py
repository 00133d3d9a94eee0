"""`python -m degla.models`: what is printed and written."""

import yaml
from transformers import CLIPModel

from degla.models.__main__ import main


def test_show_says_what_is_known(architecture, capsys):
    assert main(["show", str(architecture), "-o", "weights=random", "-o", "image_size=48"]) == 0
    facts = yaml.safe_load(capsys.readouterr().out)
    assert facts["activation"] == "quickgelu"
    assert facts["preprocessing"]["size"] == 48
    assert facts["fine-tuned"] == "yes"
    assert main(["show", "ViT-B-16-SigLIP", "-o", "weights=webli"]) == 0
    facts = yaml.safe_load(capsys.readouterr().out)
    assert facts["preprocessing"]["resize_mode"] == "squash"
    assert "sigmoid" in facts["fine-tuned"]
    assert main(["show", "ViT-B-33"]) == 2
    assert "unknown architecture" in capsys.readouterr().err


def test_export_writes_a_new_folder_and_no_other(tmp_path, capsys):
    assert main(["export", "miniworld", str(tmp_path / "out")]) == 0
    assert CLIPModel.from_pretrained(tmp_path / "out").config.projection_dim == 96
    assert main(["export", "miniworld", str(tmp_path / "out")]) == 2
    assert "is not empty: name a new folder" in capsys.readouterr().err
    assert main(["export", "miniworld", str(tmp_path / "out" / "config.json")]) == 2
    assert "config.json is a file: name a new folder" in capsys.readouterr().err
