"""The files of a segmenter by its address, before torch is imported."""

from __future__ import annotations

from models.addresses import as_address_errors, as_path
from models.classifier.object_network_files import NETWORK, find_weights
from models.classifier.onnx_files import DATA_SUFFIXES, check_onnx_file, json_of
from models.classifier.rembg_files import find_rembg_file


def check_segmenter_files(address: str) -> None:
    """Refuse an ONNX file or a network of rembg whose file or package is missing."""
    scheme, _, name = address.partition(":")
    if address == NETWORK:
        find_weights()
    elif scheme == "onnx":
        check_onnx_file(name)
    elif scheme == "rembg":
        find_rembg_file(name)


def files_of_segmenter(address: str) -> list[str] | None:
    """The files that its masks depend on, besides weights that are given; None where they do not
    suffice, since code decides too."""
    scheme, _, name = address.partition(":")
    if address == NETWORK:
        return [str(find_weights())]
    if scheme == "rembg" or ".py:" in address:
        return None
    if scheme != "onnx":
        return []
    others = (json_of(name), *(f"{name}{suffix}" for suffix in DATA_SUFFIXES))
    with as_address_errors(name):
        return [name, *(file for file in others if as_path(file).is_file())]
