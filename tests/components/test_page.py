"""The verbs page and locate on real WFDB files."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import wfdb
from PIL import Image

from components.cli import main
from ecg.leads import LEADS
from tests.ecg.paper.signals import beats_uv


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two good records in folders of their own, one of eight leads, one whose signal file is cut short."""
    root = tmp_path_factory.mktemp("archive")

    def write(folder, name, leads, rate=100):
        (root / folder).mkdir(exist_ok=True)
        signal = beats_uv(sampling_rate=rate)[[LEADS.index(lead) for lead in leads]].T / 1000
        wfdb.wrsamp(name, fs=rate, units=["mV"] * len(leads), sig_name=list(leads), p_signal=signal,
                    fmt=["16"] * len(leads), write_dir=str(root / folder))

    write("a", "one", LEADS)
    write("b", "two", LEADS, rate=500)
    write("b", "eight", ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))
    write("b", "cut", LEADS)
    data = root / "b" / "cut.dat"
    data.write_bytes(data.read_bytes()[:1000])
    return root


def test_a_folder_is_drawn_and_the_bad_record_quarantined(records, tmp_path, capsys):
    assert main(["page", str(records), "-o", str(tmp_path / "out"), "--dpi", "72"]) == 2
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")) == [
        "a/one.png", "b/eight.png", "b/two.png", "quarantine.csv"]
    refused = pd.read_csv(tmp_path / "out" / "quarantine.csv")
    assert refused[["record", "reason"]].values.tolist() == [["b/cut", "truncated"]]
    said = capsys.readouterr()
    assert "pages=3, quarantined=1" in said.out
    assert "b/eight: derived from the other limb leads: III, aVR, aVL, aVF" in said.err


def test_derived_limb_leads_are_those_of_the_full_record():
    from ecg.leads import complete_leads

    full = np.random.default_rng(0).normal(size=(12, 50)).astype(np.float32)
    full[2:6] = [full[1] - full[0], -(full[0] + full[1]) / 2, full[0] - full[1] / 2, full[1] - full[0] / 2]
    for given in (("I", "II"), ("II", "III"), ("aVL", "aVF"), ("III", "aVR")):
        rows = [LEADS.index(lead) for lead in given]
        twelve, notes = complete_leads([*given, "X"], np.stack([*full[rows], full[0]]))
        assert np.allclose(twelve[:6], full[:6], atol=1e-5) and np.isnan(twelve[6:]).all()
        assert notes[1] == "not in the record: V1, V2, V3, V4, V5, V6"


def test_labels_and_masks_fit_the_picture(records, tmp_path):
    command = ["page", str(records / "a" / "one.hea"), "-o", str(tmp_path), "--labels", "--capture", "photo", "--size",
               "900x700", "--format", "jpg", "--layout", "6x2+1R", "--seed", "3"]
    assert main(command) == 0
    with Image.open(tmp_path / "one.jpg") as picture:
        assert picture.size == (900, 700)
    labels = json.loads((tmp_path / "one.json").read_text())
    masks = cv2.imread(str(tmp_path / "one.masks.png"), cv2.IMREAD_UNCHANGED)
    assert (labels["width"], labels["height"]) == (900, 700) and masks.shape == (700, 900) and masks.dtype == np.uint16
    assert labels["capture"]["kind"] == "photo" and labels["layout"] == "6x2+1R" and len(labels["traces"]) == 13
    for number, trace in enumerate(labels["traces"]):
        rows, columns = np.nonzero(masks >> number & 1)
        left, top, right, bottom = trace["box"]
        assert rows.size and left - 1 <= columns.min() and columns.max() <= right + 1
        assert top - 1 <= rows.min() and rows.max() <= bottom + 1


def test_one_process_or_two_draw_the_same(records, tmp_path):
    for jobs in ("1", "2"):
        main(["page", str(records / "a"), str(records / "b"), "-o", str(tmp_path / jobs), "--dpi", "50", "--jobs", jobs,
              "--style", "sampled", "--capture", "sampled", "--marks", "0.5", "--copies", "2"])
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / jobs).rglob("*.png")} for jobs in ("1", "2"))
    assert first == second and len(first) == 6 and first["one-0.png"] != first["one-1.png"]


@pytest.mark.parametrize("ending", ["pdf", "tiff"])
def test_files_state_the_size_of_the_paper(records, tmp_path, ending):
    assert main(["page", str(records / "a" / "one"), "-o", str(tmp_path), "--format", ending, "--dpi", "72"]) == 0
    data = (tmp_path / f"one.{ending}").read_bytes()
    if ending == "pdf":
        assert data.startswith(b"%PDF") and b"/MediaBox [ 0 0 792.0 612.0 ]" in data
    else:
        with Image.open(tmp_path / "one.tiff") as picture:
            assert picture.info["dpi"] == pytest.approx((72, 72), abs=0.1)


