"""The count by the config against the weights of the built model (which are nowhere in memory)."""

import open_clip
import pytest
import torch

from degla.models.architecture import list_architectures, read_architecture
from degla.models.size import num_parameters

COUNTED = [name for name in list_architectures() if num_parameters(read_architecture(name))]


def test_most_architectures_with_two_transformers_are_counted():
    assert len(COUNTED) > 40
    assert num_parameters(read_architecture("ViT-B-32")) == 151_277_313
    assert num_parameters(read_architecture("RN50")) is None
    assert num_parameters(read_architecture("coca_ViT-B-32")) is None


@pytest.mark.parametrize(
    "name", ["ViT-S-32-alt", "ViT-M-16-alt", "ViT-B-16-plus-240", "ViT-L-14-336", "ViT-H-14-CLIPA", "ViT-e-14"]
)
def test_the_count_is_that_of_the_built_model(name):
    config = open_clip.get_model_config(name)
    config.pop("custom_text", None)
    with torch.device("meta"):
        model = open_clip.CLIP(**config)
    assert num_parameters(read_architecture(name)) == sum(parameter.numel() for parameter in model.parameters())
