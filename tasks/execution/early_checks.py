"""What is checked before torch, a server or a worker is started: files, tables, labels, classes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from models.classifier.check_model import check_model
from models.classifier.model_files import check_model_files, read_class_names
from models.classifier.segmenter_files import check_segmenter_files
from tasks.attribution.settings import AuditRequest, RunPlan
from tasks.catalog.catalog import check_group_column, list_data, make_catalog
from tasks.catalog.class_groups import check_class_groups
from tasks.catalog.label_columns import label_listing
from tasks.catalog.listing import Listing
from tasks.catalog.mask_files import find_mask_folder
from tasks.runs.folder import RunFolder


def check_early(plan: RunPlan) -> Listing:
    """The data's listing; refuses whatever can be known to be wrong without the network."""
    for run in filter(None, (plan.output.reuse, plan.request.interventions.donors)):
        RunFolder.at(run).read_state()
    check_model_files(plan.model)
    check_model(plan.model)
    check_segmenter_files(plan.request.foreground.source)
    listing = list_data(plan.request.data)
    if plan.request.data.masks is not None:
        find_mask_folder(plan.request.data.masks)
    if plan.request.data.group_column is not None:
        check_group_column(listing.extra, plan.request.data.group_column)
    classes = read_class_names(plan.model)
    if plan.request.data.class_groups is not None:
        check_class_groups(plan.request.data.class_groups, classes)
    if classes is not None:
        listing = label_listing(listing, classes, plan.request.data).listing
    return listing


def catalog_of(request: AuditRequest, classes: tuple[str, ...], listing: Listing) -> pa.Table:
    """The catalog; shuffled where methods are compared, since sanity checks and the page use whole
    shards, in which all classes should be."""
    catalog = make_catalog(request.data, classes, listing)
    if request.comparison is None:
        return catalog
    return catalog.take(np.random.default_rng(0).permutation(len(catalog)))
