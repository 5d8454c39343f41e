"""The evaluation's figures as the rows of the table in the model's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdnb.request.plain_words import counted

Figures = Mapping[str, Any]


def table(figures: Figures) -> list[str]:
    """The table's lines, in Markdown; a test that was not run has none."""
    rows = {
        "vae": _vae, "tiny_vae": _tiny_vae, "retrieval": _retrieval, "new": _new,
        "colors": _colors, "counts": _counts, "hundred": _hundred, "speed": _speed,
    }  # fmt: skip
    lines = [line for name, row in rows.items() if name in figures for line in row(figures[name])]
    return ["| test | result | goal |", "|---|---|---|", *lines]


def _vae(f: Figures) -> list[str]:
    name = f"autoencoder, PSNR of {f['scenes']} scenes of held-out pairs"
    return [_row(name, f"{f['psnr']:.2f} dB (worst scene {f['least']:.2f})", "30")]


def _tiny_vae(f: Figures) -> list[str]:
    lines = [
        _row(
            f"tiny VAE's {half}, PSNR of {f['scenes']} scenes against the full VAE's",
            f"{_decibels(f, half)}; computed in fp16 {_decibels(f, f'{half}_fp16')}",
            "30",
        )
        for half in ("decoder", "encoder")
    ]
    goal = "60" if "thread" in f["picture"] else ""  # it is that of a CPU
    lines.append(_row(f"its decode, ms ({f['picture']})", f"{f['decode_ms']:.1f}", goal))
    return [*lines, _row("its weights in fp16, both halves", f"{f['megabytes']:.2f} MB", "3")]


def _decibels(f: Figures, name: str) -> str:
    return f"{f[name]:.2f} dB (worst scene {f[f'{name}_least']:.2f})"


def _retrieval(f: Figures) -> list[str]:
    kinds = {"seen": ("seen", 80), "held_out": ("held-out", 60)}
    asked = {kind: words for kind, words in kinds.items() if kind in f}  # a few may have none
    made = {kind: counted(f[kind]["of"], "picture") for kind in asked}
    lines = [
        _row(
            f"asked concept among {f['concepts']}, {words} pairs ({made[kind]})",
            _tops(f[kind]),
            f"top-5 {goal} %",
        )
        for kind, (words, goal) in asked.items()
    ]
    lines.append(_row("the classifier that judges this, on real sprites", _classifier(f)))
    if len(asked) == len(kinds):
        near, least = (
            " / ".join(f"{f[kind][key]:.3f}" for kind in asked) for key in ("nearest", "least_near")
        )
        name = "root mean square distance to the nearest sprite of the concept, seen / held out"
        lines.append(_row(name, f"median {near}, least {least}"))
    return lines


def _new(f: Figures) -> list[str]:
    name = f"asked concept among {f['concepts']} that the first model did not know"
    return [
        _row(f"{name} ({counted(f['of'], 'picture')})", _tops(f), "top-5 70 %"),
        _row(
            f"the classifier that judges this, on {f['drawings']} real sprites of them",
            _classifier(f),
        ),
    ]


def _colors(f: Figures) -> list[str]:
    name = f"background colour, the nearest of twelve ({counted(f['pictures'], 'picture')})"
    return [_row(name, f"{f['pictures'] - len(f['wrong'])} of {f['pictures']}", "85 %")]


def _counts(f: Figures) -> list[str]:
    name = f"two and three of a thing ({counted(f['pictures'], 'picture')})"
    return [_row(name, f"{f['two']} and {f['three']}", "60 %")]


def _hundred(f: Figures) -> list[str]:
    if "recognised" not in f:
        return []
    name = "ordinary prompts whose thing a person recognised"
    return [_row(name, f"{f['recognised']} of {f['pictures']}")]


def _speed(f: Figures) -> list[str]:
    goal = "6" if "thread" in f["picture"] else ""  # it is that of a CPU
    return [_row(f"seconds a picture ({f['picture']})", f"{f['seconds']:.2f}", goal)]


def _classifier(f: Figures) -> str:
    return _tops(f["classifier_on_sprites"])


def _tops(f: Figures) -> str:
    return f"top-1 {f['top1']:.0%}, top-5 {f['top5']:.0%}".replace("%", " %")


def _row(name: str, result: str, goal: str = "") -> str:
    return f"| {name} | {result} | {goal} |".replace("|  |", "| |")
