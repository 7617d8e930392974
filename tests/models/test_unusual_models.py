"""Models of every kind are audited, or refused in one line; the process is as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.classifier.classifier import Classifier, load_classifier
from models.classifier.preprocessing import Preprocessing
from models.classifier.settings import ModelSettings
from models.classifier.trial import check_answers
from models.errors import ForwardError, UserError
from models.function_network import FunctionNetwork
from models.methods.maps import check_methods, explain
from models.methods.registry import find_methods
from models.network.explain_request import ExplainRequest
from models.user_calls import ProcessState
from tests.support import unusual_models

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
SIZE = (16, 16)
FILE = unusual_models.__file__
FUNCTIONS = (
    *("closure", "closure_in_training_mode", "partial_of_a_function", "callable_object"),
    *("bound_method", "hugging_face", "torchscript", "torchscript_in_a_function", "exported"),
    *("exported_in_a_function", "method_of_a_trainer", "global_network", "empty_cell"),
)
MODULES = (
    *("half_logits", "double_logits", "denormal", "eval_gives_none", "prints"),
    *("disturbs_when_built", "disturbs_when_called"),
)
REFUSED = {
    "half": "computes in float16, and maps are made in float32: return network.float()",
    "bfloat16": "computes in bfloat16, and maps are made in float32: return network.float()",
    "double": "computes in float64, and maps are made in float32: return network.float()",
    "complex_numbers": "computes in complex64, and maps are made in float32: return network.f",
    "complex_logits": "gives logits in complex64: return logits.float() from a factory",
    "whole_logits": "gives logits in int64: return logits.float() from a factory",
    "quantised": "is quantised, and maps are made in float32: return the network as it was",
    "lazy": "is lazy: 1.weight gets its shape and random numbers from the first picture; call",
    "meta_device": "is on the meta device, where conv.weight has no numbers: load its weights",
    "no_numbers": "for every picture: NaN or infinity is in its weights, first in fc.weight (24 of",
    "infinite": "NaN or infinity is in its weights, first in conv.bias (8 of 8 numbers); train or",
    "too_large": "can't allocate memory",
    "sparse": "does not accept pictures (1, 3, 16, 16), the size that its preprocessing gives: Run",
    "batch_dropped": "gives (3,), not logits (batch, classes): return one tensor of them",
    "batch_dropped_from_two_on": "gives (1, 3) for two pictures and (3,) for each alone: return",
    "mixes_the_batch": "gives a picture other logits when another is in its batch (by 9",
    "nothing": "gives a NoneType, not logits (batch, classes): return one tensor of them",
    "no_classes": "has no logits: return one for each class",
    "eval_raises": "raised RuntimeError: no evaluation mode: run it by itself",
    "properties_raise": "raised ValueError: no classes yet: run it by itself",
    "parameters_raise": "raised RuntimeError: weights are elsewhere: run it by itself",
    "state_raises": "raised RuntimeError: sharded: gather first: run it by itself",
    "forward_exits": "does not accept pictures (1, 3, 16, 16), the size that its preprocessing giv",
    "forward_stops": "the size that its preprocessing gives: Stop: enough",
    "factory_exits": "factory_exits raised SystemExit: 1: run it by itself",
    "factory_stops": "factory_stops raised Stop: enough: run it by itself",
    "factory_recurses": "raised RecursionError: maximum recursion depth exceeded",
}
WITHOUT_GRADIENT = ("without_a_gradient",)
WARNED = ("random_answers", "seldom_random_answers", "counts_its_calls")
LATER = ("forward_exits_later", "forward_fails_later", "huge")  # only real pictures show it


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """The process is as it was, whatever the model does."""
    before = ProcessState.now()
    yield
    after = ProcessState.now()
    before.restore()  # for the tests that follow
    assert after == before


def load(name: str) -> Classifier:
    prepared = Preprocessing(crop=SIZE)
    return load_classifier(ModelSettings(address=f"{FILE}:{name}", preprocessing=prepared))


def check(name: str) -> tuple[Classifier, list[str]]:
    """What an audit does with a model before it reads a picture."""
    classifier = load(name)
    return classifier, list(check_answers(classifier.network, SIZE, classifier.architecture))


def explain_three(classifier: Classifier, method: str) -> torch.Tensor:
    found = find_methods([method])
    image_BCHW = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    check_methods(found, classifier.network, classifier.grid, image_BCHW[:1])
    target_B = torch.tensor([0, 1, 2])
    request = ExplainRequest(classifier.network, image_BCHW, target_B, grid=classifier.grid)
    return explain(found[0], request)


def test_every_model_of_the_file_is_tested() -> None:
    factories = {
        name
        for name, value in vars(unusual_models).items()
        if getattr(value, "__module__", "") == unusual_models.__name__
        and not name.startswith("_")
        and not isinstance(value, type)
    }
    assert factories == {*FUNCTIONS, *MODULES, *REFUSED, *WITHOUT_GRADIENT, *WARNED, *LATER}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_explained_by_methods_that_need_no_layer(name: str) -> None:
    classifier, warnings = check(name)
    assert (classifier.layer, warnings) == (None, [])
    for method in ("rise:masks=8", "ibisa:steps=2", "saliency"):
        map_Bhw = explain_three(classifier, method)
        assert map_Bhw.isfinite().all()
        assert map_Bhw.any()
    with pytest.raises(UserError, match="grad_cam needs a layer with cells, and none was found"):
        explain_three(classifier, "grad_cam")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_works_is_explained(name: str) -> None:
    classifier, warnings = check(name)
    assert (classifier.layer, warnings) == ("norm", [])
    for method in ("grad_cam", "saliency"):
        assert explain_three(classifier, method).isfinite().all()


@pytest.mark.parametrize("name", WITHOUT_GRADIENT)
def test_a_network_without_a_gradient_is_explained_by_rise(name: str) -> None:
    classifier, warnings = check(name)
    assert (classifier.layer, warnings) == (None, [])
    assert explain_three(classifier, "rise:masks=8").any()
    for method in ("saliency", "ibisa"):
        with pytest.raises(UserError, match="the logits do not follow from the picture by a grad"):
            explain_three(classifier, method)


@pytest.mark.parametrize(("name", "words"), REFUSED.items())
def test_any_other_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        check(name)
    line = str(caught.value)
    assert words in line
    assert f"{FILE}:{name} " in line
    assert "\n" not in line
    assert len(line) < len(FILE) + 450


@pytest.mark.parametrize("name", WARNED)
def test_a_model_that_answers_differently_each_time_is_said(name: str) -> None:
    _, (warning,) = check(name)
    assert f"{FILE}:{name} answers differently each time (by " in warning
    assert "switch off dropout" in warning


@pytest.mark.parametrize(
    ("name", "words"), [("forward_exits_later", "SystemExit: 0"), ("forward_fails_later", "KeyErr")]
)
def test_what_a_network_raises_later_is_its_own_line(name: str, words: str) -> None:
    classifier, _ = check(name)
    with pytest.raises(ForwardError, match=rf"^model {FILE}:{name} raised {words}"):
        classifier.network(torch.ones(1, 3, *SIZE))


def test_the_weights_that_a_function_uses_are_part_of_its_digest(tmp_path: Path) -> None:
    """Else a run would keep the predictions of weights that were there before."""
    (tmp_path / "net.py").write_text(
        "import torch\nfrom pathlib import Path\n"
        "def build():\n"
        "    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 2))\n"
        "    network.load_state_dict(torch.load(Path(__file__).with_name('w.pt')))\n"
        "    return lambda image: network(image)\n"
    )

    def digest(scale: float) -> str:
        state = {"1.weight": scale * torch.ones(2, 768), "1.bias": torch.arange(2.0)}
        torch.save(state, tmp_path / "w.pt")
        address = f"{tmp_path / 'net.py'}:build"
        settings = ModelSettings(address=address, preprocessing=Preprocessing(crop=SIZE))
        return load_classifier(settings).digest

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_networks_that_a_function_uses_are_found(name: str) -> None:
    network = load(name).network
    if name not in ("torchscript", "exported"):  # modules, not functions
        assert isinstance(network, FunctionNetwork)
        (used,) = network.networks
        assert not any(module.training for module in used.modules())


def test_what_a_model_changes_of_the_process_is_undone() -> None:
    """That it does change it: else the fixture of this file would prove nothing."""
    before = ProcessState.now()
    try:
        unusual_models._disturb()
        changed = ProcessState.now()
    finally:
        before.restore()
    assert changed.dtype is torch.float64
    assert changed.device.type == "meta"
    assert (changed.threads, changed.has_gradients) == (7, False)
    assert changed.folder == os.sep != before.folder
    assert changed.handlers == (signal.SIG_IGN, signal.SIG_IGN) != before.handlers
    assert ProcessState.now() == before
