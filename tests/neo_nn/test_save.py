from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.numpy

import neo_array as na
import neo_nn as nn
import neo_tape as nt
from neo_array import Array
from neo_array.tree import leaves, structure
from neo_nn._format import checksum_of_tensors, checksum_of_text

KEY = na.random.key(0)
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64", "complex64"]


class State(NamedTuple):
    step: int
    moments: dict[str, Array]
    rate: float = 0.1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def model(device: str = "numpy", widths: tuple[int, ...] = (5, 4, 3)) -> nn.MLP:
    return nn.MLP.init(KEY, widths, device=device)


def same(a: object, b: object) -> bool:
    if structure(a) != structure(b):
        return False
    pairs = zip(leaves(a), leaves(b), strict=True)
    return all(
        x.dtype == y.dtype and x.device == y.device and np.array_equal(x.numpy(), y.numpy(), equal_nan=True)
        if isinstance(x, Array)
        else type(x) is type(y) and x == y
        for x, y in pairs
    )


# --- There and back ---
def test_model_comes_back(path: Path, device: str) -> None:
    saved = model(device)
    nn.save(path, saved)
    like = nn.MLP.init(na.random.key(1), (5, 4, 3), device=device)
    loaded = nn.load(path, like=like)
    assert type(loaded) is nn.MLP
    assert same(loaded, saved)
    assert not same(like, saved)
    x = na.ones((2, 5), device=device)
    np.testing.assert_array_equal(loaded(x).numpy(), saved(x).numpy())


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0, 3)], ids=str)
def test_every_dtype_and_shape_comes_back(kind: str, shape: tuple[int, ...], path: Path, device: str) -> None:
    values = np.asarray(np.random.default_rng(0).normal(size=shape) * 3).astype(kind)
    tree = {"x": na.asarray(values, device=device)}
    nn.save(path, tree)
    loaded = nn.load(path, like={"x": na.zeros(shape, dtype=kind, device=device)})
    assert same(loaded, tree)


def test_bfloat16_comes_back(path: Path, device: str) -> None:
    pytest.importorskip("ml_dtypes")
    tree = [na.asarray([1.0, -2.5, 3e38], device=device).astype("bfloat16")]
    nn.save(path, tree)
    loaded = nn.load(path, like=[na.zeros_like(tree[0])])
    assert loaded[0].dtype.name == "bfloat16"
    np.testing.assert_array_equal(loaded[0].astype(na.float32).numpy(), tree[0].astype(na.float32).numpy())


def test_special_values_come_back(path: Path) -> None:
    tree: dict[str, Any] = {"x": na.asarray([np.nan, np.inf, -np.inf, -0.0, 1e-45]), "f": float("inf"), "big": 2**70}
    nn.save(path, tree)
    loaded = nn.load(path, like=tree)
    assert same(loaded, tree)
    assert np.signbit(loaded["x"].numpy()[3])


def test_strided_arrays_come_back(path: Path, device: str) -> None:
    """safetensors writes the buffer of a strided NumPy array in the wrong order."""
    x = na.reshape(na.arange(24, device=device), (2, 3, 4))
    tree = [na.permute_dims(x, (2, 0, 1)), x[:, ::-1, ::2], na.broadcast_to(x[:1], (2, 3, 4)), x[0].T]
    nn.save(path, tree)
    assert same(nn.load(path, like=[na.zeros_like(leaf) for leaf in tree]), tree)


def test_big_endian_arrays_come_back(path: Path) -> None:
    tree = [na.asarray(np.array([1.5, -2.0], ">f8"))]
    nn.save(path, tree)
    np.testing.assert_array_equal(nn.load(path, like=[na.zeros(2, dtype=na.float64)])[0].numpy(), [1.5, -2.0])


def test_numbers_strings_and_containers_come_back(path: Path) -> None:
    tree: dict[str, Any] = {
        "state": State(7, {"a": na.asarray([1.0]), "b": na.asarray(2)}, 0.3),
        "flags": (True, False, None, 'text é " \n'),
        "ordered": OrderedDict(z=1, a=2.0),
        "key": na.random.key(3),
        "model": nn.Sequential(nn.Linear.init(KEY, 2, 2), nn.relu),
    }
    nn.save(path, tree)
    blank = na.tree.unflatten(
        structure(tree), [na.zeros_like(x) if isinstance(x, Array) else type(x)() for x in leaves(tree)]
    )
    loaded = nn.load(path, like=blank)
    assert same(loaded, tree)
    assert type(loaded["state"]) is State
    assert list(loaded["ordered"]) == ["z", "a"]


