"""A user's own method: loaded as its author runs it, tried before work begins, and undone."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import Tensor, nn

from models.errors import UserError
from models.methods.maps import check_methods, explain
from models.methods.registry import find_method, method_names
from models.network.explain_request import ExplainRequest
from models.user_calls import ProcessState
from tests.support.networks import random_images, tiny_net

SALIENCY = """
    from models.scale import SCALE  # the user's own `models`

    def saliency(model, images, targets):
        images.requires_grad_(True)
        model(images).gather(1, targets[:, None]).sum().backward()
        return SCALE * images.grad.abs().amax(1)
"""


def write(folder: Path, text: str) -> str:
    """A user's file and the address of what stands last in it."""
    (folder / "maps.py").write_text(dedent(text))
    function = re.findall(r"def (\w+)", text)[-1]
    return f"{folder / 'maps.py'}:{function}"


def project(folder: Path) -> str:
    (folder / "models").mkdir(parents=True)
    (folder / "models/__init__.py").touch()
    (folder / "models/scale.py").write_text("SCALE = 2")
    return write(folder, SALIENCY)


def make_request(network: nn.Module | None = None) -> ExplainRequest:
    return ExplainRequest(network or tiny_net(), random_images(3, 16), torch.tensor([0, 2, 1]))


def maps_of(address: str, request: ExplainRequest) -> Tensor:
    return explain(find_method(address), request)


def refusal(address: str) -> str:
    with pytest.raises(UserError) as caught:
        check_methods([find_method(address)], tiny_net(), None, torch.zeros(1, 3, 16, 16))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_its_maps_are_what_the_function_gives(tmp_path: Path) -> None:
    request = make_request()
    maps_Bhw = maps_of(project(tmp_path), request)
    expected_Bhw = 2 * explain(find_method("saliency"), request)
    assert torch.allclose(maps_Bhw, expected_Bhw)
    assert not maps_Bhw.requires_grad


def test_it_is_tried_and_accepted(tmp_path: Path) -> None:
    method = find_method(project(tmp_path))
    network = tiny_net()
    check_methods([method], network, None, torch.zeros(1, 3, 16, 16))
    assert not network.training  # as it was


def test_its_name_is_the_file_and_the_function(tmp_path: Path) -> None:
    address = project(tmp_path / "first")
    method = find_method(address)
    assert (method.name, method.address) == ("maps.py:saliency", address)
    assert find_method("maps.py:saliency").name == method.name  # which loads nothing
    assert method_names(["grad_cam", address]) == ["grad_cam", "maps.py:saliency"]


def test_its_specification_is_its_code(tmp_path: Path) -> None:
    here, elsewhere = (find_method(project(tmp_path / name)) for name in ("here", "elsewhere"))
    assert here.specification == elsewhere.specification
    with (tmp_path / "here/models/scale.py").open("a") as file:
        file.write("  # another thought\n")
    assert here.specification != elsewhere.specification


def test_a_changed_file_is_loaded_again(tmp_path: Path) -> None:
    address, request = project(tmp_path), make_request()
    before_Bhw = maps_of(address, request)
    (tmp_path / "models/scale.py").write_text("SCALE = 40")
    assert torch.allclose(maps_of(address, request), 20 * before_Bhw)


def test_large_batches_are_split(tmp_path: Path) -> None:
    text = """
        def sizes(model, images, targets):
            return images[:, 0] * 0 + len(images)
    """
    request = ExplainRequest(
        tiny_net(), random_images(3, 16), torch.zeros(3, dtype=torch.long), batch_size=2
    )
    assert maps_of(write(tmp_path, text), request).amax((1, 2)).tolist() == [2, 2, 1]


