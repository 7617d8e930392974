"""The tables of a run folder. Shapes: h rows and w columns of a map."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

VERSION = 1  # of every table and of summary.json; raised when a meaning changes
FLAG_RULE = 3  # version of the rule: raised, with CHANGELOG, when the same parts get other flags

ForegroundSource = Literal["annotated", "box", "estimated", "none"]
Flag = Literal["rests_on_background", "rests_on_object", "mixed", "undecided"]
FLAGS: tuple[Flag, ...] = ("rests_on_background", "rests_on_object", "mixed", "undecided")
GROUP_COLUMN = "group"  # of the user's table, by default: the groups among which the worst is found

_name = pa.dictionary(pa.int32(), pa.string())

CATALOG = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("image", pa.string(), nullable=False),  # address
        pa.field("label", pa.string()),  # the model's class name, null when unknown
        pa.field("masks", pa.list_(pa.string())),  # addresses, united; null when there are none
        pa.field(
            "mask_values", pa.list_(pa.int32())
        ),  # that mark the foreground in them; null: all but zero
        pa.field("regions", pa.string()),  # JSON: boxes, polygons, run lengths; null when none
        pa.field("stamp", pa.string(), nullable=False),  # sizes and times of image and masks
    ]
)
"""One row per image; every extra column of the user's table follows these, untouched."""

PREDICTIONS = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),  # hash of the image's bytes
        pa.field("foreground_id", pa.string()),  # hash of masks' bytes, values and regions
        pa.field("label", _name),
        pa.field("prediction", _name, nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),  # softmax of the prediction, 0 to 1
        pa.field("correct", pa.bool_()),  # null without a label
    ]
)

_vector = pa.list_(pa.float16())  # of at most 64; Parquet loses nulls among fixed-size lists

FEATURES = pa.schema(  # pooled activations of the map layer
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("whole", _vector),
        pa.field("object", _vector),  # null without a foreground
        pa.field("background", _vector),
    ]
)

SCORES = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("area", pa.float32(), nullable=False),  # foreground's share of the picture, 0 to 1
        pa.field("share", pa.float32()),  # foreground share of the energy; null for a map of zeros
        pa.field("lift", pa.float32()),  # share / area, 1 = chance
        pa.field("centred_lift", pa.float32()),  # lift / mean lift of the donors' masks, same map
        pa.field("pointing", pa.bool_()),  # the map's largest value lies in the foreground
    ]
)

INTERVENTIONS = pa.schema(  # probabilities are of the class predicted for the unchanged picture
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("object_removed", pa.float32(), nullable=False),
        pa.field("background_removed", pa.float32(), nullable=False),
        pa.field("object_removed_prediction", _name, nullable=False),
        pa.field("background_removed_prediction", _name, nullable=False),
        pa.field("donors", pa.list_(pa.string()), nullable=False),  # rows of the donor pool
        pa.field("same_class", pa.list_(pa.bool_()), nullable=False),  # has the donor its label?
        pa.field("exchanged", pa.list_(pa.float32()), nullable=False),  # on each donor's background
        pa.field("exchanged_predictions", pa.list_(pa.string()), nullable=False),
        pa.field("reliance_removal", pa.float32(), nullable=False),
        pa.field("reliance_exchange", pa.float32()),  # null without a donor of another class
        pa.field("flips", pa.float32()),  # share of those donors that change the prediction
        pa.field("moved", pa.list_(pa.float32())),  # on the image's own background, moved
        pa.field("moved_predictions", pa.list_(pa.string())),
        pa.field("moved_ways", pa.list_(pa.string())),  # how it was moved, as in models/moves.py
        pa.field("reliance_own", pa.float32()),  # null without a move
        pa.field("flips_own", pa.float32()),  # share of the moves that change the prediction
        pa.field("object_removed_features", _vector),  # pooled as in FEATURES; null without a layer
    ]
)
"""One row per image whose foreground is neither too small nor too large. Runs of version 1 of the
interventions have no moves, those of version 2 no features: their columns are read as null."""

ATTENDED_BACKGROUND = pa.schema(  # all null for a map without energy there
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("features", _vector),  # as in FEATURES, weighted by the map's energy outside the
        pa.field("energy", _vector),  # foreground; that energy by cell, at most 14x14, summing to 1
        pa.field("outside", pa.float32()),  # its share of all energy; null without a foreground
    ]
)
"""What a map attends to beside the object, or anywhere where the image has no foreground. Energy is
the map where it is positive."""

