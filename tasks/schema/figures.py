"""Every figure, defined once for pages, comparisons, the gate, MLflow and docs/reference.md.

A figure that is the mean of one number per image needs no edit other than its entry here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from tasks.schema.units import CORRELATION, COUNT, POINTS, RATIO, SECONDS, SHARE, Unit
from tasks.schema.values import ENOUGH

Kind = Literal["image", "pattern", "audit", "method", "cost"]
IntervalKind = Literal["Wilson", "bootstrap", "thresholds", "groups", "normal", "none"]


@dataclass(frozen=True)
class Figure:
    """One number of an audit or of a comparison of methods."""

    name: str
    words: str  # in a sentence: `accuracy on other classes' backgrounds`
    meaning: str
    unit: Unit = SHARE
    higher_is_better: bool | None = None  # None: neither
    kind: Kind = "image"  # image: compared between models, subject to rules, summarised; pattern: a
    # count of patterns, subject to rules
    interval: IntervalKind = "bootstrap"
    missing: str = ""  # why it may be missing
    remedy: str = ""  # and what to do for it
    column: str | None = None  # the number of each image whose mean it is
    by_method: bool = False  # is there one per attribution method?
    by_class: bool = False  # is it compared for each class, too?
    needs_champion: bool = False  # is it of a candidate beside a champion?
    in_summary: bool = True  # in `figures` of summary.json; False: another field, or derived of two

    @property
    def title(self) -> str:
        return self.words[0].upper() + self.words[1:]

    @property
    def arrow(self) -> str:
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]

    def subject(self, name: str | None) -> str:
        """`lift of grad_cam`."""
        return self.name if name is None else f"{self.name} of {name}"


NO_LABEL = "no image has a label"
LABELS = "give a table with labels, or class folders"
NO_EXCHANGE = "no image was put on the background of another class"
NO_LABELLED_EXCHANGE = "no image with a label was put on the background of another class"
EXCHANGES = "it takes foregrounds (--masks, --foreground estimate) and pictures of several classes"
NO_MOVE = "no image was put on its own background, moved"
MOVES = (
    "it takes foregrounds (--masks, --foreground estimate), --moves of 1 or more, and an audit of "
    "this version"
)
NOT_DECIDED = "no image is decided"
RULE = "the rule in the audit's report says why"

_of_images = partial(Figure, in_summary=False)
_OF_IMAGES = (
    _of_images(
        "accuracy",
        "accuracy",
        "Share of right predictions among images with a label, with the pictures unchanged.",
        higher_is_better=True,
        interval="Wilson",
        missing=NO_LABEL,
        remedy=LABELS,
        column="correct",
        by_class=True,
    ),
    _of_images(
        "accuracy_exchanged",
        "accuracy on other classes' backgrounds",
        "Share of exchanges with pictures of other classes after which the label is still "
        "predicted. Cutting and pasting alone costs some accuracy, in both models.",
        higher_is_better=True,
        interval="Wilson",
        missing=NO_LABELLED_EXCHANGE,
        remedy=EXCHANGES,
        column="kept_label",
    ),
    _of_images(
        "exchange_gap",
        "accuracy lost on other classes' backgrounds",
        "`accuracy` - `accuracy_exchanged`, over the images that have both.",
        unit=POINTS,
        higher_is_better=False,
        missing=NO_LABELLED_EXCHANGE,
        remedy=EXCHANGES,
        column="exchange_gap",
    ),
    _of_images(
        "worst_group",
        "accuracy of the worst group",
        "The lowest accuracy over values of the table's group column (`--group-column`), else over "
        "groups of classes (`--class-groups`), else over labels, among groups of enough images, "
        "found for each model separately. The lowest of many is low partly by chance.",
        higher_is_better=True,
        interval="groups",
        missing="no image of a group has a label",
        remedy="give labels, and groups with --group-column or --class-groups",
    ),
    _of_images(
        "flips",
        "predictions that other backgrounds change",
        "Share of exchanges with pictures of other classes that change the prediction, whether "
        "right or wrong; without labels, with any pictures.",
        higher_is_better=False,
        interval="Wilson",
        missing=NO_EXCHANGE,
        remedy=EXCHANGES,
        column="flips",
        by_class=True,
        in_summary=True,
    ),
    _of_images(
        "flips_own",
        "predictions that their own background, moved, changes",
        "Share of an image's own backgrounds, its object filled in and the rest mirrored or rolled "
        "behind it, that change the prediction: what cutting and pasting does by itself.",
        higher_is_better=False,
        missing=NO_MOVE,
        remedy=MOVES,
        column="flips_own",
        in_summary=True,
    ),
    _of_images(
        "flagged",
        "flagged as resting on the background",
        "Share of `rests_on_background` among decided images; of a pair, among those that both "
        "audits decide. Each model has its own threshold, which is taken as given here.",
        higher_is_better=False,
        interval="Wilson",
        missing=NOT_DECIDED,
        remedy=RULE,
        column="flagged",
        by_class=True,
    ),
    _of_images(
        "excess",
        "excess of flags over the null",
        "`flagged` minus the share of the same images that the null flags. The interval includes "
        "the uncertainty of the thresholds.",
        unit=POINTS,
        higher_is_better=False,
        interval="thresholds",
        missing=NOT_DECIDED,
        remedy=RULE,
        column="excess",
    ),
    _of_images(
        "reliance_exchange",
        "probability lost on other backgrounds",
        "How much probability of the predicted class is lost on backgrounds of other classes. A "
        "model that is less sure of everything has less to lose.",
        unit=POINTS,
        higher_is_better=False,
        missing=NO_EXCHANGE,
        remedy=EXCHANGES,
        column="reliance_exchange",
    ),
    _of_images(
        "reliance_own",
        "probability lost on the own background, moved",
        "How much probability of the predicted class is lost where the image's own background is "
        "moved behind the object.",
        unit=POINTS,
        higher_is_better=False,
        missing=NO_MOVE,
        remedy=MOVES,
        column="reliance_own",
        in_summary=True,
    ),
    _of_images(
        "reliance_removal",
        "object removed minus background removed",
        "Probability with the object removed, minus that with the background removed: above 0, "
        "the background alone is the stronger evidence.",
        unit=POINTS,
        higher_is_better=False,
        missing="no object was removed",
        remedy="it takes foregrounds (--masks, --foreground estimate)",
        column="reliance_removal",
    ),
    _of_images(
        "lift",
        "mean lift",
        "The map's share of energy on the object, divided by the object's share of the picture: "
        "a uniform map gets 1. A map certifies nothing.",
        unit=RATIO,
        higher_is_better=True,
        missing="no map was scored against a foreground",
        remedy="it takes foregrounds (--masks, --foreground estimate)",
        column="lift",
        by_method=True,
    ),
)


_of_patterns = partial(
    Figure, unit=COUNT, higher_is_better=False, kind="pattern", interval="none", in_summary=False
)
PATTERNS = "it takes --patterns default and --interventions default"
_OF_PATTERNS = (
    _of_patterns(
        "patterns.confirmed",
        "confirmed patterns",
        "Number of backgrounds and artefacts that predictions rest on, as exchanges confirmed; of "
        "a class, those that pull to it.",
        missing="the audit looked for no patterns",
        remedy=PATTERNS,
    ),
    _of_patterns(
        "patterns.new",
        "patterns that the champion does not rest on",
        "Number of patterns that are confirmed for the candidate and not for the champion. They "
        "are the same where most of their images are, and the class.",
        missing="one of the two audits looked for no patterns",
        remedy=PATTERNS,
        needs_champion=True,
    ),
)


NO_OTHER_KIND = "no donor's picture is predicted as another class than the image"
FEW_OF_OWN_KIND = (
    f"fewer than {ENOUGH} images were put on the background of a donor that is predicted alike"
)
NO_PAIR = "no image was put on another background and on its own, moved"
PAIRS = "it takes foregrounds, two pictures, --moves of 1 or more, and an audit of this version"
NO_OWN_CLASS = "no image has a donor of its own class"
MORE_DONORS = "give pictures that the model predicts as several classes, or a larger --pool"
_of_audit = partial(Figure, kind="audit")
_OF_AUDIT = (
    _of_audit(
        "flagged_correct",
        "flagged when right",
        "`flagged` among right predictions.",
        higher_is_better=False,
        interval="Wilson",
    ),
    _of_audit(
        "flagged_incorrect",
        "flagged when wrong",
        "`flagged` among wrong predictions.",
        higher_is_better=False,
        interval="Wilson",
    ),
    _of_audit(
        "null",
        "flagged if backgrounds did not matter",
        "Share of the same images that is flagged by their score on their own backgrounds, moved.",
        interval="Wilson",
    ),
    _of_audit(
        "undecided", "undecided", "Share of predictions that are undecided.", interval="Wilson"
    ),
    _of_audit(
        "mean_lift",
        "mean lift",
        "`lift` of one audit, by the method that the flags use.",
        unit=RATIO,
        higher_is_better=True,
        interval="normal",
    ),
    _of_audit(
        "evidence.flips_effect",
        "predictions that other backgrounds change more often than the own, moved",
        "By image, the share of changed predictions on other backgrounds minus that on its own, "
        "moved. Other backgrounds are those of donors that the model predicts as another class "
        "than the image; of images without such a donor, all.",
        unit=POINTS,
        higher_is_better=False,
        missing=NO_PAIR,
        remedy=PAIRS,
    ),
    _of_audit(
        "evidence.flips_across",
        "the same, by backgrounds predicted as another class",
        "The part of all exchanges whose donor's picture the model predicts as another class than "
        "the image: backgrounds of another kind, whatever their labels.",
        higher_is_better=False,
        missing=NO_OTHER_KIND,
        remedy=MORE_DONORS,
    ),
    _of_audit(
        "evidence.flips_within",
        "the same, by backgrounds predicted as the same class",
        f"The other part, where {ENOUGH} images or more have such donors. Their backgrounds may be "
        "of another kind all the same.",
        missing=FEW_OF_OWN_KIND,
        remedy=MORE_DONORS,
    ),
    _of_audit(
        "evidence.reliance_removal",
        "object removed minus background removed",
        "Difference in the probability of the predicted class. Above 0, the background alone is "
        "stronger evidence than the object alone.",
        unit=POINTS,
        higher_is_better=False,
        missing="no object was removed",
    ),
    _of_audit(
        "evidence.reliance_effect",
        "probability lost on other backgrounds beyond the own, moved",
        "By image, the probability of the predicted class on its own backgrounds, moved, minus "
        "that on other backgrounds: what another background takes, with pasting in both. Where "
        "this is surely less than 2 points, flags are no finding.",
        unit=POINTS,
        higher_is_better=False,
        missing=NO_PAIR,
        remedy=PAIRS,
    ),
    _of_audit(
        "evidence.reliance_across",
        "probability lost on backgrounds of another kind",
        "For the predicted class, on average over exchanges with donors that the model predicts "
        "as another class.",
        unit=POINTS,
        higher_is_better=False,
        missing=NO_OTHER_KIND,
        remedy=MORE_DONORS,
    ),
    _of_audit(
        "evidence.reliance_within",
        "probability lost on backgrounds of the same kind",
        f"The same with donors that it predicts as the same class, where {ENOUGH} images or more "
        "have them.",
        unit=POINTS,
        missing=FEW_OF_OWN_KIND,
        remedy=MORE_DONORS,
    ),
    _of_audit(
        "evidence.accuracy",
        "accuracy on the unchanged pictures",
        "Over the same images, with nothing changed.",
        higher_is_better=True,
        missing=NO_LABEL,
        remedy=LABELS,
    ),
    _of_audit(
        "evidence.accuracy_within",
        "accuracy on backgrounds of the same class",
        "With donors of the same label: the accuracy that remains after cutting and pasting.",
        higher_is_better=True,
        missing=NO_OWN_CLASS,
        remedy="give two pictures or more of each class, or a larger --pool",
    ),
    _of_audit(
        "evidence.accuracy_across",
        "accuracy on other classes' backgrounds",
        "`accuracy_exchanged` of one audit, which a model that goes by the object keeps high.",
        higher_is_better=True,
        missing="no image has a donor of another class",
        remedy="give pictures of two classes or more",
    ),
    _of_audit(
        "evidence.class_gap",
        "accuracy lost from the same to other classes' backgrounds",
        "`evidence.accuracy_within` - `evidence.accuracy_across`: how much the model gains from a "
        "background of the right class.",
        unit=POINTS,
        higher_is_better=False,
        missing=f"{NO_OWN_CLASS}, or none of another",
        remedy="give pictures of two classes or more, or a larger --pool",
    ),
    _of_audit(
        "evidence.accuracy_background_alone",
        "accuracy of the background alone",
        "With the object removed. Above chance, backgrounds give the class away.",
        missing=NO_LABEL,
        remedy=LABELS,
    ),
    _of_audit(
        "evidence.accuracy_object_alone",
        "accuracy of the object alone",
        "With the background removed, which is unlike anything that the model was trained on.",
        missing=NO_LABEL,
        remedy=LABELS,
    ),
    _of_audit(
        "evidence.iou",
        "overlap of estimated foregrounds",
        "Mean IoU of estimated and annotated foregrounds, over images that have both.",
        higher_is_better=True,
    ),
)


_of_method = partial(Figure, kind="method", higher_is_better=True)
_KEPT = "Probability left when the hottest {0}% of the pixels are replaced by the data's mean."
_OF_METHODS = (
    _of_method("share", "share", "The share of the map's heat that lies on the object."),
    _of_method("pointing", "pointing", "How often the map's hottest point lies on the object."),
    _of_method(
        "top_k",
        "top k",
        "Of as many of the hottest pixels as the object has, the share that lies on it.",
    ),
    _of_method(
        "heat_ratio",
        "heat ratio",
        "Effective heat ratio: heat on the object for each pixel above a threshold of heat, "
        "averaged over thresholds. A perfect map gets 1.",
        unit=RATIO,
    ),
    _of_method(
        "faithfulness",
        "faithfulness",
        "`insertion_blur` - `deletion_mean`, of each image: do the regions that the map calls "
        "important carry the prediction?",
        unit=POINTS,
    ),
    _of_method(
        "insertion_blur",
        "insertion, blur",
        "The picture reappears from a blur, hottest pixels first: the area under the curve of the "
        "probability.",
    ),
    _of_method("insertion_mean", "insertion, mean", "The same, from the data's mean colour."),
    _of_method(
        "deletion_blur",
        "deletion, blur",
        "The picture disappears into a blur, hottest pixels first: the area under the curve of the "
        "probability.",
        higher_is_better=False,
    ),
    _of_method(
        "deletion_mean",
        "deletion, mean",
        "The same, into the data's mean colour.",
        higher_is_better=False,
    ),
    _of_method(
        "degradation",
        "degradation",
        "Tiles are replaced by the picture's mean colour, coldest first (`lerf`) and hottest first "
        "(`morf`): the difference of the areas under the two curves of the probability, as a "
        "share of what full degradation takes (`clean` - `degraded`, means over the images). A "
        "random map gets 0.",
        unit=RATIO,
    ),
    _of_method("kept_30", "kept, 30%", _KEPT.format(30), higher_is_better=False),
    _of_method("kept_60", "kept, 60%", _KEPT.format(60), higher_is_better=False),
    _of_method("kept_90", "kept, 90%", _KEPT.format(90), higher_is_better=False),
    _of_method(
        "average_drop",
        "average drop",
        "The share of the probability that is lost when the picture is multiplied by its map "
        "(`drop`, mean over images). A map that is hot everywhere loses nothing.",
        higher_is_better=False,
    ),
    _of_method(
        "increase",
        "increase",
        "How often the probability rises instead when the picture is multiplied by its map.",
    ),
    _of_method(
        "head",
        "head random",
        "Rank correlation of the map with the one after the weights of the last layer were "
        "randomised. A map that stays the same does not depend on what the model learned.",
        unit=CORRELATION,
        higher_is_better=False,
    ),
    _of_method(
        "half",
        "half random",
        "The same after the weights of the network's upper half were randomised.",
        unit=CORRELATION,
        higher_is_better=False,
    ),
    _of_method(
        "whole",
        "all random",
        "The same after all weights were randomised.",
        unit=CORRELATION,
        higher_is_better=False,
    ),
    _of_method(
        "stability",
        "stability",
        "Rank correlation of the map with the one after a little noise was added to the picture.",
        unit=CORRELATION,
    ),
    _of_method(
        "reliance",
        "reliance",
        "Rank correlation, over images, of the heat's share on the background with the reliance "
        "that the interventions measure: the `score` without the map's own part in it, "
        "(4 (1 - `kept`) + (1 + `reliance_removal`) / 2) / 5.",
        unit=CORRELATION,
    ),
)


_of_cost = partial(Figure, kind="cost", higher_is_better=False, interval="none")
_OF_COST = (
    _of_cost(
        "times_forward",
        "times forward",
        "Time of a map, divided by that of a bare forward pass.",
        unit=RATIO,
    ),
    _of_cost("seconds", "seconds", "Per image, by this method alone, on one worker.", unit=SECONDS),
    _of_cost(
        "images_per_second",
        "images per second",
        "By this method alone, on one worker.",
        unit=COUNT,
        higher_is_better=True,
    ),
    _of_cost(
        "forwards",
        "forwards",
        "Forward passes of the whole network per map, as the method declares.",
        unit=COUNT,
    ),
    _of_cost(
        "backwards", "backwards", "Backward passes per map, as the method declares.", unit=COUNT
    ),
)

FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (*_OF_IMAGES, *_OF_PATTERNS, *_OF_AUDIT, *_OF_METHODS, *_OF_COST)
}


def figures_of_images() -> dict[str, Figure]:
    """By name, the figures over images: compared between models, subject to rules, summarised."""
    return {name: figure for name, figure in FIGURES.items() if figure.kind == "image"}


def figures_of_rules() -> dict[str, Figure]:
    """By name, the figures that rules of a policy may limit."""
    return {name: it for name, it in FIGURES.items() if it.kind in ("image", "pattern")}


# The figures of a comparison of methods, in the order of its tables.
LOCALISATION = ("share", "lift", "pointing", "top_k", "heat_ratio")
FAITHFULNESS = (
    *("faithfulness", "insertion_blur", "insertion_mean", "deletion_blur", "deletion_mean"),
    *("degradation", "kept_30", "kept_60", "kept_90", "average_drop", "increase"),
)
SANITY = ("head", "half", "whole", "stability")
RELIANCE = ("reliance",)
METHOD_FIGURES = (*LOCALISATION, *FAITHFULNESS, *SANITY, *RELIANCE)
COST = tuple(figure.name for figure in _OF_COST)
