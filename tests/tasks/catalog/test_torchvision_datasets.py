"""torchvision's datasets as they lie on disk: small folders with the same structure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from models.errors import UserError
from tasks.catalog.catalog import check_catalog, make_catalog
from tasks.catalog.settings import DataSettings
from tasks.catalog.torchvision_datasets import READERS, list_torchvision_dataset
from tests.support.voc_dataset import write_voc

Builder = Callable[[Path], None]


def picture(path: Path, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if path.suffix == ".png" else "RGB", (8, 8), value).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def pets(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    for name in ("Abyssinian_1", "basset_hound_7"):
        picture(folder / "images" / f"{name}.jpg")
        trimap_HW = np.full((8, 8), 2, np.uint8)
        trimap_HW[2:6, 2:6], trimap_HW[3:5, 3:5] = 3, 1
        (folder / "annotations/trimaps").mkdir(parents=True, exist_ok=True)
        Image.fromarray(trimap_HW).save(folder / "annotations/trimaps" / f"{name}.png")
    write(folder / "annotations/test.txt", "Abyssinian_1 1 1 1\nbasset_hound_7 2 2 1\n")


def food(root: Path) -> None:
    picture(root / "food-101/images/apple_pie/1.jpg")
    picture(root / "food-101/images/waffles/2.jpg")
    listed = {"apple_pie": ["apple_pie/1"], "waffles": ["waffles/2"]}
    write(root / "food-101/meta/test.json", json.dumps(listed))


def textures(root: Path) -> None:
    picture(root / "dtd/dtd/images/banded/1.jpg")
    picture(root / "dtd/dtd/images/woven/2.jpg")
    write(root / "dtd/dtd/labels/test1.txt", "banded/1.jpg\nwoven/2.jpg\n")


def aircraft(root: Path) -> None:
    folder = root / "fgvc-aircraft-2013b/data"
    for name in ("1", "2"):
        picture(folder / "images" / f"{name}.jpg")
    write(folder / "variants.txt", "707-320\nA340 200\n")
    write(folder / "images_variant_test.txt", "1 707-320\n2 A340 200\n")


def cars(root: Path) -> None:
    folder = root / "stanford_cars"
    for name in ("1.jpg", "2.jpg"):
        picture(folder / "cars_test" / name)
    (folder / "devkit").mkdir()
    names = np.array(["AM General Hummer", "Audi S5"], dtype=object)
    savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
    kinds = np.array([(1, "1.jpg"), (2, "2.jpg")], dtype=[("class", "i4"), ("fname", "O")])
    savemat(folder / "cars_test_annos_withlabels.mat", {"annotations": kinds})


def satellite(root: Path) -> None:
    picture(root / "eurosat/2750/Forest/1.jpg")
    picture(root / "eurosat/2750/River/2.jpg")


def imagenette(root: Path) -> None:
    picture(root / "imagenette2/val/n01440764/1.jpeg")
    picture(root / "imagenette2/val/n02102040/2.jpeg")


def signs(root: Path) -> None:
    picture(root / "gtsrb/GTSRB/Final_Test/Images/1.ppm")
    picture(root / "gtsrb/GTSRB/Final_Test/Images/2.ppm")
    write(root / "gtsrb/GT-final_test.csv", "Filename;ClassId\n1.ppm;16\n2.ppm;1\n")


def caltech(root: Path) -> None:
    for name in ("ant/image_0001", "BACKGROUND_Google/image_0001", "wrench/image_0001"):
        picture(root / f"caltech101/101_ObjectCategories/{name}.jpg")


def scenes(root: Path) -> None:
    picture(root / "SUN397/a/abbey/sun_1.jpg")
    picture(root / "SUN397/z/zoo/sun_2.jpg")
    write(root / "SUN397/ClassName.txt", "/a/abbey\n/z/zoo\n")


KINDS: list[tuple[str, Builder, str | None, list[str] | list[int]]] = [
    ("OxfordIIITPet", pets, "test", ["Abyssinian", "Basset Hound"]),
    ("Food101", food, "test", ["apple_pie", "waffles"]),
    ("DTD", textures, "test", ["banded", "woven"]),
    ("FGVCAircraft", aircraft, "test", ["707-320", "A340 200"]),
    ("StanfordCars", cars, "test", ["AM General Hummer", "Audi S5"]),
    ("EuroSAT", satellite, None, ["Forest", "River"]),
    ("Imagenette", imagenette, "val", ["tench", "English springer"]),
    ("GTSRB", signs, "test", [16, 1]),
    ("Caltech101", caltech, None, ["ant", "wrench"]),
    ("SUN397", scenes, None, ["abbey", "zoo"]),
]


@pytest.mark.parametrize(("name", "build", "split", "labels"), KINDS)
def test_files_and_class_names_are_those_of_torchvision(
    tmp_path: Path, name: str, build: Builder, split: str | None, labels: list[str] | list[int]
) -> None:
    build(tmp_path)
    listing = list_torchvision_dataset(f"torchvision:{name}", str(tmp_path), split)
    listed = dict(zip(listing.label.to_pylist(), listing.image.to_pylist(), strict=True))
    assert sorted(map(str, listed)) == sorted(map(str, labels))
    for image in listed.values():
        assert (listing.root / image).is_file()
        assert not image.startswith("/")


def test_pets_have_their_trimaps(tmp_path: Path) -> None:
    pets(tmp_path)
    data = DataSettings(path="torchvision:OxfordIIITPet", images=str(tmp_path), split="test")
    catalog = make_catalog(data, ("Basset Hound", "Abyssinian"))
    assert catalog["mask_values"].to_pylist() == [[1, 3], [1, 3]]
    assert [Path(mask).name for (mask,) in catalog["masks"].to_pylist()] == [
        "Abyssinian_1.png",
        "basset_hound_7.png",
    ]
    assert check_catalog(catalog, data) == []


def test_voc_has_its_palette_masks(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOCdevkit/VOC2012")
    listing = list_torchvision_dataset("torchvision:VOCSegmentation", str(tmp_path), "val")
    assert listing.label.to_pylist() == ["cat", None]
    assert listing.masks.null_count == 0
    assert listing.mask_values == "voc"


def test_every_reader_has_a_dataset() -> None:
    assert all(hasattr(datasets, name) for name in READERS)


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("CIFAR10", None, "'CIFAR10' cannot be listed: .* write the pictures of others"),
        ("Food100", None, r"did you mean 'Food101'\?"),
        ("Food101", None, r"Food101: name one of its splits 'test', 'train' with --split"),
        ("Food101", "validation", r"name one of its splits 'test', 'train' with --split"),
        ("Food101", "test", "its files must lie in .* as torchvision unpacks them"),
        ("EuroSAT", "test", "has no splits: drop --split"),
        ("ImageNet", "val", r"has no 'meta.bin', 'val': open the dataset once"),
        ("Caltech101", None, "has no 'caltech101'"),
    ],
)
def test_what_cannot_be_listed_says_why(
    tmp_path: Path, name: str, split: str | None, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        list_torchvision_dataset(f"torchvision:{name}", str(tmp_path), split)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("images", [None, "memory://pets", "/nowhere"])
def test_a_local_folder_is_needed(images: str | None) -> None:
    with pytest.raises(UserError, match=r"needs the local folder .* give it with --images"):
        list_torchvision_dataset("torchvision:OxfordIIITPet", images, "test")
