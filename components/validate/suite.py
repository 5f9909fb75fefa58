"""The expectations, as plain data: what is expected of which column, and whether the run stops when it fails."""

from dataclasses import dataclass, field
from itertools import combinations

from ecg.leads import LEADS
from ecg.records import SPLITS
from ecg.sources.wfdb_files import RATES
from model.params import ValidateParams

LABELS_TOGETHER = 4
"""Findings that are checked at a time."""


@dataclass(frozen=True)
class Rule:
    """One expectation. `type` is the snake-case name of a Great Expectations class, `options` its arguments."""

    name: str
    type: str
    column: str = ""
    critical: bool = False
    options: dict = field(default_factory=dict)
    note: str = ""


def rule_groups(params: ValidateParams, label_names: tuple[str, ...]) -> dict[str, list[Rule]]:
    """Return every expectation on the table of `components.validate.statistics`, names unique, by what it looks at.

    Each group is checked for itself, on its own columns: Great Expectations copies what it is given, once a rule.
    """
    groups = {"identity": _identity_rules(params), "people": _person_rules(params)}
    for first in range(0, len(label_names), LABELS_TOGETHER):
        names = label_names[first:first + LABELS_TOGETHER]
        title = "labels" if len(label_names) <= LABELS_TOGETHER else f"labels {first + 1}-{first + len(names)}"
        groups[title] = _label_rules(params, names)
    excluding = _exclusion_rules(params, label_names)
    return groups | ({"labels that exclude each other": excluding} if excluding else {}) | {
        "amplitude of the leads": _lead_rules("amplitude", "amplitude_mv", params.max_amplitude_mv, params),
        "spread of the leads": _lead_rules("spread", "std_mv", params.max_std_mv, params),
        "signals": _signal_rules(params), "recordings": _recording_rules(params)}


def rules(params: ValidateParams, label_names: tuple[str, ...]) -> list[Rule]:
    """Return the rules of all groups."""
    return [rule for group in rule_groups(params, label_names).values() for rule in group]