PICTURE_PROPERTIES = pa.schema(  # of the picture as the model sees it, and of its file
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("width", pa.float32()),  # of the file's picture, as it is shown
        pa.field("height", pa.float32()),
        pa.field("brightness", pa.float32()),  # mean of the luminance, 0 to 1
        pa.field("contrast", pa.float32()),  # deviation of the luminance
        pa.field("sharpness", pa.float32()),  # mean Laplacian / mean gradient; null if plain
        pa.field("blockiness", pa.float32()),  # of the file: steps across 8x8 blocks / inside them
        pa.field("jpeg_quality", pa.float32()),  # 1 to 100; null for other formats
        pa.field("border_red", pa.float32()),  # mean of the outermost 3%, 0 to 1
        pa.field("border_green", pa.float32()),
        pa.field("border_blue", pa.float32()),
        pa.field("border_spread", pa.float32()),  # deviation of these colours; 0 for a plain frame
    ]
)

MERITS = pa.schema(  # the faithfulness of a map; null for a map of zeros
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("top_k", pa.float32()),  # share of the hottest pixels, as many as the foreground's
        pa.field("heat_ratio", pa.float32()),  # effective heat ratio; both null without foreground
        *(
            pa.field(name, pa.float32())  # probabilities of the class that is predicted
            for name in (
                *("deletion_mean", "deletion_blur", "insertion_mean", "insertion_blur"),
                *("morf", "lerf", "clean", "degraded", "kept_30", "kept_60", "kept_90"),
                *("drop", "increase"),  # relative; 0 or 1
            )
        ),
    ]
)

TRIALS = pa.schema(  # the sanity of a map: rank correlations with the map after a change
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("head", pa.float32()),  # the last layer's weights randomised
        pa.field("half", pa.float32()),  # the weights of the upper half of the network randomised
        pa.field("whole", pa.float32()),  # all weights randomised
        pa.field("stability", pa.float32()),  # a little noise added to the picture
        pa.field("seconds", pa.float32(), nullable=False),  # per image, by this method alone
        pa.field(
            "forward_seconds", pa.float32(), nullable=False
        ),  # per image, by a prediction alone
    ]
)

FAILURES = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),  # read, foreground, a method, interventions
        pa.field("kind", pa.string(), nullable=False),  # permanent or transient
        pa.field("message", pa.string(), nullable=False),
        pa.field("remedy", pa.string(), nullable=False),
    ]
)

FOREGROUNDS = pa.schema(  # estimated ones, where the audit estimates foregrounds
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),  # of the estimate, 0 to 1
        pa.field("iou", pa.float32()),  # with the annotated mask; null where there is none
    ]
)

FLAGS_TABLE = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("flag", _name, nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("method", _name, nullable=False),
        pa.field("foreground", _name, nullable=False),  # its source: annotated, box, …
        pa.field("score", pa.float32()),  # 0 to 1: how far the prediction rests on the background
        pa.field("null_score", pa.float32()),  # the same on its own background, moved
        pa.field("kept", pa.float32()),  # probability expected on other backgrounds
        pa.field("reliance_removal", pa.float32()),
        pa.field("flips_own", pa.float32()),  # share of its own backgrounds, moved, that change it
        pa.field("area", pa.float32()),
        pa.field("share", pa.float32()),
        pa.field("lift", pa.float32()),
        pa.field("other_object", pa.bool_()),  # may an estimate be another object? null: annotated
    ]
)

COORDINATES = pa.schema(  # of the explorer's plot, 0 to 1, by space; null without features
    [
        pa.field("row_id", pa.string(), nullable=False),
        *(
            pa.field(f"{space}_{axis}", pa.float32())
            for space in FEATURES.names[1:]
            for axis in ("x", "y")
        ),
    ]
)

DUPLICATES = pa.schema(
    [
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("labels", pa.int32(), nullable=False),  # distinct ones among the copies
    ]
)


def maps_schema(height: int, width: int) -> pa.Schema:
    """Maps at the method's native resolution, divided by `scale`, their largest magnitude."""
    return pa.schema(
        [
            pa.field("row_id", pa.string(), nullable=False),
            pa.field("target", _name, nullable=False),  # the class explained
            pa.field("map", pa.fixed_shape_tensor(pa.float16(), (height, width)), nullable=False),
            pa.field("scale", pa.float32(), nullable=False),
        ]
    )
