"""AUTOMATIC1111's styles.csv: its rules, its encodings, and nothing lost where it is written."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sdnb
from sdnb import PromptStyle, Request, Styles
from sdnb.library.styles import offered, paths_in, put

OF_A1111 = (
    'name,prompt,negative_prompt\r\n'
    'oil,"oil painting of {prompt}, thick paint",photo\r\n'
    "--- mine ---,,\r\n"
    '"two\r\nlines","first ""quoted"",\r\nsecond",\r\n'
    "sharp,sharp,blurred\r\n"
)  # fmt: skip
STYLES = {
    "oil": PromptStyle("oil", "oil painting of {prompt}, thick paint", "photo"),
    "--- mine ---": PromptStyle("--- mine ---"),
    "two\r\nlines": PromptStyle("two\r\nlines", 'first "quoted",\r\nsecond'),
    "sharp": PromptStyle("sharp", "sharp", "blurred"),
}


@pytest.fixture
def file(tmp_path):
    def file(content):
        path = tmp_path / "styles.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


@pytest.mark.parametrize(
    "content",
    [
        OF_A1111,
        OF_A1111.encode("utf-8-sig"),
        OF_A1111.encode("utf-16"),
        OF_A1111.replace(",", ";").replace("of {prompt};", "of {prompt},").replace('"";', '"",'),
    ],
)
def test_styles_are_read_in_their_order(file, content):
    styles = Styles(file(content))
    assert dict(styles) == STYLES
    assert list(styles) == list(STYLES)
    assert styles["oil"] == STYLES["oil"]


@pytest.mark.parametrize(
    ("style", "words", "wanted"),
    [
        ("oil of {prompt}, thick", "a cat", "oil of a cat, thick"),
        ("{prompt} and {prompt}", "a cat", "a cat and a cat"),
        ("sharp", "a cat", "a cat, sharp"),
        (" sharp ", " a cat ", "a cat, sharp"),
        ("sharp", "", "sharp"),
        ("", "a cat ", "a cat "),
        ("{prompt}, big", "", ", big"),
    ],
)
def test_words_are_put_as_automatic1111_does(style, words, wanted):
    assert put(style, words) == wanted


def test_styles_are_applied_one_after_the_other(file):
    styles = Styles(file(OF_A1111))
    request = styles.apply(Request("a {red|blue} cat", negative="dog", seed=3), "sharp", "oil")
    assert request.prompt == "oil painting of a {red|blue} cat, sharp, thick paint"
    assert request.negative == "dog, blurred, photo"
    assert request.seed == 3
    with pytest.raises(KeyError, match="no style 'oll'; did you mean 'oil'"):
        styles.apply(Request(), "oll")


@pytest.mark.parametrize(
    ("content", "prompt"),
    [
        ("name,text\noil,thick paint\n", "thick paint"),  # of 2022
        ("negative_prompt,name,extra,prompt\n,oil,x,thick paint\n", "thick paint"),
        ("\ufeffname,prompt\noil\n", ""),
        ("name,prompt,negative_prompt\roil,thick\r", "thick"),
        ("Name;Prompt;Negative_prompt\noil;thick, paint;", "thick, paint"),
        ("name\tprompt\tnegative_prompt\noil\tthick, paint\t", "thick, paint"),
        ("name,prompt\noil,first\noil,last\n", "last"),
    ],
)
def test_quirks_of_files(file, content, prompt):
    path = file(content)
    styles = Styles(path)
    assert dict(styles) == {"oil": PromptStyle("oil", prompt)}
    styles.keep(styles["oil"])
    assert path.read_bytes() == content.encode()  # the same style: the same file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_what_is_not_changed_stays_letter_for_letter(file, encoding):
    text = (
        "name , prompt,negative_prompt,notes\n# a comment, of mine\n\n"
        '"öl" ,\'thick\' paint,,"kept"\nsharp,sharp,,\n,no name,,'
    )
    path = file(text.encode(encoding))
    Styles(path).keep(PromptStyle("new", "a, b", 'say "x"'))
    assert path.read_bytes() == (text + '\nnew,"a, b","say ""x""",\n').encode(encoding)
    Styles(path).remove("new")
    assert path.read_bytes() == (text + "\n").encode(encoding)
    Styles(path).keep(PromptStyle("sharp", "very sharp"))
    assert path.read_bytes() == (text + "\n").replace("sharp,sharp,,", "sharp,very sharp,,").encode(
        encoding
    )


