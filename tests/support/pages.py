"""Every kind of page, with what it shows at its best, at its emptiest and at its worst."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reports.audit_page import render_page
from reports.gate_page import render_gate
from reports.methods_page import render_methods
from reports.models_page import render_models
from tests.support.audit_summaries import (
    empty_summary,
    few_images,
    hostile_summary,
    summary,
    without_foreground,
    without_interventions,
    without_labels,
    without_layer,
)
from tests.support.example_images import example, examples, hostile_examples
from tests.support.gate_results import hostile_result, let_through, refused
from tests.support.method_comparisons import (
    comparison,
    gallery,
    hostile_comparison,
    hostile_gallery,
    method,
    without_figures,
    without_recommendation,
)
from tests.support.model_comparisons import hostile_pair, nothing_compared, paired, paired_examples
from tests.support.pattern_results import (
    hostile_patterns,
    hostile_pictures,
    pictures_of,
    several,
)

TWELVE = comparison(methods=tuple(method(f"captum:Method{index}") for index in range(12)))
ONE = comparison(methods=(method("grad_cam"),), recommended="grad_cam")
PAGES: dict[str, Callable[[], str]] = {
    "audit": lambda: render_page(summary(), examples()),
    "audit, patterns": lambda: render_page(
        summary(patterns=several()), examples(), [pictures_of("P1"), pictures_of("P3")]
    ),
    "audit, hostile": lambda: render_page(
        hostile_summary().model_copy(update={"patterns": hostile_patterns()}),
        hostile_examples(),
        hostile_pictures(),
    ),
    "audit, no foreground": lambda: render_page(without_foreground(), hostile_examples()),
    "audit, no labels": lambda: render_page(summary(**without_labels()), hostile_examples()),
    "audit, neither": lambda: render_page(
        without_foreground(**{**without_labels(), "evidence": None}), []
    ),
    "audit, no interventions": lambda: render_page(
        without_interventions(), [replace(example(), score=None, changes=())]
    ),
    "audit, no layer": lambda: render_page(without_layer(), examples()),
    "audit, few images": lambda: render_page(few_images(), examples()),
    "audit, nothing at all": lambda: render_page(empty_summary(), []),
    "methods": lambda: render_methods(comparison(), gallery(comparison())),
    "methods, hostile": lambda: render_methods(hostile_comparison(), hostile_gallery()),
    "methods, none recommended": lambda: render_methods(
        without_recommendation(), gallery(without_recommendation())
    ),
    "methods, one without figures": lambda: render_methods(without_figures(), []),
    "methods, none": lambda: render_methods(comparison(methods=(), recommended=None), []),
    "methods, twelve": lambda: render_methods(TWELVE, gallery(TWELVE, images=2)),
    "methods, twelve images": lambda: render_methods(ONE, gallery(ONE, images=12)),
    "pair": lambda: render_models(paired(), paired_examples(paired())),
    "pair, hostile": lambda: render_models(hostile_pair(), paired_examples(hostile_pair())),
    "pair, nothing compared": lambda: render_models(nothing_compared(), []),
    "release, refused": lambda: render_gate(refused()),
    "release, let through": lambda: render_gate(let_through()),
    "release, hostile": lambda: render_gate(hostile_result()),
}