def test_keys_with_dots_are_told_from_nested_ones(path: Path) -> None:
    tree = {"a.b": na.asarray(1.0), "a": {"b": na.asarray(2.0)}}
    nn.save(path, tree)
    assert same(nn.load(path, like=tree), tree)


@pytest.mark.parametrize("tree", [{}, None, [], nn.Identity(), 3, "text"], ids=repr)
def test_trees_without_arrays_come_back(tree: object, path: Path) -> None:
    nn.save(path, tree)
    assert same(nn.load(path, like=tree), tree)


def test_bare_array_comes_back(path: Path) -> None:
    nn.save(path, na.asarray([1.0, 2.0]))
    np.testing.assert_array_equal(nn.load(path, like=na.zeros(2)).numpy(), [1.0, 2.0])


def test_devices_of_like_are_kept(path: Path) -> None:
    nn.save(path, model("numpy"))
    with na.use_device("numpy"):
        loaded = nn.load(path, like=model("torch:cpu"))
    assert {str(leaf.device) for leaf in leaves(loaded)} == {"torch:cpu"}
    nn.save(path, loaded)
    assert same(nn.load(path, like=model("numpy")), model("numpy"))


def test_loaded_arrays_own_their_memory(path: Path, device: str) -> None:
    """They can be donated: an optimizer's first step after loading is as fast as any."""
    nn.save(path, [na.ones(4, device=device)])
    loaded = nn.load(path, like=[na.zeros(4, device=device)])[0]
    before = loaded._raw.data_ptr() if device != "numpy" else loaded._raw.ctypes.data
    new = na.donate(na.add_scaled, na.Donated("a test"), loaded, na.ones(4, device=device), scale=1.0)
    after = new._raw.data_ptr() if device != "numpy" else new._raw.ctypes.data
    assert before == after


def test_metadata_comes_back(path: Path) -> None:
    metadata = {"epoch": 3, "history": [0.1, 0.2], "config": {"lr": 0.5, "name": None}}
    nn.save(path, model(), metadata=metadata)
    assert nn.load_metadata(path) == metadata
    nn.save(path, model())
    assert nn.load_metadata(path) == {}


def test_file_is_readable_as_plain_safetensors(path: Path) -> None:
    nn.save(path, model())
    tensors = safetensors.numpy.load_file(path)
    assert list(tensors) == ["layers.0.bias", "layers.0.weight", "layers.1.bias", "layers.1.weight"]
    np.testing.assert_array_equal(tensors["layers.1.weight"], model().layers[1].weight.numpy())


def test_path_may_be_a_string(path: Path) -> None:
    nn.save(str(path), model())
    assert same(nn.load(str(path), like=model()), model())


# --- What cannot be saved ---
@pytest.mark.parametrize(
    "leaf", [np.zeros(2), 1j, b"bytes", {1, 2}, object(), np.float32(1.0)], ids=lambda x: type(x).__name__
)
def test_leaf_of_another_kind_is_named(leaf: object, path: Path) -> None:
    with pytest.raises(na.DTypeError, match=rf"save: the leaf at 'a.0' must be an Array, .* got {type(leaf).__name__}"):
        nn.save(path, {"a": [leaf]})
    assert not path.exists()


def test_dtype_that_safetensors_has_not_is_named(path: Path) -> None:
    with pytest.raises(na.DTypeError, match="save: the array at 'z' has dtype complex128"):
        nn.save(path, {"z": na.zeros(2, dtype=na.complex128)})


def test_two_leaves_of_one_path_are_refused(path: Path) -> None:
    x = na.zeros(1)
    with pytest.raises(na.TreeError, match=r"save: cannot name the leaf at '1', since two leaves have that path"):
        nn.save(path, {"1": x, 1: x})
    with pytest.raises(na.TreeError, match="the format reserves that name"):
        nn.save(path, {"__metadata__": x})


@pytest.mark.parametrize("metadata", [{"x": object()}, {"x": {1, 2}}, {("a", "b"): 1}])
def test_metadata_that_are_no_json_are_refused(metadata: Any, path: Path) -> None:
    with pytest.raises(na.DTypeError, match="save: metadata must be JSON"):
        nn.save(path, {}, metadata=metadata)


