"""Unusable samples: each class is counted once, listed by name, skipped up to the limit, then one error."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comfyui_figura.pipelines.common import bad_samples
from comfyui_figura.pipelines.common.bad_samples import BadSample, BadSamples, TooManyBadSamples
from comfyui_figura.pipelines.common.errors import FiguraInputError
from PIL import Image


@pytest.fixture
def pictures(tmp_path):
    """Two hundred pictures, of which a few are spoiled in every way a picture can be."""
    rng = np.random.default_rng(0)
    for index in range(200):
        Image.fromarray(rng.integers(0, 255, (16, 12, 3), np.uint8)).save(tmp_path / f"{index:03d}.jpg")
    whole = (tmp_path / "001.jpg").read_bytes()
    (tmp_path / "000.jpg").unlink()
    (tmp_path / "001.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 1)).save(tmp_path / "002.jpg")
    (tmp_path / "003.jpg").write_bytes(b"")
    (tmp_path / "004.jpg").write_text("<html>not found</html>")
    return tmp_path


SPOILED = {
    "000.jpg": "no such",
    "001.jpg": "damaged",
    "002.jpg": "1 x 1",
    "003.jpg": "damaged",
    "004.jpg": "dam",
}


def reader(folder):
    return lambda index: bad_samples.picture(folder / f"{index:03d}.jpg")


def test_each_spoiled_picture_is_named_with_its_reason(pictures):
    for name, reason in SPOILED.items():
        with pytest.raises(BadSample) as caught:
            bad_samples.picture(pictures / name)
        assert caught.value.name == name and reason in caught.value.reason
        assert str(pictures) not in str(caught.value)  # a name, never a machine's path


def test_under_the_limit_the_next_usable_sample_takes_the_place(pictures):
    bad = BadSamples(limit=0.03)
    bad.expect(200)
    for _ in range(2):  # the second round meets the same ones and counts them no more
        for index in range(200):
            image = bad.read(index, 200, reader(pictures))
            wanted = bad_samples.picture(pictures / f"{max(index, 5):03d}.jpg")
            assert np.array_equal(np.asarray(image), np.asarray(wanted))
    assert set(bad.samples) == set(SPOILED) and len(bad) == 5
    assert "5 samples skipped" in bad.report()


def test_over_the_limit_one_error_lists_all_of_them(pictures):
    bad = BadSamples(limit=0.02, what="faces")
    bad.expect(200)
    with pytest.raises(TooManyBadSamples) as caught:
        for index in range(200):
            bad.read(index, 200, reader(pictures))
    assert list(caught.value.samples) == list(SPOILED)
    for name in SPOILED:
        assert name in str(caught.value)
    assert "faces" in str(caught.value) and "5 unusable of 200" in str(caught.value)


def test_a_share_exactly_at_the_limit_is_allowed():
    bad = BadSamples(limit=0.01)
    assert (bad or None) is bad  # though empty
    bad.expect(200)
    bad.skip("a", "broken")
    bad.skip("b", "broken")
    with pytest.raises(TooManyBadSamples):
        bad.skip("c", "broken")


def test_losses_while_listing_count_against_the_whole_set():
    bad = BadSamples(limit=0.01)
    for number in range(2):
        bad.skip(str(number), "broken")  # nothing is known of the total yet
    bad.expect(198)
    with pytest.raises(TooManyBadSamples):
        bad.skip("2", "broken")
    late = BadSamples(limit=0.01)
    late.skip("0", "broken")
    with pytest.raises(TooManyBadSamples):
        late.expect(98)


def test_a_set_without_a_usable_sample_stops():
    with pytest.raises(FiguraInputError, match="no samples"):
        BadSamples().expect(0)
    bad = BadSamples(limit=1.0)
    bad.expect(3)

    def load(index):
        raise BadSample(str(index), "broken")

    with pytest.raises(TooManyBadSamples):
        bad.read(0, 3, load)


@pytest.mark.parametrize("limit", [-0.1, 1.5, float("nan")])
def test_a_limit_that_is_no_share_is_refused(limit):
    with pytest.raises(FiguraInputError):
        BadSamples(limit)


@pytest.mark.parametrize("text", ["", "  \n", None, 3])
def test_captions_without_words_are_bad(text):
    with pytest.raises(BadSample, match="000.jpg"):
        bad_samples.caption(text, "000.jpg")
    assert bad_samples.caption(" a man ", "x") == "a man"


def test_duplicate_ids_keep_the_first_and_name_the_others():
    bad = BadSamples()
    rows = bad.rows([{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "a", "n": 3}], lambda row: row["id"])
    assert [row["n"] for row in rows] == [1, 2] and list(bad.samples) == ["a (again, row 2)"]


def test_parquet_columns_are_checked_by_name(tmp_path):
    pq.write_table(pa.table({"path": ["a", "b"], "height": [1, 2]}), tmp_path / "good.parquet")
    pq.write_table(pa.table({"file": ["a", "b", "c"]}), tmp_path / "wrong.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    bad = BadSamples()
    assert bad_samples.read_parquet(tmp_path / "good.parquet", ["path"], bad) == [
        {"path": "a"},
        {"path": "b"},
    ]
    for name, lost in (("wrong", 3), ("broken", 1), ("absent", 1)):
        before = len(bad)
        assert bad_samples.read_parquet(tmp_path / f"{name}.parquet", ["path"], bad) == []
        assert len(bad) - before == lost
    assert "no column path" in bad.samples["wrong.parquet, row 2"]


def test_mapping_entries_are_checked_and_absent_files_are_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    good, gone = {"img_path": "a.jpg", "prompt": "p"}, {"img_path": "b.jpg", "prompt": "p"}
    text = json.dumps({"0": good, "1": gone, "2": {"prompt": "p"}, "3": "a.jpg"})
    (tmp_path / "mapping.json").write_text(text[:-1] + ', "0": ' + json.dumps(good) + "}")
    bad = BadSamples()
    found = bad_samples.read_mapping(tmp_path / "mapping.json", ["img_path", "prompt"], bad)
    assert found == {"0": good, "1": gone}

    def there(item):
        if not (tmp_path / item[1]["img_path"]).is_file():
            raise BadSample(item[1]["img_path"], "no such file")

    assert bad.usable(found.items(), there) == [("0", good)]
    assert list(bad.samples) == ["2", "3", "0 (again, entry 4)", "b.jpg"]


@pytest.mark.parametrize("text", ["[1, 2]", "{", "3", '"x"'])
def test_a_mapping_of_another_form_is_an_error(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(FiguraInputError, match="m.json"):
        bad_samples.read_mapping(tmp_path / "m.json", ["a"], BadSamples())
    with pytest.raises(FiguraInputError, match="gone.json"):
        bad_samples.read_mapping(tmp_path / "gone.json", ["a"], BadSamples())


def test_json_lines_are_checked_line_by_line(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n\nnot json\n[1]\n{"b": 2}\n{"a": 3}\n')
    bad = BadSamples()
    assert bad_samples.read_json_lines(tmp_path / "t.jsonl", ["a"], bad) == [{"a": 1}, {"a": 3}]
    assert list(bad.samples) == ["t.jsonl, line 3", "t.jsonl, line 4", "t.jsonl, line 5"]


def test_errors_travel_between_processes_and_counts_between_threads():
    error = TooManyBadSamples("set", {"a": "b"}, 3, 0.01)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert again.samples == error.samples and str(again) == str(error)
    again = pickle.loads(pickle.dumps(BadSample("a", "b")))  # noqa: S301
    assert (again.name, again.reason) == ("a", "b")
    bad = BadSamples(limit=1.0)
    bad.expect(1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: bad.skip(str(n % 100), "x"), range(1000)))
    assert len(bad) == 100
