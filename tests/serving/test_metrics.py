"""Our metrics: what is counted, and that Prometheus' text is read rightly."""

import pytest
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

from serving.metrics import Meter, counted, label
from serving.torchserve import HERE

PAGE = {"findings": [{"label": "AFIB, new: yes", "present": True}, {"label": "NORM", "present": False}],
        "page": {"doubtful": True, "quality": 0.9, "confidence": 0.5}, "timing_ms": {"decode": 20.0}}


@pytest.fixture
def lines(caplog):
    """TorchServe's own cache, and the lines that it hands to the server."""
    cache = MetricsCacheYamlImpl(config_file_path=str(HERE / "metrics.yaml"))
    cache.initialize_cache()
    caplog.set_level("INFO")

    def counting(answer):
        caplog.clear()
        Meter("1a2b").count(cache, answer)
        return [record.message.split("|#hostname")[0] for record in caplog.records]

    return counting


def test_a_page_is_counted_with_its_findings_and_figures(lines):
    assert lines(PAGE) == [
        "[METRICS]vizecg_pages.Count:1.0|#outcome:read,version:1a2b|#type:COUNTER",
        "[METRICS]vizecg_findings.Count:1.0|#finding:AFIB_ new_ yes,version:1a2b|#type:COUNTER",
        "[METRICS]vizecg_doubtful.Count:1.0|#version:1a2b|#type:COUNTER",
        "[METRICS]vizecg_quality.Count:0.9|#version:1a2b|#type:HISTOGRAM",
        "[METRICS]vizecg_confidence.Count:0.5|#version:1a2b|#type:HISTOGRAM",
        "[METRICS]vizecg_stage_seconds.Seconds:0.02|#stage:decode,version:1a2b|#type:HISTOGRAM"]


@pytest.mark.parametrize("answer, outcome", [
    (ValueError("junk"), "unreadable"), (RuntimeError("bug"), "fault"),
    ({"pages": [{"error": "no grid", "code": "no_ecg", "page": {}}]}, "no_ecg")])
def test_a_refusal_is_counted_by_its_code(lines, answer, outcome):
    assert lines(answer) == [f"[METRICS]vizecg_pages.Count:1.0|#outcome:{outcome},version:1a2b|#type:COUNTER"]


def test_prometheus_text_is_summed_over_the_labels_asked_for():
    text = ('# HELP vizecg_pages x\nvizecg_pages{outcome="read",version="a",} 3.0\n'
            'vizecg_pages{outcome="fault",version="a",} 2.0\nvizecg_pages_total{outcome="fault",version="b"} 4\n')
    assert counted(text, "vizecg_pages", outcome="fault") == 6.0
    assert counted(text, "vizecg_pages", outcome="fault", version="a") == 2.0
    assert counted(text, "vizecg_pages", outcome="other") == 0.0
    assert label("") == "_"
