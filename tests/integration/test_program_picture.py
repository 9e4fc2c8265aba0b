"""The picture of a Program in the docs is what a Program draws now."""

from __future__ import annotations

from scripts import draw_program


def test_picture_is_drawn_from_the_current_program() -> None:
    assert draw_program.drawn_digest() == draw_program.digest(draw_program.source()), "run `hatch run draw`"
