import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.ingest.step import run as ingest
from components.validate.drift import drift, ks, psi_of_numbers, psi_of_words
from components.validate.statistics import block_statistics, columns_of, expectation_table, signal_statistics
from components.validate.step import run
from components.validate.suite import rules
from ecg.records import RecordStore
from model.params import IngestParams, ValidateParams
from tests.ecg.archives import beats, folder_rows, write_folder

PARAMS = ValidateParams(min_records=40)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store of forty records that meets every expectation."""
    folder = tmp_path_factory.mktemp("sound")
    data = write_folder(folder / "data", folder_rows(40))
    ingest(data=data, records=folder / "s", params=IngestParams(source="wfdb_folder"), seed=1)
    return folder / "s"


@pytest.fixture
def store(sound, tmp_path):
    """A copy of the sound store, to be spoiled."""
    return shutil.copytree(sound, tmp_path / "store")


@pytest.fixture(scope="module")
def passed(sound, tmp_path_factory):
    """The step's result on the sound store, and the folder that it wrote."""
    out = tmp_path_factory.mktemp("passed") / "validation"
    return run(records=sound, validation=out, params=PARAMS, seed=1), out


def edit_table(store, change):
    table = pd.read_parquet(store / "records.parquet")
    change(table)
    table.to_parquet(store / "records.parquet", index=False)


def edit_signals(store, change):
    signals = np.load(store / "signals.npy")
    change(signals)
    np.save(store / "signals.npy", signals)


def validate(store, params=PARAMS, reference=None):
    """Return the step's result or its error, and what it wrote."""
    out = store.parent / "validation"
    try:
        result = run(records=store, validation=out, params=params, seed=1, reference=reference)
    except ValueError as error:
        result = error
    return result, json.loads((out / "validation.json").read_text())


def test_a_sound_store_passes_everything_and_the_data_docs_show_it(passed, sound):
    result, out = passed
    written = json.loads((out / "validation.json").read_text())
    assert (result.records, result.warnings) == (40, ()) and result.expectations == len(written["expectations"])
    assert written["success"] and written["critical_failed"] == [] and written["warnings"] == []
    assert written["records"] == 40 and written["data_digest"] == RecordStore.open(sound).digest
    assert all(set(e) == {"name", "column", "critical", "success", "observed", "examples"} and e["success"]
               for e in written["expectations"])
    docs = out / "data_docs"
    assert (docs / "index.html").exists()
    text = "".join(page.read_text() for page in (docs / "validations").rglob("*.html"))
    assert all(column in text for column in ("patient_splits", "amplitude_mv:V3", "train:AFIB", "einthoven_error_uv"))


def test_the_simulated_store_stops_at_nothing(store_path, tmp_path):
    result = run(records=store_path, validation=tmp_path / "v", params=PARAMS, seed=1)
    assert result.records == 60 and not [w for w in result.warnings if not w.startswith(("both_", "prevalence"))]


CRITICAL = {
    "record_unique": lambda t: t.__setitem__("record", t["record"].where(t["record"] != "r001", "r000")),
    "patient_known": lambda t: t.__setitem__("patient", t["patient"].where(t["patient"] != "p3", "")),
    "split_known": lambda t: t.__setitem__("split", t["split"].where(t["record"] != "r002", "training")),
    "split_not_empty:validate": lambda t: t.__setitem__("split", t["split"].replace("validate", "train")),
    "label_binary:AFIB": lambda t: t.__setitem__("label:AFIB", t["label:AFIB"] * np.uint8(2)),
}


def test_critical_failures_stop_the_run_and_are_written(store):
    for change in CRITICAL.values():
        edit_table(store, change)
    error, written = validate(store)
    assert isinstance(error, ValueError) and "\n" not in str(error)
    assert set(written["critical_failed"]) == set(CRITICAL) and not written["success"]
    assert all(f"{name} fails with" in str(error) for name in CRITICAL)
    assert (store.parent / "validation" / "data_docs" / "index.html").exists()


def test_a_patient_in_two_splits_and_too_few_records_stop_the_run_and_are_shown(store):
    edit_table(store, lambda t: t.__setitem__("patient", t["patient"].where(t["patient"] != "p8", "p0")))
    error, written = validate(store, ValidateParams(min_records=41))
    assert isinstance(error, ValueError) and "patient_in_one_split fails with 2 (records r000, r008)" in str(error)
    assert set(written["critical_failed"]) == {"patient_in_one_split", "enough_records"} and not written["success"]
    outcome = next(e for e in written["expectations"] if e["name"] == "patient_in_one_split")
    assert outcome["observed"] == 2 and outcome["examples"] == ["r000", "r008"]


