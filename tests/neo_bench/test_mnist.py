from __future__ import annotations

import functools
import gzip
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neo_bench import datasets
from neo_bench.datasets.mnist import load_mnist
from neo_bench.errors import DatasetError
from tests.neo_bench.idx_files import tiny_arrays, tiny_sources, write_tiny


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, for this test alone."""
    monkeypatch.delenv("NEO_DATA_DIR", raising=False)
    monkeypatch.setattr("neo_bench.datasets.mnist.cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's, named by NEO_DATA_DIR."""
    monkeypatch.setenv("NEO_DATA_DIR", str(tmp_path))
    return tmp_path / "mnist"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A mirror on this machine: its address and the folder that it serves."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def load(mirrors: tuple[str, ...] = ()) -> datasets.Dataset:
    return load_mnist(tiny_sources(), mirrors)


@pytest.mark.parametrize("gzipped", [True, False], ids=["gzipped", "plain"])
def test_files_of_the_user_are_read_flattened_and_scaled(given: Path, gzipped: bool) -> None:
    write_tiny(given, gzipped=gzipped)
    dataset = load()
    arrays = tiny_arrays()
    assert dataset.train_images.shape == (20, 4)
    assert dataset.train_images.dtype == np.float32
    assert dataset.test_labels.shape == (10,)
    assert dataset.test_labels.dtype == np.int64
    assert dataset.features == 4
    np.testing.assert_allclose(dataset.train_images * 255, arrays["train_images"].reshape(20, 4), rtol=1e-6)
    np.testing.assert_array_equal(dataset.test_labels, arrays["test_labels"])


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _change_a_byte(path: Path) -> None:
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(data)))


def _swap_for_labels(path: Path) -> None:
    path.write_bytes((path.parent / "train_labels.idx.gz").read_bytes())


def _swap_for_html(path: Path) -> None:
    path.write_bytes(b"<html>moved</html>")


DAMAGES = {
    _truncate: r"not a whole gzip file, got \d+ bytes .*, expected all of it",
    _change_a_byte: r"wrong contents, got MD5 [0-9a-f]{32}, expected [0-9a-f]{32}",
    _swap_for_labels: r"wrong IDX magic number, got 2049, expected 2051|no IDX header",
    _swap_for_html: r"not a whole gzip file",
}


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_damaged_file_of_the_user_is_named_and_left_alone(given: Path, damage: object, complaint: str) -> None:
    write_tiny(given)
    path = given / "train_images.idx.gz"
    assert callable(damage)
    damage(path)
    with pytest.raises(DatasetError, match=complaint) as caught:
        load()
    assert str(path) in str(caught.value)
    assert path.exists()


def test_a_missing_file_of_the_user_is_named_with_what_is_there(given: Path) -> None:
    write_tiny(given)
    (given / "test_labels.idx.gz").unlink()
    with pytest.raises(DatasetError, match=r"no test_labels.idx.gz, got .*train_images.idx.gz.*, expected"):
        load()


def test_a_data_folder_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEO_DATA_DIR", str(tmp_path / "typo"))
    with pytest.raises(DatasetError, match="NEO_DATA_DIR: no such folder"):
        load()


def test_files_are_downloaded_once_and_then_read_from_the_cache(cache: Path, mirror: tuple[str, Path]) -> None:
    address, folder = mirror
    write_tiny(folder)
    first = load((address,))
    for path in folder.iterdir():
        path.unlink()
    second = load((address,))
    np.testing.assert_array_equal(first.train_images, second.train_images)
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{part}.idx.gz" for part in tiny_arrays())


def test_the_next_mirror_is_asked_when_one_fails(cache: Path, mirror: tuple[str, Path]) -> None:
    address, folder = mirror
    write_tiny(folder / "good")
    write_tiny(folder / "bad")
    _change_a_byte(folder / "bad" / "train_labels.idx.gz")
    dataset = load((f"{address}/nowhere", f"{address}/bad", f"{address}/good"))
    np.testing.assert_array_equal(dataset.train_labels, tiny_arrays()["train_labels"])


@pytest.mark.parametrize("damage", [_truncate, _change_a_byte, _swap_for_html])
def test_a_bad_download_never_reaches_the_cache(cache: Path, mirror: tuple[str, Path], damage: object) -> None:
    address, folder = mirror
    write_tiny(folder)
    assert callable(damage)
    damage(folder / "train_images.idx.gz")
    with pytest.raises(DatasetError, match="no mirror gave a good file") as caught:
        load((f"{address}/nowhere", address))
    message = str(caught.value)
    assert "404" in message
    assert f"{address}/train_images.idx.gz: " in message
    assert list(cache.iterdir()) == []


def test_a_file_that_went_bad_in_the_cache_is_fetched_again(cache: Path, mirror: tuple[str, Path]) -> None:
    address, folder = mirror
    write_tiny(folder)
    write_tiny(cache)
    _truncate(cache / "test_images.idx.gz")
    dataset = load((address,))
    np.testing.assert_allclose(dataset.test_images * 255, tiny_arrays()["test_images"].reshape(10, 4), rtol=1e-6)


def test_an_unreachable_mirror_is_a_clear_error(cache: Path) -> None:
    with pytest.raises(DatasetError, match=r"no mirror gave a good file[\s\S]*set NEO_DATA_DIR"):
        load(("http://127.0.0.1:9",))


@pytest.mark.skipif("NEO_DATA_DIR" not in os.environ, reason="NEO_DATA_DIR is not set: no MNIST on this machine")
def test_real_mnist_has_its_sizes_and_all_classes() -> None:
    dataset = datasets.load("mnist")
    assert dataset.train_images.shape == (60_000, 784)
    assert dataset.test_images.shape == (10_000, 784)
    assert (dataset.train_images.min(), dataset.train_images.max()) == (0.0, 1.0)
    assert dataset.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert set(dataset.test_labels.tolist()) == set(range(10))


def test_a_dataset_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no such dataset, got 'cifar', expected one of digits, mnist"):
        datasets.load("cifar")