def test_array_being_differentiated_is_refused(path: Path) -> None:
    def loss(x: Array) -> Array:
        nn.save(path, [x])
        return x.sum()

    with pytest.raises(na.LevelError, match="stop_gradient"):
        nt.grad(loss)(na.ones(2))
    assert not path.exists()


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        nn.save(tmp_path / "nowhere" / "x.safetensors", {})


# --- What does not fit ---
def message(path: Path, like: object) -> str:
    with pytest.raises(nn.CheckpointError) as caught:
        nn.load(path, like=like)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    return text


def test_every_difference_is_listed(path: Path) -> None:
    nn.save(path, {"a": na.zeros((2, 3)), "b": na.zeros(2), "old": na.zeros(1), "n": 3, "s": "x"})
    like = {"a": na.zeros((3, 2)), "b": na.zeros(2, dtype=na.float64), "new": na.zeros(()), "n": 3.0, "s": "y"}
    assert message(path, like).splitlines()[1:] == [
        "  missing in the file: new (float32[])",
        "  not in the tree: old (float32[1])",
        "  different: a is float32[2, 3] in the file, float32[3, 2] in the tree",
        "  different: b is float32[2] in the file, float64[2] in the tree",
        "  different: n is int in the file, float in the tree",
    ]


def test_array_beside_a_number_of_the_same_path_is_a_difference(path: Path) -> None:
    nn.save(path, {"x": 1.0})
    assert "different: x is float in the file, float32[] in the tree" in message(path, {"x": na.zeros(())})


def test_smaller_model_is_refused(path: Path) -> None:
    nn.save(path, model(widths=(5, 4, 4, 3)))
    text = message(path, model())
    assert "not in the tree: layers.2.weight (float32[3, 4])" in text
    assert "different: layers.1.weight is float32[4, 4] in the file, float32[3, 4] in the tree" in text


def test_long_list_of_differences_is_cut(path: Path) -> None:
    nn.save(path, {})
    text = message(path, [na.zeros(1)] * 50)
    assert len(text.splitlines()) == 22
    assert text.endswith("and 30 more")


def test_leaf_of_another_kind_in_like_is_named(path: Path) -> None:
    nn.save(path, [na.zeros(2)])
    with pytest.raises(na.DTypeError, match=r"load: the leaf at '0' must be an Array, .* got ndarray"):
        nn.load(path, like=[np.zeros(2)])


# --- What is damaged, foreign or hostile ---
def test_missing_file_is_no_checkpoint_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        nn.load(path, like={})
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        nn.load_metadata(path)


def test_truncation_at_every_length_is_noticed(path: Path) -> None:
    nn.save(path, {"x": na.ones(3), "n": 1}, metadata={"epoch": 1})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(nn.CheckpointError, match=r"model\.safetensors: "):
            nn.load(path, like={"x": na.ones(3), "n": 1})


def test_every_flipped_byte_is_noticed(path: Path) -> None:
    tree = {"x": na.ones(3), "n": 1}
    nn.save(path, tree, metadata={"epoch": 1})
    whole = bytearray(path.read_bytes())
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            loaded = nn.load(path, like=tree)
        except nn.CheckpointError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017  (most positions raise, padding may not)
        else:
            assert same(loaded, tree), position


def test_trailing_bytes_are_noticed(path: Path) -> None:
    nn.save(path, {"x": na.ones(3)})
    path.write_bytes(path.read_bytes() + b"more")
    assert "is damaged" in message(path, {"x": na.ones(3)})


class Exploit:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.abort, ()


def hostile() -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "pickle", pickle.dumps(Exploit())
    yield "text", b"import os; os.abort()\n" * 20
    yield "zip", b"PK\x03\x04" + bytes(200)
    yield "huge header", (2**63 - 1).to_bytes(8, "little") + b"{}"
    yield "negative header", b"\xff" * 8 + b"{}"
    yield "no json", (4).to_bytes(8, "little") + b"\x00\x01\x02\x03"
    yield "deep json", (60_000).to_bytes(8, "little") + b'{"a":' * 12_000
    for name, entry in {
        "offsets outside": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 40]},
        "offsets backwards": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]},
        "shape too large": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 16]},
        "unknown dtype": {"dtype": "PICKLE", "shape": [4], "data_offsets": [0, 16]},
    }.items():
        header = json.dumps({"x": entry}).encode()
        yield name, len(header).to_bytes(8, "little") + header + bytes(16)


