"""Weights are loaded only when they are whole, belong to their configuration, and are plain numbers."""

from __future__ import annotations

import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_cases import a_tiny_model, saved_tiny_model

from AMDiffLib.errors import BadCheckpoint
from AMDiffLib.inference.stored_weights import as_bytes, as_numbers
from AMDiffLib.inference.weights import load_model, models_folder, save_model, write_config


@pytest.fixture
def model_folder(tmp_path):
    return saved_tiny_model(tmp_path / "tiny")


def change_config(folder, **changes):
    write_config(folder, {**json.loads((folder / "config.json").read_text()), **changes})


def restate_checksum(folder):
    change_config(folder, sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())


def test_a_saved_model_is_loaded_with_the_same_numbers_and_configuration(model_folder):
    written, read = a_tiny_model(), load_model(model_folder)
    assert read.config == written.config
    assert not read.training
    states = read.state_dict()
    assert all(torch.equal(tensor, states[name]) for name, tensor in written.state_dict().items())
    assert not any(parameter.requires_grad for parameter in read.parameters())


def test_the_folder_says_what_is_in_it(tmp_path):
    save_model(a_tiny_model(), tmp_path / "mine", "A card.", {"training": {"cases": 3}})
    content = json.loads((tmp_path / "mine" / "config.json").read_text())
    weights = (tmp_path / "mine" / "model.safetensors").read_bytes()
    assert content["name"] == "mine"
    assert content["training"] == {"cases": 3}
    assert content["sha256"] == hashlib.sha256(weights).hexdigest()
    assert (tmp_path / "mine" / "MODEL_CARD.md").read_text() == "A card."
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "MODEL_CARD.md",
        "config.json",
        "model.safetensors",
    ]


def test_weights_in_bytes_are_moved_by_half_a_step_of_their_channel_and_small_tensors_not_at_all():
    torch.manual_seed(0)
    weight = torch.randn(8, 16, 3, 3, 3) * torch.logspace(-3, 3, 8).view(-1, 1, 1, 1, 1)
    weight[5] = 0.0
    tensors = {"conv.weight": weight, "conv.bias": torch.randn(8), "count": torch.tensor(3)}
    stored = as_bytes(tensors)
    assert stored["conv.weight"].dtype == torch.int8
    found = as_numbers(stored)
    largest = weight.abs().amax(dim=(1, 2, 3, 4), keepdim=True)
    assert ((found["conv.weight"] - weight).abs() <= largest / 254 * 1.0001).all()
    assert torch.equal(found["conv.bias"], tensors["conv.bias"])
    assert torch.equal(found["count"], tensors["count"])
    assert found.keys() == tensors.keys()


def test_a_model_in_bytes_is_loaded_as_it_was_stored_and_stored_again_without_a_change(tmp_path):
    save_model(a_tiny_model(), tmp_path / "first", in_bytes=True)
    first = load_model(tmp_path / "first")
    save_model(first, tmp_path / "second", in_bytes=True)
    second = load_model(tmp_path / "second").state_dict()
    for name, tensor in first.state_dict().items():
        assert torch.allclose(tensor, second[name], rtol=1e-6, atol=0)


def test_scales_of_no_tensor_are_refused(tmp_path):
    folder = tmp_path / "tiny"
    save_model(a_tiny_model(), folder, in_bytes=True)
    stored = load_file(folder / "model.safetensors")
    stored["nothing.scale"] = torch.ones(3)
    save_file(stored, folder / "model.safetensors")
    restate_checksum(folder)
    with pytest.raises(BadCheckpoint, match="nothing"):
        load_model(folder)


def test_truncated_weights_are_refused(model_folder):
    path = model_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadCheckpoint, match="sha256"):
        load_model(model_folder)


def test_one_flipped_bit_is_refused(model_folder):
    path = model_folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(BadCheckpoint, match="damaged"):
        load_model(model_folder)


def test_a_pickle_in_place_of_the_weights_is_not_executed(model_folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    (model_folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    restate_checksum(model_folder)
    with pytest.raises(BadCheckpoint):
        load_model(model_folder)
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_configuration_are_refused(model_folder):
    model = json.loads((model_folder / "config.json").read_text())["model"]
    model["denoiser"]["channels"] = [8, 16, 16, 32]
    change_config(model_folder, model=model)
    with pytest.raises(BadCheckpoint, match="do not belong"):
        load_model(model_folder)


def test_an_unknown_setting_is_named(model_folder):
    model = json.loads((model_folder / "config.json").read_text())["model"]
    change_config(model_folder, model={**model, "flux_capacitor": 1})
    with pytest.raises(BadCheckpoint, match="flux_capacitor"):
        load_model(model_folder)


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    model = a_tiny_model()
    next(iter(model.parameters())).view(-1)[0] = float("nan")
    save_model(model, tmp_path / "nan")
    with pytest.raises(BadCheckpoint, match="not numbers"):
        load_model(tmp_path / "nan")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(model_folder, name):
    (model_folder / name).unlink()
    with pytest.raises(BadCheckpoint, match=name):
        load_model(model_folder)


def test_an_unknown_model_name_is_refused():
    with pytest.raises(BadCheckpoint, match="no model 'amdiff-colossal'"):
        load_model("amdiff-colossal")


def test_installed_models_lie_in_the_resources():
    assert models_folder().parts[-2:] == ("Resources", "Models")
