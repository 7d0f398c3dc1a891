"""Artifacts come back bit for bit, or are refused in one sentence; they are never half-written."""

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from envs.artifact import FORMAT_VERSION, Artifact, load_artifact, read_artifact_json, save_artifact
from envs.errors import InputError
from envs.spec import EnvSpec
from tests.envs.artifact_editing import edit_artifact

SPEC = EnvSpec("Toy-v0", spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2), 50)
TENSORS = {"net/w": np.arange(6, dtype=np.float32).reshape(2, 3), "net/b": np.array([np.nan, -0.0, 1e-45], np.float32)}
ARTIFACT = Artifact("policy", "ppo", SPEC, {"hidden": [64], "rate": 1e-3}, TENSORS, {"seed": 3})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_artifact(tmp_path / "artifact", ARTIFACT)
    return tmp_path / "artifact"


def replace_tensors(path: Path, blob: bytes, forge: bool) -> None:
    """Puts ``blob`` in the tensors' place; ``forge`` makes the checksum agree with it."""
    (path / "tensors.safetensors").write_bytes(blob)
    if forge:
        edit_artifact(path, tensors_sha256=hashlib.sha256(blob).hexdigest())


def assert_same_tensors(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()


def test_everything_comes_back_bit_for_bit(saved):
    found = load_artifact(saved, kind="policy")
    assert_same_tensors(found.tensors, TENSORS)
    assert (found.kind, found.family, found.spec, found.config) == ("policy", "ppo", SPEC, ARTIFACT.config)
    assert found.provenance["seed"] == 3
    assert found.provenance["versions"].keys() == {"python", "simulacra", "numpy", "torch", "jax", "gymnasium"}
    assert sorted(file.name for file in saved.iterdir()) == ["artifact.json", "tensors.safetensors"]


@given(
    st.dictionaries(
        st.text("abc/", min_size=1, max_size=30),
        arrays.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), arrays.array_shapes(min_dims=0, min_side=0)),
        max_size=6,
    )
)
@settings(deadline=None, max_examples=50)
def test_tensors_of_any_name_and_shape_come_back(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("artifact")
    save_artifact(path, replace(ARTIFACT, tensors=tensors))
    assert_same_tensors(load_artifact(path).tensors, tensors)


def test_a_header_of_any_length_is_read(tmp_path):
    """A file starts with its header's length, whose first bytes can look like those of a pickle or a zip."""
    starts = set()
    for length in range(1, 260, 8):
        tensors = {"n" * length: np.zeros(1, np.float32)}
        save_artifact(tmp_path / "artifact", replace(ARTIFACT, tensors=tensors), overwrite=True)
        starts.add((tmp_path / "artifact" / "tensors.safetensors").read_bytes()[:1])
        assert_same_tensors(load_artifact(tmp_path / "artifact").tensors, tensors)
    assert b"\x80" in starts


def test_strided_tensors_are_written_as_they_look(tmp_path):
    tensors = {"t": TENSORS["net/w"].T, "s": np.arange(10)[::3]}
    save_artifact(tmp_path / "artifact", replace(ARTIFACT, tensors=tensors))
    for name, value in load_artifact(tmp_path / "artifact").tensors.items():
        np.testing.assert_array_equal(value, tensors[name])


def test_what_exists_is_kept_unless_it_may_be_overwritten(saved):
    other = replace(ARTIFACT, family="sac", tensors={})
    with pytest.raises(InputError, match="already exists"):
        save_artifact(saved, other)
    assert load_artifact(saved).family == "ppo"
    save_artifact(saved, other, overwrite=True)
    assert load_artifact(saved).family == "sac"
    assert load_artifact(saved).tensors == {}


def test_what_is_no_artifact_is_not_overwritten(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for path in (tmp_path, tmp_path / "mine"):
        with pytest.raises(InputError, match=r"expected an artifact to overwrite at .*, found something else"):
            save_artifact(path, ARTIFACT, overwrite=True)
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("broken", [{"config": {"rate": float("nan")}}, {"provenance": {"log": Path("log")}}])
@pytest.mark.parametrize("exists", [False, True])
def test_what_cannot_be_written_leaves_what_was_there(tmp_path, broken, exists):
    path = tmp_path / "artifact"
    if exists:
        save_artifact(path, ARTIFACT)
    with pytest.raises((ValueError, TypeError), match="JSON"):
        save_artifact(path, replace(ARTIFACT, **broken), overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == (["artifact"] if exists else [])
    assert not exists or load_artifact(path).config == ARTIFACT.config


def test_another_kind_is_refused(saved):
    assert load_artifact(saved).kind == "policy"
    with pytest.raises(InputError, match=r"expected a world_model at .*artifact, found a policy"):
        load_artifact(saved, kind="world_model")


def test_nothing_there_is_told(saved, tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match="expected an artifact folder"):
            load_artifact(path)
    (saved / "tensors.safetensors").unlink()
    with pytest.raises(InputError, match="expected the tensors of an artifact at"):
        load_artifact(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": FORMAT_VERSION + 1}, f"artifact format {FORMAT_VERSION} or older .*, found 2"),
        ({"format_version": "1"}, "found 1"),
        ({"format_version": None}, "found None"),
        ({"kind": "pickle"}, "of unknown kind 'pickle'"),
        ({"kind": ["policy"]}, "of unknown kind"),
        ({"config": [64]}, "expected a complete artifact"),
        ({"provenance": None}, "expected a complete artifact"),
        ({"spec": {}}, "expected the JSON of an environment spec"),
        ({"spec": SPEC.to_json() | {"action_space": {"type": "Sphere"}}}, "expected the JSON of a Box"),
        ({"tensors_sha256": "0" * 64}, "truncated or changed"),
        ({"tensors_sha256": None}, "truncated or changed"),
    ],
    ids=str,
)
def test_edited_json_is_refused(saved, changes, message):
    edit_artifact(saved, **changes)
    with pytest.raises(InputError, match=message):
        load_artifact(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "sac"},
        {"spec": SPEC.to_json() | {"max_episode_steps": 51}},
        {"config": {"hidden": [64], "rate": 0.0010000000000000002}},
        {"provenance": {"seed": 4}},
        {"tensors_sha256": "0" * 64},
        {"json_sha256": "0" * 64},
        {"json_sha256": None},
        {"note": "a field of their own"},
        {"kind": "world_model"},
    ],
    ids=str,
)
def test_a_change_after_writing_is_found(saved, changes):
    edit_artifact(saved, forge=False, **changes)
    for read in (read_artifact_json, load_artifact):
        with pytest.raises(InputError, match=r"artifact\.json was changed after it was written: its SHA-256 is not"):
            read(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": FORMAT_VERSION + 1, "kind": "world_model"}, "or older .*, found 2"),
        ({"kind": "world_model", "config": {}}, "expected a policy at .*, found a world_model"),
        ({"kind": "pickle"}, "of unknown kind"),
        ({"config": []}, "no JSON object as its config"),
    ],
)
def test_what_explains_more_than_a_change_is_told_first(saved, changes, message):
    edit_artifact(saved, forge=False, **changes)
    with pytest.raises(InputError, match=message):
        load_artifact(saved, kind="policy")


