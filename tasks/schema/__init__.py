"""The data contracts of a run folder, defined once. Imports nothing else of ours."""

from tasks.schema.audit import (
    Comparison,
    Copy,
    CostSummary,
    Difference,
    DuplicateSummary,
    EstimateSummary,
    EvidenceSummary,
    FailureSummary,
    FlagRule,
    ForegroundSummary,
    GroupSummary,
    Histogram,
    ImageCounts,
    MethodSummary,
    ModelSummary,
    Move,
    StepCost,
    Summary,
    WorstGroup,
)
from tasks.schema.class_groups import ClassGroups
from tasks.schema.cross_tables import Contrast, CrossCell, CrossRow, CrossTable
from tasks.schema.examples import ChangedPicture, Example
from tasks.schema.figures import (
    FIGURES,
    METHOD_FIGURES,
    Figure,
    figures_of_images,
    figures_of_rules,
)
from tasks.schema.method_comparison import (
    Column,
    GalleryRow,
    MethodCost,
    MethodFigures,
    MethodsSummary,
)
from tasks.schema.model_comparison import (
    CHANGE_KINDS,
    REGRESSIONS,
    Answer,
    AuditedModel,
    ChangedImage,
    ChangeKind,
    MissingFigure,
    PairedExample,
    PairedExchange,
    PairedFigure,
    PairedSummary,
    Verdict,
)
from tasks.schema.pattern_pictures import (
    PatternExemplar,
    PatternPictures,
    PatternRecipient,
    PutPicture,
)
from tasks.schema.patterns import (
    PATTERN_CHANGES,
    PATTERN_MEMBERS,
    PATTERN_SPACES,
    PATTERN_TRIALS,
    PATTERNS,
    VERDICTS,
    EnrichedValue,
    Pattern,
    PatternChange,
    PatternChangeKind,
    PatternSummary,
    PatternThen,
    PatternVerdict,
)
from tasks.schema.tables import (
    ATTENDED_BACKGROUND,
    CATALOG,
    COORDINATES,
    DUPLICATES,
    FAILURES,
    FEATURES,
    FLAG_RULE,
    FLAGS,
    FLAGS_TABLE,
    FOREGROUNDS,
    GROUP_COLUMN,
    INTERVENTIONS,
    MERITS,
    PICTURE_PROPERTIES,
    PREDICTIONS,
    SCORES,
    TRIALS,
    VERSION,
    Flag,
    ForegroundSource,
    maps_schema,
)
from tasks.schema.values import ENOUGH, Excess, Interval, Rate, Value, wilson