def test_a_store_is_drawn_record_by_record(store_path, store, tmp_path):
    assert main(["page", str(store_path), "-o", str(tmp_path / "out"), "--dpi", "30", "--kit", "--jobs", "1"]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == len(store)
    labels = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert labels["sampling_frequency"] == store.sampling_rate and len(labels["leads"]) == 13


@pytest.mark.parametrize(("options", "message"), [
    (["--layout", "4x3"], "unknown layout '4x3'"), (["--style", "mauve"], "style: unknown 'mauve'"),
    (["--capture", "xray"], "unknown capture 'xray'"), (["--dpi", "9"], "dpi: must lie in"),
    (["--format", "gif"], "--format: must be one of png"), (["--speed", "30"], "speed: must be one of"),
    (["--strength", "9"], "strength: must lie in 0-2"), (["--copies", "0"], "--copies must be 1 or more")])
def test_a_mistake_is_one_line_and_leaves_nothing(records, tmp_path, capsys, options, message):
    assert main(["page", str(records / "a"), "-o", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.png"))


def test_paths_without_records_are_named(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for path, message in (("empty", "no WFDB record"), ("nothing", "no such record")):
        assert main(["page", str(tmp_path / path), "-o", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err


def test_the_kits_users_find_its_files(records, tmp_path):
    assert main(["page", str(records / "b" / "two"), "-o", str(tmp_path), "--kit", "--labels"]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two-0.json", "two-0.masks.png", "two-0.png", "two.dat",
                                                          "two.hea"]
    copied, original = (wfdb.rdrecord(str(folder / "two")).p_signal for folder in (tmp_path, records / "b"))
    assert np.allclose(copied, original)
    labels = json.loads((tmp_path / "two-0.json").read_text())
    assert (labels["width"], labels["height"], labels["resolution"]) == (2200, 1700, 200)
    assert labels["x_grid"] == pytest.approx(39.37, abs=0.001) and labels["leads"][0]["lead_name"] == "I"


def test_locate_says_what_it_found_and_shows_it(records, tmp_path, capsys):
    main(["page", str(records / "a" / "one"), "-o", str(tmp_path / "pages"), "--capture", "photo", "--dpi", "150",
          "--labels", "--seed", "2"])
    labels = json.loads((tmp_path / "pages" / "one.json").read_text())
    (tmp_path / "pages" / "one.masks.png").unlink()
    noise = np.random.default_rng(0).integers(0, 256, (300, 400)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "pages" / "noise.png"), noise)
    capsys.readouterr()
    assert main(["locate", str(tmp_path / "pages"), "-o", str(tmp_path / "found"), "--json",
                 str(tmp_path / "found.json")]) == 2
    said = capsys.readouterr().out
    assert "no ECG grid here" in said and "grid" in said.splitlines()[-1]
    refused, found = json.loads((tmp_path / "found.json").read_text())
    assert "error" in refused and found["scale_from"] == "grid" and found["rows"] == 4
    assert found["px_per_mm"] == pytest.approx(labels["px_per_mm"], rel=0.02)
    names = sorted(p.name for p in (tmp_path / "found").iterdir())
    assert names == ["one.overlay.png", "one.page.png"]
    picture, overlaid = (cv2.imread(str(tmp_path / f)) for f in ("pages/one.png", "found/one.overlay.png"))
    assert overlaid.shape == picture.shape and (overlaid != picture).any()


def test_the_gallery_shows_every_choice(tmp_path):
    from components.gallery import run
    from ecg.paper.capture import CAPTURES
    from ecg.paper.layout import LAYOUTS
    from ecg.paper.print_style import STYLES

    result = run(out=tmp_path / "gallery", seed=7)
    shown = (tmp_path / "gallery" / "README.md").read_text()
    for name in (*LAYOUTS, *STYLES, *(kind for kind in CAPTURES if kind != "clean")):
        assert f"![{name}](" in shown, name
    pictures = list((tmp_path / "gallery").glob("*.jpg"))
    assert len(pictures) == result.pictures and all(p.name in shown for p in pictures)
    commands = [line.split("`")[1] for line in shown.splitlines() if "`vizecg page" in line]
    assert len(commands) == result.pictures


def test_the_gallerys_commands_draw_its_pictures(records, tmp_path):
    from components.gallery import command
    from ecg.paper.draw import PageOptions, draw_page

    options = PageOptions(layout="6x2", mm_per_s=50.0, half_gain_v=True, sequential=False, capture="scan", dpi=72,
                          seed=9)
    words = command(options).replace("RECORD", str(records / "a" / "one")).replace("OUT", str(tmp_path)).split()
    assert main(words[1:]) == 0
    from ecg.sources.wfdb_files import read_leads

    signal, rate, _ = read_leads(records / "a" / "one")
    expected = draw_page(signal * 1000, sampling_rate=rate, options=options, record="one")
    assert np.array_equal(cv2.imread(str(tmp_path / "one.png"))[..., ::-1], expected.rgb)
