"""The model card, as Markdown: what the model is for, how it was measured, where it ends (Mitchell et al. 2019)."""

from jinja2 import Environment, StrictUndefined

from components.evaluate.evidence import Evidence, figure, interval, percent
from components.evaluate.report import NAMES, RULES, split_table

TEMPLATE = """\
# Model card: VizECGNet, a reader of printed ECG pages

{% for line in warnings %}
> {{ line }}

{% endfor %}
## Intended use
The model reads the image of one printed 12-lead ECG ({{ page.layout }} layout, 25 mm/s, 10 mm/mV) and gives a
probability for each of {{ names | length }} findings: {{ names | join(", ") }}. It is meant for research, for sorting
archives, and as a second look beside a physician's reading.

## Limits
- **Not for diagnosis without a physician.** It is no medical device and no authority has cleared it.
- It answers for the findings above only; a page without any of them is not thereby a normal ECG.
- It was measured on {{ measured_on }}. Other layouts, paper speeds and
  gains, handwriting over traces and other populations are untested.
- Thresholds fit the prevalence of the validation records; choose them anew where that differs.

## Data
{% if same_store %}
Training, validation and test records come from one store with splits by patient.
{% else %}
The pages come from another store than the training records.
{% endif %}

| split | records | patients | female | male | median age (range) |
|---|---:|---:|---:|---:|---|
{% for row in splits %}
| {{ row.split }} | {{ row.records }} | {{ row.patients }} | {{ row.female }} | {{ row.male }} | {{ row.age }} |
{% endfor %}

Training store `{{ meta.data_digest }}`, evaluation pages `{{ metrics.pages_digest }}`.

## Performance on the test split, from the image alone
{{ "%g" | format(metrics.params.level * 100) }} % intervals from {{ metrics.params.resamples }} resamples of patients;
thresholds chosen on the validation split by {{ rule }}.
{% for capture in captures %}

### Capture: {{ capture }}
| finding | {{ titles.values() | join(" | ") }} |
|---|{{ "---|" * (titles | length) }}
{% for name, figures in rows(capture) %}
| {{ name }} |{% for key in titles %} {{ figures[key] | shown }} |{% endfor %}

{% endfor %}
{% endfor %}

## Calibration
{{ metrics.params.calibration | capitalize }} scaling fitted on the validation split.
Expected calibration error (10 bins of equal width), before and after:
{% for capture in captures %}
- {{ capture }}: macro {{ test[capture].macro.ece.value | figure }} → \
{{ test[capture].macro.calibrated_ece.value | figure }}; \
{% for name in names %}{{ name }} {{ test[capture].classes[name].ece.value | figure }} → \
{{ test[capture].classes[name].calibrated_ece.value | figure }}{{ ", " if not loop.last }}\
{% endfor %}

{% endfor %}

## Abstention and refusal
Conformal sets, fitted on the validation split, are to hold the true answer on \
{{ "%g" | format(metrics.params.coverage * 100) }} % of pages. On the test split:
{% for capture in captures %}
- {{ capture }}: they hold it on {{ test[capture].macro.coverage | percent }} \
(where present {{ test[capture].macro.coverage_present | percent }}, \
where absent {{ test[capture].macro.coverage_absent | percent }}); \
undecided {{ test[capture].macro.undecided | percent }}. \
The test for an ECG page refuses {{ "%.2f" | format(metrics.refusal.refused[capture] * 100) }} % of these pages.
{% endfor %}

## Subgroups
| capture | group | records | patients | macro AUROC | macro F1 |
|---|---|---:|---:|---|---|
{% for row in subgroups %}
| {{ row.capture }} | {{ row.by }}: {{ row.group }} | {{ row.records }} | {{ row.patients }} |\
 {{ "too small to measure" if row.too_small else row.auroc | shown }} | {{ row.f1 | shown }} |
{% endfor %}

{% for row in gaps if row.auroc %}
- Gap between groups of {{ row.by }} ({{ row.capture }}): AUROC {{ row.auroc.value | figure }}, lowest \
{{ row.auroc.lowest }}, highest {{ row.auroc.highest }}{{ ", intervals apart" if row.auroc.apart }}.
{% endfor %}

## Training
{{ meta.epochs }} epochs, seed {{ meta.seed }}, {{ "{:,}".format(meta.parameters) }} parameters,
commit `{{ meta.git_commit }}`, parameters hash `{{ meta.params_hash }}`, run `{{ meta.run_id }}`,
checkpoint `{{ metrics.checkpoint_digest }}`. The digital signal took part in training only.

## Licence
Code: Apache-2.0. The training records keep the licence of their source, and whoever trained these weights decides
within it how they may be used.
"""


def model_card(evidence: Evidence) -> str:
    """Return the card as Markdown."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              keep_trailing_newline=True)
    environment.filters |= {"figure": figure, "shown": _shown, "percent": percent}
    test = evidence.test

    def rows(capture: str) -> list[tuple[str, dict]]:
        return [("**macro**", test[capture]["macro"]), *test[capture]["classes"].items()]

    same_store = evidence.meta["data_digest"] == evidence.metrics["data_digest"]
    return environment.from_string(TEMPLATE).render(
        measured_on=_measured_on(evidence.captures), warnings=evidence.warnings,
        page=evidence.pages.page, names=evidence.names, captures=evidence.captures,
        splits=split_table(evidence), same_store=same_store, meta=evidence.meta, metrics=evidence.metrics,
        rule=RULES[evidence.metrics["params"]["threshold"]],
        titles=NAMES, rows=rows, test=test, subgroups=evidence.subgroups, gaps=evidence.gaps)


def _measured_on(captures: tuple[str, ...]) -> str:
    """Say which pages were drawn, and which are pictures that the archive has."""
    own = [capture for capture in captures if capture.partition("@")[0] == "own"]
    drawn = [capture for capture in captures if capture not in own]
    kinds = ((drawn, "pages drawn from digital records"), (own, "the archive's own pictures of pages"))
    return " and ".join(f"{what} ({', '.join(names)})" for names, what in kinds if names)


def _shown(node: dict) -> str:
    ends = interval(node)
    return figure(node["value"]) + (f" ({ends})" if ends else "")