@pytest.mark.parametrize("contents", [pytest.param(contents, id=name) for name, contents in hostile()])
def test_hostile_file_is_refused(contents: bytes, path: Path) -> None:
    path.write_bytes(contents)
    assert "is damaged or no checkpoint" in message(path, {"x": na.zeros(4)})
    with pytest.raises(nn.CheckpointError, match="is damaged or no checkpoint"):
        nn.load_metadata(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_file_of_another_program_is_named_as_such(metadata: dict[str, str] | None, path: Path) -> None:
    safetensors.numpy.save_file({"x": np.zeros(4, np.float32)}, path, metadata=metadata)
    assert "is a safetensors file, but not one of neo_nn.save's" in message(path, {"x": na.zeros(4)})


def test_file_of_another_version_is_named_as_such(path: Path) -> None:
    safetensors.numpy.save_file({"x": np.zeros(4, np.float32)}, path, metadata={"format": "neo_nn", "version": "99"})
    assert "has format version '99', and this neo_nn reads version '1'" in message(path, {"x": na.zeros(4)})


def test_header_without_its_fields_is_refused(path: Path) -> None:
    safetensors.numpy.save_file({"x": np.zeros(4, np.float32)}, path, metadata={"format": "neo_nn", "version": "1"})
    assert "its header does not match its checksum" in message(path, {"x": na.zeros(4)})


@pytest.mark.parametrize("values", ["[1]", "3", "{", "NULL", '{"n": ' + "[" * 100_000, '{"n": [1]}', '{"n": {"a": 1}}'])
def test_forged_header_is_refused(values: str, path: Path) -> None:
    """With the right checksum: somebody meant it."""
    fields = {"values": values, "metadata": "{}", "tensors": checksum_of_tensors([])}
    header = {"format": "neo_nn", "version": "1", **fields, "checksum": checksum_of_text(fields)}
    safetensors.numpy.save_file({}, path, metadata=header)
    message(path, {"n": 1})


def test_changed_weight_is_noticed(path: Path) -> None:
    nn.save(path, model())
    contents = bytearray(path.read_bytes())
    contents[-1] ^= 1
    path.write_bytes(contents)
    assert "its tensors do not match their checksum" in message(path, model())
    assert nn.load_metadata(path) == {}


# --- All or nothing ---
def test_saving_replaces_the_file_and_leaves_nothing_beside_it(path: Path) -> None:
    nn.save(path, {"n": 1})
    nn.save(path, {"n": 2})
    assert nn.load(path, like={"n": 0}) == {"n": 2}
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_failure_before_the_rename_keeps_the_old_file(step: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nn.save(path, {"n": 1})

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(KeyboardInterrupt):
            nn.save(path, {"n": 2})
    assert nn.load(path, like={"n": 0}) == {"n": 1}
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_death_between_writing_and_renaming_keeps_the_old_file(step: str, path: Path) -> None:
    nn.save(path, {"x": na.ones(1000)})
    script = (
        "import os, sys, neo_array as na, neo_nn as nn\n"
        f"os.{step} = lambda *_: os._exit(9)\n"
        "nn.save(sys.argv[1], {'x': na.zeros(1000)})"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == 9
    assert len(os.listdir(path.parent)) == 2  # what the dead process had written lies beside the file
    np.testing.assert_array_equal(nn.load(path, like={"x": na.zeros(1000)})["x"].numpy(), np.ones(1000))
    nn.save(path, {"x": na.full(1000, 2.0)})
    assert nn.load(path, like={"x": na.zeros(1000)})["x"].numpy()[0] == 2.0


def test_contents_and_rename_are_synchronised_in_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    nn.save(path, {"n": 1})
    assert calls == ["file", "rename", "folder"]


def test_permissions_follow_the_umask_and_are_kept(path: Path) -> None:
    plain = path.with_name("plain")
    plain.touch()
    nn.save(path, {"n": 1})
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o600)
    nn.save(path, {"n": 2})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    nn.save(target, {"n": 1})
    link.symlink_to(target)
    nn.save(link, {"n": 2})
    assert link.is_symlink()
    assert nn.load(target, like={"n": 0}) == {"n": 2}
