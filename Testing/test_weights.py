"""Weights are loaded only when they are whole, belong to their configuration, and are plain numbers."""

from __future__ import annotations

import hashlib
import json
import pickle

import pytest
import torch
from small_cases import a_tiny_model, saved_tiny_model

from AMDiffLib.errors import BadCheckpoint
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
