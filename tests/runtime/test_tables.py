from idf_helpers.runtime.tables import Table


def test_text_is_aligned_and_notes_follow():
    table = Table([{"a": 1, "b": 0.5}, {"a": "long", "b": None}], notes=["half of it"])
    assert str(table).splitlines() == ["a     b", "----  -----", "1     0.500", "long",
                                       "  half of it"]
    assert str(Table([{"a": 1, "b": 2}], ["b"])).splitlines() == ["b", "-", "2"]
    assert str(Table([])) == "\n"


def test_html_is_escaped_and_cut():
    table = Table([{"a": "<b>", "c": 0.5}, {"a": 1, "c": None}], notes=["<n>"], limit=1)
    html = table._repr_html_()
    assert "&lt;b&gt;" in html and "0.500" in html and "1 more" in html and "&lt;n&gt;" in html
    assert "<b>" not in html and html.count("<tr>") == 2 and html.count("<th>") == 2
