"""Make what lies in this folder with the code of commit da006b2, the last of the old layout.

    git worktree add BEFORE da006b24b37cc1b752e8ff3ab6d4f03950ff0cb0
    .venv/bin/python tests/golden/before_layout/make.py BEFORE

Nothing here is made by the code beside it: every step is a process that has BEFORE on its path.
tests/flows/test_before_layout.py copies this folder, unpacks it, and has today's code go on.

Fingerprints contain absolute addresses and the times of files. So every address begins with
/proc/self/cwd, which on Linux means the folder that a process stands in, whichever that is, and the
pictures and masks have one fixed time. The network is small_resnet with all but an eighth of its
channels at zero: they stay there while it learns, and the large files pack to a hundredth.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

COMMIT = "da006b24b37cc1b752e8ff3ab6d4f03950ff0cb0"
HERE = "/proc/self/cwd"
CHANGED = 1_700_000_000  # when the pictures were, in seconds since 1970
LARGE = 100_000  # bytes from which a file is packed
# Nothing that an audit reads: pages, and MLflow's program, which names the folders of its maker.
LEFT_OUT = ("lock", "report.html", "compare.html", "compare.md", "model.pt2")
MADE = ("data", "model", "run", "unfinished", "after", "mlflow", "training", "expected")

DRAWN = """
from pathlib import Path
from tasks.generate import BenchmarkSettings, write_benchmark
write_benchmark(Path("data"), BenchmarkSettings(train=16, validation=0, test=32))
"""
BUILT = """
from pathlib import Path
import torch
from models.architectures import Built, ModelSettings
from models.classifier import check_classifier, save_bundle
from models.smallnet import small_preprocessing, small_resnet
from tasks.baseline import ADDRESS, album_of
from tasks.generate import BenchmarkSettings

