"""Making a model: every part by itself, then both trainers and the evaluation end to end, tiny."""

import json
import math
import shutil
import sys
import zipfile
from functools import partial
from io import BytesIO
from itertools import islice

import numpy as np
import pytest
import torch
from oracles import diffusers_models
from PIL import Image, ImageDraw

import sdnb
from sdnb import assets
from sdnb.engine import pixels
from sdnb.engine.diffusion.schedule import NoiseSchedule
from sdnb.engine.networks.config import NoiseConfig, UNetConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
from sdnb.models import evaluate
from sdnb.models.training import (
    backgrounds,
    classifier,
    held_out,
    judges,
    linear_start,
    photos,
    phrases,
    questions,
    recipe,
    train_unet,
    train_vae,
)
from sdnb.models.training.batches import Batches, stream
from sdnb.models.training.catalog import Catalog
from sdnb.models.training.noising import Noising
from sdnb.models.training.optimiser import Optimiser
from sdnb.models.training.painter import Painter
from sdnb.models.training.scenes import EFFECTS, Composer, plain, stack
from sdnb.models.training.timed import TimedUNet

CPU = torch.device("cpu")
# Every thing that the questions name, so that one folder serves all tests.
LABELS = ("red ball", "blue box", "green bar", "wide sign")
SHAPES = {
    "red ball": ("ellipse", (0, 0, 223, 223), (220, 40, 40)),
    "blue box": ("rectangle", (0, 0, 223, 223), (40, 90, 220)),
    "green bar": ("rectangle", (80, 0, 140, 223), (50, 170, 70)),
    "wide sign": ("rectangle", (0, 80, 223, 140), (250, 140, 30)),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four things in two styles; the red ball in "noto" is held out."""
    folder = tmp_path_factory.mktemp("data")
    concepts = [
        {
            "id": 10 + i,
            "label": label,
            "aliases": [f"{label} thing"],
            "tags": ["round", "small", "toy"],
            "styles": ["flat", "noto"],
            "held_out": ["noto"] if i == 0 else [],
        }
        for i, label in enumerate(LABELS)
    ]
    (folder / "concepts.json").write_text(json.dumps(concepts))
    for style in ("flat", "noto"):
        with zipfile.ZipFile(folder / f"sprites_{style}.zip", "w") as pack:
            for concept in concepts:
                pack.writestr(f"{concept['id']}.webp", _sprite(concept["label"], style))
    shutil.copytree(assets.embedded_model() / "tokenizer", folder / "tokenizer")
    return folder


def _sprite(label, style):
    shape, box, color = SHAPES[label]
    picture = Image.new("RGBA", (224, 224))
    draw = ImageDraw.Draw(picture)
    getattr(draw, shape)(box, fill=(*color, 255))
    if style == "noto":
        draw.rectangle((100, 100, 124, 124), fill=(0, 0, 0, 255))
    buffer = BytesIO()
    picture.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def catalog(data):
    return Catalog(data)


# -- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "one", "many"),
    [
        ("red apple", "a red apple", "red apples"),
        ("owl", "an owl", "owls"),
        ("unicorn", "a unicorn", "unicorns"),
        ("glasses", "glasses", "glasses"),
        ("octopus", "an octopus", "octopuses"),
        ("strawberry", "a strawberry", "strawberries"),
        ("fox", "a fox", "foxes"),
        ("school bus", "a school bus", "school buses"),
    ],
)
def test_articles_and_plurals(words, one, many):
    assert (phrases.article(words), phrases.plural(words)) == (one, many)


def test_a_style_of_your_own_is_called_by_its_name():
    assert phrases.style_words("crayon") == ["crayon style"]


# -- scenes ------------------------------------------------------------------------------------


def test_scenes_repeat_from_their_seed_and_differ_between_seeds(catalog):
    draw = [[Composer(catalog, seed).draw()[1] for _ in range(1)] for seed in (1, 1, 2)]
    many = [[c.draw()[1] for _ in range(20)] for c in (Composer(catalog, s) for s in (1, 1, 2))]
    assert draw[0] == draw[1]
    assert many[0] == many[1] != many[2]


def test_held_out_pairs_are_never_trained_on(catalog):
    held = catalog.number[0, "noto"]
    for which, expected in (("train", False), ("held", True)):
        composer = Composer(catalog, 0, which)
        drawn = {int(n) for _ in range(300) for n in composer.draw()[0].sprite if n >= 0}
        assert (held in drawn) is expected
        assert (drawn == {held}) is expected


def test_captions_name_what_is_there(catalog):
    composer = Composer(catalog, 0)
    words = {w for c in catalog.concepts for n in (c.label, *c.aliases, *c.tags) for w in n.split()}
    words |= {phrases.plural(w) for w in words}
    for _ in range(300):
        scene, caption = composer.draw()
        assert caption == caption.strip()
        assert "  " not in caption
        if (scene.sprite >= 0).any():
            assert words & set(caption.replace(",", "").split()), caption


def test_a_plain_scene_is_its_sprite_on_its_colour(catalog):
    painter = Painter(catalog.sprites(), 64)
    scene = plain(catalog.number[1, "flat"], color=(0, 1, 0), scale=0.5)
    picture = pixels.image(painter(stack([scene])))
    assert picture.getpixel((2, 2)) == (0, 255, 0)
    assert picture.getpixel((32, 32)) == (40, 90, 220)
    inside = [x for x in range(64) if picture.getpixel((x, 32)) == (40, 90, 220)]
    assert abs(len(inside) - 32) <= 2  # half as wide as the picture


def test_a_turned_sprite_turns_and_a_placed_one_is_there(catalog):
    painter = Painter(catalog.sprites(), 64)
    scene = plain(catalog.number[2, "flat"], scale=0.5)  # an upright bar
    scene.turn[0], scene.place[0] = math.pi / 2, (0.25, -0.25)
    away = (painter(stack([scene]))[0] - 1).abs().amax(0) > 0.5  # [64, 64]
    rows, columns = away.nonzero().unbind(1)
    assert columns.max() - columns.min() > 2 * (rows.max() - rows.min())
    assert columns.float().mean().item() == pytest.approx(40, abs=1)
    assert rows.float().mean().item() == pytest.approx(24, abs=1)


@pytest.mark.parametrize("name", list(phrases.BACKGROUNDS))
def test_every_background_paints(catalog, name):
    scene = plain(0)
    scene.sprite[:], scene.background[...] = -1, phrases.BACKGROUNDS.index(name)
    scene.colors[:] = [[1, 0, 0], [0, 0, 1]]
    torch.manual_seed(0)
    picture = Painter(catalog.sprites(), 64)(stack([scene, scene]))
    assert picture.shape == (2, 3, 64, 64)
    assert picture.isfinite().all()
    assert (picture.flatten(2).std(-1).amax() > 0.05) == (name != "solid")
    assert name in backgrounds.PAINTERS


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_changes_the_picture_and_only_its_own(catalog, effect):
    changed, same = plain(catalog.number[0, "noto"]), plain(catalog.number[0, "noto"])
    changed.effect[...] = EFFECTS.index(effect)
    painted = Painter(catalog.sprites(), 64)(stack([changed, same]))
    alone = Painter(catalog.sprites(), 64)(stack([same]))
    assert painted[1:].equal(alone)
    assert painted[:1].equal(alone) == (effect == "none")


def test_a_tint_paints_and_a_sticker_outlines(catalog):
    painter = Painter(catalog.sprites(), 256)
    scene = plain(catalog.number[0, "flat"], color=(0.5, 0.5, 0.5), scale=0.5)
    scene.tint[0], scene.sticker[...] = (0, 0, 1, 1), 1
    picture = pixels.image(painter(stack([scene])))
    red, _, blue = picture.getpixel((128, 128))
    assert blue > 2 * red
    assert picture.getpixel((60, 128)) == (255, 255, 255)  # just outside the ball


def test_batches_carry_ids_of_the_captions(data):
    plans, ids = next(stream(Batches(data, 3, seed=0, tokens=data / "tokenizer"), workers=0))
    assert plans["sprite"].shape == (3, 4)
    assert ids.shape == (3, 77)
    assert len(set(ids[:, 0].tolist())) == 1


def test_crops_of_photographs(tmp_path):
    Image.new("RGB", (90, 70), (255, 0, 0)).save(tmp_path / "a.jpg")
    crop = photos.crop(photos.read(tmp_path, CPU), 64)
    assert crop.shape == (1, 3, 64, 64)
    assert pixels.image(crop).getpixel((5, 5))[0] > 250
    assert photos.read(None, CPU) == []


# -- networks ----------------------------------------------------------------------------------


def test_the_linear_start_codes_colours_at_once(catalog):
    config = recipe.tiny(512, 128)
    torch.manual_seed(0)
    vae = VAE(config.vae).eval()
    linear_start.prepare(vae)
    scene = plain(catalog.number[0, "flat"], color=(0.2, 0.6, 0.9), scale=0.9)
    x = Painter(catalog.sprites(), 128)(stack([scene]))
    with torch.inference_mode():
        value = float(judges.psnr(x, vae.decode(vae.encode(x))))
    assert value > 17  # a fresh VAE: about 8


@pytest.mark.slow
def test_calibration_gives_unit_latents_and_changes_no_picture(catalog, data):
    torch.manual_seed(0)
    vae = VAE(recipe.tiny(512, 64).vae).eval().requires_grad_(False)
    linear_start.prepare(vae)
    painter = Painter(catalog.sprites(), 64)
    plans = [*islice(stream(Batches(data, 8, seed=3), 0), 4)]
    x = painter(plans[0][0])
    before = vae.decode(vae.encode(x))
    torch.manual_seed(1)
    train_vae.calibrate(vae, painter, iter(plans), 32)
    assert (vae.decode(vae.encode(x)) - before).abs().max() < 1e-4
    torch.manual_seed(1)  # the same stars
    z = torch.cat([vae.encode(painter(p)) for p, _ in plans])
    assert z.mean((0, 2, 3)).abs().max() < 1e-3
    assert (z.std((0, 2, 3)) - 1).abs().max() < 1e-3


@pytest.mark.slow
def test_a_time_for_each_picture_is_the_unet_at_that_time():
    config = UNetConfig(channels=(32, 64, 64, 32), head_width=16, context_dim=24, groups=8)
    torch.manual_seed(0)
    plain_unet, timed = UNet(config), TimedUNet(config)
    timed.load_state_dict(plain_unet.state_dict())
    x, context = torch.randn(2, 4, 16, 16), torch.randn(2, 77, 24)
    times = torch.tensor([3, 900])
    each = [
        plain_unet(x[i : i + 1], float(t), plain_unet.prepare(context[i : i + 1]))
        for i, t in enumerate(times)
    ]
    assert (timed(x, times, context) - torch.cat(each)).abs().max() < 1e-5


@pytest.mark.slow
def test_gradients_are_those_of_diffusers():
    """Additions in place must not disturb the backward pass."""
    config = UNetConfig(channels=(32, 64, 64, 32), head_width=16, context_dim=24, groups=8)
    timed = TimedUNet(config)
    weights = diffusers_models.random_weights(timed, 0)
    timed.load_state_dict(weights)
    oracle = diffusers_models.unet(config, {k: v.clone() for k, v in weights.items()})
    x, context, times = torch.randn(2, 4, 16, 16), torch.randn(2, 77, 24), torch.tensor([3, 900])
    grads = []
    for run in (
        lambda x, c: timed(x, times, c),
        lambda x, c: oracle(x, times, encoder_hidden_states=c).sample,
    ):
        xs = [tensor.clone().requires_grad_() for tensor in (x, context)]
        run(*xs).square().mean().backward()
        grads.append([tensor.grad for tensor in xs])
    for ours, theirs in zip(*grads, strict=True):
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_noising_is_the_schedule_of_sampling():
    noising = Noising(NoiseConfig(), CPU)
    schedule = NoiseSchedule(1000, 0.00085, 0.012)
    sigma = ((1 - noising.kept) / noising.kept).sqrt()
    assert (sigma - torch.as_tensor(schedule.sigmas, dtype=torch.float32)).abs().max() < 2e-4
    density = noising.cumulative.diff(prepend=torch.zeros(1))
    assert float((density * noising.weight).sum()) == pytest.approx(1, abs=1e-4)


def test_a_perfect_prediction_costs_nothing():
    noising, kept = Noising(NoiseConfig(), CPU), torch.randn(4, 4, 8, 8)

    def perfect(noisy, times, _):
        share = noising.kept[times].view(-1, 1, 1, 1)
        return (noisy - share.sqrt() * kept) / (1 - share).sqrt()

    torch.manual_seed(0)
    assert float(noising.loss(perfect, kept, kept)) < 1e-6
    assert float(noising.loss(lambda x, *_: torch.zeros_like(x), kept, kept)) > 0.5


def test_the_optimiser_clips_averages_and_drops_what_is_not_finite():
    module, kept = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(2, 1, bias=False)
    optimiser = Optimiser([module], decay=0.0, mean=0.9)
    for _ in range(50):
        (module.weight - torch.tensor([[3.0, -1.0]])).square().sum().backward()
        optimiser.step(0.1)
    optimiser.averaged([kept])
    assert (kept.weight - torch.tensor([[3.0, -1.0]])).abs().max() < 0.5
    (module.weight.sum() * math.nan).backward()
    optimiser.step(0.1)
    assert module.weight.isfinite().all()


# -- judges ------------------------------------------------------------------------------------


def test_the_border_colour_is_the_nearest_named_one():
    for name in phrases.MAIN_COLORS:
        picture = np.full((96, 96, 3), phrases.COLORS[name], np.uint8)
        picture[30:60, 30:60] = 255 - picture[30:60, 30:60]
        assert judges.border_color(picture) == name


def test_counting_takes_touching_things_for_two():
    picture = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(picture)
    assert judges.count_things(np.asarray(picture)) == 0
    draw.ellipse((20, 80, 130, 190), fill="red")
    assert judges.count_things(np.asarray(picture)) == 1
    draw.ellipse((130, 80, 240, 190), fill="red")
    assert judges.count_things(np.asarray(picture)) == 2
    assert judges.count_things(np.asarray(picture), bridge=0) == 1


def test_psnr_and_nearest():
    a = torch.zeros(1, 3, 64, 64)
    assert float(judges.psnr(a, a + 0.2)) == pytest.approx(20, abs=1e-4)
    known = torch.stack([a[0] + 1, a[0] + 0.1])
    distance, at = judges.nearest(a[0], known)
    assert (distance, at) == (pytest.approx(0.05, abs=1e-6), 1)


@pytest.mark.slow
def test_the_classifier_knows_its_things(catalog):
    rows = [0, 1, 2, 3]
    judge = classifier.train(*classifier.examples(catalog, rows, 16, seed=0), count=4, epochs=12)
    fresh, classes = classifier.examples(catalog, rows, 4, seed=1)
    ranks = classifier.ranks(judge, fresh.float() / 127.5 - 1, classes)
    assert float((ranks == 0).float().mean()) > 0.9


# -- the whole ---------------------------------------------------------------------------------


SHORT = ["--fresh", 2, "--fill", 4, "--warm", 2]


def _run(monkeypatch, main, *words):
    monkeypatch.setattr(sys, "argv", ["train", *map(str, words)])
    main()


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A model that was trained for a second, at 64x64."""
    out = tmp_path_factory.mktemp("trained") / "model"
    common = ["--data", data, "--out", out, "--size", 64, "--batch", 2, "--workers", 0]
    with pytest.MonkeyPatch.context() as patch:
        for trainer in (train_vae, train_unet):
            patch.setattr(trainer, "_LOOK", 2)  # at the clock, after so few steps
        short = ["--seconds", 0.5, "--calibrate", 8, "--held-out", 1]
        _run(patch, train_vae.main, *common, *short)
        _run(patch, train_unet.main, *common, *SHORT, "--room", 5, "--seconds", 0.5, "--snap", 0)
    return out


@pytest.mark.slow
def test_what_was_trained_is_a_model(trained):
    model = sdnb.load(trained, memory="cpu")
    assert (model.settings.width, model.settings.cfg) == (64, 4)
    result = sdnb.txt2img(model, "a red ball", steps=2, seed=1, progress=False)
    assert result.image.size == (64, 64)


@pytest.mark.slow
def test_diffusers_runs_it_too(trained):
    from diffusers import StableDiffusionPipeline

    model = sdnb.load(trained, memory="cpu", precision="full")
    pipe = StableDiffusionPipeline.from_pretrained(str(trained), torch_dtype=torch.float32)
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, model.config.unet.context_dim)
    with torch.inference_mode():
        ours = model.unet(x, 500.0, model.unet.prepare(context))
        theirs = pipe.unet(x, 500, encoder_hidden_states=context).sample
        ids = torch.tensor([model.tokenizer("a red ball").ids])
        words = pipe.tokenizer("a red ball", padding="max_length", max_length=77).input_ids
        text = model.text(ids)
        assert (text - pipe.text_encoder(ids)[0]).abs().max() < 1e-4
    assert ids[0].tolist() == words
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.slow
def test_the_embedded_model_can_be_gone_on_from():
    folder = assets.embedded_model()
    model, config = sdnb.load(memory="cpu", precision="full"), recipe.of(folder / "tokenizer")
    text, unet = recipe.new_text(config.text), TimedUNet(config.unet)
    recipe.load_part(text, config, "text", folder)
    recipe.load_part(unet, config, "unet", folder)
    x, context, ids = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 256), torch.arange(77)[None]
    with torch.inference_mode():
        noise = unet(x, torch.tensor([7]), context)
        assert (noise - model.unet(x, 7.0, model.unet.prepare(context))).abs().max() < 1e-4
        encoded = text(ids)
        assert (encoded - model.text(ids)).abs().max() < 1e-4


