"""Two models on the same images: every figure before, after, and its change, image by image.

Champion and candidate, or before and after a retraining.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from models.errors import NotComparable
from tasks import schema
from tasks.compare.changed_images import count_changes, worst_changes
from tasks.compare.figures import FigureQuery, FigureValue, compute_figure, known_values
from tasks.compare.paired_images import PairedImages, check_pair, read_pair, shared_methods
from tasks.compare.pattern_changes import compare_patterns
from tasks.compare.verdicts import ORDER, judge_change, summarise_verdicts
from tasks.intervals.many_comparisons import simultaneous_confidence
from tasks.runs.reader import Run

SMALLEST_GROUP = 10  # labelled images that a group needs to be the worst

Judgement = schema.PairedFigure | schema.MissingFigure


def compare_models(
    before: Run, after: Run, patterns: tuple[schema.PatternChange, ...] | None = None
) -> schema.PairedSummary:
    """The later audit against the earlier one; refuses runs that differ in more than the model.

    `patterns` are those of the two where they are compared already.
    """
    first, last = before.summary(), after.summary()
    images = read_pair(before, after)
    judgements = list(_figures(images, shared_methods(before, after)))
    figures = [figure for figure in judgements if isinstance(figure, schema.PairedFigure)]
    classes, confidence = _judge_each(images, _queries_of_labels(images))
    groups, group_confidence = _judge_each(images, _queries_of_groups(images))
    return schema.PairedSummary(
        before=audited_model(before, first),
        after=audited_model(after, last),
        data=last.data,
        foreground=last.foreground.source,
        method=last.rule.method,
        images=len(images),
        left_out=images.rows - len(images),
        predictions_changed=schema.wilson(images.count_other_predictions(), len(images)),
        sentence=summarise_verdicts(figures),
        figures=tuple(sorted(figures, key=lambda figure: ORDER.index(figure.verdict))),
        missing=tuple(figure for figure in judgements if isinstance(figure, schema.MissingFigure)),
        classes=classes,
        confidence=confidence,
        smallest_class=schema.ENOUGH,
        class_groups=groups,
        group_confidence=group_confidence,
        turns=count_changes(images),
        changed=worst_changes(images),
        patterns=(
            compare_patterns(before, first.patterns, after, last.patterns)
            if patterns is None
            else patterns
        ),
    )


def are_two_models(before: Run, after: Run) -> bool:
    """Whether they are a pair, and of different models."""
    try:
        check_pair(before, after)
    except NotComparable:
        return False
    return before.state.identity.model != after.state.identity.model


def audited_model(run: Run, summary: schema.Summary) -> schema.AuditedModel:
    """Which model a run audited, when, and where the run is."""
    address = run.state.model_origin.get("address", summary.model.address)
    return schema.AuditedModel(
        run=str(run.folder.path),
        created=summary.created,
        address=address,
        digest=run.state.identity.model,
    )


def _figures(images: PairedImages, methods: Sequence[str]) -> Iterator[Judgement]:
    """In the order of FIGURES."""
    for figure in schema.figures_of_images().values():
        if not figure.by_method:
            yield _judge(images, FigureQuery(figure.name, change=True, images=SMALLEST_GROUP))
            continue
        for method in methods:
            yield _judge(images, FigureQuery(figure.name, method, change=True))
        if not methods:
            reason = "the two audits have no method in common"
            yield schema.MissingFigure(figure=figure.name, name=None, reason=reason)


def _judge(images: PairedImages, query: FigureQuery) -> Judgement:
    value = compute_figure(images, query)
    if not isinstance(value, FigureValue):
        return value
    if value.smallest is not None and value.smallest < query.images:
        reason = f"no group has {query.images} images with a label"
        return schema.MissingFigure(figure=query.figure, name=None, reason=reason)
    return judge_change(query, value)


def _queries_of_labels(images: PairedImages) -> list[FigureQuery]:
    return [
        FigureQuery(figure, label=name, change=True)
        for name in images.labels.names
        for figure in _figures_of_parts()
    ]


def _queries_of_groups(images: PairedImages) -> list[FigureQuery]:
    """None where the audits have no groups of classes."""
    return [
        FigureQuery(figure, class_group=name, change=True)
        for name in images.groups_of_labels.names
        for figure in _figures_of_parts()
    ]


def _figures_of_parts() -> list[str]:
    figures = schema.figures_of_images().values()
    return [it.name for it in figures if it.by_class and it.column is not None]


def _judge_each(
    images: PairedImages, queries: Sequence[FigureQuery]
) -> tuple[tuple[schema.PairedFigure, ...], float]:
    """Figures of the parts with enough images, and the confidence of their intervals."""
    by_figure = sorted(queries, key=lambda query: query.figure)  # whose values are read once
    enough = {query for query in by_figure if _has_enough(images, query)}
    confidence = simultaneous_confidence(len(enough))
    found = {
        query: _judge(images, replace(query, confidence=confidence))
        for query in by_figure
        if query in enough
    }
    judgements = [found[query] for query in queries if query in found]
    figures = [figure for figure in judgements if isinstance(figure, schema.PairedFigure)]
    figures.sort(key=lambda figure: (ORDER.index(figure.verdict), -abs(figure.change)))
    return tuple(figures), confidence


def _has_enough(images: PairedImages, query: FigureQuery) -> bool:
    return len(known_values(images, query)) >= schema.ENOUGH