def test_another_layout_of_the_same_json_is_no_change(saved):
    file = saved / "artifact.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(content.items())), indent=7))
    assert load_artifact(saved).config == ARTIFACT.config


def test_what_json_writes_otherwise_than_python_is_no_change(tmp_path):
    """Keys that are numbers become text, which sorts otherwise (10 before 2), and tuples become lists."""
    config = {"by_size": {2: (1, 2), 10: 1e-7}, "text": "\u00e9\ud83d", "large": 2**70}
    save_artifact(tmp_path / "artifact", replace(ARTIFACT, config=config))
    found = load_artifact(tmp_path / "artifact").config
    assert found == {**config, "by_size": {"2": [1, 2], "10": 1e-7}}


def test_incomplete_json_names_what_it_lacks(saved):
    file = saved / "artifact.json"
    content = json.loads(file.read_text())
    del content["family"], content["spec"]
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="lacks family, spec"):
        read_artifact_json(saved)
    for text, message in (("[1]", "found None"), (file.read_text()[:-9], "damaged")):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            read_artifact_json(saved)


@pytest.mark.parametrize("length", [0, 1, 7, 40, -1])
def test_truncated_tensors_are_refused(saved, length):
    blob = (saved / "tensors.safetensors").read_bytes()
    replace_tensors(saved, blob[:length], forge=False)
    with pytest.raises(InputError, match="truncated or changed"):
        load_artifact(saved)
    replace_tensors(saved, blob[:length], forge=True)
    with pytest.raises(InputError, match=r"expected safetensors in .*, but it is something else"):
        load_artifact(saved)


def test_every_flipped_bit_is_found(saved):
    blob = (saved / "tensors.safetensors").read_bytes()
    for i in range(0, len(blob), 5):
        flipped = bytearray(blob)
        flipped[i] ^= 1 << (i % 8)
        replace_tensors(saved, bytes(flipped), forge=False)
        with pytest.raises(InputError):
            load_artifact(saved)


class Bomb:
    """Unpickling one creates a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("forge", [False, True])
def test_a_pickle_under_another_name_is_never_loaded(saved, tmp_path, protocol, forge):
    replace_tensors(saved, pickle.dumps(Bomb(tmp_path / "exploded"), protocol), forge)
    message = "found a pickle" if protocol >= 2 else "safetensors"
    with pytest.raises(InputError, match=message):
        load_artifact(saved)
    assert not (tmp_path / "exploded").exists()


def test_the_zip_that_torch_saves_is_told_as_a_pickle(saved, tmp_path):
    import torch

    torch.save({"w": torch.zeros(2)}, tmp_path / "weights.pt")
    for forge in (False, True):
        replace_tensors(saved, (tmp_path / "weights.pt").read_bytes(), forge)
        with pytest.raises(InputError, match="found a pickle"):
            load_artifact(saved)