def test_the_model_is_restored(tmp_path: Path) -> None:
    text = """
        def hook(model, images, targets):
            model.train()
            model.kept = images
            model.relu.register_forward_hook(lambda *_: None)
            return images.mul_(2)[:, 0]
    """
    network = tiny_net()
    request = make_request(network)
    before = request.image_BCHW.clone()
    maps_of(write(tmp_path, text), request)
    assert not any(module._forward_hooks or module.training for module in network.modules())
    assert not hasattr(network, "kept")
    assert torch.equal(request.image_BCHW, before)


def test_random_numbers_are_the_same_each_time(tmp_path: Path) -> None:
    text = """
        import random, torch

        def noise(model, images, targets):
            return images[:, 0] * torch.rand(16, 16) * random.random()
    """
    address, request = write(tmp_path, text), make_request()
    check_methods([find_method(address)], tiny_net(), None, torch.zeros(1, 3, 16, 16))
    assert torch.equal(maps_of(address, request), maps_of(address, request))


REFUSED = {
    "return images": r"gives a tensor of shape \(2, 3, 16, 16\) for 2 images: return a torch",
    "return images[0]": r"gives a tensor of shape \(3, 16, 16\) for 2 images",
    "return images[:, 0].sum((1, 2))": r"gives a tensor of shape \(2,\) for 2 images",
    "return images[:, 0] > 0": "gives a tensor of torch.bool: return a torch.Tensor of floating",
    "return images[:, 0].numpy()": "gives a ndarray: return a torch.Tensor of floating-point",
    "return images[:, 0] / 0": r"gives NaN or infinity in 1024 of 1024 numbers for random p",
    "return images[:, 0] / (images - images.mean(0)).amax(0)[0]": r"gives NaN or infinity in 512 ",
    "return images[:, 0, : 8 * len(images)]": r"gives a map of 16x16 cells in a batch of two and o",
    "return images[:, 0] / images.max()": r"gives an image another map when another image is in i",
    "return images[:, 0] * torch.rand(images[:, 0].shape)": ".* and draw random numbers that",
    "raise SystemExit(3)": "raised SystemExit: 3: call it by itself, with the model, images",
    "raise GeneratorExit": "raised GeneratorExit: call it by itself, with the model, images",
    "return model(images, 1)": "raised TypeError: .*: call it by itself, with the model, images",
}


@pytest.mark.parametrize(("body", "words"), REFUSED.items())
def test_invalid_methods_are_refused_in_one_line(body: str, words: str, tmp_path: Path) -> None:
    text = f"import torch\ndef explain(model, images, targets):\n    {body}\n"
    assert re.search(f"^method {tmp_path}/maps.py:explain {words}", refusal(write(tmp_path, text)))


def test_a_missing_method_is_named(tmp_path: Path) -> None:
    address = write(tmp_path, "def explain(model, images, targets): ...")
    assert refusal(f"{tmp_path}/other.py:explain").startswith(f"method file {tmp_path}/other.py no")
    assert "has no function 'explane' (did you mean 'explain'?)" in refusal(f"{address[:-2]}ne")
    assert "method file" in refusal(write(tmp_path, "import no_such_package\ndef f(): ..."))


@pytest.mark.parametrize("address", ["my maps.py:f", ".py:f/..", "maps.py:", "a.py:f=1"])
def test_a_name_that_does_not_fit_a_folder_is_refused(address: str) -> None:
    with pytest.raises(UserError, match=r"is not understood: give path/to/file\.py:function"):
        find_method(address)


def test_running_out_of_memory_is_passed_on_to_the_caller(tmp_path: Path) -> None:
    text = "def explain(model, images, targets):\n    raise RuntimeError('out of memory')\n"
    with pytest.raises(RuntimeError, match=r"^out of memory"):
        maps_of(write(tmp_path, text), make_request())


def test_what_a_method_changes_of_the_process_is_undone(tmp_path: Path) -> None:
    before = ProcessState.now()
    text = (
        "from tests.support.unusual_models import _disturb\n"
        "def explain(model, images, targets):\n    _disturb()\n    return images[:, 0]\n"
    )
    maps_of(write(tmp_path, text), make_request())
    assert ProcessState.now() == before
