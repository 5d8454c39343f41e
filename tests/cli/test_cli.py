"""The command line: the original's lines run as they are, mistakes are one line and exit code 2."""

import types
from pathlib import Path

import pytest
from helpers import hostile_checkpoints as hostile
from helpers.folder_of_a_user import SHAPED
from PIL import Image

import sdnb
from sdnb.__main__ import main
from sdnb.cli import options, pictures
from sdnb.request import png_header

ORIGINAL_TXT2IMG = (
    "--prompt dog --nprompt dry --precision full --ckpt sd-v1-4.ckpt --H 512 --W 512 "
    "--n_samples 10 --ddim_steps 50 --scale 7.5"
)
ORIGINAL_IMG2IMG = (
    "--prompt dog --nprompt dry --init-img {image} --strength 0.75 --precision full "
    "--ckpt sd-v1-4.ckpt --H 512 --W 512 --n_samples 1 --ddim_steps 50 --scale 7.5"
)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (96, 64), "teal").save(path)
    return path


@pytest.fixture
def mask(tmp_path):
    path = tmp_path / "mask.png"
    Image.new("L", (96, 64), 255).save(path)
    return path


class FakeEngine:
    """Stands for loading and generating: keeps what it is asked for, and fails when told to."""

    def __init__(self):
        self.notes = ("the weights are half",)
        self.loaded, self.requests, self.load_error, self.run_error = None, [], None, None

    def load(self, path=None, **options):
        self.loaded = (path, options)
        if self.load_error:
            raise self.load_error
        return self

    def generate(self, model, request):
        assert model is self
        self.requests.append(request)
        if self.run_error:
            raise self.run_error
        return types.SimpleNamespace(
            request=request, seconds=1.0, notes=("the mask was resized",), save=self.save
        )

    def save(self, folder):
        return [folder / f"{len(self.requests)}.png"]


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fake = FakeEngine()
    monkeypatch.setattr(sdnb, "load", fake.load, raising=False)
    monkeypatch.setattr(sdnb, "generate", fake.generate, raising=False)
    return fake


def requests(command, line):
    return pictures.requests(options.parse(command, "", line.split()))


def test_the_originals_txt2img_line(fake, capsys):
    assert main(["txt2img", *ORIGINAL_TXT2IMG.split()]) == 0
    path, options = fake.loaded
    assert path == "sd-v1-4.ckpt"
    left_open = dict.fromkeys(("vae", "tiny_vae", "config", "prediction", "library"))
    assert options == {"memory": "auto", "precision": "full", **left_open}
    (request,) = fake.requests
    assert (request.prompt, request.negative, request.count) == ("dog", "dry", 10)
    assert (request.width, request.height, request.steps, request.cfg) == (512, 512, 50, 7.5)
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(Path("outputs/txt2img-samples/1.png"))]
    assert said.err.splitlines()[:2] == ["note: the weights are half", "note: the mask was resized"]


@pytest.mark.parametrize(("given", "taken"), [("2.5", 2.5), ("4", 4.0), ("4gb", "4gb")])
def test_memory_is_a_plans_name_or_a_number_of_gb(fake, given, taken):
    assert main(["txt2img", "--prompt", "dog", "--memory", given]) == 0
    assert fake.loaded[1]["memory"] == taken


def test_a_library_is_one_folder_or_several(fake, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["txt2img", "--prompt", "a", "--library", "one", "--library=~/two"]) == 0
    assert fake.loaded[1]["library"] == [Path("one"), tmp_path / "two"]


