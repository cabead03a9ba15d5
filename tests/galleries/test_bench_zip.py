"""The bench of the archive runs and says what it promises to say."""

import json

import pytest
from django.core.management import call_command


@pytest.mark.slow
def test_the_bench_reports_ratios_peers_and_conditions(capsys):
    call_command("bench", "zip", "--quick", "--runs", "1", "--json")
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found["ratios"]) == {"file_by_same_server", "sendfile_by_same_server", "zipstream_ng"}
    assert found["peers"]["zipstream-ng"]["megabytes_per_second"] > 0
    assert found["figures"]["memory_growth_mb_ten_at_once"] < 100
    assert found["conditions"]["pictures"] == 20
