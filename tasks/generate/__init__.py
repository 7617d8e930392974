"""A labelled benchmark with a planted shortcut, drawn without a download."""

from tasks.generate.benchmark import VERSION, BenchmarkSettings
from tasks.generate.dataset import (
    GenerateMistake,
    Row,
    plan,
    read_rows,
    read_settings,
    scene_of,
    write_benchmark,
)
from tasks.generate.scene import Picture, Scene, render, render_backdrop

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
