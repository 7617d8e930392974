"""A labelled benchmark with a planted shortcut, drawn without a download."""

from tasks.synthetic.dataset import (
    GenerateMistake,
    Row,
    plan,
    read_rows,
    read_settings,
    scene_of,
    write_benchmark,
)
from tasks.synthetic.scene import Picture, Scene, render, render_backdrop
from tasks.synthetic.settings import VERSION, BenchmarkSettings

__all__ = [
    "VERSION",
    "BenchmarkSettings",
    "GenerateMistake",
    "Picture",
    "Row",
    "Scene",
    "plan",
    "read_rows",
    "read_settings",
    "render",
    "render_backdrop",
    "scene_of",
    "write_benchmark",
]