def test_letters_that_the_encoding_lacks_make_it_utf8(file):
    path = file("name,prompt\nöl,thick\n".encode("cp1252"))
    Styles(path).keep(PromptStyle("猫", "a cat"))
    assert dict(Styles(path)) == {
        "öl": PromptStyle("öl", "thick"),
        "猫": PromptStyle("猫", "a cat"),
    }
    assert path.read_bytes().decode("utf-8-sig") == "name,prompt\nöl,thick\n猫,a cat\n"


def test_a_new_file_is_as_automatic1111_writes_it(tmp_path):
    path = tmp_path / "new" / "styles.csv"
    styles = Styles(path)
    assert len(styles) == 0
    styles.keep(STYLES["oil"])
    assert styles["oil"] == STYLES["oil"]
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, ["name", "prompt", "negative_prompt"])
    writer.writeheader()
    oil = STYLES["oil"]
    writer.writerow({"name": oil.name, "prompt": oil.prompt, "negative_prompt": oil.negative})
    assert path.read_bytes() == buffer.getvalue().encode("utf-8-sig")


def test_what_others_wrote_meanwhile_is_kept(file):
    path = file("name,prompt\na,1\n")
    mine, yours = Styles(path), Styles(path)
    mine.keep(PromptStyle("b", "2"))
    yours.keep(PromptStyle("c", "3"))
    assert list(Styles(path)) == ["a", "b", "c"]
    mine.remove("c")
    assert list(mine) == ["a", "b"]
    with pytest.raises(KeyError, match="no style 'c'"):
        yours.remove("c")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n", "name,prompt,negative_prompt are expected"),
        ('name,prompt\na,1\nb,"2\nc,3\n', "a quote in or behind line 3 is not closed"),
        ("name,prompt\na," + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_what_is_no_table_is_said(file, content, said):
    with pytest.raises(ValueError, match=said):
        Styles(file(content))


def test_styles_on_offer_are_ones_own_and_those_of_automatic1111(tmp_path):
    own, webui, broken = tmp_path / "own.csv", tmp_path / "webui", tmp_path / "broken"
    (webui / "models").mkdir(parents=True)
    (webui / "styles.csv").write_text("name,prompt\noil,theirs\nink,ink\n")
    broken.mkdir()
    (broken / "styles.csv").write_text("a,b\n")
    assert offered([own]) == ({}, [])
    Styles(own).keep(PromptStyle("oil", "mine"))
    wanted = {"oil": PromptStyle("oil", "mine"), "ink": PromptStyle("ink", "ink")}
    assert offered([own, *paths_in([webui / "models"])]) == (wanted, [])
    found, (note,) = offered([own, *paths_in([broken, webui])])
    assert found == wanted
    assert "is no table of styles" in note


@pytest.mark.parametrize("name", ["", " ", "# a comment"])
def test_a_name_that_the_file_cannot_have_is_refused(name):
    with pytest.raises(ValueError, match="names no style"):
        PromptStyle(name, "a")


TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=5))
def test_any_style_that_is_kept_is_read(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("styles") / "styles.csv"
    styles, kept = Styles(path), {}
    for name, prompt, negative in texts:
        if name.strip() and not name.startswith("#"):
            kept[name] = PromptStyle(name, prompt, negative)
            styles.keep(kept[name])
    assert dict(Styles(path)) == kept == dict(styles)
    assert sdnb.Styles is Styles
