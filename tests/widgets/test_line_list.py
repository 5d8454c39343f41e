"""A click means the line that the page shows, also when the kernel has found others meanwhile."""

from sdnb.widgets.line_list import Line, LineList


def lines(*words):
    return [Line(f"what {w}", w, "plus", "") for w in words]


def test_a_late_click_takes_the_line_that_was_clicked():
    taken = []
    one = LineList(taken.append)
    one.show(lines("a", "b", "c"))
    b = one.children[1]
    one.show(lines("c"))
    assert [button.description for button in one.children] == ["c"]
    b.click()
    one.children[0].click()
    assert taken == ["what b", "what c"]


def test_lines_of_the_same_words_are_apart_and_few_buttons_are_kept():
    taken = []
    one = LineList(taken.append)
    one.show([Line(n, "twin", "plus", "") for n in range(2)])
    one.children[1].click()
    assert taken == [1]
    for n in range(100):
        one.show(lines(*(f"{n} {k}" for k in range(50))))
    assert len(one._buttons) == 300
    one.show([Line(7, "twin", "ban", "", enabled=False)])
    one.children[0].click()
    assert taken == [1]
