"""Every form of dataset becomes the same listing; anything else is refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import NothingToAudit, UserError
from tasks.catalog.formats import list_images
from tasks.catalog.listing import Columns


def touch(root: Path, *addresses: str) -> Path:
    for address in addresses:
        (root / address).parent.mkdir(parents=True, exist_ok=True)
        (root / address).write_bytes(b"")
    return root


def test_class_folders_name_the_labels(tmp_path: Path) -> None:
    listing = list_images(touch(tmp_path, "cat/1.jpg", "cat/deep/2.PNG", "owl/3.webp"), Columns())
    assert listing.image.to_pylist() == ["cat/1.jpg", "cat/deep/2.PNG", "owl/3.webp"]
    assert listing.label.to_pylist() == ["cat", "cat", "owl"]
    assert listing.key.equals(listing.image)


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    listing = list_images(touch(tmp_path, "b.jpg", "a.jpg", "notes.txt", ".hidden.jpg"), Columns())
    assert listing.image.to_pylist() == ["a.jpg", "b.jpg"]
    assert listing.label.null_count == 2


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_of_each_kind_give_the_same_listing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"images{suffix}"
    if suffix == ".csv":
        path.write_text("file_name,label,mask,site\na.jpg,cat,a.png,x\nb.jpg,owl,,y\n")
    elif suffix == ".jsonl":
        path.write_text(
            '{"file_name": "a.jpg", "label": "cat", "mask": "a.png", "site": "x"}\n'
            '{"file_name": "b.jpg", "label": "owl", "mask": null, "site": "y"}\n'
        )
    else:
        columns = {"label": ["cat", "owl"], "mask": ["a.png", None], "site": ["x", "y"]}
        pq.write_table(pa.table({"file_name": ["a.jpg", "b.jpg"], **columns}), path)
    listing = list_images(path, Columns())
    assert listing.root == tmp_path
    assert listing.image.to_pylist() == ["a.jpg", "b.jpg"]
    assert listing.label.to_pylist() == ["cat", "owl"]
    assert listing.masks.to_pylist() == [["a.png"], None]
    assert listing.extra.to_pydict() == {"site": ["x", "y"]}


def test_named_columns_and_integer_labels(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,img,y,seg\nk1,a.jpg,0,a.png\nk2,b.jpg,1,b.png\n")
    listing = list_images(path, Columns(image="img", label="y", mask="seg", key="id"))
    assert listing.key.to_pylist() == ["k1", "k2"]
    assert listing.label.type == pa.int64()
    assert listing.extra.num_columns == 0


def test_splits_are_in_the_column_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,split,fold\na.jpg,train,test\nb.jpg,test,train\n")
    assert list_images(path, Columns(), "test").image.to_pylist() == ["b.jpg"]
    listing = list_images(path, Columns(split="fold"), "test")
    assert listing.image.to_pylist() == ["a.jpg"]
    assert listing.extra.column_names == ["split", "fold"]


def test_a_csv_keeps_texts_that_look_like_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("file_name,zip,age,weight,note\na.jpg,007,31,1.5,\nb.jpg,123,,2.0,NA\n")
    extra = list_images(path, Columns()).extra
    assert extra.to_pydict() == {
        "zip": ["007", "123"],
        "age": [31, None],
        "weight": [1.5, 2.0],
        "note": ["", "NA"],
    }


def test_a_folder_with_a_table_is_read_by_it(benchmark_folder: Path) -> None:
    listing = list_images(benchmark_folder, Columns(), split="test")
    assert len(listing.image) == 64
    assert {"split", "group", "background"} <= set(listing.extra.column_names)


@pytest.mark.parametrize(
    ("text", "columns", "split", "message"),
    [
        ("picture,label\na,b\n", Columns(), None, "name the one with the file names"),
        ("file_name,klass\na,b\n", Columns(label="class"), None, "did you mean 'klass'?"),
        ("file_name,split\na,train\n", Columns(), "tain", "did you mean 'train'?"),
        ("file_name\na\n", Columns(), "test", "name the one of the splits with --split-column"),
        ("file_name,fold\na,b\n", Columns(split="folds"), "test", "did you mean 'fold'?"),
        ("file_name,label\na,0.5\n", Columns(), None, "labels of type double"),
        ("file_name,label\na\n", Columns(), None, "1 values in row 2, but 2 columns: a"),
    ],
)
def test_a_table_that_does_not_fit_says_why(
    tmp_path: Path, text: str, columns: Columns, split: str | None, message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        list_images(path, columns, split)
    assert "\n" not in str(caught.value)


def test_several_labels_an_image_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"file_name": ["a.jpg"], "label": [["cat", "owl"]]}), path)
    with pytest.raises(UserError, match="several labels an image cannot be audited"):
        list_images(path, Columns())


def test_nothing_to_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToAudit, match="holds no images"):
        list_images(tmp_path, Columns())
    (tmp_path / "t.csv").write_text("file_name,label\n")
    with pytest.raises(NothingToAudit, match="holds no rows"):
        list_images(tmp_path / "t.csv", Columns())
    with pytest.raises(UserError, match="not found"):
        list_images(tmp_path / "missing", Columns())


def test_class_folders_and_loose_images_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mixes class folders with loose images \(such as 'b"):
        list_images(touch(tmp_path, "a/1.jpg", "b.jpg"), Columns())


def test_split_folders_are_chosen_by_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "validation/cat/2.jpg", "validation/owl/3.jpg")
    for split in ("val", "validation"):
        listing = list_images(tmp_path, Columns(), split)
        assert listing.root == tmp_path / "validation"
        assert listing.image.to_pylist() == ["cat/2.jpg", "owl/3.jpg"]
        assert listing.label.to_pylist() == ["cat", "owl"]
    with pytest.raises(UserError, match=r"holds the splits 'train', 'validation': name one"):
        list_images(tmp_path, Columns())
    with pytest.raises(UserError, match=r"no split 'tran' \(did you mean 'train'\?\)"):
        list_images(tmp_path, Columns(), "tran")


def test_a_split_folder_may_hold_a_table(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "test/2.jpg")
    (tmp_path / "test" / "metadata.csv").write_text("file_name,label\n2.jpg,owl\n")
    assert list_images(tmp_path, Columns(), "test").label.to_pylist() == ["owl"]


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "bus/2.jpg")
    assert list_images(tmp_path, Columns()).label.to_pylist() == ["bus", "train"]
    with pytest.raises(UserError, match="no split column and no folders train, val, test"):
        list_images(tmp_path, Columns(), "train")


def test_an_unknown_form_of_dataset_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"COCO annotation file, or torchvision:NAME"):
        list_images(tmp_path / "nowhere", Columns())
    (tmp_path / "t.xlsx").touch()
    with pytest.raises(UserError, match=r"neither a folder, a table \(.csv .jsonl .parquet\)"):
        list_images(tmp_path / "t.xlsx", Columns())


def test_a_file_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    with pytest.raises(UserError, match=r"caf.*jpg' is not UTF-8: rename the file"):
        list_images(tmp_path, Columns())


def test_columns_without_a_table_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    columns = Columns(label="species", boxes=("bbox",))
    with pytest.raises(UserError, match="is not a table: drop --label-column --box-columns"):
        list_images(tmp_path, columns)


def test_data_that_is_no_file_is_said_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.csv")
    for data in (tmp_path / "data.csv", Path("/dev/zero")):
        with pytest.raises(UserError, match=f"data {data} is a pipe, a socket or a device"):
            list_images(data, Columns())