def exclusive_pairs(params: ValidateParams, label_names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the pairs of findings that exclude each other: any two of a group of `validate.exclusive`.

    Those that the store does not know are left aside, as groups may be declared for more than one label set.
    """
    return [(a, b) for group in params.exclusive for a, b in combinations(group, 2)
            if a in label_names and b in label_names]


def _identity_rules(params: ValidateParams) -> list[Rule]:
    """What must hold, or every figure that is computed later is wrong: all critical."""
    return [
        Rule("enough_records", "expect_table_row_count_to_be_between", "", True, {"min_value": params.min_records}),
        Rule("record_known", "expect_column_values_to_not_be_null", "record", True),
        Rule("record_unique", "expect_column_values_to_be_unique", "record", True),
        Rule("patient_known", "expect_column_values_to_not_be_null", "patient", True),
        Rule("split_known", "expect_column_values_to_be_in_set", "split", True, {"value_set": list(SPLITS)}),
        *(Rule(f"split_not_empty:{split}", "expect_column_sum_to_be_between", f"in:{split}", True, {"min_value": 1})
          for split in SPLITS),
        Rule("patient_in_one_split", "expect_column_values_to_be_between", "patient_splits", True, {"max_value": 1},
             "A patient in two splits lets the model recognise the patient instead of the finding."),
    ]


def _person_rules(params: ValidateParams) -> list[Rule]:
    between, mostly = "expect_column_values_to_be_between", params.mostly
    return [
        Rule("age_plausible", between, "age", options={"min_value": 0, "max_value": 120, "mostly": mostly}),
        Rule("sex_plausible", "expect_column_values_to_be_in_set", "sex",
             options={"value_set": ["F", "M"], "mostly": mostly}),
        Rule("sampling_rate_plausible", between, "sampling_rate",
             options={"min_value": RATES[0], "max_value": RATES[1]}),
        Rule("not_upsampled", between, "upsampled", options={"max_value": 0, "mostly": mostly},
             note="A source of fewer samples a second than the store has nothing in its upper frequencies."),
    ]


def _label_rules(params: ValidateParams, label_names: tuple[str, ...]) -> list[Rule]:
    found = []
    for name in label_names:
        found.append(Rule(f"label_binary:{name}", "expect_column_values_to_be_in_set", f"label:{name}", True,
                          {"value_set": [0, 1]}))
        found.append(Rule(f"prevalence:{name}", "expect_column_mean_to_be_between", f"train:{name}",
                          options={"min_value": params.min_prevalence, "max_value": params.max_prevalence}))
        for split in ("validate", "test"):
            found.append(Rule(f"both_classes:{split}:{name}", "expect_column_mean_to_be_between", f"{split}:{name}",
                              options={"min_value": 0, "max_value": 1, "strict_min": True, "strict_max": True},
                              note="AUROC has no value where all records of a split are alike."))
    return found


def _exclusion_rules(params: ValidateParams, label_names: tuple[str, ...]) -> list[Rule]:
    return [Rule(f"exclusive:{a}:{b}", "expect_column_mean_to_be_between", f"both:{a}:{b}",
                 options={"min_value": 0, "max_value": params.max_exclusive_share},
                 note="Both at once is a mistake of whoever labelled, or of the mapping of codes.")
            for a, b in exclusive_pairs(params, label_names)]


def _recording_rules(params: ValidateParams) -> list[Rule]:
    """How the recordings were made: noise, stretches without signal, electrodes, and the score of it all."""
    between, mostly = "expect_column_values_to_be_between", params.mostly
    limits = {"noise": ("noise_uv", params.max_noise_uv), "baseline": ("baseline_uv", params.max_baseline_uv),
              "flat_stretch": ("flat_s", params.max_flat_stretch_s)}
    return [
        *(Rule(name, between, column, options={"min_value": 0, "max_value": limit, "mostly": mostly})
          for name, (column, limit) in limits.items()),
        Rule("electrodes", "expect_column_mean_to_be_between", "reversed",
             options={"min_value": 0, "max_value": params.max_reversed_share},
             note="Signs that electrodes were interchanged; dextrocardia and some right axes show them too."),
        Rule("quality", between, "quality", options={"min_value": params.min_quality, "max_value": 1, "mostly": mostly},
             note="After the idea of the CinC Challenge 2011: the mean over the leads of the worst of flat, clipped, "
                  "small, large, noisy and wandering."),
    ]


def drift_rules(params: ValidateParams) -> list[Rule]:
    """Return the expectations on the table of `components.validate.drift`."""
    between = "expect_column_values_to_be_between"
    return [Rule("drift:psi", between, "psi", options={"min_value": 0, "max_value": params.max_psi}),
            Rule("drift:ks", between, "ks", options={"min_value": 0, "max_value": params.max_ks})]


def _at_most(name: str, column: str, limit: float, params: ValidateParams) -> Rule:
    return Rule(name, "expect_column_values_to_be_between", column,
                options={"min_value": 0, "max_value": limit, "mostly": params.mostly})


def _lead_rules(name: str, column: str, limit: float, params: ValidateParams) -> list[Rule]:
    return [_at_most(f"{name}:{lead}", f"{column}:{lead}", limit, params) for lead in LEADS]


def _signal_rules(params: ValidateParams) -> list[Rule]:
    return [
        Rule("flat_leads", "expect_column_mean_to_be_between", "flat_share",
             options={"min_value": 0, "max_value": params.max_flat_share}),
        _at_most("not_clipped", "clipped_share", params.max_clipped_share, params),
        _at_most("einthoven", "einthoven_error_uv", params.max_identity_error_uv, params),
        _at_most("goldberger", "goldberger_error_uv", params.max_identity_error_uv, params),
    ]