def test_a_file_of_prompts_in_another_encoding_is_named(fake, capsys, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes("a café".encode("latin-1"))
    assert main(["txt2img", "--from-file", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"--from-file {path} is no UTF-8 text (its byte 6 is 0xe9); save it as UTF-8" in said


@pytest.mark.parametrize(("name", "why"), [("none.txt", "No such file"), (".", "Is a directory")])
def test_a_file_of_prompts_that_cannot_be_read_is_named(fake, capsys, tmp_path, name, why):
    assert main(["txt2img", "--from-file", str(tmp_path / name)]) == 2
    assert f"--from-file {tmp_path / name}: {why}" in capsys.readouterr().err


def test_a_file_of_prompts_is_split_where_lines_end_and_nowhere_else(fake, tmp_path):
    inside = "a cat\u2028in\x0bfog\x85 and\x1cmore"
    (tmp_path / "p.txt").write_bytes(f"{inside}\r\na dog\n\n  an owl\r".encode())
    assert main(["txt2img", "--from-file", str(tmp_path / "p.txt")]) == 0
    assert [request.prompt for request in fake.requests] == [inside, "a dog", "an owl"]


def test_a_text_may_begin_with_a_hyphen(fake, capsys):
    assert main(["txt2img", "--prompt", "-cat", "--nprompt", "--blurred, dark"]) == 0
    assert (fake.requests[0].prompt, fake.requests[0].negative) == ("-cat", "--blurred, dark")
    assert main(["txt2img", "--prompt", "--", "--nprompt=--"]) == 0
    assert (fake.requests[1].prompt, fake.requests[1].negative) == ("--", "--")
    assert main(["txt2img", "--prompt", "--W", "64"]) == 2  # a flag stays a flag
    assert main(["txt2img", "--prompt", "--W=64"]) == 2
    assert "--prompt: expected one argument" in capsys.readouterr().err


@pytest.mark.parametrize("joint", [" ", "="])
def test_a_tilde_is_the_home_folder_in_every_flag(joint, fake, photo, tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    (home / "p.txt").write_text("a cat\n")
    photo.rename(home / "photo.jpg")
    flags = ("--from-file ~/p.txt", "--init-img ~/photo.jpg", "--mask ~/photo.jpg", "--outdir ~/o")
    line = [word for flag in flags for word in (flag.split() if joint == " " else [flag])]
    assert main(["img2img", *(word.replace(" ", "=") for word in line)]) == 0
    assert (home / "o").is_dir()
    assert not list(here.iterdir())


def test_a_wrong_seed_is_answered_in_the_command_lines_own_words(fake, capsys):
    assert main(["txt2img", "--prompt", "dog", "--seed", "-1"]) == 2
    said = capsys.readouterr().err
    assert "--seed -1 is not" in said
    assert said.endswith("and without --seed one is drawn\n")


def test_the_originals_img2img_line(fake, photo):
    assert main(["img2img", *ORIGINAL_IMG2IMG.format(image=photo).split()]) == 0
    (request,) = fake.requests
    assert request.strength == 0.75
    assert request.mask is None
    assert sdnb.images.open(request.image).size == (96, 64)


def test_both_sides_given_are_the_size_also_where_the_pictures_own_is_next_to_it(
    fake, photo, capsys
):
    Image.new("RGB", (60, 64), "teal").save(photo)
    line = f"img2img --prompt dog --init-img {photo} --skip_save"
    assert main([*line.split(), "--W", "64", "--H", "64"]) == 0
    assert png_header.size(fake.requests[0].image) == (64, 64)
    assert "stretched from 60x64 to 64x64" in capsys.readouterr().err
    assert main(line.split()) == 0
    assert png_header.size(fake.requests[1].image) == (60, 64)


def test_a_photo_with_an_erased_part_as_mask_is_said(photo, tmp_path, capsys):
    erased = Image.radial_gradient("L").resize((96, 64)).convert("RGBA")
    erased.paste((0, 0, 0, 0), (10, 20, 40, 50))
    erased.save(tmp_path / "erased.png")
    line = f"--prompt dog --init-img {photo} --mask {tmp_path / 'erased.png'}"
    (request,) = requests("img2img", line)
    assert sdnb.images.open(request.mask).getbbox() == (10, 20, 40, 50)
    assert capsys.readouterr().err.startswith("note: The mask has an erased part")


def test_how_a_picture_of_other_proportions_is_fitted(fake, photo, capsys):
    Image.new("RGB", (128, 64), "teal").save(photo)
    line = f"img2img --prompt dog --init-img {photo} --W 64 --H 64 --skip_save".split()
    for more, fit in (([], "stretch"), (["--fit", "crop"], "crop"), (["--fit=fit"], "fit")):
        assert main([*line, *more]) == 0
        assert fake.requests[-1].fit == fit
    assert main([*line, "--fit", "corp"]) == 2
    assert "--fit 'corp' is unknown; did you mean 'crop'" in capsys.readouterr().err


def test_the_originals_inpainting(photo, mask):
    line = f"--prompt dog --init-img {photo} --mask {mask} --invert-mask --ddim_steps 100"
    (request,) = requests("img2img", line)
    assert request.invert
    assert request.steps == 100
    assert sdnb.images.open(request.mask).mode == "L"


def test_what_is_left_out_is_the_models_choice():
    (request,) = requests("txt2img", "--prompt dog --seed 7")
    assert request == sdnb.Request("dog", seed=7)


def test_turns_and_prompts_go_on_with_the_seeds(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("a cat\n\na dog\n", encoding="utf-8-sig")
    line = f"--from-file {path} --n_iter 2 --n_samples 3 --seed 10"
    found = [(request.prompt, request.seed) for request in requests("txt2img", line)]
    assert found == [("a cat", 10), ("a dog", 13), ("a cat", 16), ("a dog", 19)]
    fixed = [request.seed for request in requests("txt2img", line + " --fixed_code")]
    assert fixed == [10, 10, 10, 10]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--plms", "sampler", "plms"),
        ("--sampler euler_a", "sampler", "euler_a"),
        ("--ddim_eta 0.5", "eta", 0.5),
        ("--steps 3 --cfg 2", "steps", 3),
        ("--schedule karras", "schedule", "karras"),
        ("--width 64 --height 72", "height", 72),
        ("--syntax a1111", "syntax", "a1111"),
        ("--clip-skip 2", "clip_skip", 2),
    ],
)
def test_flags_become_fields(line, field, value):
    (request,) = requests("txt2img", "--prompt dog " + line)
    assert getattr(request, field) == value


def test_controls_are_one_flag_each_with_the_fields_of_a_control(photo, mask, tmp_path):
    odd = tmp_path / "a, b.jpg"
    photo.rename(odd)
    line = [
        "--prompt", "dog", "--control",
        f"canny,image={odd},prepare=canny,values=50,150,scale=0.8,start=0.1,end=.9",
        f"--control=nets/b, c.pth, image={mask} ,mode=prompt, fit=crop",
        "--control", f"fill,image={mask},prepare=inpaint,mask={mask},sha256={'ab' * 32}",
    ]  # fmt: skip
    (request,) = pictures.requests(options.parse("txt2img", "", line))
    assert request.controls == (
        sdnb.Control("canny", odd, 0.8, 0.1, 0.9, "canny", values=(50, 150)),
        sdnb.Control("nets/b, c.pth", mask, mode="prompt", fit="crop"),
        sdnb.Control("fill", mask, prepare="inpaint", mask=mask, sha256="ab" * 32),
    )
    odd.rename(photo)
    line = f"--prompt dog --init-img {photo} --control tile,prepare=tile"
    (request,) = requests("img2img", line)
    assert request.controls == (sdnb.Control("tile", prepare="tile"),)  # follows the picture


def test_hints_are_written_once_where_they_can_be_looked_at(fake, photo, capsys, tmp_path):
    line = f"txt2img --prompt dog --W 96 --H 64 --n_iter 2 --control a/x.pth,image={photo}"
    line += f",prepare=invert --control x,prepare=invert,image={photo} --save-hints --outdir o"
    assert main(line.split()) == 0
    paths = [tmp_path / "o" / "hints" / f"x-invert{more}.png" for more in ("", "-2")]
    assert sorted((tmp_path / "o" / "hints").iterdir()) == sorted(paths)
    hint = fake.requests[0].controls[0].hint_at(96, 64)
    for path in paths:
        with Image.open(path) as written:
            assert written.tobytes() == hint.tobytes()
    assert f"hint: {paths[1].relative_to(tmp_path)}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag",
    ["--turbo", "--small_batch", "--unet_bs 2", "--skip_grid", "--n_rows 3", "--C 4", "--f 8"],
)
def test_flags_that_mean_nothing_any_more_say_so(flag, fake, capsys):
    assert main(["txt2img", "--prompt", "dog", *flag.split()]) == 0
    assert f"{flag.split()[0]} has no effect: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "memory", "said"),
    [
        ("--device cpu", "cpu", ""),
        ("--device cuda:1 --memory max", "max", "CUDA_VISIBLE_DEVICES"),
        ("--memory max", "max", ""),
    ],
)
def test_the_device(line, memory, said, fake, capsys):
    assert main(["txt2img", "--prompt", "dog", *line.split()]) == 0
    assert fake.loaded[1]["memory"] == memory
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("word", ["autocast", "auto"])
def test_autocast_is_auto(word, fake):
    assert main(["txt2img", "--prompt", "dog", "--precision", word]) == 0
    assert fake.loaded[1]["precision"] == "auto"


def test_skip_save_writes_nothing(fake, capsys):
    assert main(["txt2img", "--prompt", "dog", "--skip_save"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "usage: sdnb COMMAND"),
        ("text2img", "unknown command 'text2img'; did you mean 'txt2img'?"),
        ("txt2img", "--prompt or --from-file is needed"),
        ("txt2img --promt dog", "unknown flag --promt; did you mean '--prompt'?"),
        ("txt2img --prom dog", "unknown flag --prom"),
        ("txt2img --prompt a red dog", "'red' belongs to no flag; several words need quotes"),
        ("txt2img --prompt dog --from-file x", "not both"),
        ("txt2img --from-file missing.txt", "missing.txt"),
        ("txt2img --prompt dog --W 500", "--W 500 is not a multiple of 8"),
        ("txt2img --prompt dog --H many", "--H/--height: invalid int value: 'many'"),
        ("txt2img --prompt dog --ddim_steps 0", "--ddim_steps 0 is not"),
        ("txt2img --prompt dog --n_samples 0", "--n_samples 0 is not"),
        ("txt2img --prompt dog --n_iter 0", "--n_iter 0 is not"),
        ("txt2img --prompt dog --scale nan", "--scale nan is not"),
        ("txt2img --prompt dog --sampler eular", "did you mean 'euler'"),
        ("txt2img --prompt dog --plms --sampler euler", "two samplers"),
        ("txt2img --prompt a:inf", "inf"),
        ("txt2img --prompt dog --nprompt a:nan", "nan"),
        ("txt2img --prompt dog --precision quarter", "invalid choice: 'quarter'"),
        ("txt2img --prompt dog --device cpu --memory max", "contradict"),
        ("txt2img --prompt dog --init-img x.png", "unknown flag --init-img"),
        ("img2img --prompt dog", "--init-img"),
        ("img2img --prompt dog --init-img missing.png", "missing.png"),
        ("img2img --prompt dog --init-img {photo} --strength 1.5", "--strength 1.5 is not"),
        ("img2img --prompt dog --init-img {photo} --invert-mask", "there is none"),
        ("img2img --prompt dog --init-img {photo} --mask missing.png", "missing.png"),
        ("img2img --prompt dog --init-img {text}", "notes.txt"),
        ("txt2img --prompt dog --outdir {text}", "notes.txt"),
        ("txt2img --prompt a --control x", "--control x: it has no picture to follow: add image="),
        ("txt2img --prompt a --control x,scael=1", "no field 'scael'; did you mean 'scale'"),
        ("txt2img --prompt a --control x,scale=much,image={photo}", "scale=much is no number"),
        ("txt2img --prompt a --control x,image={photo},scale=11", "--control x,image="),
        ("txt2img --prompt a --control x,scale=1,scale=2", "scale= is given twice"),
        ("txt2img --prompt a --control image={photo}", "it begins with the net's name or path"),
        ("txt2img --prompt a --control x,image=missing.png", "missing.png"),
        ("txt2img --prompt a --control x,image={photo},prepare=cany", "did you mean 'canny'"),
        ("txt2img --prompt a --control x,image={photo},end=0.5,start=1", "is behind end=0.5"),
        ("txt2img --prompt a --control", "--control: expected one argument"),
        ("txt2img --prompt a --save-hints", "there is none: --control canny,image=photo.jpg"),
        ("lab --port 0", "--port 0 is not a port"),
        ("lab --prot 1", "unknown flag --prot; did you mean '--port'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(line, words, photo, tmp_path, fake, capsys):
    (tmp_path / "notes.txt").write_text("not a picture", encoding="utf-8")
    line = line.format(photo=photo, text=tmp_path / "notes.txt")
    assert main(line.split()) == 2
    said = capsys.readouterr()
    assert words in said.out + said.err
    if line:
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
    assert fake.loaded is None  # before any work


def test_a_checkpoint_that_cannot_be_used_is_bad_input(fake, capsys):
    fake.load_error = ValueError("notes.ckpt is a text,\nnot a checkpoint")
    assert main(["txt2img", "--prompt", "dog", "--ckpt", "notes.ckpt"]) == 2
    assert capsys.readouterr().err == "sdnb: notes.ckpt is a text, not a checkpoint\n"


def test_a_run_that_fails_is_exit_code_1(fake, capsys):
    fake.run_error = RuntimeError("out of memory")
    assert main(["txt2img", "--prompt", "dog"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "sdnb: RuntimeError: out of memory"


def test_the_traceback_is_there_for_those_who_ask(fake, capsys, monkeypatch):
    monkeypatch.setenv("SDNB_DEBUG", "1")
    fake.run_error = RuntimeError("out of memory")
    assert main(["txt2img", "--prompt", "dog"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_exit_code_130(fake, capsys):
    fake.run_error = KeyboardInterrupt()
    assert main(["txt2img", "--prompt", "dog"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "sdnb: interrupted"


def test_the_benchmark_says_what_it_lacks(capsys, monkeypatch):
    monkeypatch.setattr("sdnb.bench.find_spec", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "cpu"])
    assert ended.value.code == 2
    assert "pip install 'sdnb[bench]'" in capsys.readouterr().err


def test_the_library_is_listed(tmp_path, capsys, monkeypatch):
    shapes, _ = SHAPED["models/ControlNet/canny.safetensors"]
    for name in ("control_v11p_sd15_canny", "control_v11p_sd15_openpose"):
        hostile.headed(tmp_path / f"{name}.safetensors", *hostile.laid_out(shapes))
    assert main(["library", str(tmp_path), "--kind", "control"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'control control_v11p_sd15_canny (controlnet; Stable Diffusion 1.x; prepare="canny")',
        "control control_v11p_sd15_openpose (controlnet; Stable Diffusion 1.x)",
    ]
    monkeypatch.delenv("SDNB_LIBRARY", raising=False)
    assert main(["library"]) == main(["library", "--kind", "nets"]) == 2
    said = capsys.readouterr().err
    assert "give a folder, or name some in SDNB_LIBRARY" in said
    assert "--kind='nets' is unknown" in said
    monkeypatch.setenv("SDNB_LIBRARY", str(tmp_path))
    assert main(["library", "--kind=lora"]) == 0
    assert capsys.readouterr().out == ""


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
    assert sdnb.__version__ in capsys.readouterr().out
    for command in ("lab", "txt2img", "img2img", "library"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0


@pytest.mark.picture
def test_a_real_run_on_the_embedded_model(tmp_path, capsys, monkeypatch, mask):
    monkeypatch.chdir(tmp_path)
    size = ["--W", "96", "--H", "64", "--ddim_steps", "2"]
    assert main(["txt2img", "--prompt", "a red apple", "--seed", "5", *size]) == 0
    first = capsys.readouterr().out.strip()
    made = sdnb.read(first)
    assert (made.prompt, made.seed, made.steps, made.count) == ("a red apple", 5, 2, 1)
    line = ["--init-img", first, "--mask", str(mask), "--invert-mask", "--strength", "0.5"]
    assert main(["img2img", "--prompt", "a green apple", *line, *size]) == 0
    second = capsys.readouterr().out.strip()
    assert sdnb.read(second).image == sdnb.images.picture(first)
    with Image.open(first) as before, Image.open(second) as after:
        assert before.tobytes() == after.tobytes()  # the mask, all white, keeps everything inverted
