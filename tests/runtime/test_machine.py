from idf_helpers.runtime import machine


def test_figures_are_believable():
    total, free = machine.memory_gb()
    assert 0.5 < total < 100_000 and 0 < free <= total
    assert 1 <= machine.cpu_count() <= 4096
    assert 10 < machine.peak_rss_mb() < 1000 * total
    about = machine.machine()
    assert about["cpus"] == machine.cpu_count() and about["processor"] and about["system"]
