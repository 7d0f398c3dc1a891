from experiments.page import animation, details, image, page, paragraph, table
from tests.experiments.test_report import Page


def test_text_is_text():
    text = page(
        "a < b", [paragraph("1 < 2 & 3", "note"), table(["<i>", "x"], [["<b>", "2"]]), details("t<", {"a": "<"})]
    )
    read = Page(text)
    assert "1 < 2 & 3" in read.text
    assert read.cells == [["<i>", "x"], ["<b>", "2"]]
    assert "a = <" in read.text
    assert ("class", "note") in read.attributes


def test_words_stand_left_and_our_row_stands_out():
    text = table(["name", "value"], [["a", "1"], ["b", "2"]], ours=1)
    assert '<th class="name">name</th><th>value</th>' in text
    assert '<tr><td class="name">a</td><td>1</td></tr>' in text
    assert '<tr class="ours"><td class="name">b</td>' in text


def test_pictures_are_inside():
    read = Page(page("t", [image("<svg/>", 'a "b"'), animation(b"GIF89a", "moving")]))
    assert [one["alt"] for one in read.images] == ['a "b"', "moving"]
    assert read.images[0]["src"] == "data:image/svg+xml;base64,PHN2Zy8+"
    assert read.images[1]["src"] == "data:image/gif;base64,R0lGODlh"
    assert read.images[1]["class"] == "small"


def test_long_lists_are_cut_short():
    text = details("t", {"short": list(range(50)), "a": {"long": list(range(2000))}})
    assert "short = [0, 1, 2, " in text
    assert "48, 49]" in text
    assert "a.long = [0, 1, 2, " in text
    assert "48, 49, ... 2,000 in all]" in text