@pytest.mark.slow
def test_training_goes_on_from_the_weights_words_and_latents_of_a_model(
    data, tmp_path, monkeypatch
):
    """Whatever tokenizer the data has: from the embedded model, with none in the data at all."""
    embedded, own, out = assets.embedded_model(), tmp_path / "data", tmp_path / "out"
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("tokenizer"))
    words = ["--data", own, "--out", out, "--init", embedded, "--size", 64, "--batch", 1]
    _run(monkeypatch, train_unet.main, *words, *SHORT, "--workers", 0, "--seconds", 0)
    for file in embedded.glob("tokenizer/*"):
        assert (out / "tokenizer" / file.name).read_bytes() == file.read_bytes()
    assert sdnb.load(out, memory="cpu").fingerprint == sdnb.load(memory="cpu").fingerprint


@pytest.mark.slow
def test_a_model_can_be_gone_on_from_in_place(trained, data, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    words = ["--data", data, "--out", folder, "--init", folder, "--size", 64, "--batch", 1]
    _run(monkeypatch, train_unet.main, *words, *SHORT, "--workers", 0, "--seconds", 0)
    assert sdnb.load(folder, memory="cpu").fingerprint == sdnb.load(trained).fingerprint


@pytest.mark.slow
def test_a_snapshot_is_a_model_too(trained):
    model = sdnb.load(trained / "snap1", memory="cpu")
    assert (model.settings, model.config) == (
        sdnb.load(trained).settings,
        sdnb.load(trained).config,
    )


@pytest.mark.slow
def test_a_second_autoencoder_is_not_put_where_one_is(trained, data, monkeypatch):
    with pytest.raises(FileExistsError, match="vae is there already: train into another folder"):
        _run(monkeypatch, train_vae.main, "--data", data, "--out", trained)


@pytest.mark.slow
def test_a_missing_vae_is_not_awaited_for_ever(data, tmp_path, monkeypatch):
    words = ["--data", data, "--out", tmp_path, "--size", 64, "--batch", 1, "--wait", 0]
    with pytest.raises(TimeoutError, match=r"no .*vae after 0 s"):
        _run(monkeypatch, train_unet.main, *words, "--workers", 0)


@pytest.mark.slow
def test_the_evaluation_prints_its_figures(trained, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(held_out, "SCENES", 4)  # and a judge that has learnt little
    monkeypatch.setattr(classifier, "train", partial(classifier.train, epochs=1))
    model = shutil.copytree(trained, tmp_path / "model", ignore=shutil.ignore_patterns("snap*"))
    yaml = (model / "sdnb.yaml").read_text()
    (model / "sdnb.yaml").write_text(yaml.replace("steps: 25", "steps: 3"))
    words = ["--data", data, "--model", model, "--out", tmp_path / "out", "--most", 1]
    words += [
        "--steps",
        3,
        "--concepts",
        4,
        "--threads",
        torch.get_num_threads(),
        "--json",
        tmp_path / "f.json",
    ]
    code = evaluate.main([str(word) for word in words])
    printed = capsys.readouterr().out
    figures = json.loads((tmp_path / "f.json").read_text())
    assert set(figures) >= set(evaluate.TESTS) - {"new", "tiny_vae"}  # no list, and none there
    assert "new: not asked" in printed
    assert figures["retrieval"]["classifier_on_sprites"]["of"] == 8
    assert figures["speed"]["picture"].startswith("64x64, 3 steps, ")
    assert code == 1  # a model of one second
    assert "goals missed" in printed


@pytest.mark.slow
def test_pictures_are_made_once(trained, tmp_path):
    model = sdnb.load(trained, memory="cpu")
    asked = questions.color_questions()[:1]
    first = next(iter(questions.answers(model, asked, tmp_path, steps=1)))
    written = (tmp_path / "color-000.png").stat().st_mtime_ns
    again = next(iter(questions.answers(model, asked, tmp_path, steps=1)))
    assert (tmp_path / "color-000.png").stat().st_mtime_ns == written
    assert np.array_equal(np.asarray(first.picture), np.asarray(again.picture))
    next(iter(questions.answers(model, asked, tmp_path, steps=2)))  # another request
    assert (tmp_path / "color-000.png").stat().st_mtime_ns != written
