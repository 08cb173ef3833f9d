"""The engine's benchmarks run, in the smallest size; what they say of it is nobody's measurement."""

import pytest

from benchmarks import publish, scale


def test_a_study_at_simulated_time_is_carried_out_and_reported() -> None:
    result = scale.measure(trials=16, workers=3)
    assert 0 < result["busy"] < 1
    assert result.keys() == {
        "driver_ms", "busy", "memory_mb", "record_kb_per_trial", "publish_s", "report_s", "report_mb",
    }  # fmt: skip
    assert min(value for name, value in result.items() if name != "memory_mb") > 0


def test_publication_is_measured_against_one_call_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "TRIALS", 3)
    monkeypatch.setattr(publish, "STOCK_METRICS", 3)
    assert {key for key, _ in publish.measurements()} == {
        "publish_metrics_per_s", "publish_metrics_per_s.stock", "publish_3x100x20_s",
    }  # fmt: skip
