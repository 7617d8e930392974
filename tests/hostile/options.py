"""Values that no option can mean, and options that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.hostile.commands import AUDIT, audit, compare_methods, release, retrain
from tests.hostile.hostile_input import EITHER, HostileInput

GROUP = "options"
POLICY = {"policy.toml": '[[rule]]\nfigure = "accuracy"\nat_least = 0.5\n'}

hostile = partial(HostileInput, GROUP)

NUMBERS = ("-1", "1.5", "nan", "inf", "1e999", "1" + "0" * 30, "", "x", "0x10", "1;2", "\u0663x")
COUNTS = (
    *("--sample", "--limit", "--seed", "--shard-size", "--others", "--same", "--pool"),
    *("--donor-seed", "--workers", "--batch-size", "--max-failures"),
)
SHARES = ("--foreground-confidence", "--false-alarm")
NO_SHARES = ("-0.1", "1.1", "nan", "inf", "-inf", "1e999", "", "x", "5%", "0,5")
CHOICES = (
    *("--polarity", "--orientation", "--box-format", "--target", "--memory-format"),
    *("--interventions", "--fill"),
)
SIZES = ("0", "-64", "64,64,64", "x", "", "1e9", "64.5", "nan", "999999999", "64;64", "[64]")
COLOURS = ("nan", "inf", "x", "", "0.5,0.5", "1e300,1,1", "0.5,0.5,0.5,0.5", "1e-300", "-1e30")
METHODS = (
    *("", ",", "gradcam", "grad_cam,grad_cam", "grad_cam_pp,nope", "rise:masks=0", "rise:masks"),
    *("rise:masks=nan", "rise:masks=" + "9" * 5000, "rise:nope=1", "grad_cam_pp:x=1", "a:b:c"),
    *("grad_cam_pp;layer_cam", "grad_cam_pp\nlayer_cam", "\x1b[31mgrad_cam", "nowhere.py:method"),
    *("data/metadata.csv:method", ".py:", "a.py:", "/etc/passwd.py:x", "x" * 100_000, "rise:"),
    *("integrated_gradients:steps=0", "integrated_gradients:steps=-5", "smooth_grad:noise=nan"),
)
LAYERS = ("nope", "conv", "fc", ".", "..", "__class__", "stage3.", "\x1b[2J", "x" * 5000, "0")
MODELS = (
    *("", "resnet18", "torchvision:", "torchvision:nope", "torchvision:resnet18; rm", "timm:"),
    *("timm:nope_nope", "transformers:", "transformers:nowhere", "transformers:data", "nope:x"),
    *("sightline:nope", "mlflow:", "mlflow:nope", "mlflow:models:/", "mlflow:runs:/x", "data"),
    *("nowhere.py:build", "data/metadata.csv", "model/model.safetensors", "/", ".", "..", "~"),
    *("torchvision:__builtins__", "torchvision:os.system", "model/../model/nope.json"),
)
RETRAIN = {
    "--epochs": ("-1", "1.5", "x", "1" + "0" * 30),
    "--steps": ("-1", "0", "x"),
    "--training-batch-size": ("0", "-1", "1e9"),
    "--accumulate": ("0", "-1"),
    "--learning-rate": ("nan", "-1", "inf", "x", "1e300"),
    "--weight-decay": ("nan", "-1", "inf"),
    "--momentum": ("nan", "-1", "2"),
    "--validation-share": ("nan", "-1", "2", "x"),
    "--objective": ("nope", "", "erm:x=1", "erm;sib"),
    "--optimiser": ("nope", ""),
    "--schedule": ("nope",),
    "--precision": ("nope", "8"),
    "--choose": ("nope",),
    "--training-seed": ("-1", "1.5", "1" + "0" * 30),
    "--name": ("a/b", "a:b", "", "\x1b[31m"),
    "--alias": ("a/b", "", "a b", "v1"),
    "--train-split": ("nope",),
    "--start": ("nope",),
}


def inputs() -> Iterator[HostileInput]:
    for option in COUNTS:
        yield from _each(option, NUMBERS)
    for option in SHARES:
        yield from _each(option, NO_SHARES)
    for option in CHOICES:
        yield from _each(option, ("", "nope", "\x1b[31m"))
    yield from _preprocessing()
    yield from _each("--methods", METHODS)
    yield from _each("--layer", LAYERS)
    yield from _each("--model", MODELS)
    yield from _several()
    yield from _other_commands()


def _each(option: str, values: tuple[str, ...]) -> Iterator[HostileInput]:
    for value in values:
        yield hostile(f"{option} {value[:60]!r}", audit(option, value))


def _preprocessing() -> Iterator[HostileInput]:
    for size in SIZES:
        words = audit("--mean", "0", "--std", "1", "--size", size)
        yield hostile(f"--size {size!r}", words)
    for option, other in (("--mean", "--std"), ("--std", "--mean")):
        for colour in COLOURS:
            words = audit("--size", "64", other, "0.5", option, colour)
            codes = EITHER if colour == "1e-300" else frozenset({2})
            yield hostile(f"{option} {colour!r}", words, codes=codes)
    for value in ("", "imagnet", "nowhere.json", "data", "model", "\x1b[31m", "{}", "64"):
        yield hostile(f"--preprocessing {value!r}", audit("--preprocessing", value))
    yield hostile("--std 0", audit("--size", "64", "--mean", "0", "--std", "0"))


def _several() -> Iterator[HostileInput]:
    """Options that contradict each other or name what is not there."""
    given = {
        "no such option": ("--nope", "1"),
        "an option without a value": ("--sample",),
        "a further argument": ("further",),
        "--out and --series": ("--series", "nights"),
        "--out empty": ("--out", ""),
        "--split nowhere": ("--split", "nope"),
        "--split with a line end": ("--split", "te\nst"),
        "--flag-method that is not computed": ("--flag-method", "rise"),
        "--flag-method that is none": ("--flag-method", "nope"),
        "--target label with interventions": ("--target", "label"),
        "--image-column nowhere": ("--image-column", "nope"),
        "--label-column nowhere": ("--label-column", "nope"),
        "--mask-column nowhere": ("--mask-column", "nope"),
        "--key-column nowhere": ("--key-column", "nope"),
        "--split-column nowhere": ("--split-column", "nope"),
        "--key-column that repeats": ("--key-column", "label"),
        "--group-column nowhere": ("--group-column", "nope"),
        "--class-groups nowhere": ("--class-groups", "nope.json"),
        "--class-groups that is a table": ("--class-groups", "data/metadata.csv"),
        "--class-groups that is a folder": ("--class-groups", "data"),
        "--box-columns of two": ("--box-columns", "a,b"),
        "--box-columns nowhere": ("--box-columns", "a,b,c,d"),
        "--box-columns of words": ("--box-columns", "label,label,label,label"),
        "--mask-values of words": ("--mask-values", "red"),
        "--mask-values out of range": ("--mask-values", "-1"),
        "--mask-values huge": ("--mask-values", "9" * 40),
        "--mask-values of a bad colour": ("--mask-values", "#ff00"),
        "--labels nowhere": ("--labels", "nowhere.csv"),
        "--labels index of names": ("--labels", "index"),
        "--masks nowhere": ("--masks", "nowhere"),
        "--images nowhere": ("--images", "nowhere"),
        "--annotations nowhere": ("--annotations", "nowhere.json"),
        "--donors nowhere": ("--donors", "nowhere"),
        "--donors is no run": ("--donors", "data"),
        "--reuse nowhere": ("--reuse", "nowhere"),
        "--reuse is no run": ("--reuse", "data"),
        "--allow-addresses of a path": ("--allow-addresses", "s3://bucket/path"),
        "--allow-addresses of a word": ("--allow-addresses", "everything"),
        "--allow-addresses of a star": ("--allow-addresses", "*"),
        "--foreground nowhere": ("--foreground", "nowhere.py:segment"),
        "--foreground of a word": ("--foreground", "nope"),
        "--weights nowhere": ("--weights", "nowhere.pt"),
        "--classes nowhere": ("--classes", "nowhere.txt"),
        "--config nowhere": ("--config", "nowhere.toml"),
        "--config a folder": ("--config", "data"),
        "--data nowhere": ("--data", "nowhere"),
        "--data empty": ("--data", ""),
        "--data of torchvision nowhere": ("--data", "torchvision:Nope"),
        "--data of torchvision's os": ("--data", "torchvision:os"),
        "--experiment empty": ("--experiment", ""),
        "a password in --data": ("--data", "s3://user:password-7@bucket/data"),
        "a token in --mlflow": ("--mlflow", "http://token-7@127.0.0.1:9"),
        "a signature in --out": ("--out", "s3://bucket/run?sig=password-7"),
        "--mlflow in a file": ("--mlflow", "sqlite:///data/metadata.csv/mlflow.db"),
    }
    codes = {"--key-column that repeats": EITHER, "--experiment empty": EITHER}
    for name, options in given.items():
        never = ("password-7", "token-7")
        words = audit(*options)
        yield hostile(name, words, codes=codes.get(name, frozenset({2})), never=never)
    for option in ("--data", "--model", "--out"):
        at = AUDIT.index(option)
        yield hostile(f"no {option}", AUDIT[:at] + AUDIT[at + 2 :])


def _other_commands() -> Iterator[HostileInput]:
    for option, values in RETRAIN.items():
        for value in values:
            words = retrain("--epochs", "1", option, value)
            yield hostile(f"retrain {option} {value!r}", words)
    for value in ("-1", "x", "1.5", "nan"):
        yield hostile(f"compare-methods --tested {value!r}", compare_methods("--tested", value))
    for value in ("model", "mlflow:models:/net", "mlflow:models:/net@champion", "torchvision:x"):
        yield hostile(f"release --model {value}", release("--model", value), POLICY)
    for alias in ("", "a b", "v1", "\x1b[31m", "latest"):
        yield hostile(f"release --alias {alias!r}", release("--alias", alias), POLICY)
    yield hostile("release without its policy", release(), {})
    for words in (("nope",), ("policy", "nope"), ("show",), ("show", "a", "b")):
        yield hostile(f"sightline {' '.join(words)}", words)
    for words in (("compare", "data"), ("compare", "data", "model"), ("log", "--model", "model")):
        yield hostile(f"sightline {' '.join(words)}", words)
    yield hostile("init nowhere", ("init", "nowhere"))
    yield hostile("init of a file", ("init", "data/metadata.csv"))
    yield hostile("init with weights nowhere", ("init", "data", "--weights", "nowhere.pt"))
    yield hostile("init twice", ("init", "data"), {"sightline.toml": "mine"})
    yield hostile("bundle without --out", ("bundle", "--model", "model"))
    yield hostile("bundle of nothing", ("bundle", "--model", "nope", "--out", "b"))
