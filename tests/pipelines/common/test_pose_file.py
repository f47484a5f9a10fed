"""HumanSD's pose files: read as data, equal to numpy's own reading."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from comfyui_figura.pipelines.common.errors import FiguraWeightsError
from comfyui_figura.pipelines.common.pose_file import load_pose_npz, save_pose_npz


def person(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "keypoints": rng.normal(size=(17, 3)).astype("f4"),
        "score": np.float32(rng.random()),
        "area": np.float32(99),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_equals_numpy(save, count, tmp_path):
    people = [person(seed) for seed in range(count)]
    array = np.empty(count, dtype=object)
    array[:] = people
    save(tmp_path / "x.npz", array)
    loaded = load_pose_npz(tmp_path / "x.npz")
    for one, other in zip(loaded, people, strict=True):
        assert np.array_equal(one["keypoints"], other["keypoints"]) and one["keypoints"].dtype == np.float32
        assert one["score"] == other["score"] and one["area"] == other["area"]


def test_nobody(tmp_path):
    np.savez(tmp_path / "x.npz", np.array([]))
    assert load_pose_npz(tmp_path / "x.npz") == []
    save_pose_npz(tmp_path / "y.npz", [])
    assert load_pose_npz(tmp_path / "y.npz") == []


def test_written_files_are_humansd_files(tmp_path):
    people = [person(1), {"keypoints": np.ones((17, 3))}]
    save_pose_npz(tmp_path / "x.npz", people)
    theirs = np.load(tmp_path / "x.npz", allow_pickle=True)["arr_0"]
    assert theirs[0].keys() == {"keypoints", "score", "area"} and theirs[0]["keypoints"].dtype == np.float32
    ours = load_pose_npz(tmp_path / "x.npz")
    assert np.isnan(ours[1]["score"]) and np.array_equal(ours[0]["keypoints"], people[0]["keypoints"])


def npz(payload: bytes, header: str = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") -> bytes:
    head = header.encode().ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + payload
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("arr_0.npy", data)
    return stream.getvalue()


def objects(*items) -> bytes:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return pickle.dumps(array, protocol=4)


BAD = {
    "call": npz(b"\x80\x02cposix\nsystem\n(S'echo pwned > pwned.txt'\ntR."),
    "call among the people": npz(
        objects({"keypoints": 12345}).replace(b"M90", b"cposix\nsystem\n(S'echo pwned > pwned.txt'\ntR")
    ),
    "no keypoints": npz(objects({"score": 1})),
    "people that are lists": npz(objects([1, 2])),
    "keypoints of another shape": npz(objects({"keypoints": np.ones((17, 2))})),
    "keypoints that are words": npz(objects({"keypoints": np.array([["a", "b", "c"]])})),
    "keypoints of objects": npz(objects({"keypoints": np.array([[{}, {}, {}]], dtype=object)})),
    "a score that is a word": npz(objects({"keypoints": np.ones((17, 3)), "score": "high"})),
    "another number of people": npz(
        objects({"keypoints": np.ones((17, 3))}), "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"
    ),
    "a header that is code": npz(b"", "__import__('os').system('echo pwned > pwned.txt')"),
    "no such entry": b"PK\x05\x06" + bytes(18),
    "no zip": b"hello",
    "empty": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name, tmp_path, watch):
    (tmp_path / "x.npz").write_bytes(BAD[name])
    with pytest.raises(FiguraWeightsError, match="x.npz"):
        load_pose_npz(tmp_path / "x.npz")


def test_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", bytes(40 << 20))
    with pytest.raises(FiguraWeightsError, match="16 MB"):
        load_pose_npz(tmp_path / "x.npz")
