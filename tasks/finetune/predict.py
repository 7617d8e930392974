"""What a network predicts for training images, all in memory.

Shapes: N images, B a batch, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from models.classifier.preprocessing import Preprocessing
from models.network.capture import as_found
from models.network.layers import device_of
from tasks.finetune.batches import INFERENCE_BATCH
from tasks.finetune.images import TrainingImages


@torch.no_grad()
def soft_labels(network: nn.Module, images: TrainingImages, preprocessing: Preprocessing) -> Tensor:
    """(N, K) probabilities: the label, or of unlabelled images the network's current prediction."""
    batches = []
    with as_found(network):
        for row_B in torch.split(torch.arange(len(images)), INFERENCE_BATCH):
            label_B = images.label_N[row_B]
            image_BCHW = images.image_NCHW[row_B].to(device_of(network))
            predicted_BK = network(preprocessing.normalise(image_BCHW)).softmax(1).cpu()
            labelled_BK = one_hot(label_B.clamp(min=0), predicted_BK.shape[1]).to(predicted_BK)
            batches.append(torch.where(label_B[:, None] < 0, predicted_BK, labelled_BK))
    return torch.cat(batches)


@torch.inference_mode()
def predict_classes(network: nn.Module, image_NCHW: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N,): the predicted class index of each image."""
    network.eval()
    batches = torch.split(image_NCHW, INFERENCE_BATCH)
    return torch.cat([network(preprocessing.normalise(batch)).argmax(1) for batch in batches])