TABLE_WARNINGS = {
    "age_plausible": lambda t: t.__setitem__("age", t["age"] + 100),
    "sex_plausible": lambda t: t.__setitem__("sex", "male"),
    "sampling_rate_plausible": lambda t: t.__setitem__("sampling_rate", 10.0),
    "prevalence:AFIB": lambda t: t.__setitem__("label:AFIB", t["label:AFIB"].where(t["split"] != "train", 0)),
    "not_upsampled": lambda t: None,  # by sampling_rate_plausible's edit
    "both_classes:test:AFIB": lambda t: t.__setitem__("label:AFIB", t["label:AFIB"].where(t["split"] != "test", 0)),
}
SIGNAL_WARNINGS = {
    "amplitude:V4": lambda x: x.__setitem__((slice(None), 9, 5), 25000),
    "spread:V2": lambda x: x.__setitem__((slice(None), 7, slice(None, None, 2)), 9000),
    "flat_leads": lambda x: x.__setitem__((slice(None), 8), 3),
    "not_clipped": lambda x: np.clip(x[:, 10], -30, 30, out=x[:, 10]),
    "einthoven": lambda x: x.__setitem__((slice(None), 2), -x[:, 2]),
    "goldberger": lambda x: x.__setitem__((slice(None), 3), x[:, 4]),
    "baseline": lambda x: x[:, 11].__iadd__(np.linspace(0, 5000, x.shape[-1]).astype(np.int16)),
    "flat_stretch": lambda x: x.__setitem__((slice(None), 6, slice(100, 300)), 0),
    "noise": lambda x: None,  # by spread's edit
    "quality": lambda x: None,  # by all of them
}


@pytest.mark.parametrize(("edit", "changes"), [(edit_table, TABLE_WARNINGS), (edit_signals, SIGNAL_WARNINGS)])
def test_other_failures_are_warnings(store, edit, changes, capsys):
    for change in changes.values():
        edit(store, change)
    result, written = validate(store)
    assert set(result.warnings) == set(written["warnings"]) == set(changes)
    said = capsys.readouterr().err
    assert written["success"] and all(f"validate: warning: {name} fails" in said for name in changes)


def test_the_same_store_gives_the_same_bytes_whenever_and_wherever_it_is_checked(passed, store):
    validate(store)
    one, other = ([(out / name).read_bytes() for name in ("validation.json", "quality.parquet")]
                  for out in (passed[1], store.parent / "validation"))
    assert one == other


def test_the_data_docs_refer_to_nothing_outside(passed):
    docs = passed[1] / "data_docs"
    pages = list(docs.rglob("*.html"))
    assert len(pages) >= 3
    for page in pages:
        html = page.read_text()
        assert not re.search(r"<script|<(link|img)[^>]*http|url\(.?http|href=.https?:", html) and "<style>" in html
    links = re.findall(r'href="([^"]+)"', (docs / "index.html").read_text())
    assert links and all((docs / link.replace("%20", " ")).exists() for link in links)


def test_findings_that_exclude_each_other_and_swapped_electrodes_are_warned_of(store):
    store_names = RecordStore.open(store).label_names
    other = next(name for name in store_names if name != "AFIB")
    edit_table(store, lambda t: t.__setitem__(["label:AFIB", f"label:{other}"], np.uint8(1)))
    edit_signals(store, lambda x: x.__setitem__((slice(None), slice(0, 12)), -x))
    edit_signals(store, lambda x: x.__setitem__((slice(None), slice(6, 12)), -x[:, 6:]))
    params = ValidateParams(min_records=40, exclusive=(("AFIB", other), ("AFIB", "of another set")))
    result, written = validate(store, params)
    assert f"exclusive:AFIB:{other}" in result.warnings and "electrodes" in result.warnings
    assert not any("another set" in e["name"] for e in written["expectations"])


def test_quality_is_kept_for_each_record(store):
    edit_signals(store, lambda x: x.__setitem__((0, slice(4)), 0))
    result, _ = validate(store)
    table = pd.read_parquet(store.parent / "validation" / "quality.parquet")
    assert table["record"].tolist() == pd.read_parquet(store / "records.parquet")["record"].tolist()
    assert table["quality"].between(0, 1).all() and table["quality"][0] < 0.7 and table["acceptable"][0] == 0
    assert "flat" in table["doubts"][0].split(";") and result.unacceptable == 1
    assert (table["quality"][1:] > 0.9).all()