prepared = small_preprocessing()
images = prepared.normalise(album_of(Path("data"), "train", prepared).image_NCHW)
classes = BenchmarkSettings().classes
for seed, folder in enumerate(("model", "other")):
    torch.manual_seed(seed)
    network = small_resnet(len(classes))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.ndim and not name.startswith("fc."):
                value[len(value) // 8 :] = 0
            if value.ndim > 1 and not name.startswith("stem."):
                value[:, value.shape[1] // 8 :] = 0
        network.train()
        for _ in range(50):  # statistics of pictures, as a trained network has them
            network(images)
        logits = network.eval()(images)  # of one class, which the next lines mend
        scale = 2 / logits.std(0)
        network.fc.weight *= scale[:, None]
        network.fc.bias.copy_((network.fc.bias - logits.mean(0)) * scale)
    built = Built(network, ADDRESS, classes=classes, preprocessing=prepared)
    save_bundle(Path(folder), check_classifier(built, ModelSettings(address=ADDRESS)))
"""
COMMAND = "from flows.cli import main; main()"
KILLED = f"""
import os, signal
from tasks.finetune.checkpoint import Checkpoints
save = Checkpoints.save
def killed(*arguments):
    save(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
Checkpoints.save = killed
{COMMAND}
"""

IMAGES = ("--data", f"{HERE}/data", "--split", "test", "--workers", "1")
METHODS = ("--methods", "grad_cam,grad_cam_pp")
AUDIT = ("audit", *IMAGES, *METHODS, "--shard-size", "20", "--pool", "8")
STORE = f"sqlite:///{HERE}/mlflow/mlflow.db"
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": (*AUDIT, "--model", "model", "--out", f"{HERE}/run"),
    "unfinished": (*AUDIT, "--model", "model", "--out", f"{HERE}/unfinished"),
    "after": (*AUDIT, "--model", "other", "--out", f"{HERE}/after", "--donors", f"{HERE}/run"),
    "log": ("log", "--model", "model", "--name", "scenes", "--mlflow", STORE),
    "training": (
        *("retrain", *IMAGES, *METHODS, "--model", "model", "--out", f"{HERE}/retrained"),
        *("--train-split", "train", "--validation-share", "0.25", "--name", "scenes"),
        *("--epochs", "2", "--training-batch-size", "4", "--pool", "8"),
    ),
}
COMPARED = ("compare", f"{HERE}/after", f"{HERE}/run", "--json", "--out", f"{HERE}/expected")


class Before:
    """The old code, and the folder that its processes stand in."""

    def __init__(self, code: Path, folder: Path) -> None:
        self.code, self.folder = code.resolve(), folder
        found = subprocess.check_output(["git", "-C", code, "rev-parse", "HEAD"], text=True)
        if found.strip() != COMMIT:
            raise SystemExit(f"{code} is at {found.strip()}, not at {COMMIT}")

    def python(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program with the old code on the path."""
        there = {"PYTHONPATH": str(self.code), "SIGHTLINE_HOME": f"{HERE}/.sightline"}
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.folder,
            env=os.environ | there | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )

    def done(self, program: str, *arguments: str) -> str:
        """What it printed; a program that fails ends all."""
        ended = self.python(program, *arguments)
        if ended.returncode:
            raise SystemExit(f"{arguments} ended with {ended.returncode}")
        return ended.stdout


def make(before: Before) -> None:
    """Make everything in the folder of the processes."""
    folder = before.folder
    before.done(DRAWN)
    spoil(folder / "data")
    before.done(BUILT)
    for name in ("run", "unfinished", "after", "log"):
        before.done(COMMAND, *COMMANDS[name])
    interrupt(folder / "unfinished")
    forget_folder(folder / "mlflow/mlflow.db")
    moved = before.done(COMMAND, *COMPARED)
    (folder / "expected/moved.json").write_text(moved)
    before.python(KILLED, *COMMANDS["training"])
    shutil.copytree(folder / "retrained/training", folder / "training")
    before.done(COMMAND, *COMMANDS["training"])
    shutil.copy(folder / "retrained/training/history.json", folder / "expected")


def spoil(data: Path) -> None:
    """A picture of each shard and a mask that cannot be read, and a picture twice; then all of one
    time."""
    for name in ("images/test/00003.png", "images/test/00025.png", "masks/test/00008.png"):
        content = (data / name).read_bytes()
        (data / name).write_bytes(content[: len(content) // 2])
    shutil.copy(data / "images/test/00010.png", data / "images/test/00022.png")
    for path in data.rglob("*"):
        os.utime(path, (CHANGED, CHANGED))


def interrupt(run: Path) -> None:
    """Leave of a run what it has when it is killed after its first shard."""
    for part in run.rglob("part-00001.parquet"):
        part.unlink()
    for name in ("flags.parquet", "duplicates.parquet", "summary.json", "report.html"):
        (run / name).unlink()
    state = json.loads((run / "run.json").read_text())
    del state["mlflow"]
    (run / "run.json").write_text(json.dumps(state | {"state": "running"}, indent=2) + "\n")


def forget_folder(database: Path) -> None:
    """MLflow says of its own experiment, which is empty, where this process stood."""
    with closing(sqlite3.connect(database)) as opened:
        place = (f"{HERE}/mlruns/0",)
        opened.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", place
        )
        opened.commit()
        opened.execute("VACUUM")


def keep(folder: Path, target: Path) -> None:
    """Put what was made in the place of what was there, large files packed."""
    for name in MADE:
        shutil.rmtree(target / name, ignore_errors=True)
        left_out = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(folder / name, target / name, ignore=left_out)
        for path in [path for path in (target / name).rglob("*") if is_large(path)]:
            packed = gzip.compress(path.read_bytes(), mtime=0)
            path.with_name(f"{path.name}.gz").write_bytes(packed)
            path.unlink()
    told = {"commit": COMMIT, "changed": CHANGED, "commands": COMMANDS}
    (target / "made.json").write_text(json.dumps(told, indent=1) + "\n")


def is_large(path: Path) -> bool:
    """Is it worth packing? Parquet is packed already."""
    return path.is_file() and path.suffix != ".parquet" and path.stat().st_size > LARGE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="worktree of the commit before the change")
    code = parser.parse_args().before
    with TemporaryDirectory() as name:
        folder = Path(name)
        make(Before(code, folder))
        keep(folder, Path(__file__).parent)


if __name__ == "__main__":
    main()
