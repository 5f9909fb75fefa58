"""Run the rules through Great Expectations; it alone is imported here, and only when called: that takes seconds."""

import gc
import math
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from components.validate.offline import make_offline
from components.validate.statistics import columns_of
from components.validate.suite import Rule

EXAMPLES = 5
"""Records named for an expectation that fails."""


@dataclass(frozen=True)
class Outcome:
    """How one rule fared. `observed` is a table's or column's value, or the count of records that break the rule."""

    name: str
    column: str
    critical: bool
    success: bool
    observed: float | int | None
    examples: list[str]


@dataclass(frozen=True)
class Suite:
    """Rules on one table, whose column `record` names its rows."""

    title: str
    table: pd.DataFrame
    rules: list[Rule]

    def narrow(self) -> pd.DataFrame:
        """Return the columns that the rules look at, and `record`."""
        return columns_of(self.table, dict.fromkeys(["record", *(rule.column for rule in self.rules if rule.column)]))


def check(suites: list[Suite], *, docs: Path) -> list[Outcome]:
    """Check every rule of every suite and write the Data Docs, static HTML, to the folder `docs`.

    Returns:
        The outcomes, in the order of the suites and their rules.
    """
    context = _context()
    from great_expectations.core.run_identifier import RunIdentifier

    outcomes, summary = [], []
    for suite in suites:
        checkpoint = _checkpoint(context, suite.rules, suite.title)
        done = checkpoint.run(batch_parameters={"dataframe": suite.narrow()},
                              run_id=RunIdentifier(run_name=suite.title))
        results = {result.expectation_config.meta["name"]: result
                   for run in done.run_results.values() for result in run.results}
        found = [_outcome(rule, results[rule.name]) for rule in suite.rules]
        summary.append((suite.title, sum(o.success for o in found), len(found)))
        outcomes += found
        context.data_sources.delete(_source(suite.title))  # it keeps the table
        del checkpoint, done, results
        gc.collect()
        pa.default_memory_pool().release_unused()
    _write_docs(context, docs)
    make_offline(docs, summary=summary)
    return outcomes


def _context():
    """Build a context; nothing is kept on disk and nothing is sent anywhere."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _source(title: str) -> str:
    return f"table of {title}"


def _checkpoint(context, rules: list[Rule], title: str):
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration, FailureSeverity

    asset = context.data_sources.add_pandas(_source(title)).add_dataframe_asset(title)
    batch = asset.add_batch_definition_whole_dataframe("all")
    configurations = [ExpectationConfiguration(
        type=rule.type, kwargs={**({"column": rule.column} if rule.column else {}), **rule.options},
        meta={"name": rule.name, "critical": rule.critical}, notes=rule.note or None,
        severity=FailureSeverity.CRITICAL if rule.critical else FailureSeverity.WARNING) for rule in rules]
    suite = context.suites.add(gx.ExpectationSuite(title, expectations=[c.to_domain_obj() for c in configurations]))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=title, data=batch, suite=suite))
    return context.checkpoints.add(gx.Checkpoint(
        name=title, validation_definitions=[definition],
        result_format={"result_format": "SUMMARY", "unexpected_index_column_names": ["record"]}))


def _write_docs(context, docs: Path) -> None:
    context.add_data_docs_site("docs", {
        "class_name": "SiteBuilder", "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.absolute())}})
    context.build_data_docs(site_names=["docs"])


def _outcome(rule: Rule, result) -> Outcome:
    values = result.to_json_dict()["result"]
    observed = values.get("observed_value", values.get("unexpected_count"))
    if isinstance(observed, float) and not math.isfinite(observed):
        observed = None  # of no values at all; JSON has no word for NaN
    broken = values.get("partial_unexpected_index_list") or []
    return Outcome(rule.name, rule.column, rule.critical, bool(result.success), observed,
                   [] if result.success else [str(row["record"]) for row in broken[:EXAMPLES]])
