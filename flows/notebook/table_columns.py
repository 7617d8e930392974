"""The columns of a run's tables, with their meaning; those of the table of images stand in
tasks/query/columns.py, and figures in tasks/schema/figures.py."""

from __future__ import annotations

import pyarrow as pa

from tasks import schema
from tasks.query.columns import describe

DESCRIPTION = b"description"  # of a field, in its metadata
NAME = pa.dictionary(pa.int32(), pa.string())  # of few different ones
NUMBERS = pa.list_(pa.float32())
IN_WORDS = ("row_id", "label", "prediction", "area", "share", "lift")  # as in the table of images

_WORDS = {
    **{name: describe(name) for name in IN_WORDS},
    **{
        name: figure.meaning
        for name, figure in schema.FIGURES.items()
        if figure.kind in ("method", "cost") and name not in IN_WORDS
    },
    "method": "attribution method that made the map",
}


def described(name: str, data_type: pa.DataType, words: str) -> pa.Field:
    return pa.field(name, data_type, metadata={DESCRIPTION: words})


def words_of(field: pa.Field) -> str:
    words: bytes = field.metadata[DESCRIPTION]
    return words.decode()


def _stored(stored: pa.Schema, words: dict[str, str]) -> pa.Schema:
    """Columns as the files of a run have them."""
    meanings = _WORDS | words
    return pa.schema([described(it.name, _plain(it.type), meanings[it.name]) for it in stored])


def _plain(data_type: pa.DataType) -> pa.DataType:
    """Not every library has numbers of 16 bits."""
    return NUMBERS if pa.types.is_list(data_type) else data_type


def _by_method(columns: pa.Schema) -> pa.Schema:
    return columns.insert(1, described("method", NAME, _WORDS["method"]))


SCORES = _by_method(
    _stored(
        schema.SCORES,
        {
            "centred_lift": "lift / mean lift of other pictures' foregrounds, on the same map",
            "pointing": "does the map's hottest point lie on the foreground?",
        },
    )
)
MAPS = _by_method(
    pa.schema(
        [
            described("row_id", pa.string(), describe("row_id")),
            described("target", NAME, "class that the map explains"),
            described("height", pa.int64(), "rows of the map"),
            described("width", pa.int64(), "columns of the map"),
            described("map", NUMBERS, "its values in the method's own units, row by row"),
        ]
    )
)
FAITHFULNESS = _by_method(
    _stored(
        schema.MERITS,
        {
            "morf": "mean probability while tiles are replaced, hottest first",
            "lerf": "mean probability while tiles are replaced, coldest first",
            "clean": "probability with the picture unchanged",
            "degraded": "probability with all tiles replaced",
            "drop": "share of the probability that is lost by multiplying picture and map",
            "increase": "does the probability rise then? 0 or 1",
        },
    )
)
SANITY = _by_method(
    _stored(schema.TRIALS, {"forward_seconds": "seconds of a prediction alone, per image"})
)
FEATURES = _stored(
    schema.FEATURES,
    {
        "whole": "activations of the maps' layer, pooled over the picture; at most 64 numbers",
        "object": "the same, pooled over the foreground",
        "background": "the same, pooled over all but the foreground",
    },
)
INTERVENTIONS = pa.schema(
    [
        described("row_id", pa.string(), describe("row_id")),
        described("kind", NAME, "object_removed, background_removed, exchanged or moved"),
        described("slot", pa.int64(), "number of the exchange or move of this image, from 0"),
        described("prediction", NAME, "the class that the model says of the changed picture"),
        described("probability", pa.float32(), "that remains for the class predicted unchanged"),
        described("donor", pa.string(), "image that gave the other background; its row_id"),
        described("donor_label", NAME, "class of the donor, as the data say"),
        described("same_class", pa.bool_(), "has the donor the image's own class?"),
        described("way", NAME, "how its own background was moved"),
    ]
)
FAILURES = _stored(
    schema.FAILURES,
    {
        "stage": "what could not be computed",
        "kind": "permanent, or transient: tried again when the audit continues",
        "message": "what was found",
        "remedy": "what to do",
    },
)
PATTERNS = _stored(
    schema.PATTERNS,
    {
        "pattern": "its id, kept from run to run",
        "name": "what its images share",
        "space": "features, or column of the data, in which it was found",
        "pulls_to": "class that is predicted more often with it",
        "exchanged": "background, region or property: what others get of it to confirm it",
        "verdict": f"{', '.join(schema.VERDICTS[:-1])} or {schema.VERDICTS[-1]}",
        "sentence": "the verdict in words",
        "images": "number of its members",
        "effect": "predicted as the class more often on it than on other backgrounds, 0 to 1",
        "effect_low": "lower end of its 95% interval",
        "effect_high": "upper end of its 95% interval",
        "on_pattern": "share of images put on it that are predicted as the class",
        "on_others": "the same images on other backgrounds",
        "p": "of no effect",
        "q": "p, corrected for all candidates",
    },
)
PATTERN_MEMBERS = _stored(
    schema.PATTERN_MEMBERS,
    {
        "pattern": "its id",
        "distance": "to the pattern's centre: the smaller, the purer",
        "half": "of the images: the one that proposes, or the one that confirms",
    },
)
FIGURES = pa.schema(
    [
        described("figure", pa.string(), "its name"),
        described("words", pa.string(), "what it says"),
        described("value", pa.float64(), "over all images"),
        described("low", pa.float64(), "lower end of its 95% interval"),
        described("high", pa.float64(), "upper end of its 95% interval"),
        described("images", pa.int64(), "that it is based on"),
    ]
)
_RATES = {
    "accuracy": "share of right predictions among labelled images",
    "flagged": "share of decided images that rest on the background",
    "null": "the share that would be flagged if backgrounds did not matter",
    "excess": "flagged minus null; none for too few images",
}
GROUPS = pa.schema(
    [
        described("by", NAME, "label, prediction, class_group, or a column of the data"),
        described("group", pa.string(), "class, group of classes, or value of that column"),
        described("labelled", pa.int64(), "images with a label"),
        described("decided", pa.int64(), "images whose flag is not undecided"),
        *(
            described(f"{name}{end}", pa.float64(), words)
            for name, meaning in _RATES.items()
            for end, words in (
                ("", meaning),
                ("_low", f"lower end of the 95% interval of {name}"),
                ("_high", f"upper end of the 95% interval of {name}"),
            )
        ),
        described("q", pa.float64(), "p of no excess, corrected for all groups of the audit"),
    ]
)