def test_a_drift_against_a_reference_is_warned_of(store, sound):
    result, _ = validate(store, reference=sound)
    assert result.warnings == ()
    edit_table(store, lambda t: t.__setitem__("age", t["age"] + 30))
    edit_table(store, lambda t: t.__setitem__("device", "another"))
    edit_signals(store, lambda x: x[:, 6].__imul__(3))
    result, written = validate(store, reference=sound)
    assert {"drift:psi", "drift:ks"} <= set(result.warnings)
    named = {e["name"]: e["examples"] for e in written["expectations"]}
    assert {"age", "device"} <= set(named["drift:psi"]) and "std_mv:V1" in named["drift:ks"]
    fields = json.loads((store.parent / "validation" / "drift.json").read_text())["fields"]
    assert {row["field"] for row in fields if row["psi"] and row["psi"] > 0.25} >= {"age", "device", "std_mv:V1"}


def test_distances_between_distributions_are_what_they_say():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 4000), rng.normal(0, 1, 4000)
    assert psi_of_numbers(a, b) < 0.02 and psi_of_numbers(a, b + 1) > 0.5
    from scipy.stats import ks_2samp

    assert ks(a, b + 0.3) == pytest.approx(ks_2samp(a, b + 0.3).statistic)
    old, new = pd.Series(["x"] * 50 + ["y"] * 50), pd.Series(["x"] * 90 + ["y"] * 10)
    assert psi_of_words(old, new) == pytest.approx(0.4 * np.log(0.9 / 0.5) - 0.4 * np.log(0.1 / 0.5))
    assert np.isnan(psi_of_numbers(a, np.array([]))) and np.isnan(ks(np.array([]), a))


def test_a_field_that_one_store_does_not_know_is_not_judged(sound):
    table = expectation_table(RecordStore.open(sound))
    found = drift(table, table.assign(age=np.nan), ("AFIB", "unknown there")).set_index("record")
    assert found["psi"].drop("age").max() == 0 and np.isnan(found["psi"]["age"])


def test_unknown_ages_and_sexes_are_no_failure(store):
    edit_table(store, lambda t: t.__setitem__("age", np.nan))
    edit_table(store, lambda t: t.__setitem__("sex", ""))
    result, _ = validate(store)
    assert result.warnings == ()


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a record store"):
        run(records=tmp_path, validation=tmp_path / "v", params=PARAMS, seed=1)
    assert not (tmp_path / "v").exists()


def test_the_statistics_are_what_they_say():
    signal = np.rint(beats(0) * 1000).astype(np.int16)
    signal[6], signal[7] = 5, np.clip(signal[7], -10, 40)
    signal[2] += 30
    found = block_statistics(signal[None]).iloc[0]
    assert found["amplitude_mv:I"] == pytest.approx(np.abs(signal[0]).max() / 1000)
    assert found["std_mv:V6"] == pytest.approx(signal[11].std() / 1000, rel=1e-4)
    assert found["flat_share"] == 1 / 12
    assert found["clipped_share"] == pytest.approx(((signal[7] == 40) | (signal[7] == -10)).mean())
    assert found["einthoven_error_uv"] == pytest.approx(30, abs=1)
    assert found["goldberger_error_uv"] <= 1


def test_blocks_join_in_order():
    signals = np.random.default_rng(0).integers(-900, 900, size=(1100, 12, 20)).astype(np.int16)
    store = RecordStore(Path(), signals, pd.DataFrame(index=range(1100)), (), 100.0, "", {})
    pd.testing.assert_frame_equal(signal_statistics(store), block_statistics(signals))


def test_a_part_of_a_store_is_read_as_the_whole_shows_it(sound):
    store = RecordStore.open(sound)
    for first, last in ((0, 40), (3, 7), (38, 99), (40, 50)):
        found = store.read(first, last)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, store.signals[first:last])


def test_the_table_tells_the_splits_apart(sound):
    store = RecordStore.open(sound)
    every = [rule.column for rule in rules(PARAMS, store.label_names) if rule.column]
    table = columns_of(expectation_table(store), dict.fromkeys([*every, "validate:AFIB", "split"]))
    assert len(table) == 40 and set(table["patient_splits"]) == {1}
    assert table["in:train"].sum() == 32 and table["validate:AFIB"].count() == 4
    assert table["train:AFIB"].sum() == store.labels[store.rows("train"), 0].sum()
    names = [rule.name for rule in rules(PARAMS, store.label_names)]
    assert len(names) == len(set(names))
