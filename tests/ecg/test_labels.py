import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.labels import PTBXL_SUPERCLASSES, choose, parse_scp_codes, plain_scheme, ptbxl_scheme
from ecg.tables import read_table
from tests.ecg.archives import SCP_STATEMENTS

LABEL_SETS = [("superclass", PTBXL_SUPERCLASSES), ("subclass", ("NORM", "IMI", "STTC", "CRBBB", "LVH")),
              ("diagnostic", ("NORM", "IMI", "NDT", "CRBBB", "LVH")), ("form", ("NDT", "LVOLT")), ("rhythm", ("SR",)),
              ("all", ("NORM", "IMI", "NDT", "CRBBB", "LVH", "SR", "LVOLT"))]


@pytest.fixture
def scheme(tmp_path):
    (tmp_path / "scp.csv").write_text(SCP_STATEMENTS)
    return ptbxl_scheme(tmp_path / "scp.csv")


def test_superclasses_come_from_diagnostic_statements_in_the_fixed_order(scheme):
    assert scheme.names == PTBXL_SUPERCLASSES
    assert scheme.apply(["LVH", "SR", "IMI", "LVOLT"]) == ("MI", "HYP")


def test_statements_that_are_no_diagnosis_give_no_finding_but_are_known(scheme):
    assert scheme.apply(["SR", "LVOLT"]) == ()
    assert not scheme.unknown(["SR", "LVOLT"])


@pytest.mark.parametrize(("label_set", "names"), LABEL_SETS)
def test_every_set_of_the_benchmark_has_its_findings(tmp_path, label_set, names):
    (tmp_path / "scp.csv").write_text(SCP_STATEMENTS)
    scheme = ptbxl_scheme(tmp_path / "scp.csv", label_set)
    assert scheme.names == names
    assert scheme.apply(scheme.findings) == names and not scheme.unknown(scheme.findings)


def test_levels_are_the_superclasses_and_what_lies_below_them(tmp_path):
    (tmp_path / "scp.csv").write_text(SCP_STATEMENTS)
    scheme = ptbxl_scheme(tmp_path / "scp.csv", "levels")
    below = [f"{name}:{finding}" for name, found in LABEL_SETS if name in ("subclass", "form", "rhythm")
             for finding in found]
    assert scheme.names == (*PTBXL_SUPERCLASSES, *below)
    assert scheme.apply(["IMI", "SR"]) == ("MI", "subclass:IMI", "rhythm:SR")
    assert scheme.apply(["NDT"]) == ("STTC", "subclass:STTC", "form:NDT")
    assert scheme.apply(["SR", "LVOLT"]) == (), "a record without a superclass is none of the benchmark's"
    assert scheme.unknown(["SR", "XYZ"]) == {"XYZ": 1}


def test_a_finding_is_kept_once(scheme):
    with pytest.raises(ValueError, match="ingest.labels: 'MI' stands there more than once"):
        choose(scheme, ("MI", "CD", "MI"), "superclass")


def test_unknown_statements_are_counted(scheme):
    assert scheme.unknown(["IMI", "XYZ", "XYZ", "ABC"]) == {"XYZ": 2, "ABC": 1}


def test_a_statement_counts_whatever_its_likelihood(scheme):
    assert scheme.apply(parse_scp_codes("{'NDT': 0.0, 'NORM': 100.0}")) == ("NORM", "STTC")


@given(st.lists(st.sampled_from(["AFIB", "PVC", "LBBB", "other"])))
def test_findings_are_unique_and_ordered_whatever_the_statements(statements):
    names = ("PVC", "AFIB", "LBBB")
    found = plain_scheme(names).apply(statements)
    assert found == tuple(name for name in names if name in statements)


@pytest.mark.parametrize("text", ["", "NORM", "{'NORM'", "['NORM']", "{1: 2.0}", "__import__('os').getcwd()"])
def test_anything_but_a_dict_of_statements_is_refused(text):
    with pytest.raises(ValueError, match="scp_codes"):
        parse_scp_codes(text)


@pytest.mark.parametrize(("text", "message"), [
    ("a,b\n1,2\n", "no column c"),
    ("a,b,c\n", "no rows"),
    ("a,b,c\n1,2\n", "row 2 has another number of cells"),
    ("a,b,c\n1,2,3\n1,2,3,4\n", "row 3 has another number of cells"),
    ("a,b,c\n\xff", "UTF-8"),
])
def test_a_damaged_table_is_refused_by_what_is_wrong(tmp_path, text, message):
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "t.csv", required=("a", "c"))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_table(tmp_path / "none.csv", required=("a",))


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfrecord,labels\r\nr1,A\r\n")
    assert read_table(tmp_path / "t.csv", required=("record",)) == [{"record": "r1", "labels": "A"}]
