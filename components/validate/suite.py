"""The expectations, as plain data: what is expected of which column, and whether the run stops when it fails."""

from dataclasses import dataclass, field

from ecg.leads import LEADS
from ecg.records import SPLITS
from ecg.sources.wfdb_files import RATES
from model.params import ValidateParams


@dataclass(frozen=True)
class Rule:
    """One expectation. `type` is the snake-case name of a Great Expectations class, `options` its arguments."""

    name: str
    type: str
    column: str = ""
    critical: bool = False
    options: dict = field(default_factory=dict)
    note: str = ""


def rules(params: ValidateParams, label_names: tuple[str, ...]) -> list[Rule]:
    """Return every expectation on the table of `components.validate.statistics`, names unique."""
    return [*_identity_rules(params), *_person_rules(params), *_label_rules(params, label_names),
            *_signal_rules(params)]


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


def _signal_rules(params: ValidateParams) -> list[Rule]:
    between, mostly = "expect_column_values_to_be_between", params.mostly

    def at_most(name: str, column: str, limit: float) -> Rule:
        return Rule(name, between, column, options={"min_value": 0, "max_value": limit, "mostly": mostly})

    return [
        *(at_most(f"amplitude:{lead}", f"amplitude_mv:{lead}", params.max_amplitude_mv) for lead in LEADS),
        *(at_most(f"spread:{lead}", f"std_mv:{lead}", params.max_std_mv) for lead in LEADS),
        Rule("flat_leads", "expect_column_mean_to_be_between", "flat_share",
             options={"min_value": 0, "max_value": params.max_flat_share}),
        at_most("not_clipped", "clipped_share", params.max_clipped_share),
        at_most("einthoven", "einthoven_error_uv", params.max_identity_error_uv),
        at_most("goldberger", "goldberger_error_uv", params.max_identity_error_uv),
    ]
