"""The networks of rembg by name: only those whose file is there, since rembg would download it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.classifier.onnx_files import import_onnxruntime
from models.errors import SegmenterError, list_names, suggest

# Several files, files of the user's own (onnx:FILE takes them), or several masks
UNSUITABLE = ("sam", "dis_custom", "u2net_custom", "ben_custom", "u2net_cloth_seg")


def find_rembg_file(name: str) -> tuple[Any, Path]:
    """rembg's class for the network, and its file; refuses a name without one."""
    import_onnxruntime(f"rembg:{name}")  # without it, importing rembg would end the process
    try:
        from rembg.sessions import sessions
    except ImportError as error:
        raise SegmenterError(
            f"rembg:{name} needs rembg, which is not installed: pip install 'sightline[rembg]'"
        ) from error
    known = [key for key, it in sessions.items() if it.is_local() and key not in UNSUITABLE]
    if name not in known:
        raise SegmenterError(
            f"rembg has no network {name!r} that marks one foreground on this machine"
            f"{suggest(name, known)}; known are {list_names(known, len(known))}"
        )
    session_class = sessions[name]
    file_name = f"{name}.onnx"
    path = session_class.resolve_existing(file_name)
    if path is None:
        target = Path(session_class.model_dir()) / file_name
        raise SegmenterError(
            f"rembg:{name} needs the file {target}, and nothing is downloaded: put it there, or "
            f"run python -c \"import rembg; rembg.new_session('{name}')\" where there is a network"
        )
    return session_class, Path(path)
